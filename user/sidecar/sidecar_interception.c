// SPDX-License-Identifier: Apache-2.0
#include "sidecar/sidecar_interception.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "lib/privileges.h"
#include "lib/util.h"
#include "steering/steering.h"

int sidecar_interception_new(struct sidecar *sidecar)
{
	const struct sidecar_options *options = sidecar->options;
	struct steering_config config = {
		.mode = sidecar->bridge_mode ? SIDESTEP_MODE_BRIDGE : SIDESTEP_MODE_SIDECAR,
		.ipv6_refused = options->disable_ipv6,
		.inner = options->inner == SIDECAR_INNER_AUTO,
	};
	_cleanup_free_ struct plan_given *given = NULL;
	int error;
	size_t i;

	given = calloc(options->bypass.count + 1, sizeof(*given));
	if (!given)
		return -ENOMEM;
	for (i = 0; i < options->bypass.count; i++)
		given[i] = (struct plan_given) {
			.prefix = options->bypass.values[i],
			.option = BYPASS_OPTION_BYPASS,
		};
	if (options->docker_gateway_cidr.given)
		given[i++] = (struct plan_given) {
			.prefix = options->docker_gateway_cidr.prefix,
			.option = BYPASS_OPTION_DOCKER,
		};
	config.options = given;
	config.option_count = i;
	error = steering_new(&config, &sidecar->steering);
	if (error < 0)
		return error;
	return steering_set_bridges(sidecar->steering, options->bridges.values,
				    options->bridges.count);
}

int sidecar_interception_close(struct sidecar *sidecar)
{
	int closed;

	if (sidecar->bridge_mode)
		return 0;
	closed = steering_close(sidecar->steering, sidecar->options->guard_first);
	/* A predecessor's rules are there, whatever can be added to them. */
	sidecar->guarded = closed > 0 || steering_inherited(sidecar->steering);
	return closed < 0 ? closed : 0;
}

/* Fills the maps and attaches devices. Tries without CAP_BPF first: if that works (Linux 5.19 and
 * newer), the capability goes for good. */
static int prepare_steering(struct sidecar *sidecar)
{
	int error;

	sidecar->bpf_dropped = privileges_set_bpf(false) == 0;
	error = steering_prepare(sidecar->steering);
	if (error != -EPERM || !sidecar->bpf_dropped)
		return error;
	log_info("this kernel wants CAP_BPF at run time: keeping it");
	sidecar->bpf_dropped = false;
	(void)privileges_set_bpf(true);
	return steering_prepare(sidecar->steering);
}

int sidecar_interception_guard_devices(struct sidecar *sidecar)
{
	return sidecar->bridge_mode ? 0 : prepare_steering(sidecar);
}

int sidecar_interception_start(struct sidecar *sidecar)
{
	struct datapath *datapath = sidecar->datapath.current;
	int error = 0;

	sidecar->takeover = (struct sidecar_takeover) {
		.datapath = &sidecar->datapath,
		.steering = sidecar->steering,
		.proxy = sidecar->proxy,
	};
	if (sidecar->bridge_mode) {
		error = datapath_attach(datapath);
		if (error == 0)
			error = prepare_steering(sidecar);
		if (error < 0)
			return error;
	}
	sidecar_datapath_seed(&sidecar->datapath, sidecar->steering);
	if (!sidecar->bridge_mode)
		error = datapath_attach(datapath);
	if (error < 0)
		error = sidecar_takeover_await(&sidecar->takeover, error);
	if (error == 0)
		error = steering_sync(sidecar->steering);
	if (error == 0 && !sidecar->bridge_mode && steering_inherited(sidecar->steering))
		datapath_succeed(sidecar->datapath.current);
	return error < 0 ? error : privileges_drop(!sidecar->bpf_dropped);
}

void sidecar_interception_failed(struct sidecar *sidecar)
{
	if (!sidecar->guarded)
		sidecar->guarded = sidecar_datapath_agent_serves(&sidecar->datapath);
}

bool sidecar_interception_stays_closed(const struct sidecar *sidecar)
{
	return sidecar->live ? sidecar->options->exit_closed || sidecar->deserted
			     : sidecar->guarded;
}

void sidecar_interception_end(struct sidecar *sidecar)
{
	if (!sidecar->bridge_mode && !sidecar_interception_stays_closed(sidecar))
		steering_clear(sidecar->steering);
}

void sidecar_interception_tell_bridges(struct sidecar *sidecar)
{
	size_t found = steering_device_count(sidecar->steering);
	size_t wanted = sidecar->options->bridges.count;

	if (!sidecar->bridge_mode || !sidecar->bridges_known || found == sidecar->bridges_found)
		return;
	sidecar->bridges_found = found;
	if (found == wanted)
		log_info("%zu of %zu bridges (--bridge) are steered", found, wanted);
	else
		log_warning("%zu of %zu bridges (--bridge) exist; the others are intercepted when "
			    "they appear. %s",
			    found, wanted,
			    sidecar->feed ? "Networks of other drivers, such as macvlan, have none"
					  : "A Docker network's name needs --docker-socket");
}
