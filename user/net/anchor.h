/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TUN device that exists as long as the process does. The routes that bring traffic to the proxy
 * lead through it: when the process dies, however it does, they go with it, and the unreachable
 * route behind them answers the application with an error at once instead of silence. Only IPv4
 * needs that: an IPv6 connection that nobody listens for is answered with RST, while the kernel
 * sends none from an IPv4 address that is not its own (ip_send_unicast_reply, net/ipv4).
 */
#ifndef SIDESTEP_ANCHOR_H
#define SIDESTEP_ANCHOR_H

/*
 * Makes the device in the calling thread's network namespace and sets it up. Needs CAP_NET_ADMIN
 * and /dev/net/tun, which is made (and removed again) where it is missing and CAP_MKNOD allows.
 * Returns its file descriptor (the caller's; closing it removes the device) or negative errno.
 */
int anchor_open(unsigned int *ret_ifindex);

#endif
