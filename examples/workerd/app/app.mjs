// SPDX-License-Identifier: Apache-2.0
// The application in the container. GET /?url=URL makes it open the URL without any proxy settings and answer
// with the outcome.
import http from 'node:http';
import net from 'node:net';

function tcp({ hostname, port, pathname }) {
	return new Promise((resolve, reject) => {
		const socket = net.connect(Number(port), hostname, () => socket.end(`${pathname.slice(1)}\r\n`));
		socket.on('data', (data) => resolve(String(data).trim()));
		socket.on('error', reject);
		socket.on('end', () => reject(new Error('closed without an answer')));
	});
}

http.createServer(async (request, response) => {
	const url = new URL(new URL(request.url, 'http://app').searchParams.get('url'));
	try {
		response.end(url.protocol === 'tcp:' ? await tcp(url) : await (await fetch(url)).text());
	} catch (error) {
		response.end(`failed: ${error.cause?.code ?? error.code ?? error.message}`);
	}
}).listen(8080);
process.on('SIGTERM', () => process.exit());
