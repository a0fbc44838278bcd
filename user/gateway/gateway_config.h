/* SPDX-License-Identifier: Apache-2.0 */
/* The settings of a reference gateway, which its parts share. */
#ifndef SIDESTEP_GATEWAY_CONFIG_H
#define SIDESTEP_GATEWAY_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/address.h"

/* Most clients at the same time. A further one is reset. */
#define GATEWAY_CLIENTS_MAX 16384

/* Tunnels to @from are connected to @to instead. */
struct gateway_map {
	struct endpoint from;
	struct endpoint to;
};

/* The addresses in the order of the config, with the ports that the kernel picked. */
struct gateway_listening {
	const struct endpoint *addresses;
	size_t count;
};

/* The pointers stay the caller's; gateway_run() reads them until it returns. Zero: the default. */
struct gateway_config {
	/* The addresses to listen on; port 0: the kernel picks. One of them or unix_path is needed.
	 */
	const struct endpoint *listen;
	size_t listen_count;
	/* Path of a unix stream socket to listen on, or NULL. An existing socket is replaced. The
	 * path is removed at the end. */
	const char *unix_path;

	/* Other places of some targets, for tests without the internet (--map). The first match
	 * counts. */
	const struct gateway_map *maps;
	size_t map_count;
	/* The place of every other target (--map-all), or NULL. */
	const struct endpoint *map_all;

	/* Dials nothing and serves every tunnel itself (--server): answers HTTP requests with their
	 * destination, and echoes all other bytes. */
	bool server;

	/* Declares with each 200 that tunnels take the plaintext of TLS (--plaintext). The server
	 * does so anyway. */
	bool plaintext;

	/* Test double: the status of every answer (--status); 0: the true one. From 300 on nothing
	 * is dialed. A 2xx takes the place of 200. */
	int status;
	/* Test double: time to wait before each answer, in ms (--delay). */
	unsigned int delay_ms;
	/* Test double: answers with bytes that are not HTTP, and closes (--garbage). */
	bool garbage;

	/* Prints a JSON object for each CONNECT on standard output, once its status is known
	 * (--log). Its texts are "destination", "source" (X-Forwarded-For), "sni", "hostname",
	 * "user_agent" and "proto", each null when the request had no such header. Its number is
	 * "status". */
	bool log;

	/* Called once, when all listeners are open. May be NULL. */
	void (*listening)(void *context, const struct gateway_listening *listening);
	void *context;
	/* When readable, the gateway stops as with SIGTERM. 0 and below: none. Stays the caller's.
	 */
	int stop_fd;
};

#endif
