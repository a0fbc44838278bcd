// SPDX-License-Identifier: Apache-2.0
#include "agent/agent_budget.h"

#define ONE 60000u /* ms in a minute */

bool agent_budget_left(struct agent_budget *budget, const struct agent_allowance *allowance,
		       uint64_t now_ms)
{
	uint64_t returned = (now_ms - budget->last_ms) * allowance->per_minute;

	budget->spent -= returned < budget->spent ? returned : budget->spent;
	budget->last_ms = now_ms;
	return budget->spent + ONE <= (uint64_t)allowance->burst * ONE;
}

void agent_budget_spend(struct agent_budget *budget)
{
	budget->spent += ONE;
}
