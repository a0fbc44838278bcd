// SPDX-License-Identifier: Apache-2.0
/*
 * A resolver with made-up answers. The first label decides: "nx..." gets NXDOMAIN, "fail..."
 * SERVFAIL, "silent..." no answer, and "empty..." NOERROR without records. Any other name has the A
 * record 192.0.2.7 and the AAAA record 2001:db8::7, TTL 17. "ech..." also has an HTTPS record whose
 * parameters offer Encrypted Client Hello.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "peer.h"

#define QUERY_MAX 512

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
	if (address && (type == DNS_A || type == 255))
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

int command_dns_serve(const struct options *options)
{
	int64_t deadline_us = deadline_from(options, 600);
	long queries = 0;
	uint16_t port;
	int fd;

	if (options->arg_count != 1 || !port_parse(options->args[0], &port))
		return 2;
	fd = datagram_listen(options, port);
	if (fd < 0) {
		printf("result=%s\n", error_word(fd));
		return 1;
	}
	printf("ready port=%u\n", port);
	while (wait_fd(fd, POLLIN, deadline_us) == 0) {
		struct sockaddr_storage from = {0};
		char text[ADDRESS_TEXT], name[256];
		uint8_t message[QUERY_MAX + 64];
		unsigned int type = 0;
		struct in6_addr to;
		ssize_t got = datagram_receive(fd, message, QUERY_MAX, &from, &to);
		size_t end = got < 12 ? 0
				      : question_parse(message, (size_t)got, name, sizeof(name),
						       &type);

		if (!end)
			continue;
		queries++;
		printf("query peer=%s name=%s type=%u opcode=%d\n", address_text(&from, text), name,
		       type, message[2] >> 3 & 15);
		end = answer_build(message, end, name, type);
		if (end)
			datagram_answer(fd, message, end, &from, &to);
	}
	printf("total queries=%ld\n", queries);
	close(fd);
	return 0;
}
