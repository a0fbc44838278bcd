/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ingress address: an HTTP/1.1 server, one request for each connection, in a thread of its own.
 *
 *	PUT /egress	changes gateway port and policy (JSON)
 *	GET /ca		the CA certificate
 *	CONNECT		a tunnel into the container, to the literal address in X-Dst-Addr
 *
 * Unknown JSON fields are ignored (control_egress.h); what follows a request other than CONNECT is
 * dropped. Limits: 16 KiB head, 64 KiB body, 5 s for the request, 256 connections that wait for
 * their request or answer (the oldest gives way), 16384 tunnels (503).
 *
 * Requests that come from inside the network namespace are refused (403) and logged: the
 * application must not rewrite its own policy.
 */
#ifndef SIDESTEP_CONTROL_H
#define SIDESTEP_CONTROL_H

#include "lib/address.h"
#include "lib/socket_address.h"
#include "proxy/policy.h"
#include "proxy/proxy.h"
#include "tls/tls_authority.h"

struct control;

/* Everything but @address and @gateway stays the caller's and outlives the control. */
struct control_config {
	struct endpoint address; /* to listen on */
	struct proxy *proxy;	 /* proxy_set_gateway() */
	struct policy *policy;
	const struct tls_authority *tls; /* NULL: GET /ca is 404 */
	struct socket_address gateway; /* PUT changes its port; AF_UNIX: a port is refused (400) */
	/* As in struct proxy_hooks: called with the tunnels' sockets before they connect. */
	void *context;
	int (*own_socket)(void *context, int fd, const struct sockaddr *destination);
	/* The gateway's port changed; from the control's thread. May be NULL. */
	void (*gateway_changed)(void *context, const struct socket_address *gateway);
};

/* Listens and starts the thread: to be called when interception and CA are live, as whoever gets an
 * answer here takes the sidecar for ready. Returns 0 or negative errno, logged. */
int control_new(const struct control_config *config, struct control **ret_control);

/* Stops the thread, resets the tunnels, frees. NULL is allowed. */
void control_free(struct control *control);

#endif
