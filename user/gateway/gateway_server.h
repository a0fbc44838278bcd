/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateway's own server at the end of a tunnel. It answers HTTP/1.1 requests with a page that
 * names the destination, and echoes other bytes. Bytes in, bytes out, no sockets.
 */
#ifndef SIDESTEP_GATEWAY_SERVER_H
#define SIDESTEP_GATEWAY_SERVER_H

#include <llhttp.h>
#include <stdbool.h>
#include <stddef.h>

#include "lib/address.h"

struct gateway_server {
	enum {
		SERVER_UNDECIDED,
		SERVER_HTTP,
		SERVER_ECHO
	} mode;
	char destination[ADDRESS_TEXT_MAX];
	char *out; /* to be sent: [begin, end). The sender advances begin. */
	size_t begin, end, capacity;
	bool close; /* after @out is sent */
	llhttp_t parser;
};

void gateway_server_init(struct gateway_server *server, const char *destination);

/* Takes bytes of the client and appends the answer to @out. The caller sends it before the next
 * call, which bounds it. Returns 0 or negative errno. */
int gateway_server_feed(struct gateway_server *server, const char *data, size_t size);

/* Frees @out, not the server. */
void gateway_server_clear(struct gateway_server *server);

#endif
