/* SPDX-License-Identifier: Apache-2.0 */
/* Makes the DNS policy with which a sidecar starts. */
#ifndef SIDESTEP_SIDECAR_POLICY_H
#define SIDESTEP_SIDECAR_POLICY_H

#include "proxy/policy.h"
#include "sidecar/sidecar_options.h"

/*
 * Without the control API a made-up answer is only for the names of --made-up, and for their
 * addresses. With it workerd's contract holds: every name is allowed until workerd says otherwise,
 * and every type gets an answer. Returns 0 or negative errno, logged.
 */
int sidecar_policy_new(const struct sidecar_options *options, struct policy **ret_policy);

#endif
