// SPDX-License-Identifier: Apache-2.0
#include "sidecar/sidecar_steps.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "events/event_log.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/privileges.h"
#include "lib/process.h"
#include "lib/sandbox.h"
#include "lib/util.h"
#include "net/instance_lock.h"
#include "net/netlink.h"
#include "operator/operator_server.h"
#include "proxy/policy.h"
#include "proxy/proxy.h"
#include "sidecar/docker_feed.h"
#include "sidecar/preflight.h"
#include "sidecar/sidecar_captures.h"
#include "sidecar/sidecar_control.h"
#include "sidecar/sidecar_events.h"
#include "sidecar/sidecar_gateway.h"
#include "sidecar/sidecar_interception.h"
#include "sidecar/sidecar_metrics.h"
#include "sidecar/sidecar_operator.h"
#include "sidecar/sidecar_policy.h"
#include "sidecar/sidecar_threads.h"
#include "sidecar/sidecar_who.h"
#include "sidestep.h"
#include "steering/steering.h"
#include "tls/tls_authority.h"

static int open_signals(struct sidecar *sidecar)
{
	(void)signal(SIGPIPE, SIG_IGN);
	sidecar->signal_fd = process_open_signals(NULL);
	if (sidecar->signal_fd < 0)
		return log_errno(sidecar->signal_fd, "cannot open a signalfd");
	return 0;
}

static void close_signals(struct sidecar *sidecar)
{
	sidecar->signal_fd = safe_close(sidecar->signal_fd);
}

static int take_lock(struct sidecar *sidecar)
{
	sidecar->lock_fd = instance_lock();
	return sidecar->lock_fd < 0 ? sidecar->lock_fd : 0;
}

static void release_lock(struct sidecar *sidecar)
{
	sidecar->lock_fd = safe_close(sidecar->lock_fd);
}

static int open_monitor(struct sidecar *sidecar)
{
	sidecar->monitor_fd = netlink_monitor_open(true);
	if (sidecar->monitor_fd < 0)
		return log_errno(sidecar->monitor_fd, "cannot watch the network namespace");
	return 0;
}

static void close_monitor(struct sidecar *sidecar)
{
	sidecar->monitor_fd = safe_close(sidecar->monitor_fd);
}

static int open_bridge(struct sidecar *sidecar)
{
	return sidecar->bridge_mode ? bridge_netns_open(&sidecar->bridge) : 0;
}

static void close_bridge(struct sidecar *sidecar)
{
	if (sidecar->bridge_mode)
		bridge_netns_close(&sidecar->bridge);
}

/* The machine's own namespace is nobody's container. */
static int watch_way_out(struct sidecar *sidecar)
{
	if (sidecar->bridge_mode || sidecar->options->host)
		return 0;
	return way_out_open(&sidecar->way_out);
}

static void unwatch_way_out(struct sidecar *sidecar)
{
	way_out_close(&sidecar->way_out);
}

static void free_steering(struct sidecar *sidecar)
{
	steering_free(sidecar->steering);
}

/* The command line may name no gateway that can be found, which was logged. The namespace is closed
 * by now if it has to be. */
static int check_gateway(struct sidecar *sidecar)
{
	return sidecar->target ? 0 : -EDESTADDRREQ;
}

static int make_policy(struct sidecar *sidecar)
{
	return sidecar_policy_new(sidecar->options, &sidecar->policy);
}

static void free_policy(struct sidecar *sidecar)
{
	policy_free(sidecar->policy);
}

static int make_authority(struct sidecar *sidecar)
{
	const char *directory = sidecar->options->ca_directory;

	if (!sidecar->options->tls_intercept)
		return 0;
	return tls_authority_new(strcmp(directory, "-") == 0 ? NULL : directory, &sidecar->tls);
}

static void free_authority(struct sidecar *sidecar)
{
	tls_authority_free(sidecar->tls);
}

static int open_datapath(struct sidecar *sidecar)
{
	struct steering_way way;
	int error;

	sidecar_datapath_init(&sidecar->datapath, sidecar->options,
			      sidecar->bridge_mode ? &sidecar->bridge : NULL, &sidecar->gateway);
	error = sidecar_datapath_open(&sidecar->datapath);
	if (error < 0)
		return error;
	sidecar->guarded |= sidecar->datapath.agent;
	way = sidecar_datapath_way(&sidecar->datapath);
	steering_set_datapath(sidecar->steering, sidecar->datapath.current, &way);
	return 0;
}

static void close_datapath(struct sidecar *sidecar)
{
	if (sidecar_interception_stays_closed(sidecar))
		sidecar->ajar = sidecar_datapath_leave(&sidecar->datapath) < 0;
	else
		sidecar_datapath_close(&sidecar->datapath);
}

static int open_exemption(struct sidecar *sidecar)
{
	return exemption_open(&sidecar->exemption, sidecar->options);
}

static void close_exemption(struct sidecar *sidecar)
{
	exemption_close(&sidecar->exemption);
}

static int make_listeners(struct sidecar *sidecar)
{
	const struct sidecar_options *options = sidecar->options;
	const struct proxy_config config = {
		.threads = sidecar->threads,
		.max_connections = options->max_connections,
		.peek_ms = options->peek_ms,
		.client_first_ms = options->client_first_ms,
		.connect_ms = options->connect_ms,
		.answer_ms = options->answer_ms,
		.peer_ms = options->peer_ms,
		.ipv6 = !options->disable_ipv6,
		.sni_hint = options->sni_hint || options->tls_intercept,
		.workerd_peek = sidecar_options_controlled(options),
		.dns = options->dns,
		.refuse_direct = true,
		.dns_by_port = sidecar->datapath.current->ops->dns_by_port,
		.gateway = sidecar->gateway,
		.gateway_origin = options->gateway ? "option --gateway"
						   : "option --http-egress-port",
		.gateway_protocol = sidecar_options_protocol(options),
		.policy = sidecar->policy,
		.tls = sidecar->tls,
		.tap = sidecar_captures_tap(sidecar),
		.announcer = {sidecar_datapath_announce, &sidecar->datapath},
		.exemption = {exemption_owns, &sidecar->exemption, exemption_origin(options)},
		.events = sidecar->events.events,
		.events_hint = sidecar_events_hint(sidecar),
		.hooks = {.context = &sidecar->datapath,
			  .flow_open = sidecar_options_openers(options) ? sidecar_datapath_flow_open
									: NULL,
			  .flow_update = sidecar_datapath_flow_update,
			  .flow_close = sidecar_datapath_flow_close},
	};
	int error;

	if (sidecar->bridge_mode && bridge_netns_enter(&sidecar->bridge) < 0)
		return -EIO;
	error = proxy_new(&config, &sidecar->proxy);
	if (sidecar->bridge_mode && bridge_netns_leave(&sidecar->bridge) < 0)
		return -EIO;
	return error;
}

static int make_proxy(struct sidecar *sidecar)
{
	struct datapath *datapath = sidecar->datapath.current;
	int error;

	sidecar->threads = sidecar_threads(sidecar->options->threads);
	error = make_listeners(sidecar);
	if (error == 0)
		error = sidecar_datapath_listeners(datapath, sidecar->proxy);
	if (error < 0)
		return error;
	error = sidecar_datapath_describe(&sidecar->datapath, datapath);
	if (error < 0)
		return log_errno(error, "cannot describe this instance in its map");
	return proxy_open_resolvers(sidecar->proxy);
}

static void free_proxy(struct sidecar *sidecar)
{
	proxy_free(sidecar->proxy);
}

/* The datapath's maps may be pinned. An agent that comes later changes its own. */
static struct sandbox own_sandbox(const struct sidecar *sidecar)
{
	bool own_programs = sidecar->datapath.current->ops->own_programs;

	return (struct sandbox) {
		.role = SANDBOX_SIDECAR,
		.own_programs = own_programs,
		.folder = own_programs ? sidecar->options->pin : NULL,
		.names = sidecar->target->host[0] != '\0' || otlp_looks_up(sidecar->metrics.otlp),
		.sockets = {sidecar_metrics_file(sidecar), sidecar_captures_path(sidecar),
			    operator_server_path(sidecar->operator),
			    sidecar->events.path[0] ? sidecar->events.path : NULL},
		.log = event_log_file(sidecar->events.log),
	};
}

/* No file is opened any more. The threads that start from here on inherit that. */
static int start_proxy(struct sidecar *sidecar)
{
	const struct sandbox sandbox = own_sandbox(sidecar);
	int error;

	sandbox_files(&sandbox);
	error = sidecar_events_start(sidecar);
	return error < 0 ? error : proxy_start(sidecar->proxy);
}

/* Lets running connections end. After a failed start there are none, and without a device they lead
 * nowhere. */
static void drain_proxy(struct sidecar *sidecar)
{
	unsigned int limit_ms = sidecar->deserted ? 0 : sidecar->options->drain_ms;
	struct proxy_counters counters;

	if (!sidecar->live)
		return;
	log_info("stopping: running connections have up to %u ms", limit_ms);
	proxy_stop(sidecar->proxy, limit_ms);
	proxy_counters(sidecar->proxy, &counters);
	log_info("relayed %llu connections, %llu bytes out, %llu in",
		 (unsigned long long)counters.relayed, (unsigned long long)counters.bytes_sent,
		 (unsigned long long)counters.bytes_received);
}

/* The container's addresses behind a bridge are not ours to make unreachable. */
static int start_ipv6(struct sidecar *sidecar)
{
	const struct sidecar_options *options = sidecar->options;

	if (sidecar->bridge_mode || options->disable_ipv6 || !options->ipv6_fallback)
		return 0;
	return ipv6_pause_open(&sidecar->ipv6, sidecar->proxy, sidecar->steering);
}

static void stop_ipv6(struct sidecar *sidecar)
{
	ipv6_pause_close(&sidecar->ipv6);
}

static int start_docker(struct sidecar *sidecar)
{
	if (!sidecar->options->docker_socket)
		return 0;
	return docker_feed_new(sidecar->options->docker_socket,
			       sidecar_who_tenants(sidecar->events.who), &sidecar->feed);
}

static void stop_docker(struct sidecar *sidecar)
{
	docker_feed_free(sidecar->feed);
}

/* The check runs in the background and only logs, so it delays nothing. */
static int start_preflight(struct sidecar *sidecar)
{
	const struct preflight_config config = {
		.limit_ms = PREFLIGHT_LIMIT_MS,
		.proxy = sidecar->proxy,
		.bridge_mode = sidecar->bridge_mode,
		.announcer = {sidecar_datapath_announce, &sidecar->datapath},
		.finder = sidecar->target->host[0] ? &sidecar->finder : NULL,
		.move = sidecar_gateway_move,
		.context = sidecar,
	};
	int error = main_request_open(&sidecar->move);

	if (error < 0)
		return log_errno(error, "cannot prepare the check of the gateway");
	error = preflight_new(&config, &sidecar->preflight);
	if (error == 0)
		preflight_request(sidecar->preflight, &sidecar->gateway);
	return error;
}

static void stop_preflight(struct sidecar *sidecar)
{
	preflight_free(sidecar->preflight);
	main_request_close(&sidecar->move);
}

static int mark_live(struct sidecar *sidecar)
{
	sidecar->live_fd = instance_mark_live();
	return sidecar->live_fd < 0 ? sidecar->live_fd : 0;
}

static void unmark_live(struct sidecar *sidecar)
{
	sidecar->live_fd = safe_close(sidecar->live_fd);
	/* Nobody answers an operator while connections are drained. */
	sidecar_operator_close(sidecar);
}

/*
 * The steps of the start, in an order in which no traffic passes unintercepted. They are undone in
 * reverse. A stop must cope with a start that failed halfway. Nothing in front of the guard can be
 * made to fail by an application without CAP_NET_ADMIN. The control API and the mark for `sidestep
 * ready` come last, because whoever sees them relies on everything else.
 */
static const struct {
	const char *name;
	int (*start)(struct sidecar *sidecar); /* 0 or negative errno, logged */
	void (*stop)(struct sidecar *sidecar); /* NULL: nothing to undo */
} steps[] = {
	{"signals", open_signals, close_signals},
	{"instance lock", take_lock, release_lock},
	{"monitor", open_monitor, close_monitor},
	{"bridge namespace", open_bridge, close_bridge},
	{"way out", watch_way_out, unwatch_way_out},
	{"steering", sidecar_interception_new, free_steering},
	{"guard", sidecar_interception_close, NULL},
	{"gateway's address", sidecar_gateway_find, sidecar_gateway_forget},
	{"DNS policy", make_policy, free_policy},
	{"TLS authority", make_authority, free_authority},
	{"captures", sidecar_captures_start, sidecar_captures_stop},
	{"datapath", open_datapath, close_datapath},
	{"guard of devices", sidecar_interception_guard_devices, sidecar_interception_end},
	{"gateway", check_gateway, NULL},
	{"exemption", open_exemption, close_exemption},
	{"sums of events", sidecar_metrics_prepare, sidecar_metrics_release},
	{"events", sidecar_events_open, sidecar_events_close},
	{"proxy", make_proxy, free_proxy},
	{"interception", sidecar_interception_start, NULL},
	{"address of the metrics", sidecar_metrics_open, sidecar_metrics_close},
	{"operator's socket", sidecar_operator_open, sidecar_operator_close},
	{"proxy threads", start_proxy, drain_proxy},
	{"IPv6", start_ipv6, stop_ipv6},
	{"Docker", start_docker, stop_docker},
	{"preflight", start_preflight, stop_preflight},
	{"metrics", sidecar_metrics_start, sidecar_metrics_stop},
	{"control API", sidecar_control_start, sidecar_control_stop},
	{"readiness", mark_live, unmark_live},
};

void sidecar_steps_init(struct sidecar *sidecar, const struct sidecar_options *options,
			const struct gateway_target *target)
{
	*sidecar = (struct sidecar) {
		.options = options,
		.target = target,
		.bridge_mode = options->bridges.count > 0,
		.signal_fd = -1,
		.lock_fd = -1,
		.live_fd = -1,
		.bridges_found = SIZE_MAX,
		.monitor_fd = -1,
		.gateway_fd = -1,
		.ipv6.timer_fd = -1,
		.internet = {.fd = -1},
		.move = {.fd = -1},
		.way_out.timer_fd = -1,
		.bridge = {.netns_fd = -1, .host_netns_fd = -1},
	};
}

static int begin_steps(struct sidecar *sidecar, uint64_t begin_ns)
{
	size_t i;
	int error;

	for (i = 0; i < ARRAY_SIZE(steps); i++) {
		sidecar->steps_begun = i + 1;
		error = steps[i].start(sidecar);
		/* Another instance has the lock. Behind it, another program has a port. */
		if (error == -EADDRINUSE && sidecar->lock_fd >= 0)
			return -EIO;
		if (error < 0)
			return error;
		log_debug("start: %s after %.1f ms", steps[i].name,
			  (double)(clock_ns() - begin_ns) / 1e6);
	}
	return 0;
}

int sidecar_steps_start(struct sidecar *sidecar)
{
	uint64_t begin_ns = clock_ns();
	int error = begin_steps(sidecar, begin_ns);
	struct sandbox sandbox;

	if (error < 0) {
		sidecar_interception_failed(sidecar);
		return error;
	}
	sidecar->live = true;
	sidecar->bridges_known = !sidecar->feed;
	sidecar_interception_tell_bridges(sidecar);
	log_info("interception is live after %.1f ms: %s, %s, gateway %s, %u threads",
		 (double)(clock_ns() - begin_ns) / 1e6,
		 sidecar->bridge_mode ? "bridge mode" : "this network namespace",
		 sidecar->datapath.current->ops->name, sidecar->datapath.gateway_text,
		 sidecar->threads);
	datapath_complete(sidecar->datapath.current);
	sandbox = own_sandbox(sidecar);
	sandbox_calls(&sandbox);
	memory_trim();
	return 0;
}

void sidecar_steps_stop(struct sidecar *sidecar)
{
	bool closed = sidecar_interception_stays_closed(sidecar);

	while (sidecar->steps_begun > 0) {
		sidecar->steps_begun--;
		if (steps[sidecar->steps_begun].stop)
			steps[sidecar->steps_begun].stop(sidecar);
	}
	if (sidecar->ajar)
		log_error("stopped: packets may get out of this network namespace, which could not "
			  "be left closed. Start sidestep in it again");
	else if (closed && sidecar->live)
		log_info(
			"stopped: this network namespace stays closed until sidestep runs in it again");
	else if (closed)
		log_error(
			"the start failed: this network namespace stays closed until a start succeeds. "
			"To open it, stop that sidecar without --on-exit closed");
}
