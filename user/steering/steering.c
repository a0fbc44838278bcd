// SPDX-License-Identifier: Apache-2.0
#include "steering/steering.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/util.h"
#include "net/device_settings.h"
#include "net/netlink.h"
#include "steering/advertised.h"
#include "steering/bridge_uplinks.h"
#include "steering/inner_devices.h"
#include "steering/plan.h"
#include "steering/rule_news.h"
#include "steering/snapshot.h"
#include "steering/steering_apply.h"

struct steering {
	struct steering_config config;
	struct datapath *datapath; /* NULL: none yet */
	struct netlink *netlink;
	struct steering_way way;
	struct plan_given *options; /* and what was added later */
	size_t option_count;
	struct plan_given *docker;
	size_t docker_count;
	char **bridges;
	size_t bridge_count;
	bool internet_off;
	bool looked;	     /* a snapshot was taken */
	bool inherited;	     /* the first snapshot had rules of ours */
	struct plan applied; /* in force, as far as is known */
	/* Map entries and devices that may be set, whatever @applied says. */
	struct plan doubtful;
	struct device_settings settings;
	struct bridge_uplinks uplinks;
	struct inner_devices inner;
	struct rule_news rule_news;
};

int steering_new(const struct steering_config *config, struct steering **ret_steering)
{
	struct steering *steering = calloc(1, sizeof(*steering));
	int error;

	if (!steering)
		return -ENOMEM;
	steering->config = *config;
	steering->option_count = config->option_count;
	steering->options = calloc(config->option_count + 1, sizeof(*steering->options));
	if (!steering->options) {
		free(steering);
		return -ENOMEM;
	}
	if (config->option_count)
		memcpy(steering->options, config->options,
		       config->option_count * sizeof(*steering->options));
	error = netlink_open(&steering->netlink);
	if (error < 0) {
		steering_free(steering);
		return log_errno(error, "cannot open a netlink socket");
	}
	*ret_steering = steering;
	return 0;
}

static void free_names(char **names, size_t count)
{
	while (count > 0)
		free(names[--count]);
	free(names);
}

void steering_free(struct steering *steering)
{
	if (!steering)
		return;
	netlink_close(steering->netlink);
	plan_release(&steering->applied);
	plan_release(&steering->doubtful);
	bridge_uplinks_release(&steering->uplinks);
	inner_devices_release(&steering->inner);
	rule_news_release(&steering->rule_news);
	free_names(steering->bridges, steering->bridge_count);
	free(steering->docker);
	free(steering->options);
	free(steering);
}

int steering_set_docker(struct steering *steering, const struct plan_given *given, size_t count)
{
	struct plan_given *copy = calloc(count + 1, sizeof(*copy));

	if (!copy)
		return -ENOMEM;
	if (count)
		memcpy(copy, given, count * sizeof(*copy));
	free(steering->docker);
	steering->docker = copy;
	steering->docker_count = count;
	return 0;
}

int steering_bypass_add(struct steering *steering, const struct prefix *prefix)
{
	struct plan_given *options = reallocarray(steering->options, steering->option_count + 1,
						  sizeof(*options));

	if (!options)
		return -ENOMEM;
	steering->options = options;
	options[steering->option_count++] = (struct plan_given) {
		.prefix = *prefix,
		.option = BYPASS_OPTION_ADDED,
	};
	return 0;
}

int steering_bypass_take(struct steering *steering, const struct prefix *prefix)
{
	struct plan_given *options = steering->options;
	size_t i;

	for (i = 0; i < steering->option_count; i++) {
		if (options[i].option != BYPASS_OPTION_ADDED ||
		    !prefix_equal(&options[i].prefix, prefix))
			continue;
		options[i] = options[--steering->option_count];
		return 0;
	}
	return -ENOENT;
}

const struct plan_bypass *steering_bypass_find(const struct steering *steering,
					       const struct prefix *prefix)
{
	const struct plan_list *list = &steering->applied.lists[PLAN_BYPASS];
	const struct plan_bypass *items = list->items;
	size_t i;

	for (i = 0; i < list->count; i++)
		if (prefix_equal(&items[i].prefix, prefix))
			return &items[i];
	return NULL;
}

void steering_bypass_each(const struct steering *steering,
			  void (*visit)(void *context, const struct plan_bypass *bypass),
			  void *context)
{
	const struct plan_list *list = &steering->applied.lists[PLAN_BYPASS];
	const struct plan_bypass *items = list->items;
	size_t i;

	for (i = 0; i < list->count; i++)
		visit(context, &items[i]);
}

void steering_set_ipv6_refused(struct steering *steering, bool refused)
{
	steering->config.ipv6_refused = refused;
}

bool steering_set_internet(struct steering *steering, bool on)
{
	bool changes = steering->internet_off == on;

	steering->internet_off = !on;
	return changes;
}

int steering_set_bridges(struct steering *steering, const char *const *names, size_t count)
{
	char **copy = calloc(count + 1, sizeof(*copy));
	size_t i;

	if (!copy)
		return -ENOMEM;
	for (i = 0; i < count; i++) {
		copy[i] = strdup(names[i]);
		if (!copy[i]) {
			free_names(copy, i);
			return -ENOMEM;
		}
	}
	free_names(steering->bridges, steering->bridge_count);
	steering->bridges = copy;
	steering->bridge_count = count;
	return 0;
}

/* Routes and rules belong to no datapath, and each sync looks at them. */
static void doubt(struct steering *steering, const struct plan *plan)
{
	int layer;

	for (layer = PLAN_BYPASS; layer <= PLAN_DEVICE; layer++)
		(void)plan_merge(&steering->doubtful, plan, layer);
}

void steering_repeat(struct steering *steering)
{
	int layer;

	doubt(steering, &steering->applied);
	for (layer = PLAN_BYPASS; layer <= PLAN_DEVICE; layer++)
		plan_release_layer(&steering->applied, layer);
}

void steering_set_datapath(struct steering *steering, struct datapath *datapath,
			   const struct steering_way *way)
{
	steering->way = *way;
	if (steering->datapath == datapath)
		return;
	steering->datapath = datapath;
	steering_repeat(steering);
}

size_t steering_device_count(const struct steering *steering)
{
	return steering->applied.lists[PLAN_DEVICE].count;
}

/* Takes a snapshot, and the routes and rules in it as applied. */
static int look(struct steering *steering, struct snapshot *ret_snapshot)
{
	int error = snapshot_take(steering->netlink, ret_snapshot);

	if (error < 0)
		return error;
	if (!steering->looked)
		steering->inherited = ret_snapshot->rules.count > 0;
	steering->looked = true;
	error = snapshot_adopt(ret_snapshot, &steering->applied);
	if (error < 0)
		snapshot_release(ret_snapshot);
	return error;
}

static struct plan_input input_of(struct steering *steering, const struct snapshot *snapshot)
{
	struct plan_input input = snapshot_input(snapshot);

	input.mode = steering->config.mode;
	input.options = steering->options;
	input.option_count = steering->option_count;
	input.docker = steering->docker;
	input.docker_count = steering->docker_count;
	input.bridges = (const char *const *)steering->bridges;
	input.bridge_count = steering->bridge_count;
	input.ipv6_refused = steering->config.ipv6_refused;
	input.internet_off = steering->internet_off;
	input.out_mark = steering->way.out_mark;
	input.gateway = steering->way.has_gateway ? &steering->way.gateway : NULL;
	input.inner = steering->config.inner && !steering->way.no_inner;
	if (input.mode == SIDESTEP_MODE_SIDECAR)
		inner_devices_look(&steering->inner, &input);
	return input;
}

static struct steering_change change_to(struct steering *steering, const struct snapshot *snapshot,
					const struct plan *wanted)
{
	return (struct steering_change) {
		.mode = steering->config.mode,
		.datapath = steering->datapath,
		.netlink = steering->netlink,
		.settings = &steering->settings,
		.snapshot = snapshot,
		.applied = &steering->applied,
		.doubtful = &steering->doubtful,
		.wanted = wanted,
		.inherited = steering->inherited,
	};
}

/* @last: the last layer to apply. */
static int sync_until(struct steering *steering, enum plan_layer last)
{
	struct steering_change change;
	struct plan_input input;
	struct snapshot snapshot;
	struct plan wanted;
	int error;

	error = look(steering, &snapshot);
	if (error < 0)
		return error;
	input = input_of(steering, &snapshot);
	if (steering->config.mode == SIDESTEP_MODE_SIDECAR) {
		advertised_refuse(steering->netlink, &steering->settings, steering->inherited,
				  &input, &snapshot);
		inner_devices_tell(&steering->inner, &input,
				   steering->config.inner ? "the kernel lacks nft_tproxy"
							  : "--inner off");
		rule_news_tell(&steering->rule_news, &snapshot.others);
	}
	error = plan_make(&input, &wanted);
	if (error < 0) {
		snapshot_release(&snapshot);
		return error;
	}
	/* This comes before the first steered connection: sockets keep the limits they find. */
	if (steering->config.mode == SIDESTEP_MODE_SIDECAR)
		device_settings_enlarge_loopback(&steering->settings, steering->netlink,
						 snapshot.links.items, snapshot.links.count,
						 steering->inherited);
	else
		bridge_uplinks_check(&steering->uplinks, snapshot.links.items, snapshot.links.count,
				     wanted.lists[PLAN_DEVICE].items,
				     wanted.lists[PLAN_DEVICE].count);
	change = change_to(steering, &snapshot, &wanted);
	error = steering_apply(&change, last);
	snapshot_release(&snapshot);
	/* After a failure the old plan stands, and the next sync tries everything again. Some
	 * of it may have been done, and must be undone if it is no longer wanted then. */
	if (error < 0) {
		doubt(steering, &wanted);
		plan_release(&wanted);
		return error;
	}
	plan_keep_since(&wanted, &steering->applied, 0);
	plan_keep_since(&wanted, &steering->doubtful, 0);
	plan_keep_since(&wanted, NULL, clock_ns());
	plan_release(&steering->doubtful);
	plan_release(&steering->applied);
	steering->applied = wanted;
	return 0;
}

int steering_prepare(struct steering *steering)
{
	return sync_until(steering, PLAN_DEVICE);
}

int steering_sync(struct steering *steering)
{
	return sync_until(steering, PLAN_LAYERS - 1);
}

int steering_close(struct steering *steering, bool always)
{
	struct steering_change change;
	struct plan_input input;
	struct snapshot snapshot;
	struct plan wanted;
	int error;

	error = look(steering, &snapshot);
	if (error < 0)
		return error;
	if (!always && !steering->inherited) {
		snapshot_release(&snapshot);
		return 0;
	}
	input = input_of(steering, &snapshot);
	/* A SYN that reached lo now would get no answer: for IPv4 the kernel sends none from a
	 * foreign address. */
	input.closed = true;
	error = plan_make(&input, &wanted);
	if (error == 0) {
		change = change_to(steering, &snapshot, &wanted);
		error = steering_apply_closed(&change);
		plan_release(&wanted);
	}
	snapshot_release(&snapshot);
	return error < 0 ? error : 1;
}

bool steering_bypasses(const struct steering *steering, const uint8_t address[16])
{
	const struct plan_list *list = &steering->applied.lists[PLAN_BYPASS];
	const struct plan_bypass *items = list->items;
	size_t i;

	for (i = 0; i < list->count; i++)
		if (prefix_contains(&items[i].prefix, address))
			return true;
	return false;
}

bool steering_inbound_add(struct steering *steering, const struct sidestep_flow_key *key)
{
	return steering_bypasses(steering, key->local_address) &&
	       !steering_bypasses(steering, key->remote_address) &&
	       datapath_inbound_add(steering->datapath, key) == 0;
}

bool steering_inherited(const struct steering *steering)
{
	return steering->inherited;
}

void steering_clear(struct steering *steering)
{
	const struct plan nothing = {.lists = {{0}}};
	struct steering_change change;
	struct snapshot snapshot;

	if (look(steering, &snapshot) < 0)
		return;
	change = change_to(steering, &snapshot, &nothing);
	steering_apply_nothing(&change);
	snapshot_release(&snapshot);
}
