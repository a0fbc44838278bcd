/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does a connection to the control API come from inside the network namespace? The application
 * lives there and must not rewrite its own policy.
 *
 * Three answers from the kernel, any of which is enough to refuse:
 *
 * 1. The peer's address is a loopback address or one that an interface of the namespace has.
 * 2. The namespace has a socket with the mirrored addresses and ports (inet_diag), in whatever
 *    state; orphans and TIME_WAIT are listed, too. That sees sockets bound to an address that is
 *    not the namespace's (IPV6_FREEBIND needs no rights, and sidestep's own routes bring the
 *    answers back).
 * 3. What arrived over a loopback device is not read at all: a socket filter on the listener, which
 *    accepted sockets inherit, drops segments with data whose device is one. 1 and 2 are looked up
 *    once, after the accept, so an application could try to be gone by then: a peer that said FIN
 *    leaves no TIME_WAIT when there are too many (net.ipv4.tcp_max_tw_buckets), a socket in repair
 *    mode goes without a word, and a TCP that is played through a raw socket (CAP_NET_RAW, which
 *    Docker gives) never had a socket. None of them can choose the device on which the packet
 *    arrives: skb->dev is where it was (IP_PKTINFO would tell the device that the sender's
 *    routing asked for).
 *
 * So 1 and 2 say who gets a 403, and 3 sees to it that whoever evades them is not heard.
 *
 * Not covered: a request that leaves the namespace and comes back through a port that the host
 * publishes; on the wire that is the host's own.
 */
#ifndef SIDESTEP_CONTROL_ORIGIN_H
#define SIDESTEP_CONTROL_ORIGIN_H

#include <stdbool.h>

struct control_origin;

/* For the calling thread's network namespace. Returns 0 or negative errno. */
int control_origin_new(struct control_origin **ret_origin);
void control_origin_free(struct control_origin *origin);

/* Has a listener, not listening yet, drop data that arrives over loopback. 0 or negative errno. */
int control_origin_guard(int listener);

/* Undoes this for an accepted socket, to read on from one that is refused anyway. */
void control_origin_unguard(int fd);

/*
 * 1: from inside, with the evidence in @ret_why (static text); 0: from outside. Negative errno when
 * it cannot be told, which is to be taken for inside; -ENOTCONN when the connection is dead.
 */
int control_origin_inside(struct control_origin *origin, int fd, const char **ret_why);

#endif
