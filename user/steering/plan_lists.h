/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plan's lists, one for each layer, and the differences between two plans. A list is filled, then
 * tidied; from there on it is sorted and has no duplicates.
 */
#ifndef SIDESTEP_PLAN_LISTS_H
#define SIDESTEP_PLAN_LISTS_H

#include <stddef.h>
#include <stdint.h>

#include "datapath/bypass_origin.h"
#include "datapath/datapath.h"
#include "lib/address.h"
#include "sidestep.h"

/* The parts of a plan, in the order in which adding them is safe. Removal goes backwards. */
enum plan_layer {
	PLAN_BYPASS, /* struct plan_bypass: maps bypass4, bypass6 */
	PLAN_EGRESS, /* struct plan_route: maps route4, route6, source_route4, source_route6 */
	PLAN_DEVICE, /* struct plan_device: devices that get the TC programs */
	PLAN_ROUTE,  /* struct netlink_route */
	PLAN_RULE,   /* struct netlink_rule */
	PLAN_LAYERS,
};

struct plan_bypass {
	struct prefix prefix;
	struct sidestep_bypass value;
	struct bypass_origin origin; /* in words; no difference between plans */
	uint64_t since; /* ns, CLOCK_MONOTONIC: when it came into force, see plan_keep_since() */
};

struct plan_route {
	uint8_t source[16]; /* for packets from this address of ours; all zero: from any */
	struct prefix prefix;
	struct sidestep_route value;
};

struct plan_device {
	uint32_t ifindex;
	enum datapath_device kind; /* sidecar mode */
};

struct plan_list {
	void *items;
	size_t count;
};

/* All zero is an empty plan. The lists are the plan's. */
struct plan {
	struct plan_list lists[PLAN_LAYERS];
};

/* Empties a layer and makes room for @count items. Returns 0 or -ENOMEM. */
int plan_reserve(struct plan *plan, enum plan_layer layer, size_t count);

/* Returns the next item's place, which is all zero. The room must have been reserved. */
void *plan_append(struct plan *plan, enum plan_layer layer);

/* Sorts a layer and drops duplicates. */
void plan_tidy(struct plan *plan, enum plan_layer layer);

/* Adds the items of @from's layer to @plan's. Returns 0 or -ENOMEM, and then @plan's stay. */
int plan_merge(struct plan *plan, const struct plan *from, enum plan_layer layer);

/* Gives bypassed prefixes that @from has too the time that they have there, unless they have one.
 * With NULL all that have none get @now. Both plans must be tidy. */
void plan_keep_since(struct plan *plan, const struct plan *from, uint64_t now);

/* Frees a layer, or all of them, and leaves it empty. */
void plan_release_layer(struct plan *plan, enum plan_layer layer);
void plan_release(struct plan *plan);

/* A walk over the items of one list that another list lacks. Both must be tidy. */
struct plan_difference {
	const char *item, *other;
	size_t left, other_left;
	size_t size; /* of an item, bytes */
	int (*compare)(const void *item, const void *other);
};

/* Starts a walk over items that @applied lacks or has with another value. */
struct plan_difference plan_added(const struct plan *wanted, const struct plan *applied,
				  enum plan_layer layer);

/* Starts a walk over items whose key @wanted lacks. The key is a bypass's prefix, an egress route's
 * source and prefix, or a device's index. It is a netlink_route's destination, table and metric,
 * and all of a rule. */
struct plan_difference plan_removed(const struct plan *applied, const struct plan *wanted,
				    enum plan_layer layer);

/* Returns the walk's next item, or NULL at the end. */
const void *plan_next(struct plan_difference *difference);

#endif
