// SPDX-License-Identifier: Apache-2.0
/* Connects to the gateway of an instance, and sends nothing. Of a DNS query tells who is asked. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "explain/explain.h"
#include "lib/clock.h"
#include "lib/socket_address.h"
#include "lib/util.h"
#include "net/instance_lock.h"

/* The gateway's time for its answer, ms, as that of a sidecar's check at its start. */
#define LIMIT_MS 2000

#define UNIX_PREFIX "unix:"

/* Parses what an instance says of its gateway. A path is one of the instance's process, whose files
 * are others than here where it is a container's. Returns 0 or -EINVAL. */
static int parse(const char *text, struct socket_address *ret_address)
{
	struct endpoint endpoint;
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	pid_t holder;

	if (strncmp(text, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0) {
		holder = instance_holder();
		if (holder > 0 && snprintf(path, sizeof(path), "/proc/%d/root%s", (int)holder,
					   text + strlen(UNIX_PREFIX)) < (int)sizeof(path))
			return socket_address_unix(path, ret_address);
		return socket_address_unix(text + strlen(UNIX_PREFIX), ret_address);
	}
	if (endpoint_parse(text, &endpoint) < 0)
		return -EINVAL;
	*ret_address = (struct socket_address) {
		.address = endpoint.address,
		.size = endpoint_size(&endpoint),
	};
	return 0;
}

/* Waits for a connection that has begun. Returns 0 or a negative errno. */
static int finish(int fd)
{
	struct pollfd event = {.fd = fd, .events = POLLOUT};
	socklen_t size = sizeof(int);
	int error = 0;

	if (poll(&event, 1, LIMIT_MS) <= 0)
		return -ETIMEDOUT;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		return -errno;
	return -error;
}

static int try_gateway(const struct socket_address *gateway, const struct programs_view *view)
{
	_cleanup_close_ int fd = socket(gateway->address.ss_family,
					SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	/* The proxy's sockets are marked so, too. Otherwise this one would be intercepted. */
	if (view && gateway->address.ss_family != AF_UNIX)
		(void)programs_view_own_socket(view, fd);
	if (connect(fd, (const struct sockaddr *)&gateway->address, gateway->size) == 0)
		return 0;
	return errno == EINPROGRESS ? finish(fd) : -errno;
}

void explain_gateway(struct explain *explain, const struct programs_view *view)
{
	char text[ADDRESS_TEXT_MAX];
	struct socket_address gateway;
	uint64_t begin = clock_ns();
	int error;

	if (explain->packet.protocol == IPPROTO_UDP) {
		explain_step(explain, "resolver", "the proxy asks %s, or answers by the DNS policy",
			     explain_end(explain->packet.destination,
					 explain->packet.destination_port, text));
		return;
	}
	if (!explain->ask_gateway)
		return;
	if (parse(explain->gateway, &gateway) < 0) {
		explain_step(explain, "gateway", "%s: its address is not known",
			     *explain->gateway ? explain->gateway : "?");
		return;
	}
	error = try_gateway(&gateway, view);
	explain->gateway_failed = error < 0;
	if (error < 0)
		explain_step(explain, "gateway", "%s cannot be reached: %s; connections are reset",
			     explain->gateway, strerror(-error));
	else
		explain_step(explain, "gateway", "%s accepts connections, after %.1f ms",
			     explain->gateway, (double)(clock_ns() - begin) / 1e6);
}
