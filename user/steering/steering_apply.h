/* SPDX-License-Identifier: Apache-2.0 */
/* Applies the difference between two plans to the datapath and to the namespace. */
#ifndef SIDESTEP_STEERING_APPLY_H
#define SIDESTEP_STEERING_APPLY_H

#include "datapath/datapath.h"
#include "net/device_settings.h"
#include "net/netlink.h"
#include "steering/plan_lists.h"
#include "steering/snapshot.h"

/* From one plan to another, and the means. Nothing in it is owned. */
struct steering_change {
	enum sidestep_mode mode;
	struct datapath *datapath; /* NULL: none yet */
	struct netlink *netlink;
	struct device_settings *settings;
	const struct snapshot *snapshot; /* the state that @wanted was planned from */
	const struct plan *applied;
	const struct plan *doubtful; /* removed as well: it may have been applied */
	const struct plan *wanted;
	bool inherited; /* a killed predecessor may have changed the devices */
};

/*
 * Adds everything new up to the layer @last, in the order of enum plan_layer, and commits the
 * datapath. Then removes everything superfluous, backwards. After a failure to add, nothing is
 * removed. Returns 0 or the first failure as negative errno, logged.
 */
int steering_apply(const struct steering_change *change, enum plan_layer last);

/* Adds routes and rules alone, and removes nothing. Needs no datapath. Returns 0 or the first
 * failure as negative errno, logged. */
int steering_apply_closed(const struct steering_change *change);

/* Removes the rules, the routes and the kept neighbours of @applied, and restores the devices. The
 * datapath's maps and programs stay. */
void steering_apply_nothing(const struct steering_change *change);

#endif
