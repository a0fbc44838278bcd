// SPDX-License-Identifier: Apache-2.0
#include "datapath/datapath_bpf.h"

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "datapath/datapath_nft.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/util.h"
#include "programs/programs_attach.h"
#include "programs/programs_fill.h"
#include "programs/programs_maps.h"
#include "programs/programs_records.h"
#include "programs/programs_seen.h"

#define MAX_DEVICES 256

struct device {
	uint32_t ifindex;
	enum datapath_device kind;
	struct programs_attachment record; /* of flows from outside */
	struct programs_attachment judge;
};

struct datapath_bpf {
	struct datapath base;
	struct datapath_bpf_config config;
	struct programs *programs;
	uint32_t netns;
	struct programs_attachment steer;
	struct programs_attachment fixed; /* on lo, or in bridge mode on the veth */
	struct device devices[MAX_DEVICES];
	unsigned int device_count;
	uint64_t start; /* ns, CLOCK_MONOTONIC; 0: not described yet */
};

static struct datapath_bpf *self(struct datapath *base)
{
	return container_of(base, struct datapath_bpf, base);
}

static int bpf_set_listener(struct datapath *base, enum sidestep_listener slot, int fd)
{
	return programs_listener_set(self(base)->programs, self(base)->netns, slot, fd);
}

static int bpf_set_gateway(struct datapath *base, const char *gateway)
{
	struct datapath_bpf *datapath = self(base);
	struct sidestep_namespace namespace = {
		.mode = datapath->config.mode,
		.udp_pass = datapath->config.udp,
		.pid = (uint32_t)getpid(),
	};

	if (datapath->start == 0)
		datapath->start = clock_ns();
	namespace.start = datapath->start;
	(void)snprintf(namespace.gateway, sizeof(namespace.gateway), "%s", gateway);
	return programs_namespace_set(datapath->programs, datapath->netns, &namespace);
}

static int bpf_attach(struct datapath *base)
{
	struct datapath_bpf *datapath = self(base);
	bool bridge = datapath->config.mode == SIDESTEP_MODE_BRIDGE;
	int error;

	error = programs_attach_steer(datapath->programs, datapath->config.netns_fd,
				      &datapath->steer);
	if (error < 0)
		return error;
	if (bridge)
		return programs_attach_tc(datapath->programs, PROGRAM_VETH_INGRESS,
					  datapath->config.veth_ifindex, &datapath->fixed);
	/* After a kill the routes still lead to lo. There it refuses what they bring. */
	return programs_attach_filter(datapath->programs, PROGRAM_LO_EGRESS, LOOPBACK_IFINDEX,
				      &datapath->fixed);
}

static struct device *find_device(struct datapath_bpf *datapath, uint32_t ifindex)
{
	unsigned int i;

	for (i = 0; i < datapath->device_count; i++)
		if (datapath->devices[i].ifindex == ifindex)
			return &datapath->devices[i];
	return NULL;
}

/* The programs of each kind: the one that records flows from outside, and the one that judges. */
static const enum programs_program device_programs[][2] = {
	[DATAPATH_UPLINK] = {PROGRAM_DEV_INGRESS, PROGRAM_DEV_EGRESS},
	[DATAPATH_UPLINK_L3] = {PROGRAM_L3_INGRESS, PROGRAM_L3_EGRESS},
	[DATAPATH_INNER] = {PROGRAM_BRIDGE_EGRESS, PROGRAM_BRIDGE_INGRESS},
};

/* Attaches both programs. Filters of another kind, ours, are replaced. A device whose programs do
 * not load is closed. */
static int attach_both(struct datapath_bpf *datapath, struct device *device)
{
	bool bridge = datapath->config.mode == SIDESTEP_MODE_BRIDGE;
	const enum programs_program *wanted =
		device_programs[bridge ? DATAPATH_INNER : device->kind];
	char name[IF_NAMESIZE] = "?";
	int error;

	if (!bridge && device->kind != DATAPATH_UPLINK && programs_await(datapath->programs) < 0) {
		(void)if_indextoname(device->ifindex, name);
		log_error("nothing passes by %s, whose BPF programs do not load", name);
		return programs_attach_shut(datapath->programs, wanted[1], device->ifindex,
					    &device->judge);
	}
	/* Inbound connections are remembered before any outbound packet is judged. */
	error = programs_attach_tc(datapath->programs, wanted[0], device->ifindex, &device->record);
	if (error < 0)
		return error;
	error = programs_attach_tc(datapath->programs, wanted[1], device->ifindex, &device->judge);
	if (error < 0)
		programs_attach_release(&device->record);
	return error;
}

/* The other kind's filters have been replaced. Its links have not. */
static void release_links(struct device *device)
{
	if (device->record.kind == PROGRAMS_ATTACHMENT_LINK)
		programs_attach_release(&device->record);
	if (device->judge.kind == PROGRAMS_ATTACHMENT_LINK)
		programs_attach_release(&device->judge);
}

static int bpf_attach_device(struct datapath *base, uint32_t ifindex, enum datapath_device kind)
{
	struct datapath_bpf *datapath = self(base);
	struct device *known = find_device(datapath, ifindex);
	struct device device = {.ifindex = ifindex, .kind = kind};
	int error;

	if (known && known->kind == kind)
		return 0;
	if (!known && datapath->device_count == MAX_DEVICES)
		return log_errno(-ENOSPC, "cannot attach to another device: %d is the limit",
				 MAX_DEVICES);
	error = attach_both(datapath, &device);
	if (error < 0)
		return error;
	if (known)
		release_links(known);
	else
		known = &datapath->devices[datapath->device_count++];
	*known = device;
	return 0;
}

static void bpf_detach_device(struct datapath *base, uint32_t ifindex)
{
	struct datapath_bpf *datapath = self(base);
	struct device *device = find_device(datapath, ifindex);

	if (!device)
		return;
	programs_attach_release(&device->judge);
	programs_attach_release(&device->record);
	*device = datapath->devices[--datapath->device_count];
}

static void bpf_free(struct datapath *base)
{
	struct datapath_bpf *datapath = self(base);

	while (datapath->device_count > 0)
		bpf_detach_device(base, datapath->devices[0].ifindex);
	programs_attach_release(&datapath->fixed);
	programs_attach_release(&datapath->steer);
	programs_free(datapath->programs);
	free(datapath);
}

static void leave(const struct datapath_bpf *datapath, struct programs_attachment *attachment,
		  int *first_error)
{
	int error = programs_attach_leave(datapath->programs, attachment);

	if (*first_error == 0)
		*first_error = error;
}

/* Filters keep the programs and their maps. `steer` ends with the process, so nobody takes steered
 * connections. */
static int bpf_leave(struct datapath *base)
{
	struct datapath_bpf *datapath = self(base);
	bool pass = datapath->config.udp == SIDESTEP_UDP_PASS;
	int error = 0;
	unsigned int i;

	if (pass)
		datapath->config.udp = SIDESTEP_UDP_DENY;
	if (datapath->start > 0)
		error = bpf_set_gateway(base, "");
	error = error < 0 && pass ? log_errno(error, "cannot end --udp pass") : 0;
	for (i = 0; i < datapath->device_count; i++) {
		leave(datapath, &datapath->devices[i].record, &error);
		leave(datapath, &datapath->devices[i].judge, &error);
	}
	leave(datapath, &datapath->fixed, &error);
	bpf_free(base);
	return error;
}

static void bpf_succeed(struct datapath *base)
{
	(void)base;
	datapath_nft_clear();
}

static int bpf_bypass_set(struct datapath *base, const struct prefix *prefix,
			  const struct sidestep_bypass *value)
{
	return programs_bypass_set(self(base)->programs, self(base)->netns, prefix, value);
}

static int bpf_bypass_remove(struct datapath *base, const struct prefix *prefix)
{
	return programs_bypass_remove(self(base)->programs, self(base)->netns, prefix);
}

static int bpf_route_set(struct datapath *base, const uint8_t source[16],
			 const struct prefix *prefix, const struct sidestep_route *value)
{
	return programs_route_set(self(base)->programs, self(base)->netns, source, prefix, value);
}

static int bpf_route_remove(struct datapath *base, const uint8_t source[16],
			    const struct prefix *prefix)
{
	return programs_route_remove(self(base)->programs, self(base)->netns, source, prefix);
}

static int bpf_inbound_add(struct datapath *base, const struct sidestep_flow_key *key)
{
	return programs_inbound_add(self(base)->programs, self(base)->netns, key);
}

/* Each change is in force at once. */
static int bpf_commit(struct datapath *base)
{
	(void)base;
	return 0;
}

/* The devices that need the rest may appear when the process has no rights to load it any more. */
static void bpf_complete(struct datapath *base)
{
	(void)programs_await(self(base)->programs);
}

/* After a kill the host's network must go on. In a container, filters keep closed what they guard.
 */
static void bpf_settle(struct datapath *base)
{
	struct datapath_bpf *datapath = self(base);
	unsigned int i;

	if (datapath->config.mode != SIDESTEP_MODE_BRIDGE)
		return;
	programs_attach_settle(datapath->programs, &datapath->fixed);
	for (i = 0; i < datapath->device_count; i++) {
		programs_attach_settle(datapath->programs, &datapath->devices[i].record);
		programs_attach_settle(datapath->programs, &datapath->devices[i].judge);
	}
}

static int bpf_own_socket(struct datapath *base, int fd, const struct sockaddr *destination)
{
	struct datapath_bpf *datapath = self(base);

	/* In bridge mode the proxy's own connections are the host's. */
	if (datapath->config.mode == SIDESTEP_MODE_BRIDGE)
		return 0;
	return programs_own_socket(datapath->programs, fd, destination != NULL);
}

static void bpf_flow_update(struct datapath *base, const struct flow *flow)
{
	const struct sidestep_flow value = {
		.start = flow->start,
		.bytes_sent = flow->sent,
		.bytes_received = flow->received,
		.verdict = SIDESTEP_STEER_TCP,
		.opener = flow->opener,
	};
	struct sidestep_flow_key key;

	datapath_flow_key(flow, &key);
	programs_flow_update(self(base)->programs, self(base)->netns, &key, &value);
}

static void bpf_flow_close(struct datapath *base, const struct flow *flow)
{
	struct sidestep_flow_key key;

	datapath_flow_key(flow, &key);
	programs_flow_remove(self(base)->programs, self(base)->netns, &key);
}

static int bpf_read_counters(struct datapath *base, uint64_t ret_sums[SIDESTEP_COUNTERS])
{
	int error = programs_counters(self(base)->programs, self(base)->netns, ret_sums);

	return error < 0 ? error : SIDESTEP_COUNTERS;
}

static void bpf_each_map(struct datapath *base, datapath_visit_map *visit, void *context)
{
	programs_fill_each(self(base)->programs, visit, context);
}

static int bpf_find_object(struct datapath *base, bool map, uint32_t id)
{
	return programs_find(self(base)->programs, map, id);
}

static int bpf_opener(struct datapath *base, const struct sidestep_flow_key *key,
		      struct sidestep_process *ret_opener)
{
	return programs_opener_find(self(base)->programs, self(base)->netns, key, ret_opener);
}

static int bpf_open_denials(struct datapath *base, struct record_source **ret_source)
{
	return programs_denials_open(self(base)->programs, ret_source);
}

static const struct datapath_ops ops = {
	.name = "bpf",
	.own_programs = true,
	.free = bpf_free,
	.leave = bpf_leave,
	.succeed = bpf_succeed,
	.set_listener = bpf_set_listener,
	.set_gateway = bpf_set_gateway,
	.attach = bpf_attach,
	.attach_device = bpf_attach_device,
	.detach_device = bpf_detach_device,
	.bypass_set = bpf_bypass_set,
	.bypass_remove = bpf_bypass_remove,
	.route_set = bpf_route_set,
	.route_remove = bpf_route_remove,
	.inbound_add = bpf_inbound_add,
	.commit = bpf_commit,
	.complete = bpf_complete,
	.settle = bpf_settle,
	.own_socket = bpf_own_socket,
	.flow_update = bpf_flow_update,
	.flow_close = bpf_flow_close,
	.read_counters = bpf_read_counters,
	.each_map = bpf_each_map,
	.find_object = bpf_find_object,
	.opener = bpf_opener,
	.open_denials = bpf_open_denials,
};

int datapath_bpf_new(const struct datapath_bpf_config *config, struct datapath **ret_datapath)
{
	struct datapath_bpf *datapath = calloc(1, sizeof(*datapath));
	struct programs_config programs = {
		.kind = config->mode == SIDESTEP_MODE_BRIDGE ? PROGRAMS_BRIDGE : PROGRAMS_SIDECAR,
		.way = config->way,
		.veth_ifindex = config->veth_ifindex,
		.inner = config->inner,
		.openers = config->openers,
		.pin = config->pin,
	};
	int error;

	if (!datapath)
		return -ENOMEM;
	datapath->base.ops = &ops;
	datapath->config = *config;
	error = programs_netns(&datapath->netns);
	if (error < 0)
		(void)log_errno(error, "cannot number the network namespace");
	programs.netns = datapath->netns;
	if (error == 0)
		error = programs_load(&programs, config->quiet, &datapath->programs);
	if (error < 0) {
		bpf_free(&datapath->base);
		return error;
	}
	*ret_datapath = &datapath->base;
	return 0;
}
