/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tells whether a connection to the control API comes from inside the network namespace, and
 * whether it comes from the host. The application lives inside and must not rewrite its own policy.
 * Neighbours on the network must not do so either (control_host.h).
 *
 * The kernel answers three questions about the inside. One positive answer is enough to refuse the
 * connection.
 *
 * 1. Is the peer's address a loopback address, or one of an interface of the namespace?
 * 2. Has the namespace a socket with the mirrored addresses and ports (inet_diag), in any state?
 *    Orphans and TIME_WAIT are listed, too. This finds sockets bound to a foreign address:
 *    IPV6_FREEBIND needs no rights, and sidestep's own routes bring the replies back.
 * 3. Did the data arrive over a loopback device? Then a socket filter on the listener drops the
 *    segment; accepted sockets inherit the filter.
 *
 * The first two are asked once, after the accept. An application could evade them by leaving early:
 *
 * - A peer that sent FIN leaves no TIME_WAIT when there are too many (net.ipv4.tcp_max_tw_buckets).
 * - A socket in repair mode closes without a packet.
 * - A TCP played through a raw socket (CAP_NET_RAW, which Docker grants) never had a socket.
 *
 * None of these can choose the device on which the packet arrives. The filter reads skb->dev, the
 * real device; IP_PKTINFO would tell the one that the sender's routing asked for. So 1 and 2 decide
 * who gets a 403, and 3 makes sure that nobody who evades them is heard.
 *
 * Not covered is a request that leaves the namespace and returns through a port that the host
 * publishes. On the wire it is the host's own.
 */
#ifndef SIDESTEP_CONTROL_ORIGIN_H
#define SIDESTEP_CONTROL_ORIGIN_H

#include <stddef.h>
#include <sys/socket.h>

#include "lib/address.h"

struct control_origin;

/* Serves the calling thread's network namespace. Returns 0 or negative errno. */
int control_origin_new(struct control_origin **ret_origin);
void control_origin_free(struct control_origin *origin);

/* Makes a listener drop data that arrives over loopback, and keep each connection's first frame. It
 * is not listening yet. Returns 0 or negative errno. */
int control_origin_guard(int listener);

/* Removes the filter from an accepted socket, so that a refused request can still be read. */
void control_origin_unguard(int fd);

/*
 * Returns 1 for a connection from inside, with the evidence in @ret_why (static text), and 0 for
 * one from outside. Returns a negative errno when this cannot be told, which must be taken for
 * inside. -ENOTCONN: the connection is dead.
 */
int control_origin_inside(struct control_origin *origin, int fd, const char **ret_why);

/* Returns 0 for a connection from the host or through it. Returns 1 for others from outside, with
 * the peer's description in @ret_why (static text). Returns a negative errno when this cannot be
 * told, which must be taken for 1. */
int control_origin_stranger(struct control_origin *origin, int fd, const char **ret_why);

/*
 * Judges by both whether @peer may ask. Those of @allow may, unless they are inside. Returns 0,
 * -EPERM for a connection from inside, -EACCES for a stranger, or -ENOTCONN. With the first two
 * errors @ret_why is why. A refused request from inside can be read then, so that the answer
 * arrives.
 */
int control_origin_judge(struct control_origin *origin, int fd, const struct sockaddr *peer,
			 const struct prefix *allow, size_t allow_count, const char **ret_why);

#endif
