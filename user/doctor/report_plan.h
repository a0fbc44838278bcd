/* SPDX-License-Identifier: Apache-2.0 */
/* Compares what a sidecar should have put in force in this network namespace with what the kernel
 * has. */
#ifndef SIDESTEP_REPORT_PLAN_H
#define SIDESTEP_REPORT_PLAN_H

#include <jansson.h>

/*
 * Makes a plan (steering/plan.h) of the namespace as it is now. The options and Docker's subnets
 * are those of the pinned maps, which @status has. Returns {"network": {...}, "compared": BOOL,
 * "routes", "rules", "bypass": {"missing": [...], "extra": [...]}}, which the caller owns, or NULL,
 * logged. Without a sidecar here nothing is compared. Without pinned maps the routes that are there
 * stand for the options.
 */
json_t *report_plan(const json_t *status);

#endif
