/* SPDX-License-Identifier: Apache-2.0 */
/* The settings of a metrics server, which its parts share. */
#ifndef SIDESTEP_METRICS_CONFIG_H
#define SIDESTEP_METRICS_CONFIG_H

#include <stdbool.h>

#include "lib/address.h"
#include "lib/socket_address.h"
#include "metrics/metrics_set.h"

/* The pointers stay the caller's and outlive the server. */
struct metrics_server_config {
	struct socket_address address; /* to listen on; a file that is there is replaced */
	bool application;	       /* the thread's namespace is an application's */
	const struct prefix *allow;    /* these may read; see metrics_gate.h */
	size_t allow_count;
	/* Fills an empty set, or leaves it so if there are no figures any more. Called in the
	 * server's thread. */
	void (*collect)(void *context, struct metrics_set *set);
	void *context;
};

#endif
