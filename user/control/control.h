/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control API: an HTTP/1.1 server on the ingress address, in a thread of its own. It reads one
 * request from each connection.
 *
 *	PUT /egress	changes gateway port and policy (JSON)
 *	GET /ca		the CA certificate
 *	CONNECT		a tunnel into the container, to the literal address in X-Dst-Addr
 *
 * Unknown JSON fields are ignored (control_egress.h), and so are bytes behind a request, except
 *behind a CONNECT. Limits:
 *
 *	16 KiB	the head
 *	64 KiB	the body
 *	5 s	the whole request
 *	256	connections without a tunnel; the oldest is reset to make room
 *	16384	tunnels; a further one is refused (503)
 *
 * Requests from inside the network namespace are refused (403) and logged, because the application
 * must not rewrite its own policy.
 */
#ifndef SIDESTEP_CONTROL_H
#define SIDESTEP_CONTROL_H

#include "lib/address.h"
#include "lib/socket_address.h"
#include "proxy/policy.h"
#include "proxy/proxy.h"
#include "stream/dial.h"
#include "tls/tls_authority.h"

struct control;

/* The pointers stay the caller's and outlive the control. */
struct control_config {
	struct endpoint address; /* to listen on */
	struct proxy *proxy;	 /* proxy_set_gateway() */
	struct policy *policy;
	const struct tls_authority *tls; /* NULL: GET /ca is 404 */
	struct socket_address gateway; /* PUT changes its port; AF_UNIX: a port is refused (400) */
	struct dial_announcer announcer; /* told of the tunnels' sockets, in the control's thread */
	/* The gateway's port has changed. Called in the control's thread; may be NULL. */
	void (*gateway_changed)(void *context, const struct socket_address *gateway);
	void *context;
};

/* Listens and starts the thread. To be called when interception and CA are live: a client that gets
 * an answer takes the sidecar for ready. Returns 0 or negative errno, logged. */
int control_new(const struct control_config *config, struct control **ret_control);

/* Stops the thread, resets the tunnels, frees. NULL is allowed. */
void control_free(struct control *control);

#endif
