/* SPDX-License-Identifier: Apache-2.0 */
/* Looks things up in a plan. */
#ifndef SIDESTEP_TESTS_PLAN_LOOK_H
#define SIDESTEP_TESTS_PLAN_LOOK_H

#include <stdint.h>

#include "steering/plan.h"

/* Returns why the plan bypasses exactly this prefix (SIDESTEP_FROM_*), or 0. */
uint32_t plan_sources_of(const struct plan *plan, const char *text);

#endif
