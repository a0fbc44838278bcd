// SPDX-License-Identifier: Apache-2.0
#include "sidecar/sidecar_control.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

#include "control/control.h"
#include "lib/log.h"
#include "lib/util.h"
#include "proxy/policy.h"
#include "sidecar/embedded_resolver.h"
#include "sidecar/preflight.h"

/* Runs in the control API's thread. The main thread tells the datapath, in sidecar.c. */
static void gateway_changed(void *context)
{
	struct sidecar *sidecar = context;
	const struct socket_address gateway = proxy_gateway(sidecar->proxy);

	preflight_request(sidecar->preflight, &gateway);
	sidecar_datapath_set_gateway(&sidecar->datapath, &gateway);
	(void)eventfd_write(sidecar->gateway_fd, 1);
}

/*
 * Likewise. Turned off, the internet is out of reach only if no resolver is left that the
 * application reaches but we do not see. Only this is waited for, and tunnels stand still
 * meanwhile.
 */
static int set_internet(void *context, bool on, char *reason, size_t size)
{
	const union main_request_value wanted = {.internet = on}, former = {.internet = true};
	struct sidecar *sidecar = context;
	int error;

	main_request_post(&sidecar->internet, &wanted);
	if (on)
		return 0;
	error = main_request_wait(&sidecar->internet);
	if (error == 0)
		error = embedded_resolver_check(sidecar->policy);
	if (error == 0)
		return 0;
	if (error == -EXDEV)
		(void)snprintf(reason, size,
			       "the internet cannot be off: the engine's resolver at 127.0.0.11 "
			       "asks the host's resolver, not one that is steered; name another "
			       "one (docker run --dns)");
	else
		(void)snprintf(reason, size,
			       "the internet cannot be off, because DNS cannot be steered now: %s",
			       strerror(-error));
	if (policy_internet(sidecar->policy))
		main_request_post(&sidecar->internet, &former);
	return error;
}

int sidecar_control_start(struct sidecar *sidecar)
{
	const struct control_config config = {
		.address = sidecar->options->ingress_address,
		.allow = sidecar->options->control_allow.values,
		.allow_count = sidecar->options->control_allow.count,
		.peer_ms = sidecar->options->peer_ms,
		.proxy = sidecar->proxy,
		.policy = sidecar->policy,
		.tls = sidecar->tls,
		.context = sidecar,
		.gateway_changed = gateway_changed,
		.set_internet = set_internet,
	};
	int error;

	if (!sidecar_options_controlled(sidecar->options))
		return 0;
	sidecar->gateway_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (sidecar->gateway_fd < 0)
		return log_errno(-errno, "cannot make an eventfd");
	error = main_request_open(&sidecar->internet);
	if (error < 0)
		return log_errno(error, "cannot prepare the control API");
	return control_new(&config, &sidecar->control);
}

void sidecar_control_stop(struct sidecar *sidecar)
{
	control_free(sidecar->control);
	sidecar->gateway_fd = safe_close(sidecar->gateway_fd);
	main_request_close(&sidecar->internet);
}
