/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decides who may read the metrics, and logs each refusal, once a second at most.
 *
 * A unix socket has the mode 0600, and the file system alone decides. At an IP address:
 *
 *	in an application's namespace	the host, clients that come through it, and allowed
 *					addresses; nobody inside (control/control_origin.h)
 *	in the host's namespace		a loopback address: what comes over lo, whatever the
 *					packet's addresses say; another address: allowed addresses
 */
#ifndef SIDESTEP_METRICS_GATE_H
#define SIDESTEP_METRICS_GATE_H

#include <stdbool.h>
#include <sys/socket.h>

#include "control/control_origin.h"
#include "lib/address.h"
#include "lib/complaint.h"
#include "lib/socket_address.h"

/* Belongs to one thread, once it is open. */
struct metrics_gate {
	bool application;	    /* the namespace is an application's */
	const struct prefix *allow; /* the owner's */
	size_t allow_count;
	struct control_origin *origin; /* of an application's namespace; NULL: not needed */
	struct complaint refused;
};

/* Prepares the gate for @listener, which is bound to @address and not listening yet. The owner has
 * set the other fields. Returns 0 or negative errno, logged. */
int metrics_gate_open(struct metrics_gate *gate, int listener,
		      const struct socket_address *address);

/* Frees. Idempotent. */
void metrics_gate_close(struct metrics_gate *gate);

/* Judges an accepted connection. Returns 0 if it may read, -ENOTCONN if it is dead, or -EACCES: it
 * must be refused (403). */
int metrics_gate_judge(struct metrics_gate *gate, int fd, const struct sockaddr *peer);

#endif
