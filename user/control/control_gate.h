/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decides who may use the control API, and logs each refusal, once a second at most.
 *
 *	the application		no; it must not rewrite its own policy (control_origin.h)
 *	allowed addresses	yes
 *	the host, and clients whose packets come through it	yes (control_host.h)
 *	neighbours on the network	no
 */
#ifndef SIDESTEP_CONTROL_GATE_H
#define SIDESTEP_CONTROL_GATE_H

#include <stddef.h>
#include <sys/socket.h>

#include "control/control_origin.h"
#include "lib/address.h"
#include "lib/complaint.h"

/* Belongs to one thread. The owner has set origin and the allowed addresses, which stay its own. */
struct control_gate {
	struct control_origin *origin;
	const struct prefix *allow;
	size_t allow_count;
	struct complaint inside, stranger;
};

/*
 * Judges an accepted connection of @peer. Returns 0 if it may ask, and -ENOTCONN if it is dead.
 * -EACCES: it must be refused (403), and *@ret_answer is the text for the client.
 */
int control_gate_judge(struct control_gate *gate, int fd, const struct sockaddr *peer,
		       const char **ret_answer);

#endif
