// SPDX-License-Identifier: Apache-2.0
#include "control/control_tunnel.h"

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

void control_tunnel_init(struct control_tunnel *tunnel, struct relay_pool *pool)
{
	relay_init(&tunnel->relay, pool);
	tunnel->relay.finish = relay_finished;
	tunnel->dial.done = dial_done;
}

int control_tunnel_dial(struct control_tunnel *tunnel, struct dialer *dialer,
			const struct dial_announcer *announcer)
{
	const struct sockaddr *target = (const struct sockaddr *)&tunnel->target.address;
	int fd = dial_socket(announcer, target);

	if (fd < 0)
		return fd;
	return dial_start(&tunnel->dial, dialer, &tunnel->relay.side[1], fd, target,
			  endpoint_size(&tunnel->target));
}

void control_tunnel_relay(struct control_tunnel *tunnel)
{
	relay_start(&tunnel->relay);
}

void control_tunnel_close(struct control_tunnel *tunnel, bool reset)
{
	dial_cancel(&tunnel->dial);
	relay_close(&tunnel->relay, reset);
}
