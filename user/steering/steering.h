/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps maps, attached devices, routes and rules in step with a network namespace and with Docker.
 * Each sync takes a snapshot, plans (steering/plan.h) and applies the difference. Belongs to one
 * thread and to the network namespace in which it was made.
 */
#ifndef SIDESTEP_STEERING_H
#define SIDESTEP_STEERING_H

#include <stdbool.h>
#include <stddef.h>

#include "datapath/datapath.h"
#include "lib/address.h"
#include "steering/plan_input.h"
#include "steering/plan_lists.h"

struct steering;

struct steering_config {
	enum sidestep_mode mode;
	const struct plan_given *options; /* --bypass and --docker-gateway-cidr; copied */
	size_t option_count;
	bool ipv6_refused;
	bool inner; /* sidecar mode: steer what inner devices bring */
};

/* Changes nothing in the namespace, and has no datapath yet. Returns 0 or negative errno, logged.
 */
int steering_new(const struct steering_config *config, struct steering **ret_steering);

/*
 * Closes the namespace before there is a datapath: all but bypassed subnets are unreachable.
 * Sockets that are bound to a device are led to lo, where nobody takes them. It only adds routes
 * and rules, as a killed predecessor leaves them. Unless @always, it does so only where a
 * predecessor left rules of ours. Sidecar mode only. Returns 1: closed, 0: there was no
 * predecessor, or a negative errno, logged.
 */
int steering_close(struct steering *steering, bool always);

/* Sets the subnets of Docker's networks; copied. They take effect with the next steering_sync().
 * Returns 0 or -ENOMEM. */
int steering_set_docker(struct steering *steering, const struct plan_given *given, size_t count);

/* Has IPv6 connections to the outside fail, or steers them, from the next sync on. Sidecar mode. */
void steering_set_ipv6_refused(struct steering *steering, bool refused);

/* While the internet is off, DNS to bypassed subnets is steered as well. Takes effect likewise.
 * Returns whether it changes anything. */
bool steering_set_internet(struct steering *steering, bool on);

/* Bridge mode: sets the interfaces to steer, likewise. */
int steering_set_bridges(struct steering *steering, const char *const *names, size_t count);

/*
 * Brings everything in step, in an order in which no moment is unsafe. It adds map entries,
 * attaches programs, and adds routes and rules. Then it removes rules and routes, detaches
 * programs, and removes map entries. Returns 0 or the first failure as negative errno, logged. The
 * next call repeats what failed.
 */
int steering_sync(struct steering *steering);

/* Does so for maps and devices only, without routes and rules. Nothing is steered yet, but programs
 * that are attached afterwards judge by full maps. */
int steering_prepare(struct steering *steering);

/* Has a further subnet bypassed from the next sync on, or takes one back that was added so. The
 * first returns 0 or -ENOMEM, the second 0 or -ENOENT. */
int steering_bypass_add(struct steering *steering, const struct prefix *prefix);
int steering_bypass_take(struct steering *steering, const struct prefix *prefix);

/* Returns the entry of that prefix after the last sync, or NULL. It is valid until the next one. */
const struct plan_bypass *steering_bypass_find(const struct steering *steering,
					       const struct prefix *prefix);

/* Calls @visit with each bypassed subnet of the last sync, in the order of their addresses. */
void steering_bypass_each(const struct steering *steering,
			  void (*visit)(void *context, const struct plan_bypass *bypass),
			  void *context);

/* Tells whether the last sync left the address alone. */
bool steering_bypasses(const struct steering *steering, const uint8_t address[16]);

/* Records a connection from outside that is older than the datapath. Its local end must be bypassed
 * and its remote end must not; others are skipped. Returns true when it was recorded. */
bool steering_inbound_add(struct steering *steering, const struct sidestep_flow_key *key);

/* The part of a plan's input that depends on the datapath. */
struct steering_way {
	uint32_t out_mark; /* see struct plan_input */
	bool no_inner;	   /* nothing that inner devices bring can be steered */
	bool has_gateway;  /* @gateway is bypassed */
	struct prefix gateway;
};

/*
 * Continues with another datapath (the caller's). The next steering_prepare() sets all map entries
 * and devices there, and does not touch the old one. If it is the same datapath, only @way changes.
 */
void steering_set_datapath(struct steering *steering, struct datapath *datapath,
			   const struct steering_way *way);

/* Has the next sync set all map entries and devices again, because some calls of the datapath may
 * not have had their effect. */
void steering_repeat(struct steering *steering);

/* Returns how many interfaces are steered or guarded now. */
size_t steering_device_count(const struct steering *steering);

/* Returns whether a predecessor left rules of ours. Valid after steering_close(). */
bool steering_inherited(const struct steering *steering);

/* Removes all of sidestep's routes and rules from the namespace, and restores its devices. */
void steering_clear(struct steering *steering);

/* Frees; the namespace stays as it is. NULL is allowed. */
void steering_free(struct steering *steering);

#endif
