// SPDX-License-Identifier: Apache-2.0
#include "control/control_tunnel.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/util.h"
#include "stream/relay_pump.h"

static void relay_finished(struct relay *relay, bool reset)
{
	struct control_tunnel *tunnel = container_of(relay, struct control_tunnel, relay);

	tunnel->done(tunnel, reset);
}

static void dial_done(struct dial *dial, int error)
{
	struct control_tunnel *tunnel = container_of(dial, struct control_tunnel, dial);

	tunnel->dialed(tunnel, error);
}

static void peer_vanished(struct peer_watch *watch, int side)
{
	struct control_tunnel *tunnel = container_of(watch, struct control_tunnel, watch);

	(void)side;
	tunnel->done(tunnel, true);
}

void control_tunnel_init(struct control_tunnel *tunnel, struct relay_pool *pool)
{
	relay_init(&tunnel->relay, pool);
	tunnel->relay.finish = relay_finished;
	tunnel->dial.done = dial_done;
	tunnel->watch.vanished = peer_vanished;
}

/*
 * Binds the socket to the address that it will connect to, with a port of the kernel's choice. The
 * kernel accepts only the namespace's own addresses. Even if the address is removed before the
 * connection, or net.ipv*.ip_nonlocal_bind is set, a connection between one and the same address
 * reaches nobody else.
 */
static int bind_to_target(int fd, const struct sockaddr *target, socklen_t size)
{
	struct sockaddr_storage storage = {0};
	static const int one = 1;

	memcpy(&storage, target, size);
	if (target->sa_family == AF_INET)
		((struct sockaddr_in *)&storage)->sin_port = 0;
	else
		((struct sockaddr_in6 *)&storage)->sin6_port = 0;
	/* The port is chosen as the socket connects, so other tunnels do not use it up. */
	(void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	return bind(fd, (const struct sockaddr *)&storage, size) < 0 ? -errno : 0;
}

int control_tunnel_dial(struct control_tunnel *tunnel, struct dialer *dialer)
{
	/* The datapath does not learn of the socket and treats it like the application's. */
	static const struct dial_announcer nobody = {0};
	const struct sockaddr *target = (const struct sockaddr *)&tunnel->target.address;
	socklen_t size = endpoint_size(&tunnel->target);
	_cleanup_close_ int fd = dial_socket(&nobody, target);
	int error;

	if (fd < 0)
		return fd;
	error = bind_to_target(fd, target, size);
	if (error < 0)
		return error == -EADDRNOTAVAIL ? -EXDEV : error;
	return dial_start(&tunnel->dial, dialer, &tunnel->relay.side[1], TAKE_FD(fd), target, size);
}

void control_tunnel_relay(struct control_tunnel *tunnel, struct peer_watches *watches)
{
	peer_watch_start(&tunnel->watch, watches, &tunnel->relay);
	relay_start(&tunnel->relay);
}

void control_tunnel_close(struct control_tunnel *tunnel, bool reset)
{
	dial_cancel(&tunnel->dial);
	peer_watch_stop(&tunnel->watch);
	relay_close(&tunnel->relay, reset);
}
