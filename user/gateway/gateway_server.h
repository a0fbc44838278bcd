/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the gateway says by itself at the end of a tunnel: HTTP/1.1 requests get a page that names
 * the destination, other bytes come back as they are. Bytes in, bytes out, no sockets.
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
	char *out; /* to be sent: [begin, end); the sender advances begin */
	size_t begin, end, capacity;
	bool close; /* once @out is sent */
	llhttp_t parser;
};

void gateway_server_init(struct gateway_server *server, const char *destination);

/* Takes what the client sent and appends the answer to @out, which must be sent before the next
 * call: that bounds it. Returns 0 or negative errno. */
int gateway_server_feed(struct gateway_server *server, const char *data, size_t size);

/* Releases what the server holds, not the server. */
void gateway_server_clear(struct gateway_server *server);

#endif
