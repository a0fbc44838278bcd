// SPDX-License-Identifier: Apache-2.0
// The application in the container. GET /?url=URL makes it fetch the URL and answer with the outcome.
import http from 'node:http';

http.createServer(async (request, response) => {
	const url = new URL(request.url, 'http://app').searchParams.get('url');
	try {
		const answer = await fetch(url, { signal: AbortSignal.timeout(8000) });
		response.end(`${answer.status} ${await answer.text()}`);
	} catch (error) {
		response.end(`error: ${error.cause?.code ?? error.message}`);
	}
}).listen(8080, '0.0.0.0');
