// SPDX-License-Identifier: Apache-2.0
/* Which datapath a sidecar uses, and how one takes another's place while it runs. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>

#include "datapath/datapath_agent.h"
#include "datapath/datapath_bpf.h"
#include "datapath/datapath_nft.h"
#include "datapath/rendezvous.h"
#include "lib/log.h"
#include "lib/netns.h"
#include "lib/privileges.h"
#include "lib/util.h"
#include "sidecar/sidecar.h"
#include "steering/inbound_seed.h"

/* Connections to the gateway are bypassed by its address where they cannot be marked cheaply. */
static bool goes_to_gateway(const struct sidecar *sidecar, const struct sockaddr *destination)
{
	const struct sockaddr *gateway = (const struct sockaddr *)&sidecar->gateway.address;
	uint8_t a[16], b[16];

	if (!sidecar->gateway_bypassed || !destination || gateway->sa_family == AF_UNIX ||
	    destination->sa_family == AF_UNIX)
		return false;
	address_from_sockaddr(gateway, a);
	address_from_sockaddr(destination, b);
	return memcmp(a, b, sizeof(a)) == 0;
}

int sidecar_own_socket(void *context, int fd, const struct sockaddr *destination)
{
	struct sidecar *sidecar = context;
	int error;

	if (goes_to_gateway(sidecar, destination))
		return 0;
	(void)pthread_rwlock_rdlock(&sidecar->datapath_lock);
	error = datapath_own_socket(sidecar->datapath, fd, destination);
	(void)pthread_rwlock_unlock(&sidecar->datapath_lock);
	return error;
}

void sidecar_flow_update(void *context, const struct flow *flow)
{
	struct sidecar *sidecar = context;

	(void)pthread_rwlock_rdlock(&sidecar->datapath_lock);
	datapath_flow_update(sidecar->datapath, flow);
	(void)pthread_rwlock_unlock(&sidecar->datapath_lock);
}

void sidecar_flow_close(void *context, const struct flow *flow)
{
	struct sidecar *sidecar = context;

	/* Most live for less than a second: they cost no system call. */
	if (!flow->updated)
		return;
	(void)pthread_rwlock_rdlock(&sidecar->datapath_lock);
	datapath_flow_close(sidecar->datapath, flow);
	(void)pthread_rwlock_unlock(&sidecar->datapath_lock);
}

static int open_bpf(struct sidecar *sidecar)
{
	bool alone = sidecar->bridge_mode;
	struct datapath_bpf_config config = {
		.mode = sidecar->bridge_mode ? SIDESTEP_MODE_BRIDGE : SIDESTEP_MODE_SIDECAR,
		.way = sidecar->options.attach,
		.udp_pass = sidecar->options.udp == 1,
		.quiet = !alone, /* there are other ways */
		.veth_ifindex = sidecar->bridge.veth_ifindex,
		.pin = sidecar->options.pin,
	};

	if (!sidecar->bridge_mode) {
		sidecar->netns_fd = netns_open_own();
		if (sidecar->netns_fd < 0)
			return log_errno(sidecar->netns_fd, "cannot open the network namespace");
	}
	config.netns_fd = sidecar->bridge_mode ? sidecar->bridge.netns_fd : sidecar->netns_fd;
	return datapath_bpf_new(&config, &sidecar->datapath);
}

static int open_nft(struct sidecar *sidecar)
{
	const struct datapath_nft_config config = {.udp_pass = sidecar->options.udp == 1};

	return datapath_nft_new(&config, &sidecar->datapath);
}

/* The agent, if it comes in time. */
static int open_agent(struct sidecar *sidecar)
{
	struct pollfd event = {.fd = sidecar->rendezvous_fd, .events = POLLIN};
	int session;

	/* A signal that is to end the process is blocked, and found afterwards. */
	if (poll(&event, 1, (int)sidecar->options.agent_wait_ms) <= 0)
		return -ETIMEDOUT;
	session = rendezvous_accept(sidecar->rendezvous_fd);
	if (session < 0)
		return session;
	return datapath_agent_new(session, sidecar->options.udp == 1, &sidecar->datapath);
}

static int open_without_rights(struct sidecar *sidecar)
{
	enum sidecar_mechanism wanted = sidecar->options.datapath;
	int error;

	sidecar->rendezvous_fd = rendezvous_open();
	if (sidecar->rendezvous_fd < 0)
		log_warning("the host's agent cannot be met: %s; is the limit of open files above "
			    "%d?",
			    strerror(-sidecar->rendezvous_fd), AGENT_RENDEZVOUS_FD);
	/* The table is there in a few milliseconds, with the agent or without; the agent takes over
	 * when it comes. So nobody who has none waits for it. */
	if (wanted != SIDECAR_MECHANISM_BPF) {
		log_info("no rights for BPF programs: an nftables table steers until the host's "
			 "agent comes (sidestep agent)");
		return open_nft(sidecar);
	}
	error = sidecar->rendezvous_fd < 0 ? sidecar->rendezvous_fd : open_agent(sidecar);
	if (error < 0)
		return log_errno(error,
				 "no way to steer by BPF (--datapath bpf): this process lacks "
				 "CAP_BPF, or its seccomp profile refuses bpf(2), and the host's "
				 "agent (sidestep agent) has not come within %u ms (--agent-wait)",
				 sidecar->options.agent_wait_ms);
	log_info("the host's agent steers with its BPF programs");
	return 0;
}

int sidecar_datapath_open(struct sidecar *sidecar)
{
	enum sidecar_mechanism wanted = sidecar->options.datapath;
	int error;

	if (wanted == SIDECAR_MECHANISM_NFT && sidecar->bridge_mode) {
		log_error("--datapath nft does not go with --bridge: bridge mode needs BPF");
		return -EINVAL;
	}
	if (wanted == SIDECAR_MECHANISM_NFT)
		return open_nft(sidecar);
	if (!sidecar->bridge_mode && !privileges_have_bpf())
		return open_without_rights(sidecar);
	error = open_bpf(sidecar);
	/* The capability is there, but seccomp says no. */
	if (error == -EPERM && !sidecar->bridge_mode)
		return open_without_rights(sidecar);
	return error;
}

struct steering_way sidecar_datapath_way(struct sidecar *sidecar)
{
	bool nft = strcmp(sidecar->datapath->ops->name, "nft") == 0;
	bool agent = datapath_agent_fd(sidecar->datapath) >= 0;
	struct steering_way way = {.out_mark = nft ? DATAPATH_NFT_OUT_MARK : 0};

	/* These cannot mark the proxy's connections one by one at the price of own programs. */
	if ((nft || agent) && sidecar->gateway.address.ss_family != AF_UNIX) {
		way.has_gateway = true;
		address_from_sockaddr((const struct sockaddr *)&sidecar->gateway.address,
				      way.gateway.address);
		way.gateway.length = 128;
	}
	sidecar->gateway_bypassed = way.has_gateway;
	return way;
}

int sidecar_datapath_listeners(const struct sidecar *sidecar, struct datapath *datapath)
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
		int fd = proxy_listener(sidecar->proxy, slots[i].family, slots[i].type,
					slots[i].lo);
		int error;

		if (fd < 0)
			continue;
		error = datapath_set_listener(datapath, slots[i].slot, fd);
		if (error < 0)
			return log_errno(error, "cannot give the proxy's listener to the datapath");
	}
	return 0;
}

int sidecar_datapath_describe(struct sidecar *sidecar, struct datapath *datapath)
{
	char text[sizeof(sidecar->gateway_text)];

	(void)pthread_rwlock_rdlock(&sidecar->datapath_lock);
	memcpy(text, sidecar->gateway_text, sizeof(text));
	(void)pthread_rwlock_unlock(&sidecar->datapath_lock);
	return datapath_set_gateway(datapath, text);
}

void sidecar_datapath_seed(struct sidecar *sidecar)
{
	int count = sidecar->bridge_mode ? inbound_seed_conntrack(sidecar->steering)
					 : inbound_seed_sockets(sidecar->steering);

	if (count >= 0)
		(void)datapath_commit(sidecar->datapath);
	if (count < 0)
		log_warning("cannot list the connections that are open already: %s; their replies "
			    "will not pass",
			    strerror(-count));
	else if (count > 0)
		log_info("%d connections from outside were open already", count);
}

static void swap_datapath(struct sidecar *sidecar, struct datapath *datapath)
{
	struct steering_way way;

	(void)pthread_rwlock_wrlock(&sidecar->datapath_lock);
	sidecar->datapath = datapath;
	(void)pthread_rwlock_unlock(&sidecar->datapath_lock);
	way = sidecar_datapath_way(sidecar);
	/* While the old one steers, too, it needs the rule that its mark goes by. */
	if (way.out_mark == 0 && !sidecar->agent_gone)
		way.out_mark = DATAPATH_NFT_OUT_MARK;
	steering_set_datapath(sidecar->steering, datapath, &way);
}

/* Everything that the old datapath has, in the order of start(); both steer for a moment. */
static int take_over(struct sidecar *sidecar, struct datapath *datapath)
{
	int error = sidecar_datapath_listeners(sidecar, datapath);

	if (error == 0)
		error = sidecar_datapath_describe(sidecar, datapath);
	if (error < 0)
		return error;
	swap_datapath(sidecar, datapath);
	error = steering_prepare(sidecar->steering);
	if (error == 0)
		error = proxy_announce(sidecar->proxy);
	if (error < 0)
		return error;
	sidecar_datapath_seed(sidecar);
	return datapath_attach(datapath);
}

/* Ends a datapath that another one has replaced. */
static void retire(struct sidecar *sidecar, struct datapath *old)
{
	struct steering_way way = sidecar_datapath_way(sidecar);

	if (datapath_agent_fd(old) >= 0)
		datapath_agent_forget(old);
	else
		datapath_free(old);
	steering_set_datapath(sidecar->steering, sidecar->datapath, &way);
	(void)steering_sync(sidecar->steering);
}

void sidecar_datapath_agent_came(struct sidecar *sidecar)
{
	struct datapath *old = sidecar->datapath, *new = NULL;
	int session = rendezvous_accept(sidecar->rendezvous_fd), error;

	if (session < 0)
		return;
	if (datapath_agent_new(session, sidecar->options.udp == 1, &new) < 0) {
		(void)safe_close(session);
		return;
	}
	/* An agent that comes while another one's session stands replaces it. */
	if (datapath_agent_fd(old) >= 0)
		sidecar->agent_gone = true;
	error = take_over(sidecar, new);
	if (error < 0) {
		(void)log_errno(error,
				"the host's agent has come but could not take over: %s goes "
				"on",
				old->ops->name);
		if (sidecar->datapath == new)
			swap_datapath(sidecar, old);
		datapath_agent_forget(new);
		return;
	}
	log_info("the host's agent steers with its BPF programs, in place of %s",
		 sidecar->agent_gone ? "an earlier agent" : "the nftables table");
	retire(sidecar, old);
	sidecar->agent_gone = false;
}

void sidecar_datapath_agent_left(struct sidecar *sidecar)
{
	if (sidecar->agent_gone)
		return;
	sidecar->agent_gone = true;
	log_warning("the host's agent is gone: its programs go on steering, but new addresses, "
		    "routes and bypassed subnets wait until it is back (sidestep agent)");
}

int sidecar_datapath_await_agent(struct sidecar *sidecar, int error)
{
	struct pollfd event = {.fd = sidecar->rendezvous_fd, .events = POLLIN};

	if (sidecar->rendezvous_fd < 0)
		return error;
	log_warning("nftables cannot steer here: the host's agent is waited for, up to %u ms "
		    "(--agent-wait)",
		    sidecar->options.agent_wait_ms);
	if (poll(&event, 1, (int)sidecar->options.agent_wait_ms) > 0)
		sidecar_datapath_agent_came(sidecar);
	return datapath_agent_fd(sidecar->datapath) >= 0 ? 0 : error;
}
