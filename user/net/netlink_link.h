/* SPDX-License-Identifier: Apache-2.0 */
/* Links, their addresses and neighbours. Every function returns 0 or negative errno. */
#ifndef SIDESTEP_NETLINK_LINK_H
#define SIDESTEP_NETLINK_LINK_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/address.h"
#include "net/netlink.h"

/* Limits of a packet that a device receives whole and cuts into TCP segments (GSO). */
struct netlink_gso {
	uint32_t size;	    /* bytes, headers included */
	uint32_t size_ipv4; /* likewise, for IPv4; 0: before Linux 6.3, where @size counts */
	uint32_t segments;
};

struct netlink_link {
	uint32_t ifindex;
	bool up;
	bool loopback;
	bool ethernet;	 /* ARPHRD_ETHER: its frames have that header */
	bool l3;	 /* its frames have no link-layer header: tun, WireGuard, ppp */
	bool bridge;	 /* IFLA_INFO_KIND is "bridge" */
	bool veth;	 /* IFLA_INFO_KIND is "veth" */
	bool tun;	 /* IFLA_INFO_KIND is "tun": a TUN or TAP device */
	bool software;	 /* it has an IFLA_INFO_KIND: no hardware is behind it */
	bool guest;	 /* it is "veth", "tun" or "dummy": it does not leave the host */
	uint32_t master; /* the bridge or bond that it is a port of; 0: none */
	uint32_t peer;	 /* the index of a veth's other end, in that end's namespace */
	/* The number here of the namespace of that end, or of what the device stands on
	 * (IFLA_LINK_NETNSID); -1: this one. */
	int32_t peer_nsid;
	uint32_t accept_local; /* net.ipv4.conf.NAME.accept_local */
	uint32_t rp_filter;    /* net.ipv4.conf.NAME.rp_filter */
	uint32_t mtu;
	struct netlink_gso gso;
	uint32_t gso_limit; /* the device's own limit, bytes; 0: before Linux 6.0 */
	char name[IFNAMSIZ];
};

struct netlink_address {
	uint32_t ifindex;
	uint8_t address[16];
	/* The kernel's route for the address leads there. On a point-to-point link it is the
	 * peer's, and host bits may be set. */
	struct prefix subnet;
	bool link_local; /* scope link or narrower */
	bool tentative;	 /* IPv6 duplicate address detection has not ended */
	/* The engine or the operator chose it: every IPv4 address, and an IPv6 address without a
	 * lifetime. An IPv6 address with one follows a neighbour's router advertisement, whether
	 * the kernel or a daemon acts on it (RFC 4862 section 5.5.3). */
	bool configured;
};

/* Do frames of a device of this type (ARPHRD_*) begin with the IP header? */
bool netlink_type_is_l3(unsigned int type);

/* Call @visit for every object. A visitor's negative return ends the dump and is returned. -EINTR
 * means that the kernel's tables changed meanwhile: dump again. */
int netlink_dump_links(struct netlink *netlink, int (*visit)(void *, const struct netlink_link *),
		       void *context);
int netlink_dump_addresses(struct netlink *netlink,
			   int (*visit)(void *, const struct netlink_address *), void *context);

/*
 * Reads the notices of the monitor @fd, unless there are very many. Calls @changed with each link
 * that has come or changed, and @gone with the index of each that is gone. Returns 0, the last
 * negative return of @changed, or -ENOBUFS: notices are lost, so dump.
 */
int netlink_monitor_links(int fd, int (*changed)(void *, const struct netlink_link *),
			  void (*gone)(void *, uint32_t ifindex), void *context);

/* Adds an address without duplicate address detection. @length is its subnet's prefix length, as
 * the family counts it. */
int netlink_address_add(struct netlink *netlink, uint32_t ifindex, const uint8_t address[16],
			uint8_t length);

/* Sets the link up. @no_arp also switches address resolution off (IFF_NOARP). */
int netlink_link_up(struct netlink *netlink, uint32_t ifindex, bool no_arp);
int netlink_link_set_gso(struct netlink *netlink, uint32_t ifindex, const struct netlink_gso *gso);

/* Sets two of the link's IPv4 sysctls (IFLA_INET_CONF). /proc/sys need not be writable for it. */
int netlink_link_set_ipv4(struct netlink *netlink, uint32_t ifindex, uint32_t accept_local,
			  uint32_t rp_filter);

/* Has the kernel make no IPv6 address for the link, and so send no router solicitation there.
 * Before the link is up. */
int netlink_link_keep_quiet6(struct netlink *netlink, uint32_t ifindex);
int netlink_link_delete(struct netlink *netlink, uint32_t ifindex);

/*
 * Resolves a neighbour's link-layer address now. From Linux 5.16 on the kernel also keeps it
 * resolved (NTF_MANAGED). bpf_redirect_neigh() needs that for packets that already have a route: a
 * packet that waits for resolution goes to that route's neighbour instead (__neigh_update,
 * net/core/neighbour.c).
 */
int netlink_neighbour_keep(struct netlink *netlink, uint32_t ifindex, const uint8_t address[16]);

/* Reads a neighbour's Ethernet address. -ENOENT: it is not resolved. Kernels before Linux 5.0
 * answer -EOPNOTSUPP. */
int netlink_neighbour_get(struct netlink *netlink, uint32_t ifindex, const uint8_t address[16],
			  uint8_t ret_mac[6]);

/* Deletes the neighbour's entry, so that the kernel stops resolving it. */
int netlink_neighbour_forget(struct netlink *netlink, uint32_t ifindex, const uint8_t address[16]);

/* Finds the number that links here have for the namespace @netns_fd (netlink_link.peer_nsid).
 * Returns it or a negative errno; -ENOENT: no link leads there. */
int netlink_nsid(struct netlink *netlink, int netns_fd);

/* Creates a veth pair: @name here, @peer_name in the namespace @peer_netns_fd. Both get @mtu. */
int netlink_veth_create(struct netlink *netlink, const char *name, const char *peer_name,
			int peer_netns_fd, uint32_t mtu);

#endif
