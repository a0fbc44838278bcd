/* SPDX-License-Identifier: Apache-2.0 */
/* Limits how often something is done: a token bucket. */
#ifndef SIDESTEP_AGENT_BUDGET_H
#define SIDESTEP_AGENT_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

/* A limit: so much at once, and so much more with each minute. */
struct agent_allowance {
	uint32_t burst;
	uint32_t per_minute;
};

/* The part of an allowance that is spent. Zero-initialised: nothing. */
struct agent_budget {
	uint64_t spent; /* in 1/60000, so that each ms gives back .per_minute of these */
	uint64_t last_ms;
};

/* Is at least one left at the time @now_ms (CLOCK_MONOTONIC)? */
bool agent_budget_left(struct agent_budget *budget, const struct agent_allowance *allowance,
		       uint64_t now_ms);

/* Spends one, after agent_budget_left(). */
void agent_budget_spend(struct agent_budget *budget);

#endif
