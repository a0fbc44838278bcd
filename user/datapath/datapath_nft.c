// SPDX-License-Identifier: Apache-2.0
#include "datapath/datapath_nft.h"

#include <errno.h>
#include <net/if.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "datapath/datapath_nft_batch.h"
#include "datapath/datapath_nft_bypass.h"
#include "datapath/datapath_nft_own.h"
#include "datapath/datapath_nft_rules.h"
#include "datapath/datapath_nft_sets.h"
#include "lib/log.h"
#include "lib/util.h"
#include "programs/programs_attach.h"

#define MAX_DEVICES 256

/* Mark of packets that may leave (plan_input.out_mark). */
#define OUT_MARK 0x51de57e9

/* Seconds for which the table knows the port of a socket that is about to connect. From its first
 * packet on conntrack knows the connection. */
#define CLAIM_S 10

/* Seconds for which a connection from outside may stay half closed without a packet (the kernel's
 * own tcp_keepalive_time). Conntrack's table has room for few that never end. */
#define HALF_CLOSED_S 7200

struct datapath_nft {
	struct datapath base;
	pthread_mutex_t lock;	    /* of everything below: any thread calls own_socket() */
	struct mnl_socket *socket;  /* opened by attach */
	struct nft_failure failure; /* of the last transaction */
	struct nft_rules rules;
	char gateway[128];
	struct nft_bypass_list bypass;
	bool bypass_changed;
	struct sidestep_flow_key *inbound;
	size_t inbound_count, inbound_room;
	size_t inbound_put; /* the table has so many of them, the first ones */
	struct nft_own_list kept;
	uint32_t devices[MAX_DEVICES]; /* ifindex */
	size_t device_count;
	bool devices_changed;
	bool guarded;	/* the guard of devices is installed */
	bool no_egress; /* the kernel cannot guard devices */
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

/* Guards devices by name, as nftables wants it. A device that is gone is left out. Returns false
 * where no device is left, and so no guard. */
static bool add_guard(struct nft_batch *batch, const struct datapath_nft *datapath)
{
	char names[MAX_DEVICES][IFNAMSIZ];
	size_t i, count = 0;

	for (i = 0; i < datapath->device_count; i++)
		if (if_indextoname(datapath->devices[i], names[count]))
			count++;
	nft_rules_add_guard(batch, (const char(*)[IFNAMSIZ])names, count);
	return count > 0;
}

/* Commits all of the tables, or (@update) the changes. The lock is held. */
static int apply(struct datapath_nft *datapath, bool update)
{
	_cleanup_batch_ struct nft_batch batch;
	const struct nft_table judge = {&batch, NFT_JUDGE_FAMILY};
	const struct nft_table guard = {&batch, NFT_GUARD_FAMILY};
	bool new_guard = !datapath->no_egress && (!update || datapath->devices_changed);
	bool guarded = datapath->guarded;
	size_t put = update ? datapath->inbound_put : 0;
	int error;

	nft_batch_open(&batch);
	if (!update) {
		nft_rules_add(&batch, &datapath->rules);
		nft_sets_put_own(&judge, datapath->kept.items, datapath->kept.count);
	}
	if (!update || datapath->bypass_changed)
		nft_sets_put_bypass(&judge, &datapath->bypass, update);
	nft_sets_put_inbound(&judge, datapath->inbound, put, datapath->inbound_count);
	if (new_guard)
		guarded = add_guard(&batch, datapath);
	if (guarded && (new_guard || datapath->bypass_changed))
		nft_sets_put_bypass(&guard, &datapath->bypass, !new_guard);
	error = nft_batch_commit(datapath->socket, &batch, &datapath->failure);
	if (error < 0)
		return error;
	datapath->guarded = guarded;
	datapath->bypass_changed = false;
	datapath->devices_changed = false;
	datapath->inbound_put = datapath->inbound_count;
	return 0;
}

/* Installs the tables in place of those that are there. The lock is held. */
static int install(struct datapath_nft *datapath)
{
	int error = apply(datapath, false);

	/* The kernel may have no such type of object, and the table does without. */
	if (error == -ENOENT && datapath->failure.family == NFT_JUDGE_FAMILY) {
		datapath->rules.half_closed_s = 0;
		error = apply(datapath, false);
		if (error < 0 && datapath->failure.family == NFT_JUDGE_FAMILY)
			datapath->rules.half_closed_s = HALF_CLOSED_S; /* not to blame */
		else
			log_info("this kernel has no timeouts for single connections "
				 "(CONFIG_NF_CONNTRACK_TIMEOUT): an answer to a half-closed "
				 "connection from outside must come within a minute");
	}
	/* A device that went away between the look at its name and the transaction. */
	if (error == -ENOENT && datapath->failure.family == NFT_GUARD_FAMILY)
		error = apply(datapath, false);
	/* A kernel that has guarded devices before fails for another reason. */
	if (error == 0 || datapath->failure.family != NFT_GUARD_FAMILY || datapath->guarded)
		return error;
	datapath->no_egress = true;
	error = apply(datapath, false);
	if (error == 0)
		log_info("this kernel cannot guard devices with nftables (Linux 5.16, "
			 "CONFIG_NETFILTER_EGRESS): an application with CAP_NET_RAW can send past "
			 "the interception by packet sockets");
	else
		datapath->no_egress = false;
	return error;
}

/* Removes the tables, which need not be there. */
static int uninstall(struct mnl_socket *socket, bool guarded, struct nft_failure *ret_failure)
{
	_cleanup_batch_ struct nft_batch batch;

	nft_batch_open(&batch);
	nft_table_remove(&(const struct nft_table) {&batch, NFT_JUDGE_FAMILY});
	if (guarded)
		nft_table_remove(&(const struct nft_table) {&batch, NFT_GUARD_FAMILY});
	return nft_batch_commit(socket, &batch, ret_failure);
}

static void release(struct datapath_nft *datapath)
{
	nft_socket_close(datapath->socket);
	(void)pthread_mutex_destroy(&datapath->lock);
	free(datapath->bypass.items);
	free(datapath->inbound);
	free(datapath);
}

static void nft_free(struct datapath *base)
{
	struct datapath_nft *datapath = self(base);

	if (datapath->attached &&
	    uninstall(datapath->socket, datapath->guarded, &datapath->failure) < 0)
		(void)nft_failure_log(&datapath->failure,
				      "remove the nftables table inet sidestep");
	release(datapath);
}

static int nft_set_listener(struct datapath *base, enum sidestep_listener slot, int fd)
{
	struct datapath_nft *datapath = self(base);
	int port = nft_own_port(fd);

	if (port < 0)
		return port;
	datapath->rules.listeners[slot] = (uint16_t)port;
	return 0;
}

static int nft_set_gateway(struct datapath *base, const char *gateway)
{
	struct datapath_nft *datapath = self(base);

	(void)snprintf(datapath->gateway, sizeof(datapath->gateway), "%s", gateway);
	return 0;
}

static int nft_attach(struct datapath *base)
{
	struct datapath_nft *datapath = self(base);
	int error;

	LOCK(datapath);
	if (!datapath->socket) {
		error = nft_socket_open(&datapath->socket);
		if (error < 0)
			return log_errno(error, "cannot open a netlink socket for nftables; the "
						"host's kernel needs nfnetlink");
	}
	if (install(datapath) < 0)
		return nft_failure_log(&datapath->failure,
				       "install the nftables table inet sidestep");
	datapath->attached = true;
	return 0;
}

/* The tables outlive the process. They are installed first if they are not there, or let UDP pass.
 * Before it knows what to bypass, it leaves the namespace as it is. */
static int nft_leave(struct datapath *base)
{
	struct datapath_nft *datapath = self(base);
	int error = 0;

	if (datapath->bypass.count > 0 &&
	    (!datapath->attached || datapath->rules.udp == SIDESTEP_UDP_PASS)) {
		datapath->rules.udp = SIDESTEP_UDP_DENY;
		error = nft_attach(base);
	}
	release(datapath);
	return error;
}

/* Filters that run programs outlive their process. */
static void nft_succeed(struct datapath *base)
{
	const struct datapath_nft *datapath = self(base);
	size_t i;

	programs_silence();
	programs_attach_remove_filter(PROGRAM_LO_EGRESS, LOOPBACK_IFINDEX);
	for (i = 0; i < datapath->device_count; i++) {
		programs_attach_remove_filter(PROGRAM_DEV_EGRESS, datapath->devices[i]);
		programs_attach_remove_filter(PROGRAM_DEV_INGRESS, datapath->devices[i]);
	}
}

static int nft_attach_device(struct datapath *base, uint32_t ifindex, bool l3)
{
	struct datapath_nft *datapath = self(base);
	char name[IFNAMSIZ];
	size_t i;

	/* The rules find the IP header by themselves. */
	(void)l3;
	LOCK(datapath);
	if (!if_indextoname(ifindex, name))
		return -ENODEV;
	for (i = 0; i < datapath->device_count; i++)
		if (datapath->devices[i] == ifindex)
			return 0;
	if (datapath->device_count == MAX_DEVICES)
		return log_errno(-ENOSPC, "cannot guard more than %d devices", MAX_DEVICES);
	datapath->devices[datapath->device_count++] = ifindex;
	datapath->devices_changed = true;
	return 0;
}

static void nft_detach_device(struct datapath *base, uint32_t ifindex)
{
	struct datapath_nft *datapath = self(base);
	size_t i;

	LOCK(datapath);
	for (i = 0; i < datapath->device_count; i++) {
		if (datapath->devices[i] != ifindex)
			continue;
		datapath->devices[i] = datapath->devices[--datapath->device_count];
		datapath->devices_changed = true;
		return;
	}
}

static int bypass_set(struct datapath *base, const struct prefix *prefix,
		      const struct sidestep_bypass *value)
{
	struct datapath_nft *datapath = self(base);

	LOCK(datapath);
	datapath->bypass_changed = true;
	return nft_bypass_set(&datapath->bypass, prefix, value->sources);
}

static int bypass_remove(struct datapath *base, const struct prefix *prefix)
{
	struct datapath_nft *datapath = self(base);

	LOCK(datapath);
	datapath->bypass_changed = true;
	nft_bypass_remove(&datapath->bypass, prefix);
	return 0;
}

/* A routing rule asks the main table itself. */
static int nft_route_set(struct datapath *base, const struct prefix *prefix,
			 const struct sidestep_route *value)
{
	(void)base;
	(void)prefix;
	(void)value;
	return 0;
}

static int nft_route_remove(struct datapath *base, const struct prefix *prefix)
{
	(void)base;
	(void)prefix;
	return 0;
}

static int nft_inbound_add(struct datapath *base, const struct sidestep_flow_key *key)
{
	struct datapath_nft *datapath = self(base);

	LOCK(datapath);
	if (datapath->inbound_count == SIDESTEP_MAX_INBOUND)
		return -ENOSPC;
	if (datapath->inbound_count == datapath->inbound_room) {
		size_t room = datapath->inbound_room ? 2 * datapath->inbound_room : 64;
		void *keys = reallocarray(datapath->inbound, room, sizeof(*key));

		if (!keys)
			return -ENOMEM;
		datapath->inbound = keys;
		datapath->inbound_room = room;
	}
	datapath->inbound[datapath->inbound_count++] = *key;
	return 0;
}

static int nft_commit(struct datapath *base)
{
	struct datapath_nft *datapath = self(base);
	bool no_egress;
	int error;

	LOCK(datapath);
	no_egress = datapath->no_egress;
	/* Before attaching nothing judges, and attaching installs all of it. */
	if (!datapath->attached || (!datapath->bypass_changed && !datapath->devices_changed &&
				    datapath->inbound_put == datapath->inbound_count))
		return 0;
	error = apply(datapath, true);
	/* Somebody may have removed the table, or changed it. Or this is the first device, and the
	 * kernel cannot guard it. */
	if (error < 0 && install(datapath) == 0) {
		if (datapath->no_egress == no_egress)
			log_warning("the nftables table inet sidestep was not as it should be: "
				    "replaced");
		return 0;
	}
	return error < 0 ? nft_failure_log(&datapath->failure,
					   "update the nftables table inet sidestep")
			 : 0;
}

/*
 * The port is the proxy's alone while the socket holds it. A raw socket may send from the same
 * port, so the packets also need a secret mark. It is known here, and to processes that may list
 * the table, which takes CAP_NET_ADMIN.
 */
static int own_socket(struct datapath *base, int fd, const struct sockaddr *destination)
{
	struct datapath_nft *datapath = self(base);
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
		if (nft_bypass_has(&datapath->bypass, address))
			return 0;
	}
	error = nft_own_claim(fd, &own);
	if (error == 0 && setsockopt(fd, SOL_SOCKET, SO_MARK, &datapath->rules.own_mark,
				     sizeof(datapath->rules.own_mark)) < 0)
		error = -errno;
	if (error == 0 && !destination)
		error = nft_own_keep(&datapath->kept, &own);
	if (error != 0 || !datapath->attached)
		return error < 0 ? error : 0;
	nft_batch_open(&batch);
	nft_sets_renew_own(&(const struct nft_table) {&batch, NFT_JUDGE_FAMILY}, &own,
			   destination ? CLAIM_S : 0);
	return nft_batch_commit(datapath->socket, &batch, &failure);
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

static const struct datapath_ops nft_ops = {
	.name = "nft",
	.out_mark = OUT_MARK,
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
};

int datapath_nft_new(const struct datapath_nft_config *config, struct datapath **ret_datapath)
{
	struct datapath_nft *datapath = calloc(1, sizeof(*datapath));

	if (!datapath)
		return log_errno(-ENOMEM, "cannot create the nftables datapath");
	datapath->base.ops = &nft_ops;
	(void)pthread_mutex_init(&datapath->lock, NULL);
	datapath->rules.udp = config->udp;
	datapath->rules.out_mark = OUT_MARK;
	datapath->rules.half_closed_s = HALF_CLOSED_S;
	datapath->rules.own_mark = nft_own_mark(OUT_MARK);
	datapath->rules.gateway = datapath->gateway;
	if (!datapath->rules.own_mark) {
		nft_free(&datapath->base);
		return log_errno(-EIO, "cannot draw the random mark of the nftables datapath");
	}
	*ret_datapath = &datapath->base;
	return 0;
}

void datapath_nft_clear(void)
{
	struct mnl_socket *socket = NULL;
	struct nft_failure failure;

	if (nft_socket_open(&socket) < 0)
		return;
	/* A kernel that cannot guard devices refuses both at once. */
	if (uninstall(socket, true, &failure) < 0 && uninstall(socket, false, &failure) < 0)
		log_debug("no nftables table of a predecessor can be removed");
	nft_socket_close(socket);
}

int datapath_nft_probe(void)
{
	struct mnl_socket *socket = NULL;
	int error = nft_socket_open(&socket);

	if (error == 0)
		error = nft_socket_probe(socket);
	nft_socket_close(socket);
	return error;
}
