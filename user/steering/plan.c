// SPDX-License-Identifier: Apache-2.0
#include "steering/plan.h"

#include <errno.h>

#include "lib/log.h"
#include "steering/plan_maps.h"
#include "steering/plan_routes.h"
#include "steering/plan_ways.h"

static int make_bypass(const struct plan_input *input, struct plan *plan)
{
	int error = plan_maps_bypass(input, plan);

	if (error < 0 || plan->lists[PLAN_BYPASS].count <= SIDESTEP_MAX_BYPASS)
		return error;
	log_error("%zu subnets would be bypassed, the limit is %d: give fewer and wider ones with "
		  "--bypass",
		  plan->lists[PLAN_BYPASS].count, SIDESTEP_MAX_BYPASS);
	return -ENOSPC;
}

static int make_egress(const struct plan_input *input, struct plan *plan)
{
	int error = plan_ways_egress(input, plan);

	if (error < 0 || plan->lists[PLAN_EGRESS].count <= SIDESTEP_MAX_ROUTES)
		return error;
	log_error("packets that leave have more than %d routes, which is the limit here",
		  SIDESTEP_MAX_ROUTES);
	return -ENOSPC;
}

int plan_make(const struct plan_input *input, struct plan *ret_plan)
{
	struct plan plan = {0};
	int layer, error;

	error = make_bypass(input, &plan);
	if (error == 0)
		error = plan_maps_devices(input, &plan);
	if (input->mode == SIDESTEP_MODE_SIDECAR) {
		if (error == 0)
			error = make_egress(input, &plan);
		if (error == 0)
			error = plan_routes_make(input, &plan);
		if (error == 0)
			error = plan_routes_rules(input, &plan);
	}
	if (error < 0) {
		plan_release(&plan);
		return error;
	}
	for (layer = 0; layer < PLAN_LAYERS; layer++)
		plan_tidy(&plan, layer);
	*ret_plan = plan;
	return 0;
}
