// SPDX-License-Identifier: Apache-2.0
#include "sidecar/gateway_echo.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <linux/unix_diag.h>

#include "lib/address.h"
#include "lib/await.h"
#include "lib/clock.h"
#include "lib/sock_diag.h"
#include "lib/util.h"
#include "net/bridge_lookup.h"
#include "proto/tunnel.h"

/* 203.0.113.0, and the lowest port that is chosen. */
#define TEST_NET_3 0xcb007100U
#define PORT_MIN   1024

/* Stores the address from which a connection to the gateway would come. */
static int source_of(const struct socket_address *gateway, struct sockaddr_storage *ret_source)
{
	socklen_t size = sizeof(*ret_source);
	_cleanup_close_ int fd = socket(gateway->address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)&gateway->address, gateway->size) < 0 ||
	    getsockname(fd, (struct sockaddr *)ret_source, &size) < 0)
		return -errno;
	return 0;
}

struct unix_search {
	struct stat socket;
	bool found;
};

static int visit_vfs(const struct nlattr *attribute, void *data)
{
	const struct unix_diag_vfs *vfs = mnl_attr_get_payload(attribute);
	struct unix_search *search = data;

	/* The kernel's device number has 20 bits for the minor (MINORBITS, linux/kdev_t.h), and it
	 * reports the lower half of the inode number. */
	if (mnl_attr_get_type(attribute) == UNIX_DIAG_VFS &&
	    mnl_attr_get_payload_len(attribute) >= sizeof(*vfs) &&
	    vfs->udiag_vfs_ino == (uint32_t)search->socket.st_ino &&
	    makedev(vfs->udiag_vfs_dev >> 20, vfs->udiag_vfs_dev & 0xfffff) ==
		    search->socket.st_dev)
		search->found = true;
	return MNL_CB_OK;
}

static int visit_unix(const struct nlmsghdr *header, void *data)
{
	return mnl_attr_parse(header, sizeof(struct unix_diag_msg), visit_vfs, data);
}

/* Tells whether a process of this network namespace listens on the unix socket. The path may be
 * another one for that process, but the file is the same. */
static bool listens_here(const char *path)
{
	static const struct unix_diag_req request = {
		.sdiag_family = AF_UNIX,
		.udiag_states = 1U << TCP_LISTEN,
		.udiag_show = UDIAG_SHOW_VFS,
	};
	struct unix_search search = {.found = false};

	if (stat(path, &search.socket) == 0)
		(void)sock_diag_dump(&request, sizeof(request), visit_unix, &search);
	return search.found;
}

bool gateway_has_route(const struct socket_address *gateway)
{
	struct sockaddr_storage source;

	return source_of(gateway, &source) == 0;
}

bool gateway_is_near(const struct socket_address *gateway, bool bridge_mode)
{
	struct sockaddr_storage source;
	struct prefix own = {.length = 128};
	uint8_t other[16];
	char bridge[IFNAMSIZ];
	bool is_own;

	if (gateway->address.ss_family == AF_UNIX)
		return !bridge_mode &&
		       listens_here(((const struct sockaddr_un *)&gateway->address)->sun_path);
	if (source_of(gateway, &source) < 0)
		return false;
	address_from_sockaddr((const struct sockaddr *)&source, own.address);
	address_from_sockaddr((const struct sockaddr *)&gateway->address, other);
	is_own = socket_address_is_loopback(gateway) ||
		 memcmp(own.address, other, sizeof(other)) == 0;
	return bridge_mode ? !is_own && bridge_lookup(&own, bridge) == 0 : is_own;
}

int gateway_echo_check(int fd, struct proxy *proxy, int stop_fd)
{
	struct sockaddr_in source = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY)};
	struct sockaddr_in destination = {.sin_family = AF_INET};
	char request[TUNNEL_REQUEST_MAX];
	uint32_t random;
	size_t size;
	int error;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return -errno;
	destination.sin_addr.s_addr = htonl(TEST_NET_3 | (1 + (random >> 16) % 254));
	destination.sin_port =
		htons((uint16_t)(PORT_MIN + (random & 0xffff) % (UINT16_MAX - PORT_MIN)));
	size = tunnel_request_format(request, (const struct sockaddr *)&source,
				     (const struct sockaddr *)&destination, NULL);
	proxy_await_echo(proxy, &destination);
	/* The socket is fresh, so its buffer takes the request. */
	if (send(fd, request, size, MSG_NOSIGNAL) != (ssize_t)size)
		return -EPIPE;
	error = await(proxy_echo_fd(proxy), POLLIN, stop_fd, clock_ms() + GATEWAY_ECHO_MS);
	return error == -ETIMEDOUT ? 0 : error < 0 ? error : 1;
}
