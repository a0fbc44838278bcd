// SPDX-License-Identifier: Apache-2.0
#include "datapath/datapath_nft_own.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

/* Reads the socket's own address. Returns its port in host byte order, or negative errno. */
static int local_address(int fd, struct sockaddr_storage *ret_address, socklen_t *ret_size)
{
	const struct sockaddr_in6 *address6 = (const struct sockaddr_in6 *)ret_address;
	const struct sockaddr_in *address4 = (const struct sockaddr_in *)ret_address;

	memset(ret_address, 0, sizeof(*ret_address));
	*ret_size = sizeof(*ret_address);
	if (getsockname(fd, (struct sockaddr *)ret_address, ret_size) < 0)
		return -errno;
	return ntohs(ret_address->ss_family == AF_INET6 ? address6->sin6_port : address4->sin_port);
}

int nft_own_port(int fd)
{
	struct sockaddr_storage address;
	socklen_t size;

	return local_address(fd, &address, &size);
}

int nft_own_claim(int fd, struct nft_own *ret_own)
{
	struct sockaddr_storage address;
	int type, port, tries;
	socklen_t size = sizeof(type);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0)
		return -errno;
	for (tries = 0; tries < 2; tries++) {
		port = local_address(fd, &address, &size);
		if (port < 0)
			return port;
		*ret_own = (struct nft_own) {
			.protocol = type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP,
			.port = (uint16_t)port,
		};
		if (port > 0)
			return 0;
		if (bind(fd, (const struct sockaddr *)&address, size) < 0)
			return -errno;
	}
	return -EADDRINUSE;
}

int nft_own_keep(struct nft_own_list *list, const struct nft_own *own)
{
	size_t i;

	for (i = 0; i < list->count; i++)
		if (list->items[i].port == own->port && list->items[i].protocol == own->protocol)
			return 1;
	if (list->count == NFT_OWN_KEPT_MAX)
		return -ENOSPC;
	list->items[list->count++] = *own;
	return 0;
}

uint32_t nft_own_mark(uint32_t taken)
{
	uint32_t mark;

	do {
		if (getrandom(&mark, sizeof(mark), 0) != (ssize_t)sizeof(mark))
			return 0;
	} while (mark == 0 || mark == taken);
	return mark;
}
