// SPDX-License-Identifier: Apache-2.0
#include "datapath/datapath_nft.h"

#include <errno.h>
#include <net/if.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "datapath/datapath_nft_counters.h"
#include "datapath/datapath_nft_fill.h"
#include "datapath/datapath_nft_own.h"
#include "datapath/datapath_nft_records.h"
#include "datapath/datapath_nft_sets.h"
#include "datapath/datapath_nft_state.h"
#include "lib/log.h"
#include "lib/util.h"
#include "programs/programs_attach.h"

/* Seconds for which the table knows the port of a socket that is about to connect. From its first
 * packet on conntrack knows the connection. */
#define CLAIM_S 10

/* Seconds for which a connection from outside may stay half closed without a packet (the kernel's
 * own tcp_keepalive_time). Conntrack's table has room for few that never end. */
#define HALF_CLOSED_S 7200

struct datapath_nft {
	struct datapath base;
	struct datapath_ops ops; /* of @base, by the way that the kernel allows */
	pthread_mutex_t lock;	 /* of everything below: any thread calls own_socket() */
	struct nft_state state;
	char gateway[128];
	bool attached;
};

static struct datapath_nft *self(struct datapath *base)
{
	return container_of(base, struct datapath_nft, base);
}

static void unlock(pthread_mutex_t **lock)
{
	(void)pthread_mutex_unlock(*lock);
}

/* Holds the lock until the end of the scope. */
#define LOCK(datapath)                                                                             \
	_cleanup_(unlock) pthread_mutex_t *held = &(datapath)->lock;                               \
	(void)pthread_mutex_lock(held)

static void release(struct datapath_nft *datapath)
{
	nft_state_release(&datapath->state);
	(void)pthread_mutex_destroy(&datapath->lock);
	free(datapath);
}

static void nft_free(struct datapath *base)
{
	struct datapath_nft *datapath = self(base);

	if (datapath->attached && nft_state_uninstall(&datapath->state) < 0)
		(void)nft_failure_log(&datapath->state.failure,
				      "remove the nftables table inet sidestep");
	release(datapath);
}

/* Connections that were redirected go on, and nothing else is steered or judged. */
static void nft_retire(struct datapath *base)
{
	struct datapath_nft *datapath = self(base);

	LOCK(datapath);
	if (datapath->attached && nft_state_retire(&datapath->state) < 0)
		(void)nft_failure_log(&datapath->state.failure,
				      "retire the nftables table inet sidestep");
}

static int nft_set_listener(struct datapath *base, enum sidestep_listener slot, int fd)
{
	struct datapath_nft *datapath = self(base);
	int port = nft_own_port(fd);

	if (port < 0)
		return port;
	datapath->state.rules.listeners[slot] = (uint16_t)port;
	return 0;
}

static int nft_set_gateway(struct datapath *base, const char *gateway)
{
	struct datapath_nft *datapath = self(base);

	(void)snprintf(datapath->gateway, sizeof(datapath->gateway), "%s", gateway);
	return 0;
}

/* Tells what the kernel lacks, and what is not held without it. */
static void tell_lacks(const struct nft_state *state)
{
	if (state->rules.half_closed_s == 0)
		log_info("this kernel has no timeouts for single connections "
			 "(CONFIG_NF_CONNTRACK_TIMEOUT): an answer to a half-closed connection %s "
			 "must come within a minute",
			 state->rules.redirect ? "from outside, or of the application's,"
					       : "from outside");
	if (state->rules.no_reject)
		log_info("this kernel cannot reset connections with nftables "
			 "(CONFIG_NFT_REJECT_INET): those for which nobody listens time out");
	if (state->rules.redirect && state->rules.no_socket)
		log_info("this kernel cannot tell the proxy's sockets from others "
			 "(CONFIG_NFT_SOCKET): after a kill another process can take its port, "
			 "and gets the connections");
	if (state->no_egress)
		log_info("this kernel cannot guard devices with nftables (Linux 5.16, "
			 "CONFIG_NETFILTER_EGRESS): an application with CAP_NET_RAW can send past "
			 "the interception by packet sockets");
}

static int nft_attach(struct datapath *base)
{
	struct datapath_nft *datapath = self(base);
	struct nft_state *state = &datapath->state;
	int error;

	LOCK(datapath);
	error = nft_state_open(state);
	if (error < 0)
		return log_errno(error, "cannot open a netlink socket for nftables; the "
					"host's kernel needs nfnetlink");
	if (nft_state_install(state) < 0)
		return nft_failure_log(&state->failure, "install the nftables table inet sidestep");
	tell_lacks(state);
	datapath->attached = true;
	return 0;
}

/* The tables outlive the process. They are installed first if they are not there, or let UDP pass.
 * Before it knows what to bypass, it leaves the namespace as it is. */
static int nft_leave(struct datapath *base)
{
	struct datapath_nft *datapath = self(base);
	int error = 0;

	if (datapath->state.bypass.count > 0 &&
	    (!datapath->attached || datapath->state.rules.udp == SIDESTEP_UDP_PASS)) {
		datapath->state.rules.udp = SIDESTEP_UDP_DENY;
		error = nft_attach(base);
	}
	release(datapath);
	return error;
}

/* Filters that run programs outlive their process. */
static void nft_succeed(struct datapath *base)
{
	const struct nft_state *state = &self(base)->state;
	size_t i;

	programs_silence();
	programs_attach_remove_filter(PROGRAM_LO_EGRESS, LOOPBACK_IFINDEX);
	for (i = 0; i < state->devices.count; i++) {
		uint32_t ifindex = state->devices.items[i].ifindex;

		programs_attach_remove_filter(PROGRAM_DEV_EGRESS, ifindex);
		programs_attach_remove_filter(PROGRAM_DEV_INGRESS, ifindex);
	}
}

static int nft_attach_device(struct datapath *base, uint32_t ifindex, enum datapath_device kind)
{
	struct datapath_nft *datapath = self(base);

	LOCK(datapath);
	/* The rules find the IP header by themselves. */
	return nft_devices_set(&datapath->state.devices, ifindex, kind == DATAPATH_INNER);
}

static void nft_detach_device(struct datapath *base, uint32_t ifindex)
{
	struct datapath_nft *datapath = self(base);

	LOCK(datapath);
	nft_devices_remove(&datapath->state.devices, ifindex);
}

static int bypass_set(struct datapath *base, const struct prefix *prefix,
		      const struct sidestep_bypass *value)
{
	struct datapath_nft *datapath = self(base);

	LOCK(datapath);
	datapath->state.bypass_changed = true;
	return nft_bypass_set(&datapath->state.bypass, prefix, value->sources);
}

static int bypass_remove(struct datapath *base, const struct prefix *prefix)
{
	struct datapath_nft *datapath = self(base);

	LOCK(datapath);
	datapath->state.bypass_changed = true;
	nft_bypass_remove(&datapath->state.bypass, prefix);
	return 0;
}

/* Routing rules ask the tables themselves. */
static int nft_route_set(struct datapath *base, const uint8_t source[16],
			 const struct prefix *prefix, const struct sidestep_route *value)
{
	(void)base;
	(void)source;
	(void)prefix;
	(void)value;
	return 0;
}

static int nft_route_remove(struct datapath *base, const uint8_t source[16],
			    const struct prefix *prefix)
{
	(void)base;
	(void)source;
	(void)prefix;
	return 0;
}

static int nft_inbound_add(struct datapath *base, const struct sidestep_flow_key *key)
{
	struct datapath_nft *datapath = self(base);

	LOCK(datapath);
	return nft_state_add_inbound(&datapath->state, key);
}

static int nft_commit(struct datapath *base)
{
	struct datapath_nft *datapath = self(base);
	struct nft_state *state = &datapath->state;
	bool no_egress;
	int error;

	LOCK(datapath);
	no_egress = state->no_egress;
	/* Before attaching nothing judges, and attaching installs all of it. */
	if (!datapath->attached || (!state->bypass_changed && !state->devices.changed &&
				    state->inbound_put == state->inbound_count))
		return 0;
	error = nft_state_update(state);
	if (error == 0)
		return 0;
	/* Somebody may have removed the table, or changed it. Or this is the first device, and the
	 * kernel cannot guard it. */
	error = nft_state_install(state);
	if (error < 0)
		return nft_failure_log(&state->failure, "update the nftables table inet sidestep");
	if (state->no_egress == no_egress)
		log_warning("the nftables table inet sidestep was not as it should be: replaced");
	else
		tell_lacks(state);
	return 0;
}

/*
 * The port is the proxy's alone while the socket holds it. A raw socket may send from the same
 * port, so the packets also need a secret mark. It is known here, and to processes that may list
 * the table, which takes CAP_NET_ADMIN.
 */
static int own_socket(struct datapath *base, int fd, const struct sockaddr *destination)
{
	struct datapath_nft *datapath = self(base);
	const struct nft_rules *rules = &datapath->state.rules;
	_cleanup_batch_ struct nft_batch batch = {0};
	struct nft_failure failure;
	uint8_t address[16];
	struct nft_own own = {0};
	int error;

	LOCK(datapath);
	if (destination && destination->sa_family != AF_INET && destination->sa_family != AF_INET6)
		return 0;
	if (destination) {
		address_from_sockaddr(destination, address);
		if (nft_bypass_has(&datapath->state.bypass, address))
			return 0;
	}
	error = nft_own_claim(fd, &own);
	if (error == 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_MARK, &rules->own_mark, sizeof(rules->own_mark)) < 0)
		error = -errno;
	if (error == 0 && !destination)
		error = nft_own_keep(&datapath->state.kept, &own);
	if (error != 0 || !datapath->attached)
		return error < 0 ? error : 0;
	nft_batch_open(&batch);
	nft_sets_renew_own(&(const struct nft_table) {&batch, NFT_JUDGE_FAMILY}, &own,
			   destination ? CLAIM_S : 0);
	return nft_batch_commit(datapath->state.socket, &batch, &failure);
}

static void nft_flow_update(struct datapath *base, const struct flow *flow)
{
	(void)base;
	(void)flow;
}

static void nft_flow_close(struct datapath *base, const struct flow *flow)
{
	(void)base;
	(void)flow;
}

static int nft_read_counters(struct datapath *base, uint64_t ret_sums[SIDESTEP_COUNTERS])
{
	int error = nft_counters_read(ret_sums);

	(void)base;
	return error < 0 ? error : NFT_COUNTERS;
}

static void nft_each_map(struct datapath *base, datapath_visit_map *visit, void *context)
{
	(void)base;
	nft_fill_each(visit, context);
}

static int nft_open_denials(struct datapath *base, struct record_source **ret_source)
{
	(void)base;
	return nft_records_open(ret_source);
}

static const struct datapath_ops nft_ops = {
	.name = "nft",
	.out_mark = SIDESTEP_OUT_MARK,
	.gateway_by_address = true,
	.free = nft_free,
	.leave = nft_leave,
	.succeed = nft_succeed,
	.set_listener = nft_set_listener,
	.set_gateway = nft_set_gateway,
	.attach = nft_attach,
	.attach_device = nft_attach_device,
	.detach_device = nft_detach_device,
	.bypass_set = bypass_set,
	.bypass_remove = bypass_remove,
	.route_set = nft_route_set,
	.route_remove = nft_route_remove,
	.inbound_add = nft_inbound_add,
	.commit = nft_commit,
	.own_socket = own_socket,
	.flow_update = nft_flow_update,
	.flow_close = nft_flow_close,
	.read_counters = nft_read_counters,
	.each_map = nft_each_map,
	.open_denials = nft_open_denials,
};

/* Fills the rules' part that does not depend on the namespace. Returns 0 or -EIO. */
static int make_rules(const struct datapath_nft_config *config, struct nft_rules *rules)
{
	rules->udp = config->udp;
	rules->out_mark = SIDESTEP_OUT_MARK;
	rules->half_closed_s = HALF_CLOSED_S;
	rules->own_mark = nft_own_mark(SIDESTEP_OUT_MARK);
	return rules->own_mark ? 0 : -EIO;
}

/* Redirected connections need other sockets of the proxy, and a table after their time. */
static void choose_ops(struct datapath_nft *datapath)
{
	datapath->ops = nft_ops;
	datapath->base.ops = &datapath->ops;
	if (!datapath->state.rules.redirect)
		return;
	datapath->ops.name = "nft-redirect";
	datapath->ops.dns_by_port = true;
	datapath->ops.no_inner = true;
	datapath->ops.retire = nft_retire;
}

int datapath_nft_new(const struct datapath_nft_config *config, struct datapath **ret_datapath)
{
	struct datapath_nft *datapath = calloc(1, sizeof(*datapath));
	struct nft_state *state;

	if (!datapath)
		return log_errno(-ENOMEM, "cannot create the nftables datapath");
	state = &datapath->state;
	(void)pthread_mutex_init(&datapath->lock, NULL);
	if (make_rules(config, &state->rules) < 0) {
		release(datapath);
		return log_errno(-EIO, "cannot draw the random mark of the nftables datapath");
	}
	state->rules.gateway = datapath->gateway;
	nft_state_choose(state, config->redirect);
	if (state->rules.redirect && !config->redirect)
		log_info("this kernel has no tproxy for nftables (nft_tproxy, CONFIG_NFT_TPROXY): "
			 "connections are redirected");
	choose_ops(datapath);
	*ret_datapath = &datapath->base;
	return 0;
}

void datapath_nft_clear(void)
{
	_cleanup_free_ struct nft_state *state = calloc(1, sizeof(*state));

	if (!state || nft_state_open(state) < 0)
		return;
	state->guarded = true;
	/* A kernel that cannot guard devices refuses both at once. */
	if (nft_state_uninstall(state) < 0) {
		state->guarded = false;
		if (nft_state_uninstall(state) < 0)
			log_debug("no nftables table of a predecessor can be removed");
	}
	nft_state_release(state);
}

static void add_devices(struct nft_state *state)
{
	struct if_nameindex *devices = if_nameindex(), *device;

	for (device = devices; device && device->if_index; device++)
		if (device->if_index != LOOPBACK_IFINDEX)
			(void)nft_devices_set(&state->devices, device->if_index, false);
	if (devices)
		if_freenameindex(devices);
}

int datapath_nft_try(struct datapath_nft_finding *ret_finding)
{
	static const struct datapath_nft_config config = {.udp = SIDESTEP_UDP_DENY};
	_cleanup_free_ struct nft_state *state = calloc(1, sizeof(*state));
	int slot, error;

	*ret_finding = (struct datapath_nft_finding) {0};
	if (!state)
		return -ENOMEM;
	error = nft_state_open(state);
	if (error == 0)
		error = make_rules(&config, &state->rules);
	if (error < 0)
		return error;
	state->rules.gateway = "";
	state->trial = true;
	/* Rules are made for listeners that exist. */
	for (slot = 0; slot < SIDESTEP_LISTENERS; slot++)
		state->rules.listeners[slot] = 1;
	nft_state_choose(state, false);
	add_devices(state);
	error = nft_state_install(state);
	*ret_finding = (struct datapath_nft_finding) {
		.redirect = state->rules.redirect,
		.no_timeouts = state->rules.half_closed_s == 0,
		.no_reject = state->rules.no_reject,
		.no_socket = state->rules.redirect && state->rules.no_socket,
		.no_egress = state->no_egress,
		.failure = state->failure,
	};
	nft_state_release(state);
	return error;
}
