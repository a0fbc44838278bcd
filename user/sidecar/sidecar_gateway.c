// SPDX-License-Identifier: Apache-2.0
#include "sidecar/sidecar_gateway.h"

#include <errno.h>

#include "lib/address.h"
#include "lib/log.h"

int sidecar_gateway_find(struct sidecar *sidecar)
{
	const struct gateway_target *target = sidecar->target;
	struct socket_address found[NAME_LOOKUP_MAX];

	if (!target)
		return 0;
	sidecar->gateway = target->address;
	sidecar->finder = (struct gateway_finder) {.target = target, .lookup.stop_fd = -1};
	if (target->host[0] && gateway_finder_find(&sidecar->finder, &target->address, found) > 0)
		sidecar->gateway = found[0];
	return 0;
}

void sidecar_gateway_forget(struct sidecar *sidecar)
{
	gateway_finder_clear(&sidecar->finder);
}

static void tell_refused(struct sidecar *sidecar, const struct socket_address *gateway)
{
	char text[SOCKET_ADDRESS_TEXT_MAX];

	if (socket_address_equal(gateway, &sidecar->refused))
		return;
	sidecar->refused = *gateway;
	log_warning("the gateway %s has a new address, %s, outside the bypassed subnets. It is "
		    "not taken, because the application may have forged it; start the sidecar "
		    "again, or bypass the gateway's subnet (--bypass)",
		    sidecar->target->host, socket_address_format(gateway, text));
}

int sidecar_gateway_move(void *context, const struct socket_address *gateway)
{
	struct sidecar *sidecar = context;
	const union main_request_value value = {
		.gateway = {.address = *gateway,
			    .trusted = sidecar->bridge_mode ||
				       name_first_has(&sidecar->finder.first, gateway)},
	};
	char text[SOCKET_ADDRESS_TEXT_MAX];
	int error;

	main_request_post(&sidecar->move, &value);
	error = main_request_wait(&sidecar->move);
	if (error == -EXDEV)
		tell_refused(sidecar, gateway);
	if (error < 0)
		return error;
	proxy_set_gateway_address(sidecar->proxy, gateway);
	log_info("the gateway %s is %s now", sidecar->target->host,
		 socket_address_format(gateway, text));
	return 0;
}

int sidecar_gateway_take(struct sidecar *sidecar)
{
	struct sidecar_datapath *datapath = &sidecar->datapath;
	const struct socket_address *gateway;
	union main_request_value value;
	struct steering_way way;
	uint8_t address[16];

	main_request_take(&sidecar->move, &value);
	gateway = &value.gateway.address;
	address_from_sockaddr((const struct sockaddr *)&gateway->address, address);
	if (!value.gateway.trusted && !steering_bypasses(sidecar->steering, address))
		return -EXDEV;
	sidecar_datapath_move_gateway(datapath, gateway, value.gateway.trusted);
	sidecar_datapath_set_gateway(datapath, gateway);
	(void)sidecar_datapath_describe(datapath, datapath->current);
	(void)ipv6_pause_cancel(&sidecar->ipv6);
	way = sidecar_datapath_way(datapath);
	steering_set_datapath(sidecar->steering, datapath->current, &way);
	return 0;
}
