/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps routes, rules, maps and attached devices in step with a network namespace and with Docker:
 * looks at everything, plans (user/steering/plan.c), applies the difference. Belongs to one thread
 * and to the network namespace in which it was made.
 */
#ifndef SIDESTEP_STEERING_H
#define SIDESTEP_STEERING_H

#include <stdbool.h>
#include <stddef.h>

#include "datapath/datapath.h"
#include "lib/address.h"

struct steering;

struct steering_config {
	enum sidestep_mode mode;
	struct datapath *datapath;    /* stays the caller's */
	const struct prefix *options; /* --bypass and --docker-gateway-cidr; copied */
	size_t option_count;
	bool ipv6_refused;
	unsigned int anchor_ifindex; /* see struct plan_input */
};

/* Looks at what a predecessor left, changes nothing. 0 or negative errno, logged. */
int steering_new(const struct steering_config *config, struct steering **ret_steering);

/* Subnets of Docker's networks; copied. Takes effect with steering_sync(). 0 or -ENOMEM. */
int steering_set_docker(struct steering *steering, const struct prefix *prefixes, size_t count);

/* Bridge mode: the interfaces to steer; copied. Likewise. */
int steering_set_bridges(struct steering *steering, const char *const *names, size_t count);

/*
 * Brings everything in step. In this order, so that no moment is unsafe: map entries are added,
 * programs attached, routes and rules added; then rules and routes removed, programs detached, map
 * entries removed. Returns 0 or the first failure as negative errno, logged; calling again repeats
 * what failed.
 */
int steering_sync(struct steering *steering);

/* The first half of the above: maps and devices, no route and no rule. Nothing is steered by it
 * yet, but whatever is attached afterwards judges by full maps. */
int steering_prepare(struct steering *steering);

/* Records a connection that came from outside before the datapath was there: one whose local end
 * is bypassed and whose remote end is not (others are left out). True when it was recorded. */
bool steering_inbound_add(struct steering *steering, const struct sidestep_flow_key *key);

/* What of the plan depends on the datapath. */
struct steering_way {
	uint32_t out_mark; /* see struct plan_input */
	bool has_gateway;  /* @gateway is bypassed */
	struct prefix gateway;
};

/*
 * Goes on with another datapath (the caller's): everything in the maps and all devices are set
 * there at the next steering_prepare(), which the old one does not notice. With the same datapath:
 * only
 * @way changes.
 */
void steering_set_datapath(struct steering *steering, struct datapath *datapath,
			   const struct steering_way *way);

/* How many interfaces are steered or guarded now. */
size_t steering_device_count(const struct steering *steering);

/* Did a predecessor, killed most likely, leave rules of ours? Known after the first look. */
bool steering_inherited(const struct steering *steering);

/* Takes all routes and rules of sidestep's out of the namespace. */
void steering_clear(struct steering *steering);

/* Frees; what is installed stays. NULL is allowed. */
void steering_free(struct steering *steering);

#endif
