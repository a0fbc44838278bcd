// SPDX-License-Identifier: Apache-2.0
#include "lib/socket_address.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "lib/address.h"

int socket_address_unix(const char *path, struct socket_address *ret_address)
{
	struct sockaddr_un *local = (struct sockaddr_un *)&ret_address->address;

	if (path[0] != '/' || strlen(path) >= sizeof(local->sun_path))
		return -EINVAL;
	local->sun_family = AF_UNIX;
	memcpy(local->sun_path, path, strlen(path) + 1);
	ret_address->size = sizeof(*local);
	return 0;
}

void socket_address_unknown(in_port_t port, struct socket_address *ret_address)
{
	struct sockaddr_in *address = (struct sockaddr_in *)&ret_address->address;

	memset(ret_address, 0, sizeof(*ret_address));
	ret_address->size = sizeof(*address);
	address->sin_port = port;
}

void socket_address_inet(const uint8_t address[16], in_port_t port,
			 struct socket_address *ret_address)
{
	struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)&ret_address->address;
	struct sockaddr_in *ipv4 = (struct sockaddr_in *)&ret_address->address;

	memset(ret_address, 0, sizeof(*ret_address));
	if (address_is_ipv4(address)) {
		ipv4->sin_family = AF_INET;
		ipv4->sin_port = port;
		memcpy(&ipv4->sin_addr, address + 12, sizeof(ipv4->sin_addr));
		ret_address->size = sizeof(*ipv4);
	} else {
		ipv6->sin6_family = AF_INET6;
		ipv6->sin6_port = port;
		memcpy(&ipv6->sin6_addr, address, sizeof(ipv6->sin6_addr));
		ret_address->size = sizeof(*ipv6);
	}
}

const char *socket_address_format(const struct socket_address *address,
				  char text[SOCKET_ADDRESS_TEXT_MAX])
{
	const struct sockaddr_un *local = (const struct sockaddr_un *)&address->address;
	const struct sockaddr_in *unknown = (const struct sockaddr_in *)&address->address;

	if (address->address.ss_family == AF_UNSPEC) {
		(void)snprintf(text, SOCKET_ADDRESS_TEXT_MAX, "unknown:%u",
			       ntohs(unknown->sin_port));
		return text;
	}
	if (address->address.ss_family != AF_UNIX)
		return endpoint_format((const struct sockaddr *)&address->address, text);
	(void)snprintf(text, SOCKET_ADDRESS_TEXT_MAX, "unix:%.*s",
		       (int)(address->size - offsetof(struct sockaddr_un, sun_path)),
		       local->sun_path);
	return text;
}

in_port_t *socket_address_port(struct socket_address *address)
{
	switch (address->address.ss_family) {
	case AF_UNSPEC:
	case AF_INET:
		return &((struct sockaddr_in *)&address->address)->sin_port;
	case AF_INET6:
		return &((struct sockaddr_in6 *)&address->address)->sin6_port;
	default:
		return NULL;
	}
}

bool socket_address_is_loopback(const struct socket_address *address)
{
	static const uint8_t loopback6[16] = {[15] = 1};
	uint8_t bytes[16];

	if (address->address.ss_family != AF_INET && address->address.ss_family != AF_INET6)
		return false;
	address_from_sockaddr((const struct sockaddr *)&address->address, bytes);
	return address_is_ipv4(bytes) ? bytes[12] == 127
				      : memcmp(bytes, loopback6, sizeof(bytes)) == 0;
}

bool socket_address_equal(const struct socket_address *a, const struct socket_address *b)
{
	return a->size == b->size && memcmp(&a->address, &b->address, a->size) == 0;
}
