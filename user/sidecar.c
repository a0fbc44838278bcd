// SPDX-License-Identifier: Apache-2.0
/*
 * `sidestep sidecar`: puts the parts together in the order that leaves no moment in which something
 * goes unintercepted, then keeps them in step until it is told to stop.
 */
#include "sidecar_options.h"

#include "anchor.h"
#include "bridge.h"
#include "cleanup.h"
#include "commands.h"
#include "datapath_nft.h"
#include "docker_feed.h"
#include "inbound_seed.h"
#include "instance_lock.h"
#include "log.h"
#include "netlink.h"
#include "policy.h"
#include "privileges.h"
#include "proxy.h"
#include "steering.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>

/* How soon a sync that failed is tried again, ms. */
#define RETRY_MS 200

#define LOOPBACK_IFINDEX 1

struct sidecar {
	struct sidecar_options options;
	bool bridge_mode;
	char gateway_text[128];
	int lock_fd;
	int anchor_fd;
	int signal_fd;
	int monitor_fd;
	int netns_fd;
	struct bridge bridge;
	struct datapath *datapath;
	struct policy *policy;
	struct proxy *proxy;
	struct steering *steering;
	struct docker_feed *feed;
};

static double milliseconds_since(const struct timespec *start)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start->tv_sec) * 1e3 +
	       (double)(now.tv_nsec - start->tv_nsec) / 1e6;
}

/* Two sockets for each connection, and pipes. */
static void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

/* From here on SIGTERM and SIGINT are events; all threads inherit that they are blocked. */
static int open_signals(void)
{
	sigset_t signals;
	int fd;

	(void)signal(SIGPIPE, SIG_IGN);
	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGTERM);
	(void)sigaddset(&signals, SIGINT);
	if (sigprocmask(SIG_BLOCK, &signals, NULL) < 0)
		return -errno;
	fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
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
		.sni_hint = options->sni_hint,
		.dns = options->dns,
		.refuse_direct = true,
		.hooks = {.context = sidecar->datapath,
			  .own_socket = datapath_own_socket,
			  .flow_update = datapath_flow_update,
			  .flow_close = datapath_flow_close},
	};
	int error;

	if (sidecar_gateway(options, &config.gateway, sidecar->gateway_text) < 0)
		return -EINVAL;
	error = policy_new(&sidecar->policy);
	if (error < 0)
		return log_errno(error, "cannot create the DNS policy");
	config.policy = sidecar->policy;
	if (sidecar->bridge_mode && bridge_enter(&sidecar->bridge) < 0)
		return -EIO;
	error = proxy_new(&config, &sidecar->proxy);
	if (sidecar->bridge_mode && bridge_leave(&sidecar->bridge) < 0)
		return -EIO;
	return error;
}

static int set_listeners(struct sidecar *sidecar)
{
	static const struct {
		enum sidestep_listener slot;
		int family, type;
	} slots[] = {
		{SIDESTEP_LISTENER_TCP4, AF_INET, SOCK_STREAM},
		{SIDESTEP_LISTENER_TCP6, AF_INET6, SOCK_STREAM},
		{SIDESTEP_LISTENER_DNS4, AF_INET, SOCK_DGRAM},
		{SIDESTEP_LISTENER_DNS6, AF_INET6, SOCK_DGRAM},
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(slots); i++) {
		int fd = proxy_listener(sidecar->proxy, slots[i].family, slots[i].type);
		int error;

		if (fd < 0)
			continue;
		error = datapath_set_listener(sidecar->datapath, slots[i].slot, fd);
		if (error < 0)
			return log_errno(error, "cannot put the proxy's listener into the map");
	}
	return 0;
}

static int make_steering(struct sidecar *sidecar, uint32_t anchor_ifindex)
{
	const struct sidecar_options *options = &sidecar->options;
	struct steering_config config = {
		.mode = sidecar->bridge_mode ? SIDESTEP_MODE_BRIDGE : SIDESTEP_MODE_SIDECAR,
		.datapath = sidecar->datapath,
		.ipv6_refused = options->disable_ipv6,
		.anchor_ifindex = anchor_ifindex,
		.out_mark = options->datapath == SIDECAR_DATAPATH_NFT ? DATAPATH_NFT_OUT_MARK : 0,
	};
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

static int start_datapath(struct sidecar *sidecar)
{
	struct datapath_bpf_config config = {
		.mode = sidecar->bridge_mode ? SIDESTEP_MODE_BRIDGE : SIDESTEP_MODE_SIDECAR,
		.way = sidecar->options.attach,
		.udp_pass = sidecar->options.udp == 1,
		.veth_ifindex = sidecar->bridge.veth_ifindex,
		.pin = sidecar->options.pin,
	};

	if (sidecar->options.datapath == SIDECAR_DATAPATH_NFT)
		return datapath_nft_new(
			&(struct datapath_nft_config) {.udp_pass = sidecar->options.udp == 1},
			&sidecar->datapath);
	if (!sidecar->bridge_mode) {
		sidecar->netns_fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
		if (sidecar->netns_fd < 0)
			return log_errno(-errno, "cannot open the network namespace");
	}
	config.netns_fd = sidecar->bridge_mode ? sidecar->bridge.netns_fd : sidecar->netns_fd;
	return datapath_bpf_new(&config, &sidecar->datapath);
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

static void seed_inbound(struct sidecar *sidecar)
{
	int count = sidecar->bridge_mode ? inbound_seed_conntrack(sidecar->steering)
					 : inbound_seed_sockets(sidecar->steering);

	if (count < 0)
		log_warning("cannot list the connections that are open already: %s; their replies "
			    "will not pass",
			    strerror(-count));
	else if (count > 0)
		log_info("%d connections from outside were open already", count);
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
		seed_inbound(sidecar);
		if (!sidecar->bridge_mode)
			error = datapath_attach(sidecar->datapath);
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

static int start(struct sidecar *sidecar)
{
	struct timespec begin;
	uint32_t anchor_ifindex;
	int error;

	(void)clock_gettime(CLOCK_MONOTONIC, &begin);
	raise_file_limit();
	sidecar->signal_fd = open_signals();
	if (sidecar->signal_fd < 0)
		return log_errno(sidecar->signal_fd, "cannot open a signalfd");
	sidecar->lock_fd = instance_lock();
	if (sidecar->lock_fd < 0)
		return sidecar->lock_fd;
	sidecar->monitor_fd = netlink_monitor_open();
	if (sidecar->monitor_fd < 0)
		return log_errno(sidecar->monitor_fd, "cannot watch the network namespace");
	if (sidecar->bridge_mode && bridge_open(&sidecar->bridge) < 0)
		return -EIO;
	anchor_ifindex = open_anchor(sidecar);
	if ((error = start_datapath(sidecar)) < 0 || (error = make_proxy(sidecar)) < 0 ||
	    (error = set_listeners(sidecar)) < 0 ||
	    (error = make_steering(sidecar, anchor_ifindex)) < 0)
		return error;
	error = datapath_set_gateway(sidecar->datapath, sidecar->gateway_text);
	if (error < 0)
		return log_errno(error, "cannot describe this instance in its map");
	if ((error = steer_and_drop(sidecar)) < 0 || (error = proxy_start(sidecar->proxy)) < 0 ||
	    (error = start_docker(sidecar)) < 0)
		return error;
	check_bridges(sidecar);
	log_info("interception is live after %.1f ms: %s, gateway %s, %u threads",
		 milliseconds_since(&begin),
		 sidecar->bridge_mode ? "bridge mode" : "this network namespace",
		 sidecar->gateway_text, thread_count(&sidecar->options));
	return 0;
}

/* Until SIGTERM or SIGINT. */
static void run(struct sidecar *sidecar)
{
	struct pollfd events[] = {
		{.fd = sidecar->signal_fd, .events = POLLIN},
		{.fd = sidecar->monitor_fd, .events = POLLIN},
		{.fd = sidecar->feed ? docker_feed_fd(sidecar->feed) : -1, .events = POLLIN},
	};
	int error = 0;

	for (;;) {
		bool changed = error < 0;

		if (poll(events, ARRAY_SIZE(events), error < 0 ? RETRY_MS : -1) < 0)
			continue;
		if (events[0].revents)
			return;
		if (events[1].revents)
			changed |= netlink_monitor_drain(sidecar->monitor_fd);
		if (events[2].revents) {
			(void)docker_feed_apply(sidecar->feed, sidecar->steering,
						&sidecar->options.bridges);
			changed = true;
		}
		if (changed)
			error = steering_sync(sidecar->steering);
	}
}

static void stop(struct sidecar *sidecar, bool drain)
{
	struct proxy_counters counters;

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
	datapath_free(sidecar->datapath);
	proxy_free(sidecar->proxy);
	policy_free(sidecar->policy);
	if (sidecar->bridge_mode)
		bridge_close(&sidecar->bridge);
	(void)safe_close(sidecar->anchor_fd);
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
		.bridge = {.netns_fd = -1, .host_netns_fd = -1},
	};
	struct proxy_gateway gateway;
	int first, error;

	error = options_parse(&sidecar_command, argc, argv, &sidecar.options, &first);
	if (error != 0)
		return error < 0 ? STATUS_USAGE : STATUS_OK;
	log_set_level(sidecar.options.log_level);
	sidecar.bridge_mode = sidecar.options.bridges.count > 0;
	if (check_bypass(&sidecar.options) < 0 ||
	    sidecar_gateway(&sidecar.options, &gateway, sidecar.gateway_text) < 0) {
		options_release(&sidecar_command, &sidecar.options);
		return STATUS_USAGE;
	}
	error = start(&sidecar);
	if (error == 0)
		run(&sidecar);
	stop(&sidecar, error == 0);
	options_release(&sidecar_command, &sidecar.options);
	if (error == -EADDRINUSE)
		return STATUS_BUSY;
	return error < 0 ? STATUS_FAILED : STATUS_OK;
}
