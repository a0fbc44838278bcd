/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tells whose connections are carried straight to their destination (--exempt-uid,
 * --exempt-cgroup). They are a gateway's that runs in the intercepted namespace.
 *
 * The kernel tells the owner of the socket at the other end. So it is the same for each datapath.
 */
#ifndef SIDESTEP_EXEMPTION_H
#define SIDESTEP_EXEMPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/socket_owner.h"
#include "sidecar/sidecar_options.h"
#include "stream/flow.h"

/* Zero-initialised nobody is exempt. */
struct exemption {
	struct socket_owners owners;
	uint32_t *uids;
	uint64_t *cgroups;
	size_t uid_count, cgroup_count;
};

/* Reads the options. Returns 0, or negative errno, logged. */
int exemption_open(struct exemption *exemption, const struct sidecar_options *options);

/* Returns the options that exempt, as events name them: a constant. */
const char *exemption_origin(const struct sidecar_options *options);

/* Idempotent. */
void exemption_close(struct exemption *exemption);

/* Tells whether the application's end of @flow belongs to somebody exempt. @context is the
 * exemption. Thread safe. */
bool exemption_owns(void *context, const struct flow *flow);

#endif
