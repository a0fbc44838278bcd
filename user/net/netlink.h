/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Routes, rules, links and addresses over rtnetlink (libmnl), without helper processes.
 * A struct netlink belongs to the network namespace in which it was opened and to one thread.
 */
#ifndef SIDESTEP_NETLINK_H
#define SIDESTEP_NETLINK_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/address.h"

/* rtm_protocol and FRA_PROTOCOL of whatever sidestep installs: how leftovers are recognised. Not
 * in /etc/iproute2/rt_protos, so `ip route` and `ip rule` print "proto 93". */
#define NETLINK_PROTOCOL_SIDESTEP 93
/* Link group of the anchor (user/net/anchor.h); `ip link` prints it. Group 0 is everybody's. */
#define NETLINK_GROUP_ANCHOR 9300

struct netlink;

/* Returns 0 or negative errno. */
int netlink_open(struct netlink **ret_netlink);
void netlink_close(struct netlink *netlink);

static inline void netlink_closep(struct netlink **netlink)
{
	netlink_close(*netlink);
}
#define _cleanup_netlink_ __attribute__((cleanup(netlink_closep)))

/* Limits of what is handed to a device as one packet, to be cut into TCP segments by it (GSO). */
struct netlink_gso {
	uint32_t size;	    /* bytes, with headers */
	uint32_t size_ipv4; /* likewise, of IPv4; 0: before Linux 6.3, where `size` counts */
	uint32_t segments;
};

struct netlink_link {
	uint32_t ifindex;
	bool up;
	bool loopback;
	bool ethernet;	       /* ARPHRD_ETHER: its frames have that header */
	bool bridge;	       /* IFLA_INFO_KIND is "bridge" */
	uint32_t accept_local; /* net.ipv4.conf.NAME.accept_local */
	uint32_t rp_filter;    /* net.ipv4.conf.NAME.rp_filter */
	uint32_t mtu;
	struct netlink_gso gso;
	uint32_t gso_limit; /* the most that the device can, bytes; 0: before Linux 6.0 */
	char name[IFNAMSIZ];
};

struct netlink_address {
	uint32_t ifindex;
	uint8_t address[16];
	bool link_local; /* scope link or narrower */
	bool tentative;	 /* IPv6 duplicate address detection has not ended */
};

struct netlink_route {
	struct prefix destination; /* 0.0.0.0/0 is ::ffff:0:0/96 */
	uint32_t table;
	uint32_t metric;
	uint32_t ifindex; /* 0: none; of several next hops the first */
	bool has_gateway;
	uint8_t gateway[16];
	bool has_source;
	uint8_t source[16]; /* preferred source address */
	uint8_t type;	    /* RTN_* */
	uint8_t protocol;   /* RTPROT_* */
};

struct netlink_rule {
	int family; /* AF_INET, AF_INET6 */
	uint32_t priority;
	uint32_t table;
	bool has_destination;
	struct prefix destination;
	char input_name[IFNAMSIZ];  /* "": any; "lo": generated in this namespace */
	char output_name[IFNAMSIZ]; /* "": any; the device the socket is bound to */
	bool suppress_default;	    /* suppress_prefixlength 0 */
	uint32_t suppress_group; /* results by a device of this group count for nothing; 0: none */
	uint32_t mark;		 /* of the packet, all bits; 0: any */
	uint8_t protocol;	 /* FRA_PROTOCOL */
};

/* Each calls @visit for every object; a visitor's negative return ends the dump and is returned.
 * 0 or negative errno; -EINTR when the kernel's tables changed meanwhile: dump again. */
int netlink_dump_links(struct netlink *netlink, int (*visit)(void *, const struct netlink_link *),
		       void *context);
int netlink_dump_addresses(struct netlink *netlink,
			   int (*visit)(void *, const struct netlink_address *), void *context);
int netlink_dump_routes(struct netlink *netlink, int family,
			int (*visit)(void *, const struct netlink_route *), void *context);
int netlink_dump_rules(struct netlink *netlink, int family,
		       int (*visit)(void *, const struct netlink_rule *), void *context);

/* Create-or-replace, and delete; a route is told apart by destination, table and metric. The
 * family follows the destination. 0 or negative errno. */
int netlink_route_replace(struct netlink *netlink, const struct netlink_route *route);
int netlink_route_delete(struct netlink *netlink, const struct netlink_route *route);

/* Adding a rule that is there already is -EEXIST. */
int netlink_rule_add(struct netlink *netlink, const struct netlink_rule *rule);
int netlink_rule_delete(struct netlink *netlink, const struct netlink_rule *rule);
bool netlink_rule_equal(const struct netlink_rule *a, const struct netlink_rule *b);

/* Adds an address without duplicate address detection. @length: of its subnet, bits, as the family
 * counts them. */
int netlink_address_add(struct netlink *netlink, uint32_t ifindex, const uint8_t address[16],
			uint8_t length);

/* Sets the link up; @no_arp also clears address resolution (IFF_NOARP). */
int netlink_link_up(struct netlink *netlink, uint32_t ifindex, bool no_arp);
int netlink_link_set_mtu(struct netlink *netlink, uint32_t ifindex, uint32_t mtu);
int netlink_link_set_group(struct netlink *netlink, uint32_t ifindex, uint32_t group);
int netlink_link_set_gso(struct netlink *netlink, uint32_t ifindex, const struct netlink_gso *gso);

/* Two of the link's IPv4 sysctls, for which /proc/sys need not be writable (IFLA_INET_CONF). */
int netlink_link_set_ipv4(struct netlink *netlink, uint32_t ifindex, uint32_t accept_local,
			  uint32_t rp_filter);
int netlink_link_delete(struct netlink *netlink, uint32_t ifindex);

/*
 * Resolves a neighbour's link-layer address now and has the kernel keep it resolved (NTF_MANAGED,
 * Linux 5.16; before, only now). Needed where bpf_redirect_neigh() sends packets that have a route
 * already: one that had to wait for the resolution would go by that route's neighbour instead
 * (__neigh_update, net/core/neighbour.c).
 */
int netlink_neighbour_keep(struct netlink *netlink, uint32_t ifindex, const uint8_t address[16]);

/* Forgets the neighbour, and with it that it was kept. */
int netlink_neighbour_forget(struct netlink *netlink, uint32_t ifindex, const uint8_t address[16]);

/* A veth pair: @name here, @peer_name in the namespace @peer_netns_fd, both with @mtu bytes. */
int netlink_veth_create(struct netlink *netlink, const char *name, const char *peer_name,
			int peer_netns_fd, uint32_t mtu);

/* A socket that becomes readable when links, addresses, routes or rules of the namespace change.
 * Returns the file descriptor (the caller's) or negative errno. */
int netlink_monitor_open(void);

/* Empties the monitor. True when anything changed; also when the kernel dropped notices. */
bool netlink_monitor_drain(int fd);

#endif
