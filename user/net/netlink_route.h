/* SPDX-License-Identifier: Apache-2.0 */
/* Routes and routing rules. Every function returns 0 or negative errno. */
#ifndef SIDESTEP_NETLINK_ROUTE_H
#define SIDESTEP_NETLINK_ROUTE_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/address.h"
#include "net/netlink.h"

struct netlink_route {
	struct prefix destination; /* 0.0.0.0/0 is ::ffff:0:0/96 */
	uint32_t table;
	uint32_t metric;
	uint32_t ifindex; /* 0: none; the first of several next hops */
	bool has_gateway;
	uint8_t gateway[16];
	bool has_source;
	uint8_t source[16]; /* preferred source address */
	uint32_t mtu;	    /* bytes (RTAX_MTU); 0: the device's */
	uint8_t type;	    /* RTN_* */
	uint8_t protocol;   /* RTPROT_* */
};

/* Priorities of our rules: each one's is between these. They come right after the local table's
 * rule (0). */
#define NETLINK_RULES_FIRST 97
#define NETLINK_RULES_LAST  108

struct netlink_rule {
	int family; /* AF_INET, AF_INET6 */
	uint32_t priority;
	uint8_t action;	 /* FR_ACT_* */
	uint32_t table;	 /* FR_ACT_TO_TBL */
	uint32_t target; /* FR_ACT_GOTO: the priority of the rule to go on with */
	bool inverted;	 /* it holds for the packets that its selectors do not match */
	bool special;	 /* it has selectors that are not listed here, such as a user */
	bool has_source;
	struct prefix source;
	bool has_destination;
	struct prefix destination;
	char input_name[IFNAMSIZ];  /* "": any; "lo": generated in this namespace */
	char output_name[IFNAMSIZ]; /* "": any; the device that the socket is bound to */
	/* Routes with fewer bits are ignored: suppress_prefixlength + 1. 1: the default route */
	uint32_t least_bits;
	uint16_t port;	     /* of the destination, host byte order; 0: any */
	uint32_t mark;	     /* the packet's, in the bits of the mask */
	uint32_t mark_mask;  /* 0: any mark */
	uint8_t ip_protocol; /* IPPROTO_* of the packet; 0: any. Linux 4.17 */
	uint8_t protocol;    /* FRA_PROTOCOL */
};

/* Call @visit for every object. A visitor's negative return ends the dump and is returned. -EINTR
 * means that the kernel's tables changed meanwhile: dump again. */
int netlink_dump_routes(struct netlink *netlink, int family,
			int (*visit)(void *, const struct netlink_route *), void *context);
int netlink_dump_rules(struct netlink *netlink, int family,
		       int (*visit)(void *, const struct netlink_rule *), void *context);

/* Create or replace, and delete. The key is destination, table and metric. The destination decides
 * the family. */
int netlink_route_replace(struct netlink *netlink, const struct netlink_route *route);
int netlink_route_delete(struct netlink *netlink, const struct netlink_route *route);

/* Adding a rule that exists is -EEXIST. */
int netlink_rule_add(struct netlink *netlink, const struct netlink_rule *rule);
int netlink_rule_delete(struct netlink *netlink, const struct netlink_rule *rule);

#endif
