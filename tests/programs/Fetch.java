// SPDX-License-Identifier: Apache-2.0
import java.io.InputStream;
import java.net.URI;
import java.net.URL;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.TreeSet;
import java.util.stream.IntStream;

/** Fetches a URL COUNT times at once with each of the JVM's two HTTP clients, and prints the checksums that came. */
class Fetch {
	static String sum(InputStream stream) throws Exception {
		MessageDigest digest = MessageDigest.getInstance("SHA-256");
		byte[] part = new byte[1 << 16];
		try (stream) {
			for (int got; (got = stream.read(part)) > 0;)
				digest.update(part, 0, got);
		}
		return HexFormat.of().formatHex(digest.digest());
	}

	static String byClient(String url) throws Exception {
		HttpRequest request = HttpRequest.newBuilder(URI.create(url)).build();
		HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
		return sum(client.send(request, HttpResponse.BodyHandlers.ofInputStream()).body());
	}

	static String byConnection(String url) throws Exception {
		return sum(new URL(url).openConnection().getInputStream());
	}

	public static void main(String[] arguments) throws Exception {
		TreeSet<String> sums = new TreeSet<>();
		Thread[] threads = IntStream.range(0, 2 * Integer.parseInt(arguments[1])).mapToObj(i -> new Thread(() -> {
			String sum;
			try {
				sum = i % 2 == 0 ? byClient(arguments[0]) : byConnection(arguments[0]);
			} catch (Exception e) {
				sum = e.toString();
			}
			synchronized (sums) {
				sums.add(sum);
			}
		})).toArray(Thread[]::new);
		for (Thread thread : threads)
			thread.start();
		for (Thread thread : threads)
			thread.join();
		System.out.println(String.join("\n", sums));
	}
}
