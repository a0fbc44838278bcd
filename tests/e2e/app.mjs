// SPDX-License-Identifier: Apache-2.0
// The application of the end-to-end tests, in the intercepted container. Port 8080 takes a command
// (/VERB?ARGUMENTS) and answers with the outcome in plain text, "error: CODE" for an error.
import { X509Certificate } from 'node:crypto';
import dns from 'node:dns/promises';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import path from 'node:path';
import tls from 'node:tls';
import { connect_websocket, serve_websocket } from './websocket.mjs';

const CA = '/etc/cloudflare/certs/cloudflare-containers-ca.crt'; // workerd puts it there
const LIMIT_MS = 8000;

const held = new Map(); // kept connections: id -> http.Agent

function text_of(stream) {
	return new Promise((resolve, reject) => {
		let text = '';
		stream.setEncoding('utf8');
		stream.on('data', (chunk) => (text += chunk));
		stream.on('end', () => resolve(text));
		stream.on('error', reject);
	});
}

// Node's own check takes no IPv6 address in Debian 13 (node 20.19 with ada 2.9), so OpenSSL checks addresses.
function checkServerIdentity(host, certificate) {
	const address = host.replace(/^\[|\]$/g, '');
	if (!net.isIP(address)) return tls.checkServerIdentity(host, certificate);
	if (new X509Certificate(certificate.raw).checkIP(address)) return undefined;
	return Object.assign(new Error(`the certificate is not for ${host}`), { code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
}

// Sends a request and resolves to [status, body, local port]. With an address it connects there and looks up
// no name.
function request(url, { address, agent, ca } = {}) {
	const { request } = url.startsWith('https:') ? https : http;
	return new Promise((resolve, reject) => {
		const lookup = address && ((_name, options, done) => {
			const family = net.isIP(address);
			return options.all ? done(null, [{ address, family }]) : done(null, address, family);
		});
		const options = { agent: agent ?? false, ca, lookup, checkServerIdentity, timeout: LIMIT_MS };
		const sent = request(url, options, async (answer) => {
			const port = answer.socket.localPort;
			text_of(answer).then((text) => resolve([answer.statusCode, text, port]), reject);
		});
		sent.on('timeout', () => sent.destroy(Object.assign(new Error('timeout'), { code: 'TIMEOUT' })));
		sent.on('error', reject);
		sent.end();
	});
}

const verbs = {
	'': () => 'app\n',

	// http?url=URL[&address=IP] - a request to the outside, HTTP or HTTPS; HTTPS trusts the CA that
	// workerd put into the container and no other.
	async http(query) {
		const url = query.get('url');
		const ca = url.startsWith('https:') ? fs.readFileSync(CA) : undefined;
		const [status, body] = await request(url, { address: query.get('address'), ca });
		return `${status} ${body}`;
	},

	// held?id=ID&url=URL - the same, over one connection for all requests with this id; prints its port.
	async held(query) {
		const id = query.get('id');
		if (!held.has(id)) held.set(id, new http.Agent({ keepAlive: true, maxSockets: 1 }));
		const [status, body, port] = await request(query.get('url'), { agent: held.get(id) });
		return `${port} ${status} ${body}`;
	},

	// tcp?host=HOST&port=PORT&send=TEXT[&wait=1] - sends, half-closes and reads to the end. With wait it sends
	// only after the first data.
	tcp(query) {
		return new Promise((resolve, reject) => {
			const socket = net.connect({ host: query.get('host'), port: Number(query.get('port')), allowHalfOpen: true });
			const send = () => socket.end(query.get('send') ?? '');
			socket.setTimeout(LIMIT_MS, () => socket.destroy(Object.assign(new Error(), { code: 'TIMEOUT' })));
			socket.once(query.get('wait') ? 'data' : 'connect', send);
			socket.on('error', reject);
			text_of(socket).then(resolve, reject);
		});
	},

	// ws?url=URL&send=TEXT - a WebSocket to the outside: one message and its answer.
	async ws(query) {
		const socket = await connect_websocket(query.get('url'), LIMIT_MS);
		const answer = new Promise((resolve, reject) => {
			socket.on_message = resolve;
			socket.on_close = () => reject(Object.assign(new Error(), { code: 'CLOSED' }));
		});
		socket.send(query.get('send'));
		const text = await answer;
		socket.close();
		return text;
	},

	// dns?name=NAME&type=TYPE&server=IP - looks up a name without /etc/hosts.
	async dns(query) {
		const resolver = new dns.Resolver({ timeout: LIMIT_MS, tries: 1 });
		resolver.setServers([query.get('server') ?? '1.1.1.1']);
		return String(await resolver.resolve(query.get('name'), query.get('type') ?? 'A'));
	},

	// control?method=METHOD&host=IP&path=PATH&body=TEXT - sends a request to the sidecar's control port, as an
	// application that wants to rewrite its own policy would. Prints the status.
	control(query) {
		const method = query.get('method');
		const host = query.get('host');
		return new Promise((resolve, reject) => {
			const sent = http.request({
				host, method, port: 39001, path: query.get('path'), agent: false, timeout: LIMIT_MS,
				headers: { 'X-Dst-Addr': query.get('path') },
			});
			const status = (answer) => resolve(String(answer.statusCode));
			sent.on('response', status);
			sent.on('connect', status);
			sent.on('timeout', () => sent.destroy(Object.assign(new Error(), { code: 'TIMEOUT' })));
			sent.on('error', reject);
			sent.end(query.get('body') ?? undefined);
		});
	},

	// write?path=PATH&text=TEXT, read?path=PATH - a file.
	write(query) {
		fs.mkdirSync(path.dirname(query.get('path')), { recursive: true });
		fs.writeFileSync(query.get('path'), query.get('text'));
		return 'written';
	},

	read(query) {
		return fs.readFileSync(query.get('path'), 'utf8');
	},
};

const server = http.createServer(async (request, response) => {
	const url = new URL(request.url, 'http://app');
	const verb = verbs[url.pathname.slice(1)];
	let text;
	try {
		text = verb ? await verb(url.searchParams) : 'error: NO_SUCH_VERB';
	} catch (error) {
		text = `error: ${error.code ?? error.message}`;
	}
	response.end(text);
});

// /ws echoes; /ws?through=URL passes each message on to a WebSocket outside, and its answers back.
server.on('upgrade', async (request, socket) => {
	const through = new URL(request.url, 'http://app').searchParams.get('through');
	try {
		const outside = through && (await connect_websocket(through, LIMIT_MS));
		const inside = serve_websocket(request, socket);
		inside.on_message = (text) => (outside ? outside.send(text) : inside.send(`app: ${text}`));
		inside.on_close = () => outside?.close();
		if (outside) {
			outside.on_message = (text) => inside.send(text);
			outside.on_close = () => inside.close();
		}
	} catch (error) {
		socket.end(`HTTP/1.1 502 ${error.code ?? 'Bad Gateway'}\r\nContent-Length: 0\r\n\r\n`);
	}
});

// Speaks first, and echoes the client's bytes after the client's half-close.
net.createServer({ allowHalfOpen: true }, async (socket) => {
	socket.on('error', () => socket.destroy());
	socket.write('220 app\n');
	socket.end(await text_of(socket).catch(() => ''));
}).listen(2525);

server.listen(8080);
process.on('SIGTERM', () => process.exit(0));
