/* SPDX-License-Identifier: Apache-2.0 */
/* Asks the kernel for the sockets of a network namespace (sock_diag(7)). */
#ifndef SIDESTEP_SOCK_DIAG_H
#define SIDESTEP_SOCK_DIAG_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <linux/inet_diag.h>

#include "lib/netlink_socket.h"

/* Opens a socket of the calling thread's network namespace. Returns 0 or negative errno. */
int sock_diag_open(struct netlink_socket *diag);

/* Returns a request for the sockets of a family (AF_INET, AF_INET6) and protocol, whatever their
 * ends are. @states: bits, 1 << TCP_*. */
struct inet_diag_req_v2 sock_diag_request(int family, int protocol, uint32_t states);

/* Stores a socket address as one end of a request: @address is ->idiag_src or ->idiag_dst. */
void sock_diag_put_end(const struct sockaddr *end, __be32 address[4], __be16 *port);

/*
 * Sends a request about one TCP socket, whose message (struct inet_diag_msg) goes to @callback.
 * @type: SOCK_DIAG_BY_FAMILY, or SOCK_DESTROY. Returns 0, or negative errno. -ENOENT: there is
 * none. inet_diag falls back to a listener at the local end.
 */
int sock_diag_one(struct netlink_socket *diag, uint16_t type,
		  const struct inet_diag_req_v2 *request, mnl_cb_t callback, void *context);

/* Hands the message of each socket that @request (of @size bytes, of its family) names to
 * @callback. Opens a socket of its own. Returns 0 or negative errno. */
int sock_diag_dump(const void *request, size_t size, mnl_cb_t callback, void *context);

#endif
