// SPDX-License-Identifier: Apache-2.0
/*
 * A resolver with made-up answers, over UDP and TCP. The first label decides: "nx..." gets
 * NXDOMAIN, "fail..." SERVFAIL, "silent..." no answer, and "empty..." NOERROR without records. Any
 * other name has the A record 192.0.2.7 and the AAAA record 2001:db8::7, TTL 17. "ech..." also has
 * an HTTPS record whose parameters offer Encrypted Client Hello. "big..." has 200 A records.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "peer.h"

#define QUERY_MAX  512
#define ANSWER_MAX 4096
/* Connections at the same time. */
#define STREAMS 16

struct stream {
	int fd; /* -1: none */
	size_t have;
	uint8_t bytes[2 + QUERY_MAX];
};

/* Reads the one question; the offset behind it, or 0. */
static size_t question_parse(const uint8_t *message, size_t size, char *name, size_t room,
			     unsigned int *type)
{
	size_t at = 12, used = 0;

	while (at < size && message[at]) {
		size_t label = message[at];

		if (label > 63 || at + label + 1 >= size || used + label + 2 > room)
			return 0;
		memcpy(name + used, message + at + 1, label);
		used += label;
		name[used++] = '.';
		at += label + 1;
	}
	name[used] = '\0';
	if (at + 5 > size)
		return 0;
	*type = (unsigned int)(message[at + 1] << 8 | message[at + 2]);
	return at + 5;
}

/* Priority 1, the name itself, alpn h2, ipv4hint 192.0.2.7, ech, ipv6hint (RFC 9460). */
static const uint8_t https_with_ech[] = {0, 1, 0,   0, 1, 0,  3,    2, 'h',  '2',  0,	 4,
					 0, 4, 192, 0, 2, 7,  0,    5, 0,    4,	   0xfe, 0x0d,
					 1, 2, 0,   6, 0, 16, 0x20, 1, 0x0d, 0xb8, 0,	 0,
					 0, 0, 0,   0, 0, 0,  0,    0, 0,    7};

static size_t record_add(uint8_t *message, size_t at, uint8_t type, const void *data, uint8_t size)
{
	const uint8_t head[12] = {0xc0, 12, 0, type, 0, 1, 0, 0, 0, 17, 0, size};

	memcpy(message + at, head, sizeof(head));
	memcpy(message + at + sizeof(head), data, size);
	message[7]++;
	return at + sizeof(head) + size;
}

/* Turns the query into its answer in place; the size, 0 for none. */
static size_t answer_build(uint8_t *message, size_t end, const char *name, unsigned int type)
{
	int copies = strncmp(name, "big", 3) == 0 ? 200 : 1;
	bool address = strncmp(name, "nx", 2) != 0 && strncmp(name, "fail", 4) != 0 &&
		       strncmp(name, "empty", 5) != 0;
	uint8_t v6[16];

	if (strncmp(name, "silent", 6) == 0)
		return 0;
	message[2] = (uint8_t)(0x80 | (message[2] & 0x79)); /* opcode and RD stay */
	message[3] = 0x80;				    /* recursion available */
	if (strncmp(name, "nx", 2) == 0)
		message[3] |= 3;
	else if (strncmp(name, "fail", 4) == 0)
		message[3] |= 2;
	memset(message + 6, 0, 6); /* whatever the query had behind its question is cut off */
	for (; copies > 0 && address && (type == DNS_A || type == 255); copies--)
		end = record_add(message, end, DNS_A, "\xc0\x00\x02\x07", 4);
	if (address && (type == DNS_AAAA || type == 255)) {
		inet_pton(AF_INET6, "2001:db8::7", v6);
		end = record_add(message, end, DNS_AAAA, v6, 16);
	}
	if (strncmp(name, "ech", 3) == 0 && type == DNS_HTTPS) {
		message[3] |= 0x20; /* authentic data */
		end = record_add(message, end, DNS_HTTPS, https_with_ech, sizeof(https_with_ech));
	}
	return end;
}

/* A query and where it came from. Prints it, and turns it into its answer. Returns the answer's
 * size, 0 for none. */
static size_t query_answer(uint8_t *message, size_t size, const struct sockaddr_storage *from,
			   const char *way)
{
	char text[ADDRESS_TEXT], name[256];
	unsigned int type = 0;
	size_t end = size < 12 ? 0 : question_parse(message, size, name, sizeof(name), &type);

	if (!end)
		return 0;
	printf("query peer=%s name=%s type=%u opcode=%d%s\n", address_text(from, text), name, type,
	       message[2] >> 3 & 15, way);
	return answer_build(message, end, name, type);
}

static int stream_listen(const struct options *options, uint16_t port)
{
	struct options plain = {0};
	struct sockaddr_storage address;
	int one = 1, error, fd;

	if (!literal_parse(options->address ? options->address : "::", port, &address))
		return -EINVAL;
	fd = socket_for(&plain, address.ss_family, SOCK_STREAM);
	if (fd < 0)
		return fd;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&address, address_size(&address)) == 0 &&
	    listen(fd, STREAMS) == 0)
		return fd;
	error = -errno;
	close(fd);
	return error;
}

/* Takes what has come on a connection, and answers whole queries. Returns false at the end. */
static bool stream_serve(struct stream *stream)
{
	ssize_t got = recv(stream->fd, stream->bytes + stream->have,
			   sizeof(stream->bytes) - stream->have, 0);
	struct sockaddr_storage from = {0};
	socklen_t from_size = sizeof(from);
	uint8_t message[2 + ANSWER_MAX];
	size_t size;

	if (got <= 0)
		return got < 0 && errno == EAGAIN;
	stream->have += (size_t)got;
	(void)getpeername(stream->fd, (struct sockaddr *)&from, &from_size);
	while (stream->have >= 2) {
		size = (size_t)(stream->bytes[0] << 8 | stream->bytes[1]);
		if (size > QUERY_MAX)
			return false;
		if (stream->have < 2 + size)
			break;
		memcpy(message + 2, stream->bytes + 2, size);
		stream->have -= 2 + size;
		memmove(stream->bytes, stream->bytes + 2 + size, stream->have);
		size = query_answer(message + 2, size, &from, " tcp");
		message[0] = (uint8_t)(size >> 8);
		message[1] = (uint8_t)size;
		if (size && send_all(stream->fd, message, 2 + size, now_us() + 1000000))
			return false;
	}
	return true;
}

static void streams_ready(const struct pollfd *polled, struct stream *streams)
{
	for (int i = 0; i < STREAMS; i++)
		if (streams[i].fd >= 0 && polled[2 + i].revents && !stream_serve(&streams[i])) {
			close(streams[i].fd);
			streams[i].fd = -1;
		}
	if (!polled[1].revents)
		return;
	for (int i = 0; i < STREAMS; i++)
		if (streams[i].fd < 0) {
			streams[i] = (struct stream) {
				.fd = accept4(polled[1].fd, NULL, NULL, SOCK_NONBLOCK)};
			return;
		}
}

int command_dns_serve(const struct options *options)
{
	int64_t deadline_us = deadline_from(options, 600), left_us;
	struct pollfd polled[2 + STREAMS];
	struct stream streams[STREAMS];
	long queries = 0;
	uint16_t port;

	if (options->arg_count != 1 || !port_parse(options->args[0], &port))
		return 2;
	polled[0] = (struct pollfd) {.fd = datagram_listen(options, port), .events = POLLIN};
	polled[1] = (struct pollfd) {.fd = stream_listen(options, port), .events = POLLIN};
	if (polled[0].fd < 0 || polled[1].fd < 0) {
		printf("result=%s\n", error_word(polled[0].fd < 0 ? polled[0].fd : polled[1].fd));
		return 1;
	}
	for (int i = 0; i < STREAMS; i++)
		streams[i].fd = -1;
	printf("ready port=%u\n", port);
	while (!stop_requested && (left_us = deadline_us - now_us()) > 0) {
		struct sockaddr_storage from = {0};
		uint8_t message[ANSWER_MAX];
		struct in6_addr to;
		ssize_t got;
		size_t end;

		for (int i = 0; i < STREAMS; i++)
			polled[2 + i] = (struct pollfd) {.fd = streams[i].fd, .events = POLLIN};
		if (poll(polled, 2 + STREAMS, (int)(left_us / 1000) + 1) < 0)
			continue;
		streams_ready(polled, streams);
		if (!polled[0].revents)
			continue;
		got = datagram_receive(polled[0].fd, message, QUERY_MAX, &from, &to);
		end = query_answer(message, got > 0 ? (size_t)got : 0, &from, "");
		queries++;
		if (end)
			datagram_answer(polled[0].fd, message, end, &from, &to);
	}
	printf("total queries=%ld\n", queries);
	return 0;
}
