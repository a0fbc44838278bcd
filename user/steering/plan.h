/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan: everything that must be in force, derived from the state of the network namespace and
 * of Docker, and from the options. Pure, no I/O. steering/steering.c collects the input, and
 * steering/steering_apply.c applies the difference between two plans.
 */
#ifndef SIDESTEP_PLAN_H
#define SIDESTEP_PLAN_H

#include "steering/plan_input.h"
#include "steering/plan_lists.h"

/* Returns 0, -ENOMEM, or -ENOSPC when a limit of include/sidestep.h is exceeded (logged). */
int plan_make(const struct plan_input *input, struct plan *ret_plan);

#endif
