// SPDX-License-Identifier: Apache-2.0
#include "net/bare_devices.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <netpacket/packet.h>
#include <stddef.h>

static bool is_ethernet(const struct ifaddrs *entry)
{
	const struct sockaddr_ll *link = (const struct sockaddr_ll *)entry->ifa_addr;

	return link->sll_family == AF_PACKET && link->sll_hatype == ARPHRD_ETHER &&
	       (entry->ifa_flags & IFF_UP);
}

static bool is_address(const struct ifaddrs *entry)
{
	const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)entry->ifa_addr;

	if (entry->ifa_flags & IFF_LOOPBACK)
		return false;
	return ipv6->sin6_family == AF_INET ||
	       (ipv6->sin6_family == AF_INET6 && !IN6_IS_ADDR_LINKLOCAL(&ipv6->sin6_addr));
}

bool devices_are_bare(void)
{
	bool devices = false, addresses = false;
	struct ifaddrs *list, *entry;

	if (getifaddrs(&list) < 0)
		return false;
	for (entry = list; entry; entry = entry->ifa_next) {
		if (!entry->ifa_addr)
			continue;
		devices |= is_ethernet(entry);
		addresses |= is_address(entry);
	}
	freeifaddrs(list);
	return devices && !addresses;
}
