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

const char *socket_address_format(const struct socket_address *address,
				  char text[SOCKET_ADDRESS_TEXT_MAX])
{
	const struct sockaddr_un *local = (const struct sockaddr_un *)&address->address;

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

	if (address->address.ss_family == AF_UNIX)
		return false;
	address_from_sockaddr((const struct sockaddr *)&address->address, bytes);
	return address_is_ipv4(bytes) ? bytes[12] == 127
				      : memcmp(bytes, loopback6, sizeof(bytes)) == 0;
}

bool socket_address_equal(const struct socket_address *a, const struct socket_address *b)
{
	return a->size == b->size && memcmp(&a->address, &b->address, a->size) == 0;
}
