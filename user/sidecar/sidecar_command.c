// SPDX-License-Identifier: Apache-2.0
/* `sidestep sidecar`: checks its command line and runs the sidecar. */
#include <errno.h>

#include "commands.h"
#include "lib/log.h"
#include "lib/netns.h"
#include "lib/process.h"
#include "sidecar/sidecar.h"
#include "sidecar/sidecar_metrics.h"
#include "sidecar/sidecar_options.h"
#include "stream/peer_watch.h"

static bool covers_everything(const struct prefix *prefix)
{
	return prefix->length <= (address_is_ipv4(prefix->address) ? 96 : 0);
}

/* Refuses a prefix that covers everything, because nothing would be intercepted. */
static int check_bypass(const struct sidecar_options *options)
{
	bool everything = options->docker_gateway_cidr.given &&
			  covers_everything(&options->docker_gateway_cidr.prefix);
	size_t i;

	for (i = 0; i < options->bypass.count; i++)
		everything |= covers_everything(&options->bypass.values[i]);
	if (!everything)
		return 0;
	log_error("a bypassed prefix of length 0 (--bypass, --docker-gateway-cidr) would leave "
		  "nothing to intercept: give the subnets that are to be left alone");
	return -EINVAL;
}

static int check_bridge_mode(const struct sidecar_options *options)
{
	if (options->bridges.count == 0)
		return 0;
	if (options->guard_first || options->exit_closed) {
		log_error("--guard-first and --on-exit closed do not go with --bridge: the host's "
			  "network namespace is not closed");
		return -EINVAL;
	}
	if (sidecar_options_nft(options)) {
		log_error("--datapath nft does not go with --bridge: bridge mode needs BPF");
		return -EINVAL;
	}
	if (sidecar_options_exempt(options)) {
		log_error(
			"--exempt-uid and --exempt-cgroup do not go with --bridge: the sockets of "
			"containers are not seen from the host's network namespace");
		return -EINVAL;
	}
	if (options->ingress_address.address.ss_family == AF_UNSPEC)
		return 0;
	log_error("--http-ingress-address does not go with --bridge: the control API is a "
		  "container's own, and refuses clients in its network namespace, here the host");
	return -EINVAL;
}

/* In the machine's own namespace all of its programs and containers would be cut off. */
static int check_host(const struct sidecar_options *options)
{
	if (options->host || options->bridges.count > 0 || !netns_is_initial())
		return 0;
	log_error("this is the machine's own network namespace, and the whole machine would be "
		  "intercepted. Start the sidecar in a container without --network host. For the "
		  "containers of a bridge give --bridge NAME, for the whole machine --host");
	return -EINVAL;
}

static int check_limits(const struct sidecar_options *options)
{
	if (options->peer_ms == 0 || options->peer_ms >= PEER_WATCH_LIMIT_MIN_MS)
		return 0;
	log_error("--peer-timeout %u: give at least %d, because the kernel probes by the second, "
		  "or 0 for none",
		  options->peer_ms, PEER_WATCH_LIMIT_MIN_MS);
	return -EINVAL;
}

static int run(const struct sidecar_options *options)
{
	struct gateway_target target;
	int error;

	if (check_bypass(options) < 0 || check_bridge_mode(options) < 0 ||
	    check_limits(options) < 0 || sidecar_metrics_check(options) < 0)
		return STATUS_USAGE;
	/* The application may share /etc/hosts with this process. */
	error = sidecar_options_gateway(options, &target);
	if ((error < 0 && !options->guard_first) || check_host(options) < 0)
		return STATUS_USAGE;
	error = sidecar_run(options, error < 0 ? NULL : &target);
	if (error == -EADDRINUSE)
		return STATUS_BUSY;
	if (error == -EDESTADDRREQ || error == -EUNATCH)
		return STATUS_USAGE;
	if (error == -ENONET)
		return STATUS_NOBODY;
	return error < 0 ? STATUS_FAILED : STATUS_OK;
}

int command_sidecar(int argc, char **argv)
{
	struct sidecar_options options;
	int first, error, status;

	process_hide_memory();
	error = options_parse(&sidecar_options_command, argc, argv, &options, &first);
	if (error != 0)
		return error < 0 ? STATUS_USAGE : STATUS_OK;
	log_set_level(options.log_level);
	log_set_format(options.log_format);
	status = run(&options);
	options_release(&sidecar_options_command, &options);
	return status;
}
