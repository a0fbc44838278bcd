/* SPDX-License-Identifier: Apache-2.0 */
/* Asks the kernel which route a packet of this network namespace takes. */
#ifndef SIDESTEP_NETLINK_LOOKUP_H
#define SIDESTEP_NETLINK_LOOKUP_H

#include <stdbool.h>
#include <stdint.h>

#include "net/netlink.h"

/* A packet that a socket sends, as routing rules see it. It has no mark. */
struct netlink_packet {
	uint8_t destination[16]; /* as in lib/address.h */
	bool has_source;
	uint8_t source[16];
	uint32_t device;     /* that the socket is bound to; 0: none */
	uint8_t ip_protocol; /* IPPROTO_TCP, IPPROTO_UDP */
	uint16_t port;	     /* of the destination, host byte order */
};

struct netlink_way {
	uint8_t type; /* RTN_* */
	uint32_t table;
	uint32_t ifindex;
	bool has_gateway;
	uint8_t gateway[16];
	uint8_t source[16]; /* the packet's, or the one that the kernel would choose */
};

/* Returns 0 or a negative errno. -ENETUNREACH, -EHOSTUNREACH and others are the kernel's answer to
 * such a packet. */
int netlink_lookup(struct netlink *netlink, const struct netlink_packet *packet,
		   struct netlink_way *ret_way);

#endif
