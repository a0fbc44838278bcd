// SPDX-License-Identifier: Apache-2.0
#include "sidecar/sidecar_datapath.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "datapath/datapath_agent.h"
#include "datapath/datapath_bpf.h"
#include "datapath/datapath_nft.h"
#include "datapath/rendezvous.h"
#include "lib/log.h"
#include "lib/netns.h"
#include "lib/privileges.h"
#include "lib/util.h"
#include "steering/inbound_seed.h"

static bool is_inet(sa_family_t family)
{
	return family == AF_INET || family == AF_INET6;
}

static bool goes_to_gateway(const struct sidecar_datapath *datapath,
			    const struct sockaddr *destination)
{
	uint8_t a[16], b[16];

	if (!destination || !is_inet(destination->sa_family) ||
	    !is_inet(datapath->gateway.address.ss_family))
		return false;
	address_from_sockaddr((const struct sockaddr *)&datapath->gateway.address, a);
	address_from_sockaddr(destination, b);
	return memcmp(a, b, sizeof(a)) == 0;
}

int sidecar_datapath_announce(void *context, int fd, const struct sockaddr *destination)
{
	struct sidecar_datapath *datapath = context;
	int error;

	(void)pthread_rwlock_rdlock(&datapath->lock);
	if (datapath->gateway_bypassed && goes_to_gateway(datapath, destination))
		error = 0;
	else
		error = datapath_own_socket(datapath->current, fd, destination);
	(void)pthread_rwlock_unlock(&datapath->lock);
	return error;
}

void sidecar_datapath_flow_open(void *context, struct flow *flow)
{
	struct sidestep_flow_key key;

	datapath_flow_key(flow, &key);
	(void)sidecar_datapath_opener(context, &key, &flow->opener);
}

void sidecar_datapath_flow_update(void *context, const struct flow *flow)
{
	struct sidecar_datapath *datapath = context;

	(void)pthread_rwlock_rdlock(&datapath->lock);
	datapath_flow_update(datapath->current, flow);
	(void)pthread_rwlock_unlock(&datapath->lock);
}

void sidecar_datapath_flow_close(void *context, const struct flow *flow)
{
	struct sidecar_datapath *datapath = context;

	/* Most flows live for less than a second. They cost no system call. */
	if (!flow->updated)
		return;
	(void)pthread_rwlock_rdlock(&datapath->lock);
	datapath_flow_close(datapath->current, flow);
	(void)pthread_rwlock_unlock(&datapath->lock);
}

int sidecar_datapath_opener(struct sidecar_datapath *datapath, const struct sidestep_flow_key *key,
			    struct sidestep_process *ret_opener)
{
	int error;

	(void)pthread_rwlock_rdlock(&datapath->lock);
	error = datapath_opener(datapath->current, key, ret_opener);
	(void)pthread_rwlock_unlock(&datapath->lock);
	return error;
}

bool sidecar_datapath_wants_reports(struct sidecar_datapath *datapath)
{
	bool wants;

	(void)pthread_rwlock_rdlock(&datapath->lock);
	wants = datapath_wants_reports(datapath->current);
	(void)pthread_rwlock_unlock(&datapath->lock);
	return wants;
}

int sidecar_datapath_report(struct sidecar_datapath *datapath, const void *message, size_t size)
{
	int error;

	(void)pthread_rwlock_rdlock(&datapath->lock);
	error = datapath_report(datapath->current, message, size);
	(void)pthread_rwlock_unlock(&datapath->lock);
	return error;
}

static int open_bpf(struct sidecar_datapath *datapath)
{
	const struct sidecar_options *options = datapath->options;
	struct datapath_bpf_config config = {
		.mode = SIDESTEP_MODE_SIDECAR,
		.way = options->attach,
		.udp = (enum sidestep_udp)options->udp,
		.inner = options->inner == SIDECAR_INNER_AUTO,
		.openers = sidecar_options_openers(options),
		.quiet = true, /* a failure leads to another mechanism */
		.pin = options->pin,
	};

	if (datapath->bridge) {
		config.mode = SIDESTEP_MODE_BRIDGE;
		config.quiet = false;
		config.veth_ifindex = datapath->bridge->veth_ifindex;
		config.netns_fd = datapath->bridge->netns_fd;
		return datapath_bpf_new(&config, &datapath->current);
	}
	datapath->netns_fd = netns_open_own();
	if (datapath->netns_fd < 0)
		return log_errno(datapath->netns_fd, "cannot open the network namespace");
	config.netns_fd = datapath->netns_fd;
	return datapath_bpf_new(&config, &datapath->current);
}

static int open_nft(struct sidecar_datapath *datapath)
{
	const struct datapath_nft_config config = {
		.udp = (enum sidestep_udp)datapath->options->udp,
		.redirect = datapath->options->datapath == SIDECAR_MECHANISM_NFT_REDIRECT,
	};

	return datapath_nft_new(&config, &datapath->current);
}

int sidecar_datapath_accept(struct sidecar_datapath *datapath, struct datapath **ret_agent)
{
	int session = rendezvous_accept(datapath->rendezvous_fd), error;

	if (session < 0)
		return session;
	error = datapath_agent_new(session, (enum sidestep_udp)datapath->options->udp,
				   DATAPATH_AGENT_LIMIT_MS, ret_agent);
	if (error < 0)
		(void)safe_close(session);
	return error;
}

/* Waits for the host's agent. */
static int open_agent(struct sidecar_datapath *datapath)
{
	struct pollfd event = {.fd = datapath->rendezvous_fd, .events = POLLIN};
	int error;

	/* SIGTERM is blocked here. The main loop finds it later. */
	if (poll(&event, 1, (int)datapath->options->agent_wait_ms) <= 0)
		return -ETIMEDOUT;
	error = sidecar_datapath_accept(datapath, &datapath->current);
	datapath->agent = error == 0;
	return error;
}

/* The agent's outer guard lets out no TCP socket of the proxy's, because an application with rights
 * could use it (bpf/judge.h). So where somebody is exempt, the table steers for good. */
static int open_without_agent(struct sidecar_datapath *datapath)
{
	if (datapath->options->datapath == SIDECAR_MECHANISM_BPF)
		return log_errno(-EPERM, "--exempt-uid and --exempt-cgroup do not go with the "
					 "host's agent: give the rights for own programs, or leave "
					 "out --datapath bpf");
	log_info("no rights for BPF programs: an nftables table steers, without the host's agent "
		 "(--exempt-uid, --exempt-cgroup)");
	return open_nft(datapath);
}

static int open_without_rights(struct sidecar_datapath *datapath)
{
	int error;

	if (sidecar_options_exempt(datapath->options))
		return open_without_agent(datapath);
	datapath->rendezvous_fd = rendezvous_open();
	if (datapath->rendezvous_fd < 0)
		log_warning("the host's agent cannot be met: %s; is the limit of open files above "
			    "%d?",
			    strerror(-datapath->rendezvous_fd), AGENT_RENDEZVOUS_FD);
	/* A table takes a few milliseconds, and an agent takes over when it comes. So a host
	 * without an agent need not wait for one. */
	if (datapath->options->datapath != SIDECAR_MECHANISM_BPF) {
		log_info("no rights for BPF programs: an nftables table steers until the host's "
			 "agent comes (sidestep agent)");
		return open_nft(datapath);
	}
	error = datapath->rendezvous_fd < 0 ? datapath->rendezvous_fd : open_agent(datapath);
	if (error < 0)
		return log_errno(error,
				 "no way to steer by BPF (--datapath bpf): the host's agent "
				 "(sidestep agent) has not come within %u ms (--agent-wait). This "
				 "process lacks CAP_BPF, or its seccomp profile refuses bpf(2)",
				 datapath->options->agent_wait_ms);
	log_info("the host's agent steers with its BPF programs");
	return 0;
}

static int open_any(struct sidecar_datapath *datapath)
{
	int error;

	if (sidecar_options_nft(datapath->options))
		return open_nft(datapath);
	if (!datapath->bridge && !privileges_have_bpf())
		return open_without_rights(datapath);
	error = open_bpf(datapath);
	/* The process has the capability, but seccomp refuses the call. */
	if (error == -EPERM && !datapath->bridge)
		return open_without_rights(datapath);
	return error;
}

void sidecar_datapath_init(struct sidecar_datapath *datapath, const struct sidecar_options *options,
			   const struct bridge_netns *bridge, const struct socket_address *gateway)
{
	*datapath = (struct sidecar_datapath) {
		.options = options,
		.bridge = bridge,
		.gateway = *gateway,
		.gateway_exempt = is_inet(gateway->address.ss_family),
		.netns_fd = -1,
		.rendezvous_fd = -1,
		.lock = PTHREAD_RWLOCK_INITIALIZER,
		.gateway_lock = PTHREAD_MUTEX_INITIALIZER,
	};
	(void)socket_address_format(gateway, datapath->gateway_text);
}

int sidecar_datapath_open(struct sidecar_datapath *datapath)
{
	int error = open_any(datapath);

	if (error < 0)
		return error;
	datapath->gateway_bypassed = datapath->current->ops->gateway_by_address &&
				     datapath->gateway.address.ss_family != AF_UNIX;
	return 0;
}

bool sidecar_datapath_agent_serves(const struct sidecar_datapath *datapath)
{
	struct pollfd event = {.fd = datapath->rendezvous_fd, .events = POLLIN};

	if (!datapath->current || datapath->agent)
		return datapath->agent;
	return datapath->rendezvous_fd >= 0 &&
	       poll(&event, 1, (int)datapath->options->agent_wait_ms) > 0;
}

/* Tells an agent that has come, and was not needed, to attach nothing. */
static void decline_agent(struct sidecar_datapath *datapath)
{
	struct datapath *agent;

	if (datapath->rendezvous_fd < 0)
		return;
	/* One that comes later is told by the end of the socket. */
	(void)shutdown(datapath->rendezvous_fd, SHUT_RD);
	while (sidecar_datapath_accept(datapath, &agent) == 0)
		datapath_free(agent);
}

static void close_rest(struct sidecar_datapath *datapath)
{
	datapath_free(datapath->retired);
	datapath->retired = NULL;
	datapath->current = NULL;
	datapath->rendezvous_fd = safe_close(datapath->rendezvous_fd);
	datapath->netns_fd = safe_close(datapath->netns_fd);
}

void sidecar_datapath_close(struct sidecar_datapath *datapath)
{
	decline_agent(datapath);
	datapath_free(datapath->current);
	close_rest(datapath);
}

int sidecar_datapath_leave(struct sidecar_datapath *datapath)
{
	int error;

	/* An agent that came in place of the present one adopts its programs. */
	if (!datapath->agent)
		decline_agent(datapath);
	error = datapath_leave(datapath->current);
	close_rest(datapath);
	return error;
}

struct steering_way sidecar_datapath_way(const struct sidecar_datapath *datapath)
{
	const struct datapath_ops *ops = datapath->current->ops;
	struct steering_way way = {.out_mark = ops->out_mark, .no_inner = ops->no_inner};

	if (!datapath->gateway_bypassed || !datapath->gateway_exempt)
		return way;
	way.has_gateway = true;
	way.gateway.length = 128;
	address_from_sockaddr((const struct sockaddr *)&datapath->gateway.address,
			      way.gateway.address);
	return way;
}

void sidecar_datapath_swap(struct sidecar_datapath *datapath, struct datapath *next, bool agent,
			   struct steering *steering)
{
	uint32_t former_mark = datapath->current->ops->out_mark;
	struct steering_way way;

	(void)pthread_rwlock_wrlock(&datapath->lock);
	datapath->current = next;
	(void)pthread_rwlock_unlock(&datapath->lock);
	datapath->agent = agent;
	way = sidecar_datapath_way(datapath);
	if (way.out_mark == 0)
		way.out_mark = former_mark;
	steering_set_datapath(steering, next, &way);
}

int sidecar_datapath_listeners(struct datapath *target, const struct proxy *proxy)
{
	static const struct {
		enum sidestep_listener slot;
		int family, type;
		bool lo;
	} slots[] = {
		{SIDESTEP_LISTENER_TCP4, AF_INET, SOCK_STREAM, false},
		{SIDESTEP_LISTENER_TCP6, AF_INET6, SOCK_STREAM, false},
		{SIDESTEP_LISTENER_DNS4, AF_INET, SOCK_DGRAM, false},
		{SIDESTEP_LISTENER_DNS6, AF_INET6, SOCK_DGRAM, false},
		{SIDESTEP_LISTENER_TCP4_LO, AF_INET, SOCK_STREAM, true},
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(slots); i++) {
		int fd = proxy_listener(proxy, slots[i].family, slots[i].type, slots[i].lo);
		int error;

		if (fd < 0)
			continue;
		error = datapath_set_listener(target, slots[i].slot, fd);
		if (error < 0)
			return log_errno(error, "cannot give the proxy's listener to the datapath");
	}
	return 0;
}

int sidecar_datapath_describe(struct sidecar_datapath *datapath, struct datapath *target)
{
	char text[sizeof(datapath->gateway_text)];

	(void)pthread_mutex_lock(&datapath->gateway_lock);
	memcpy(text, datapath->gateway_text, sizeof(text));
	(void)pthread_mutex_unlock(&datapath->gateway_lock);
	return datapath_set_gateway(target, text);
}

void sidecar_datapath_move_gateway(struct sidecar_datapath *datapath,
				   const struct socket_address *gateway, bool exempt)
{
	(void)pthread_rwlock_wrlock(&datapath->lock);
	datapath->gateway = *gateway;
	datapath->gateway_exempt = exempt;
	(void)pthread_rwlock_unlock(&datapath->lock);
}

void sidecar_datapath_set_gateway(struct sidecar_datapath *datapath,
				  const struct socket_address *gateway)
{
	(void)pthread_mutex_lock(&datapath->gateway_lock);
	(void)socket_address_format(gateway, datapath->gateway_text);
	(void)pthread_mutex_unlock(&datapath->gateway_lock);
}

void sidecar_datapath_seed(struct sidecar_datapath *datapath, struct steering *steering)
{
	int count = datapath->bridge ? inbound_seed_conntrack(steering)
				     : inbound_seed_sockets(steering);

	if (count < 0) {
		log_warning("cannot list the connections that are open already: %s; their replies "
			    "will not pass",
			    strerror(-count));
		return;
	}
	(void)datapath_commit(datapath->current);
	if (count > 0)
		log_info("%d connections from outside were open already", count);
}
