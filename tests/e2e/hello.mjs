// SPDX-License-Identifier: Apache-2.0
// hello.mjs HOST PORT NAME SIZE sends a ClientHello for NAME of at least SIZE bytes in the hardest way that is
// allowed: in TLS records of 4000 bytes and segments of 1000. It waits for the first byte of the answer and
// prints "answered TYPE" with the type of its record, or "error: CODE".
import net from 'node:net';
import tls from 'node:tls';
import { Duplex } from 'node:stream';

const [host, port, name, size] = process.argv.slice(2);
const RECORD = 4000, SEGMENT = 1000, HEAD = 5;

// Returns the content of the TLS records.
function unwrap(bytes) {
	const parts = [];
	for (let at = 0, length; at + HEAD <= bytes.length; at += HEAD + length) {
		length = bytes.readUInt16BE(at + 3);
		parts.push(bytes.subarray(at + HEAD, at + HEAD + length));
	}
	return Buffer.concat(parts);
}

// Returns node's ClientHello without the heads of its records. ALPN protocols (64 KiB at most) fill it to the size.
function client_hello() {
	return new Promise((resolve) => {
		const chunks = [];
		const sink = new Duplex({
			read() {},
			write(chunk, _encoding, done) {
				chunks.push(chunk);
				const message = unwrap(Buffer.concat(chunks));
				if (message.length > 4 && message.length >= 4 + message.readUIntBE(1, 3)) resolve(message);
				done();
			},
		});
		const ALPNProtocols = ['http/1.1'];
		for (let sum = 0, i = 0; sum < size; i++, sum += 201) ALPNProtocols.push(`${i}`.padEnd(200, '-'));
		tls.connect({ socket: sink, servername: name, ALPNProtocols }).on('error', () => {});
	});
}

// Splits it into records of another size.
function wrap(message) {
	const records = [];
	for (let at = 0; at < message.length; at += RECORD) {
		const part = message.subarray(at, at + RECORD);
		records.push(Buffer.from([22, 3, 1, part.length >> 8, part.length & 255]), part);
	}
	return Buffer.concat(records);
}

const bytes = wrap(await client_hello());
const socket = net.connect(Number(port), host, async () => {
	socket.setNoDelay(true);
	for (let at = 0; at < bytes.length; at += SEGMENT) {
		socket.write(bytes.subarray(at, at + SEGMENT));
		await new Promise((resolve) => setTimeout(resolve, 2)); // a segment of its own
	}
});
const end = (text) => {
	console.log(text);
	process.exit();
};
socket.on('data', (data) => end(`answered ${data[0]}`));
socket.on('error', (error) => end(`error: ${error.code}`));
socket.on('close', () => end('error: CLOSED'));
setTimeout(() => end('error: TIMEOUT'), 5000);
