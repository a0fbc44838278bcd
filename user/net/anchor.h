/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The anchor: a TUN device that exists as long as the process does, for IPv4 routes that must not
 * outlive it. When the process dies in any way, the kernel removes the device with its routes. The
 * unreachable route behind them then fails the application's connections at once. IPv6 needs no
 * anchor: the kernel sends RST where nobody listens. It sends no RST from an IPv4 address that is
 * not its own (ip_send_unicast_reply, net/ipv4).
 */
#ifndef SIDESTEP_ANCHOR_H
#define SIDESTEP_ANCHOR_H

/*
 * Creates the device in the calling thread's network namespace and sets it up. Needs CAP_NET_ADMIN
 * and /dev/net/tun. Where that node is missing, a temporary one is made if CAP_MKNOD allows it.
 * Returns the device's file descriptor (the caller's) or negative errno. Closing the descriptor
 * removes the device.
 */
int anchor_open(unsigned int *ret_ifindex);

/* Asks whether anchor_open() could open it. Makes no device. Returns 0 or a negative errno. */
int anchor_probe(void);

#endif
