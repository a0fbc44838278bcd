// SPDX-License-Identifier: Apache-2.0
// The web and mail server of tests/programs, which stands for the internet.
//
//   node world.mjs FOLDER SILENCE
//
// FOLDER/www has the files to serve, FOLDER/git the repositories, and FOLDER/tls.crt and tls.key the certificate.
// Port 80 speaks HTTP, port 443 HTTPS, and port 25 SMTP, where the server speaks first. Mail goes to FOLDER/mail.
// SILENCE is how many seconds pass between the two events of /events.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream, readFileSync, statSync, writeFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import net from "node:net";
import { pipeline } from "node:stream";

const [folder, silence] = process.argv.slice(2);

// Where each redirect leads. The steps change between the two schemes.
const moved = {
	"http /moved": [301, "https://files.example/moved"],
	"https /moved": [302, "http://files.example/moved-again"],
	"http /moved-again": [307, "https://files.example/small"],
};

// A CGI program: git's own server (RFC 3875).
function git(request, response, url) {
	const child = spawn("git", ["http-backend"], {
		env: {
			PATH: process.env.PATH,
			GIT_PROJECT_ROOT: `${folder}/git`,
			GIT_HTTP_EXPORT_ALL: "1",
			GIT_PROTOCOL: request.headers["git-protocol"] ?? "",
			REQUEST_METHOD: request.method,
			PATH_INFO: decodeURIComponent(url.pathname.slice("/git".length)),
			QUERY_STRING: url.search.slice(1),
			CONTENT_TYPE: request.headers["content-type"] ?? "",
			HTTP_CONTENT_ENCODING: request.headers["content-encoding"] ?? "",
			REMOTE_USER: "tester",
			REMOTE_ADDR: request.socket.remoteAddress,
		},
		stdio: ["pipe", "pipe", "inherit"],
	});
	pipeline(request, child.stdin, () => {});
	let head = Buffer.alloc(0);
	child.stdout.on("data", function read(chunk) {
		head = Buffer.concat([head, chunk]);
		const end = head.indexOf("\r\n\r\n");
		if (end < 0) return;
		child.stdout.off("data", read);
		for (const line of head.toString("latin1", 0, end).split("\r\n")) {
			const [name, value] = line.split(/: (.*)/);
			if (name === "Status") response.statusCode = parseInt(value);
			else response.setHeader(name, value);
		}
		response.write(head.subarray(end + 4));
		child.stdout.pipe(response);
	});
}

function events(response) {
	response.writeHead(200, { "content-type": "text/event-stream" });
	response.write("data: first\n\n");
	setTimeout(() => response.end("data: last\n\n"), silence * 1000);
}

// Answers an upload with the checksum of what came.
function upload(request, response) {
	const hash = createHash("sha256");
	request.on("data", (chunk) => hash.update(chunk));
	request.on("end", () => response.end(`${hash.digest("hex")}\n`));
}

function file(response, path) {
	const type = path.endsWith(".html") ? "text/html" : "application/octet-stream";
	response.writeHead(200, { "content-length": statSync(path).size, "content-type": type });
	pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), response, () => {});
}

function serve(scheme) {
	return (request, response) => {
		const url = new URL(request.url, `${scheme}://${request.headers.host}`);
		const step = moved[`${scheme} ${url.pathname}`];
		if (step) {
			response.writeHead(step[0], { location: step[1] }).end();
		} else if (url.pathname.startsWith("/git/")) {
			git(request, response, url);
		} else if (url.pathname === "/events") {
			events(response);
		} else if (request.method !== "GET") {
			upload(request, response);
		} else {
			try {
				const index = url.pathname.endsWith("/") ? "index.html" : "";
				file(response, `${folder}/www${decodeURIComponent(url.pathname)}${index}`);
			} catch {
				response.writeHead(404).end();
			}
		}
	};
}

function mail(socket) {
	let text = "", data = false;
	socket.setEncoding("latin1");
	socket.on("error", () => {});
	socket.write("220 mail.example ready\r\n");
	socket.on("data", (chunk) => {
		text += chunk;
		for (let end; (end = text.indexOf(data ? "\r\n.\r\n" : "\r\n")) >= 0; ) {
			const line = text.slice(0, end);
			text = text.slice(end + (data ? 5 : 2));
			if (data) {
				writeFileSync(`${folder}/mail`, `${line}\r\n`, "latin1");
				data = false;
				socket.write("250 kept\r\n");
			} else if (/^data$/i.test(line)) {
				data = true;
				socket.write("354 go on\r\n");
			} else if (/^quit$/i.test(line)) {
				socket.end("221 bye\r\n");
			} else {
				socket.write("250 mail.example\r\n");
			}
		}
	});
}

const tls = { key: readFileSync(`${folder}/tls.key`), cert: readFileSync(`${folder}/tls.crt`) };
const servers = [
	[http.createServer({ requestTimeout: 0 }, serve("http")), 80],
	[https.createServer({ ...tls, requestTimeout: 0 }, serve("https")), 443],
	[net.createServer(mail), 25],
];
let waiting = servers.length;
for (const [server, port] of servers)
	server.listen({ port, host: "::", backlog: 4096 }, () => --waiting || console.log("ready"));
