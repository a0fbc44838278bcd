/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Serves the metrics over HTTP/1.1, in a thread of its own: GET /metrics. Each connection carries
 * one request. The values are collected when a request asks for them.
 *
 * Limits: 16 KiB for the head, 10 s for the whole connection, and 16 connections. Beyond that the
 * oldest one is reset.
 */
#ifndef SIDESTEP_METRICS_SERVER_H
#define SIDESTEP_METRICS_SERVER_H

#include <stdbool.h>

#include "metrics/metrics_config.h"

struct metrics_server;

/* Reads the value of --metrics-listen: IP:PORT, [IPv6]:PORT or unix:/PATH. @application: see above.
 * Returns 0 or -EINVAL, logged. */
int metrics_server_parse(const char *text, bool application, size_t allow_count,
			 struct socket_address *ret_address);

/* Listens. Clients wait for the thread. Returns 0 or negative errno, logged. */
int metrics_server_new(const struct metrics_server_config *config,
		       struct metrics_server **ret_server);

/* Returns a socket that listens at @address, in the host's namespace, for another process. Or
 * negative errno, logged. */
int metrics_server_listen(const struct socket_address *address);

/* The same as metrics_server_new(), with a socket of metrics_server_listen(). It is taken, also on
 * failure. */
int metrics_server_adopt(const struct metrics_server_config *config, int listener,
			 struct metrics_server **ret_server);

/* Removes the socket's file, if there is one. */
void metrics_server_unlink(const struct socket_address *address);

/* Starts the thread. Returns 0 or negative errno, logged. */
int metrics_server_start(struct metrics_server *server);

/* Stops the thread: nothing is collected afterwards. Idempotent. */
void metrics_server_stop(struct metrics_server *server);

/* Stops, resets the connections, removes the socket's file and frees. NULL is allowed. */
void metrics_server_free(struct metrics_server *server);

#endif
