/* SPDX-License-Identifier: Apache-2.0 */
/* The datapath's part of a plan: bypassed subnets and devices. Pure, no I/O. */
#ifndef SIDESTEP_PLAN_MAPS_H
#define SIDESTEP_PLAN_MAPS_H

#include "steering/plan_input.h"
#include "steering/plan_lists.h"

/* Fill the layer of their name and return 0 or -ENOMEM. */
int plan_maps_bypass(const struct plan_input *input, struct plan *plan);
int plan_maps_devices(const struct plan_input *input, struct plan *plan);

#endif
