// SPDX-License-Identifier: Apache-2.0
// A container with a made-up internet. Three handlers answer its connections to the outside: by host name over
// HTTP and HTTPS, and by address over TCP.
import { DurableObject, WorkerEntrypoint } from 'cloudflare:workers';

export default {
	fetch(request, env) {
		return env.BOX.get(env.BOX.idFromName('box')).fetch(request);
	},
};

// Outbound HTTP and HTTPS. No server has that name, so the Worker answers.
export class Web extends WorkerEntrypoint {
	fetch(request) {
		return new Response(`the ${this.ctx.props.scheme} handler: ${request.method} ${request.url}`);
	}
}

// Outbound TCP: a Redis with one command.
export class Redis extends WorkerEntrypoint {
	async connect(socket) {
		const writer = socket.writable.getWriter();
		for await (const line of socket.readable.pipeThrough(new TextDecoderStream())) {
			const answer = line.startsWith('PING') ? '+PONG from the TCP handler\r\n' : '-ERR unknown command\r\n';
			await writer.write(new TextEncoder().encode(answer));
		}
		await writer.close();
	}
}

const ASKED = [
	'http://api.test/hello',
	'https://secure.test/hello',
	'tcp://192.0.2.1:6379/PING',
];

export class Box extends DurableObject {
	async fetch() {
		const { container, exports } = this.ctx;
		await container.interceptOutboundHttp('*.test', exports.Web({ props: { scheme: 'HTTP' } }));
		await container.interceptOutboundHttps('secure.test', exports.Web({ props: { scheme: 'HTTPS' } }));
		await container.interceptOutboundTcp('192.0.2.1:6379', exports.Redis({ props: {} }));
		if (!container.running) {
			container.start({
				enableInternet: false,
				// workerd puts the sidecar's CA there.
				env: { NODE_EXTRA_CA_CERTS: '/etc/cloudflare/certs/cloudflare-containers-ca.crt' },
			});
		}
		const lines = [];
		for (const url of ASKED) {
			lines.push(`${url.padEnd(28)} ${await this.ask(url)}`);
		}
		return new Response(lines.join('\n') + '\n');
	}

	// Lets the application open the URL and returns the outcome.
	async ask(url) {
		const port = this.ctx.container.getTcpPort(8080);
		for (let tries = 0; ; tries++) {
			try {
				const answer = await port.fetch(`http://app/?url=${encodeURIComponent(url)}`);
				return await answer.text();
			} catch (error) {
				// The application is not up yet.
				if (tries === 100 || !/not listening/.test(error.message)) throw error;
				await scheduler.wait(50);
			}
		}
	}
}
