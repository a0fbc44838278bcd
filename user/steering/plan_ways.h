/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of a plan that mirrors the kernel's routes, for packets that leave although ours brought
 * them to lo. They take the way that they would have without sidestep, through the tables that the
 * rules of others name. Pure, no I/O.
 */
#ifndef SIDESTEP_PLAN_WAYS_H
#define SIDESTEP_PLAN_WAYS_H

#include "steering/plan_input.h"
#include "steering/plan_lists.h"

/* Fills PLAN_EGRESS. Returns 0 or -ENOMEM. */
int plan_ways_egress(const struct plan_input *input, struct plan *plan);

/* Finds the address that connections would have without sidestep, which the default route decides.
 * Returns false when there is none. */
bool plan_ways_source(const struct plan_input *input, int family, uint8_t source[16]);

#endif
