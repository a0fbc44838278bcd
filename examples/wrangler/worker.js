// SPDX-License-Identifier: Apache-2.0
// The container asks for a host that only exists in this Worker, over HTTP and over HTTPS.
import { DurableObject, WorkerEntrypoint } from 'cloudflare:workers';

export default {
	fetch(request, env) {
		return env.BOX.get(env.BOX.idFromName('box')).fetch(request);
	},
};

// The virtual host.
export class Virtual extends WorkerEntrypoint {
	fetch(request) {
		return new Response(`the Worker answers ${request.method} ${request.url}`);
	}
}

const ASKED = ['http://virtual.test/hello', 'https://virtual.test/hello'];

export class Box extends DurableObject {
	async fetch() {
		const { container, exports } = this.ctx;
		await container.interceptOutboundHttp('virtual.test', exports.Virtual({ props: {} }));
		await container.interceptOutboundHttps('virtual.test', exports.Virtual({ props: {} }));
		if (!container.running) {
			container.start({
				enableInternet: false,
				// workerd puts the sidecar's CA there when the container starts.
				env: { NODE_EXTRA_CA_CERTS: '/etc/cloudflare/certs/cloudflare-containers-ca.crt' },
			});
		}
		const lines = [];
		for (const url of ASKED) lines.push(`${url.padEnd(28)} ${await this.ask(url)}`);
		return new Response(lines.join('\n') + '\n');
	}

	// Lets the application open @url and returns the outcome.
	async ask(url) {
		const port = this.ctx.container.getTcpPort(8080);
		for (let tries = 0; ; tries++) {
			try {
				const answer = await port.fetch(`http://app/?url=${encodeURIComponent(url)}`);
				return await answer.text();
			} catch (error) {
				// The application is not up yet.
				if (tries === 200 || !/not listening/.test(error.message)) throw error;
				await scheduler.wait(50);
			}
		}
	}
}
