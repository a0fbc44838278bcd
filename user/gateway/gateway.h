/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reference gateway: the other end of the proxy's tunnels. An HTTP/1.1 CONNECT proxy (RFC 9110
 * section 9.3.6) for development and tests, with the answers that workerd gives. One thread.
 */
#ifndef SIDESTEP_GATEWAY_H
#define SIDESTEP_GATEWAY_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/address.h"

/* Tunnels at the same time; above: accept, reset. */
#define GATEWAY_CLIENTS_MAX 16384

/* Tunnels to @from are connected to @to instead. */
struct gateway_map {
	struct endpoint from;
	struct endpoint to;
};

/* What @listening is told: the addresses in the order of the config, ports filled in. */
struct gateway_listening {
	const struct endpoint *addresses;
	size_t count;
};

/* All pointers stay the caller's and are read while gateway_run() runs. Zero: the default. */
struct gateway_config {
	/* Where to listen; at least one TCP address or the unix path. Port 0: the kernel picks. */
	const struct endpoint *listen;
	size_t listen_count;
	/* Path of a unix stream socket, or NULL. A socket that is there already is replaced; it
	 * is removed at the end. */
	const char *unix_path;

	/* Targets that are somewhere else, for tests without the internet (--map). First match. */
	const struct gateway_map *maps;
	size_t map_count;
	/* Where every other target is (--map-all), or NULL. */
	const struct endpoint *map_all;

	/* Answers any tunnel itself, nothing is dialed (--server): an HTTP request with the
	 * destination that was asked for, everything else with itself. */
	bool server;

	/* Test double: the status of every answer (--status), 0: what is right. From 300 on
	 * nothing is dialed; a 2xx takes the place of 200. */
	int status;
	/* Test double: ms to wait before any answer (--delay-ms). */
	unsigned int delay_ms;
	/* Test double: answers what is not HTTP, and closes (--garbage). */
	bool garbage;

	/* One JSON object per CONNECT on standard output, when its answer is known (--log):
	 * "destination", "source" (X-Forwarded-For), "sni", "hostname" (each null when the header
	 * was not there), "user_agent", "proto" and "status" (number). */
	bool log;

	/* Called once when all listeners are open, or NULL. */
	void (*listening)(void *context, const struct gateway_listening *listening);
	void *context;
	/* Readable: stop, as with SIGTERM. 0 and below: none. Stays the caller's. */
	int stop_fd;
};

/*
 * Runs until SIGTERM or SIGINT arrives in the calling thread (both are blocked meanwhile) or
 * stop_fd is readable; tunnels that are open are cut then. A target that refuses the connection is
 * answered 400, one that cannot be reached 502, a bad request 400. Returns 0 or negative errno,
 * logged.
 */
int gateway_run(const struct gateway_config *config);

#endif
