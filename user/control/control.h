/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control API: an HTTP/1.1 server on the ingress address, in a thread of its own. It reads one
 * request from each connection.
 *
 *	PUT /egress	changes gateway port and policy (JSON)
 *	GET /ca		the CA certificate
 *	CONNECT		a tunnel to the namespace's own address that X-Dst-Addr has literally
 *
 * Unknown JSON fields are ignored (control_egress.h), and so are bytes behind a request other than
 * CONNECT. Limits:
 *
 *	16 KiB	the head
 *	64 KiB	the body
 *	5 s	the whole request
 *	256	connections without a tunnel; the oldest is reset to make room
 *	16384	tunnels; a further one is refused (503)
 *
 * Requests from inside the network namespace are refused (403) and logged, because the application
 * must not rewrite its own policy. So are those of neighbours on the network. Only the host and the
 * clients that it lets through may ask, and the addresses that the owner allows.
 */
#ifndef SIDESTEP_CONTROL_H
#define SIDESTEP_CONTROL_H

#include "control/control_config.h"

struct control;

/* Listens and starts the thread. To be called when interception and CA are live: a client that gets
 * an answer takes the sidecar for ready. Returns 0 or negative errno, logged. */
int control_new(const struct control_config *config, struct control **ret_control);

/* Stops the thread, resets the tunnels, frees. NULL is allowed. */
void control_free(struct control *control);

#endif
