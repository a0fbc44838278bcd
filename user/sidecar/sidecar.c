// SPDX-License-Identifier: Apache-2.0
/*
 * `sidestep sidecar`: puts the parts together in the order that leaves no moment in which something
 * goes unintercepted, then keeps them in step until it is told to stop.
 */
#include "sidecar/sidecar.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>

#include "commands.h"
#include "datapath/datapath_agent.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/privileges.h"
#include "lib/process.h"
#include "lib/socket_address.h"
#include "lib/util.h"
#include "net/anchor.h"
#include "net/instance_lock.h"
#include "net/netlink.h"

/* How soon a sync that failed is tried again, ms. */
#define RETRY_MS 200

#define LOOPBACK_IFINDEX 1

static double milliseconds_since(uint64_t start_ns)
{
	return (double)(clock_ns() - start_ns) / 1e6;
}

static unsigned int thread_count(const struct sidecar_options *options)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	if (options->threads)
		return options->threads;
	return cores < 1 ? 1 : cores > 64 ? 64 : (unsigned int)cores;
}

static int make_proxy(struct sidecar *sidecar)
{
	const struct sidecar_options *options = &sidecar->options;
	struct proxy_config config = {
		.threads = thread_count(options),
		.max_connections = options->max_connections,
		.peek_ms = options->peek_ms,
		.connect_ms = options->connect_ms,
		.answer_ms = options->answer_ms,
		.ipv6 = !options->disable_ipv6,
		.sni_hint = options->sni_hint || options->tls_intercept,
		.dns = options->dns,
		.refuse_direct = true,
		.gateway = sidecar->gateway,
		.policy = sidecar->policy,
		.tls = sidecar->tls,
		.announcer = {sidecar_own_socket, sidecar},
		.hooks = {.context = sidecar,
			  .flow_update = sidecar_flow_update,
			  .flow_close = sidecar_flow_close},
	};
	int error;

	if (sidecar->bridge_mode && bridge_netns_enter(&sidecar->bridge) < 0)
		return -EIO;
	error = proxy_new(&config, &sidecar->proxy);
	if (sidecar->bridge_mode && bridge_netns_leave(&sidecar->bridge) < 0)
		return -EIO;
	return error;
}

static int make_steering(struct sidecar *sidecar, uint32_t anchor_ifindex)
{
	const struct sidecar_options *options = &sidecar->options;
	struct steering_config config = {
		.mode = sidecar->bridge_mode ? SIDESTEP_MODE_BRIDGE : SIDESTEP_MODE_SIDECAR,
		.datapath = sidecar->datapath,
		.ipv6_refused = options->disable_ipv6,
		.anchor_ifindex = anchor_ifindex,
	};
	struct steering_way way = sidecar_datapath_way(sidecar);
	_cleanup_free_ struct prefix *prefixes = NULL;
	int error;

	prefixes = calloc(options->bypass.count + 1, sizeof(*prefixes));
	if (!prefixes)
		return -ENOMEM;
	if (options->bypass.count)
		memcpy(prefixes, options->bypass.values, options->bypass.count * sizeof(*prefixes));
	config.options = prefixes;
	config.option_count = options->bypass.count;
	if (options->docker_gateway_cidr.given)
		prefixes[config.option_count++] = options->docker_gateway_cidr.prefix;
	error = steering_new(&config, &sidecar->steering);
	if (error == 0)
		steering_set_datapath(sidecar->steering, sidecar->datapath, &way);
	if (error == 0)
		error = steering_set_bridges(sidecar->steering, options->bridges.values,
					     options->bridges.count);
	return error;
}

static bool covers_everything(const struct prefix *prefix)
{
	return prefix->length <= (address_is_ipv4(prefix->address) ? 96 : 0);
}

/* A prefix that covers everything would switch the interception off. */
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

static int check_modes(const struct sidecar *sidecar)
{
	if (!sidecar->bridge_mode ||
	    sidecar->options.ingress_address.address.ss_family == AF_UNSPEC)
		return 0;
	log_error(
		"--http-ingress-address does not go with --bridge: the control API is a container's "
		"own, and refuses whoever is in its network namespace, here the host");
	return -EINVAL;
}

static uint32_t open_anchor(struct sidecar *sidecar)
{
	uint32_t ifindex = LOOPBACK_IFINDEX;

	if (sidecar->bridge_mode)
		return ifindex;
	sidecar->anchor_fd = anchor_open(&ifindex);
	if (sidecar->anchor_fd >= 0)
		return ifindex;
	log_warning("no TUN device (%s): should this process be killed, IPv4 connections will time "
		    "out instead of failing at once (docker run --device /dev/net/tun)",
		    strerror(-sidecar->anchor_fd));
	return LOOPBACK_IFINDEX;
}

/*
 * Maps and devices first, then what judges by the maps, then what is to be remembered of before, at
 * last the routes. Tried without CAP_BPF already: where that works (Linux 5.19 and newer), the
 * capability is not needed any more and goes for good.
 */
static int steer_and_drop(struct sidecar *sidecar)
{
	int error, dropped;

	/* The proxy's own namespace sees nothing yet: there what steers can be ready first. */
	error = sidecar->bridge_mode ? datapath_attach(sidecar->datapath) : 0;
	if (error < 0)
		return error;
	dropped = privileges_set_bpf(false);
	error = steering_prepare(sidecar->steering);
	if (error == -EPERM && dropped == 0) {
		log_info("this kernel wants CAP_BPF at run time: keeping it");
		dropped = -EPERM;
		(void)privileges_set_bpf(true);
		error = steering_prepare(sidecar->steering);
	}
	if (error == 0) {
		sidecar_datapath_seed(sidecar);
		if (!sidecar->bridge_mode)
			error = datapath_attach(sidecar->datapath);
		if (error < 0)
			error = sidecar_datapath_await_agent(sidecar, error);
	}
	if (error == 0)
		error = steering_sync(sidecar->steering);
	return error < 0 ? error : privileges_drop(dropped < 0);
}

/* A bridge may come later, but more often its name is wrong. */
static void check_bridges(const struct sidecar *sidecar)
{
	size_t found = steering_device_count(sidecar->steering);

	if (sidecar->bridge_mode && !sidecar->feed && found < sidecar->options.bridges.count)
		log_warning("%zu of %zu bridges (--bridge) are there; the others are intercepted "
			    "when they come. Docker networks go by name only with --docker-socket",
			    found, sidecar->options.bridges.count);
}

static int start_docker(struct sidecar *sidecar)
{
	if (!sidecar->options.docker_socket)
		return 0;
	return docker_feed_new(sidecar->options.docker_socket, &sidecar->feed);
}

/* What depends on nothing but the options. */
static int prepare(struct sidecar *sidecar)
{
	const struct sidecar_options *options = &sidecar->options;
	int error = policy_new(&sidecar->policy);

	if (error < 0)
		return log_errno(error, "cannot create the DNS policy");
	return options->tls_intercept ? tls_authority_new(options->ca_directory, &sidecar->tls) : 0;
}

/* In the control's thread; `sidestep status` is told by the main thread, see run(). */
static void gateway_changed(void *context, const struct socket_address *gateway)
{
	struct sidecar *sidecar = context;

	preflight_request(sidecar->preflight, gateway);
	(void)pthread_rwlock_wrlock(&sidecar->datapath_lock);
	(void)endpoint_format((const struct sockaddr *)&gateway->address, sidecar->gateway_text);
	(void)pthread_rwlock_unlock(&sidecar->datapath_lock);
	(void)eventfd_write(sidecar->gateway_fd, 1);
}

static void describe_gateway(struct sidecar *sidecar)
{
	eventfd_t count;

	(void)eventfd_read(sidecar->gateway_fd, &count);
	(void)sidecar_datapath_describe(sidecar, sidecar->datapath);
}

/* In the background: what it finds is for the log, and delays nothing. Before the control API,
 * which may change the gateway at once. */
static int start_preflight(struct sidecar *sidecar)
{
	const struct preflight_config config = {
		.limit_ms = PREFLIGHT_LIMIT_MS,
		.announcer = {sidecar_own_socket, sidecar},
	};
	int error = preflight_new(&config, &sidecar->preflight);

	if (error == 0)
		preflight_request(sidecar->preflight, &sidecar->gateway);
	return error;
}

/* Whoever gets an answer there takes everything else for granted: so it comes last. */
static int start_control(struct sidecar *sidecar)
{
	const struct control_config config = {
		.address = sidecar->options.ingress_address,
		.proxy = sidecar->proxy,
		.policy = sidecar->policy,
		.tls = sidecar->tls,
		.gateway = sidecar->gateway,
		.announcer = {sidecar_own_socket, sidecar},
		.gateway_changed = gateway_changed,
		.context = sidecar,
	};

	if (config.address.address.ss_family == AF_UNSPEC)
		return 0;
	sidecar->gateway_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (sidecar->gateway_fd < 0)
		return log_errno(-errno, "cannot make an eventfd");
	/* -EADDRINUSE is for another instance (STATUS_BUSY); this is some other program's port. */
	return control_new(&config, &sidecar->control) < 0 ? -EIO : 0;
}

static int start(struct sidecar *sidecar)
{
	uint64_t begin_ns = clock_ns();
	uint32_t anchor_ifindex;
	int error;

	/* Two sockets for each connection, and pipes. */
	process_raise_file_limit();
	(void)signal(SIGPIPE, SIG_IGN);
	sidecar->signal_fd = process_open_signals(NULL);
	if (sidecar->signal_fd < 0)
		return log_errno(sidecar->signal_fd, "cannot open a signalfd");
	sidecar->lock_fd = instance_lock();
	if (sidecar->lock_fd < 0)
		return sidecar->lock_fd;
	sidecar->monitor_fd = netlink_monitor_open();
	if (sidecar->monitor_fd < 0)
		return log_errno(sidecar->monitor_fd, "cannot watch the network namespace");
	if (sidecar->bridge_mode && bridge_netns_open(&sidecar->bridge) < 0)
		return -EIO;
	anchor_ifindex = open_anchor(sidecar);
	if ((error = prepare(sidecar)) < 0 || (error = sidecar_datapath_open(sidecar)) < 0 ||
	    (error = make_proxy(sidecar)) < 0 ||
	    (error = sidecar_datapath_listeners(sidecar, sidecar->datapath)) < 0 ||
	    (error = make_steering(sidecar, anchor_ifindex)) < 0)
		return error;
	error = sidecar_datapath_describe(sidecar, sidecar->datapath);
	if (error < 0)
		return log_errno(error, "cannot describe this instance in its map");
	if ((error = proxy_open_resolvers(sidecar->proxy)) < 0 ||
	    (error = steer_and_drop(sidecar)) < 0 || (error = proxy_start(sidecar->proxy)) < 0 ||
	    (error = start_docker(sidecar)) < 0 || (error = start_preflight(sidecar)) < 0 ||
	    (error = start_control(sidecar)) < 0)
		return error;
	check_bridges(sidecar);
	memory_trim();
	log_info("interception is live after %.1f ms: %s, %s, gateway %s, %u threads",
		 milliseconds_since(begin_ns),
		 sidecar->bridge_mode ? "bridge mode" : "this network namespace",
		 sidecar->datapath->ops->name, sidecar->gateway_text,
		 thread_count(&sidecar->options));
	return 0;
}

/* Until SIGTERM or SIGINT. */
static void run(struct sidecar *sidecar)
{
	enum {
		SIGNAL,
		MONITOR,
		FEED,
		RENDEZVOUS,
		AGENT,
		GATEWAY,
	};
	int error = 0;

	datapath_settle(sidecar->datapath);
	memory_trim();
	for (;;) {
		struct pollfd events[] = {
			[SIGNAL] = {.fd = sidecar->signal_fd, .events = POLLIN},
			[MONITOR] = {.fd = sidecar->monitor_fd, .events = POLLIN},
			[FEED] = {.fd = sidecar->feed ? docker_feed_fd(sidecar->feed) : -1,
				  .events = POLLIN},
			[RENDEZVOUS] = {.fd = sidecar->rendezvous_fd, .events = POLLIN},
			[GATEWAY] = {.fd = sidecar->gateway_fd, .events = POLLIN},
			/* Only its end is an event: replies are read where they are waited for. */
			[AGENT] = {.fd = sidecar->agent_gone
						 ? -1
						 : datapath_agent_fd(sidecar->datapath)},
		};
		bool changed = error < 0;

		if (poll(events, ARRAY_SIZE(events), error < 0 ? RETRY_MS : -1) < 0)
			continue;
		if (events[SIGNAL].revents)
			return;
		if (events[MONITOR].revents)
			changed |= netlink_monitor_drain(sidecar->monitor_fd);
		if (events[FEED].revents) {
			(void)docker_feed_apply(sidecar->feed, sidecar->steering,
						&sidecar->options.bridges);
			changed = true;
		}
		if (events[GATEWAY].revents)
			describe_gateway(sidecar);
		if (events[AGENT].revents)
			sidecar_datapath_agent_left(sidecar);
		if (events[RENDEZVOUS].revents) {
			sidecar_datapath_agent_came(sidecar);
			changed = true;
		}
		if (!changed)
			continue;
		error = sidecar->agent_gone ? 0 : steering_sync(sidecar->steering);
		datapath_settle(sidecar->datapath);
	}
}

static void stop(struct sidecar *sidecar, bool drain)
{
	struct proxy_counters counters;

	control_free(sidecar->control);
	preflight_free(sidecar->preflight);
	docker_feed_free(sidecar->feed);
	if (drain) {
		log_info("stopping: running connections have up to %u ms",
			 sidecar->options.drain_ms);
		proxy_stop(sidecar->proxy, sidecar->options.drain_ms);
		proxy_counters(sidecar->proxy, &counters);
		log_info("relayed %llu connections, %llu bytes out, %llu in",
			 (unsigned long long)counters.relayed,
			 (unsigned long long)counters.bytes_sent,
			 (unsigned long long)counters.bytes_received);
	}
	/* A failed start takes back what is its own; what a killed predecessor left lets nothing
	 * out, and stays. */
	if (sidecar->steering && !sidecar->bridge_mode &&
	    (drain || !steering_inherited(sidecar->steering)))
		steering_clear(sidecar->steering);
	steering_free(sidecar->steering);
	/* Before the datapath, which its threads still ask. */
	proxy_free(sidecar->proxy);
	datapath_free(sidecar->datapath);
	tls_authority_free(sidecar->tls);
	policy_free(sidecar->policy);
	if (sidecar->bridge_mode)
		bridge_netns_close(&sidecar->bridge);
	(void)safe_close(sidecar->anchor_fd);
	(void)safe_close(sidecar->rendezvous_fd);
	(void)safe_close(sidecar->gateway_fd);
	(void)safe_close(sidecar->monitor_fd);
	(void)safe_close(sidecar->netns_fd);
	(void)safe_close(sidecar->signal_fd);
	(void)safe_close(sidecar->lock_fd);
}

int command_sidecar(int argc, char **argv)
{
	struct sidecar sidecar = {
		.lock_fd = -1,
		.anchor_fd = -1,
		.signal_fd = -1,
		.monitor_fd = -1,
		.netns_fd = -1,
		.rendezvous_fd = -1,
		.gateway_fd = -1,
		.datapath_lock = PTHREAD_RWLOCK_INITIALIZER,
		.bridge = {.netns_fd = -1, .host_netns_fd = -1},
	};
	int first, error;

	error = options_parse(&sidecar_options_command, argc, argv, &sidecar.options, &first);
	if (error != 0)
		return error < 0 ? STATUS_USAGE : STATUS_OK;
	log_set_level(sidecar.options.log_level);
	sidecar.bridge_mode = sidecar.options.bridges.count > 0;
	if (check_bypass(&sidecar.options) < 0 || check_modes(&sidecar) < 0 ||
	    sidecar_options_gateway(&sidecar.options, &sidecar.gateway) < 0) {
		options_release(&sidecar_options_command, &sidecar.options);
		return STATUS_USAGE;
	}
	(void)socket_address_format(&sidecar.gateway, sidecar.gateway_text);
	error = start(&sidecar);
	if (error == 0)
		run(&sidecar);
	stop(&sidecar, error == 0);
	options_release(&sidecar_options_command, &sidecar.options);
	if (error == -EADDRINUSE)
		return STATUS_BUSY;
	return error < 0 ? STATUS_FAILED : STATUS_OK;
}
