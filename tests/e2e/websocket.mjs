// SPDX-License-Identifier: Apache-2.0
// The part of RFC 6455 that the tests need, for both ends: close, and text messages in one frame each, shorter
// than 64 KiB. (Node has a client of its own only since version 22.)
import crypto from 'node:crypto';
import http from 'node:http';

const MAGIC = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const TEXT = 1, BINARY = 2, CLOSE = 8;

class Websocket {
	on_message = () => {};
	on_close = () => {};
	#socket;
	#masks;
	#pending = Buffer.alloc(0);

	// masks: a client masks its frames, a server does not.
	constructor(socket, head, masks) {
		this.#socket = socket;
		this.#masks = masks;
		socket.setTimeout(0);
		socket.on('data', (data) => this.#take(data));
		socket.on('error', () => socket.destroy());
		socket.on('close', () => this.on_close());
		if (head?.length) setImmediate(() => this.#take(head));
	}

	send(text) {
		this.#frame(TEXT, Buffer.from(text));
	}

	close() {
		if (this.#socket.writable) this.#frame(CLOSE, Buffer.from([3, 232])); // 1000
		this.#socket.end();
	}

	#frame(opcode, payload) {
		const head = payload.length < 126
			? Buffer.from([0x80 | opcode, payload.length])
			: Buffer.from([0x80 | opcode, 126, payload.length >> 8, payload.length & 255]);
		if (!this.#masks) {
			this.#socket.write(Buffer.concat([head, payload]));
			return;
		}
		const mask = crypto.randomBytes(4);
		head[1] |= 0x80;
		this.#socket.write(Buffer.concat([head, mask, payload.map((byte, i) => byte ^ mask[i & 3])]));
	}

	#take(data) {
		this.#pending = Buffer.concat([this.#pending, data]);
		for (;;) {
			const bytes = this.#pending;
			if (bytes.length < 2) return;
			let length = bytes[1] & 0x7f, at = 2;
			if (length === 126) {
				if (bytes.length < 4) return;
				length = bytes.readUInt16BE(2), at = 4;
			}
			const masked = bytes[1] & 0x80;
			const mask = masked ? bytes.subarray(at, at + 4) : Buffer.alloc(4);
			if (masked) at += 4;
			if (bytes.length < at + length) return;
			const payload = bytes.subarray(at, at + length).map((byte, i) => byte ^ mask[i & 3]);
			this.#pending = bytes.subarray(at + length);
			const opcode = bytes[0] & 15;
			if (opcode === TEXT || opcode === BINARY) this.on_message(payload.toString());
			if (opcode === CLOSE) this.close();
		}
	}
}

function accept_of(key) {
	return crypto.createHash('sha1').update(key + MAGIC).digest('base64');
}

// Answers an upgrade request of http.Server.
export function serve_websocket(request, socket) {
	socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
		`Sec-WebSocket-Accept: ${accept_of(request.headers['sec-websocket-key'])}\r\n\r\n`);
	return new Websocket(socket, null, false);
}

// Connects to ws://...; rejects when the other side does not upgrade.
export function connect_websocket(url, limit_ms) {
	const key = crypto.randomBytes(16).toString('base64');
	return new Promise((resolve, reject) => {
		const sent = http.request(url.replace(/^ws/, 'http'), {
			agent: false,
			timeout: limit_ms,
			headers: {
				Connection: 'Upgrade',
				Upgrade: 'websocket',
				'Sec-WebSocket-Version': 13,
				'Sec-WebSocket-Key': key,
			},
		});
		sent.on('upgrade', (answer, socket, head) => {
			if (answer.headers['sec-websocket-accept'] === accept_of(key)) {
				resolve(new Websocket(socket, head, true));
			} else {
				socket.destroy();
				reject(Object.assign(new Error(), { code: 'BAD_ACCEPT' }));
			}
		});
		sent.on('response', (answer) => {
			answer.resume();
			reject(Object.assign(new Error(), { code: `STATUS_${answer.statusCode}` }));
		});
		sent.on('timeout', () => sent.destroy(Object.assign(new Error(), { code: 'TIMEOUT' })));
		sent.on('error', reject);
		sent.end();
	});
}
