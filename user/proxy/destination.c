// SPDX-License-Identifier: Apache-2.0
#include "proxy/destination.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6/ip6_tables.h>

_Static_assert(SO_ORIGINAL_DST == IP6T_SO_ORIGINAL_DST, "one number for both families");

bool destination_is_loopback(const struct sockaddr_storage *destination)
{
	const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)destination;
	const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)destination;

	if (destination->ss_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&ipv6->sin6_addr);
	return ntohl(ipv4->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

int destination_get(int fd, struct sockaddr_storage *ret_destination)
{
	socklen_t size = sizeof(*ret_destination);
	bool ipv6;

	if (getsockname(fd, (struct sockaddr *)ret_destination, &size) < 0)
		return -errno;
	if (!destination_is_loopback(ret_destination))
		return 0;
	ipv6 = ret_destination->ss_family == AF_INET6;
	size = ipv6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
	/* Without conntrack, and of a connection that it does not know, the listener's address
	 * stays. */
	(void)getsockopt(fd, ipv6 ? IPPROTO_IPV6 : IPPROTO_IP, SO_ORIGINAL_DST, ret_destination,
			 &size);
	return 0;
}
