// SPDX-License-Identifier: Apache-2.0
// The Worker of the end-to-end tests: /BOX/VERB?ARGUMENTS does one thing with the container of the
// Durable Object BOX and answers in plain text, so that a shell can compare.
import { DurableObject, WorkerEntrypoint } from 'cloudflare:workers';

const READY_MS = 20_000;

export default {
	async fetch(request, env) {
		const url = new URL(request.url);
		const [, box, ...verb] = url.pathname.split('/');
		if (!verb.length) return new Response('ready\n');
		const stub = env.BOX.get(env.BOX.idFromName(box));
		return stub.fetch(new Request(`http://box/${verb.join('/')}${url.search}`, request));
	},
};

// Intercepted traffic arrives here. It answers with the name under which it was bound, and with the request.
export class Outbound extends WorkerEntrypoint {
	async fetch(request) {
		const { name } = this.ctx.props;
		if (request.headers.get('Upgrade')?.toLowerCase() === 'websocket') {
			const [client, server] = Object.values(new WebSocketPair());
			server.accept();
			server.addEventListener('message', ({ data }) => {
				const text = typeof data === 'string' ? data : new TextDecoder().decode(data);
				server.send(`${name}: ${text}`);
			});
			return new Response(null, { status: 101, webSocket: client });
		}
		return new Response(`${name} ${request.method} ${request.url} ${await request.text()}`.trim());
	}

	// TCP. "greet" speaks first, as SSH and MySQL servers do. "mirror" returns each byte at once. Any other
	// name answers after the client's half-close.
	async connect(socket) {
		const { name } = this.ctx.props;
		if (name === 'mirror') return socket.readable.pipeTo(socket.writable);
		const writer = socket.writable.getWriter();
		const say = (text) => writer.write(new TextEncoder().encode(text));
		if (name === 'greet') await say('greet: 220 hello\n');
		const reader = socket.readable.getReader();
		const decoder = new TextDecoder();
		let got = '';
		for (;;) {
			const { done, value } = await reader.read();
			if (done) break;
			got += decoder.decode(value, { stream: true });
		}
		await say(`${name}: ${got}`);
		await writer.close();
	}
}

export class Box extends DurableObject {
	async fetch(request) {
		const url = new URL(request.url);
		const [, verb, ...rest] = url.pathname.split('/');
		try {
			return await this[`on_${verb}`](url.searchParams, rest.join('/'), url.search);
		} catch (error) {
			return new Response(`error: ${error.message}\n`, { status: 500 });
		}
	}

	// start?internet=on|off[&restore=1] - starts the container, with the snapshot if wanted, and waits
	// until the application answers.
	async on_start(query) {
		const { container } = this.ctx;
		container.start({
			enableInternet: query.get('internet') !== 'off',
			directorySnapshots: query.get('restore') ? [{ snapshot: this.snapshot }] : [],
		});
		this.exit = container.monitor().then(() => 'exit 0', (error) => `exit ${error.exitCode ?? error.message}`);
		const end = Date.now() + READY_MS;
		for (;;) {
			try {
				return await container.getTcpPort(8080).fetch('http://app/');
			} catch (error) {
				// "not listening" means that the application is not up yet.
				if (!/not listening/.test(error.message) || Date.now() > end) throw error;
			}
			await scheduler.wait(50);
		}
	}

	on_running() {
		return new Response(String(this.ctx.container.running));
	}

	// intercept?kind=http|https|tcp|all&address=ADDRESS&name=NAME
	async on_intercept(query) {
		const { container } = this.ctx;
		const outbound = this.ctx.exports.Outbound({ props: { name: query.get('name') } });
		const address = query.get('address');
		switch (query.get('kind')) {
			case 'http': await container.interceptOutboundHttp(address, outbound); break;
			case 'https': await container.interceptOutboundHttps(address, outbound); break;
			case 'tcp': await container.interceptOutboundTcp(address, outbound); break;
			case 'all': await container.interceptAllOutboundHttp(outbound); break;
			default: throw new Error('kind is http, https, tcp or all');
		}
		return new Response('intercepted');
	}

	// app/VERB?ARGUMENTS - asks the application, through getTcpPort.
	on_app(query, path, search) {
		return this.ctx.container.getTcpPort(8080).fetch(`http://app/${path}${search}`);
	}

	// port?port=PORT - asks another port.
	on_port(query) {
		return this.ctx.container.getTcpPort(Number(query.get('port'))).fetch('http://app/');
	}

	// socket?port=PORT&send=TEXT - a raw TCP connection to a port, ended after what is sent.
	async on_socket(query) {
		const port = Number(query.get('port'));
		const socket = this.ctx.container.getTcpPort(port).connect(`app:${port}`);
		const writer = socket.writable.getWriter();
		await writer.write(new TextEncoder().encode(query.get('send')));
		await writer.close();
		return new Response(await new Response(socket.readable).text());
	}

	// ws?path=PATH&send=TEXT - a WebSocket to the application: one message and its answer.
	async on_ws(query) {
		const response = await this.ctx.container.getTcpPort(8080).fetch(`http://app${query.get('path')}`, {
			headers: { Upgrade: 'websocket' },
		});
		const socket = response.webSocket;
		if (!socket) throw new Error(`no WebSocket: status ${response.status}: ${await response.text()}`);
		socket.accept();
		const answer = new Promise((resolve, reject) => {
			socket.addEventListener('message', ({ data }) =>
				resolve(typeof data === 'string' ? data : new TextDecoder().decode(data)));
			socket.addEventListener('close', () => reject(new Error('closed without an answer')));
			socket.addEventListener('error', () => reject(new Error('failed')));
		});
		socket.send(query.get('send'));
		const text = await answer;
		socket.close(1000);
		return new Response(text);
	}

	// snapshot?dir=DIRECTORY - kept for start?restore=1.
	async on_snapshot(query) {
		this.snapshot = await this.ctx.container.snapshotDirectory({ dir: query.get('dir') });
		return new Response('taken');
	}

	// signal?number=N - and waits for the end.
	async on_signal(query) {
		this.ctx.container.signal(Number(query.get('number')));
		return new Response(await this.exit);
	}

	async on_destroy() {
		await this.ctx.container.destroy();
		return new Response((await this.exit) ?? 'destroyed');
	}
}
