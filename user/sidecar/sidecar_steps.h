/* SPDX-License-Identifier: Apache-2.0 */
/* The steps that start a sidecar, and undo the start in reverse. */
#ifndef SIDESTEP_SIDECAR_STEPS_H
#define SIDESTEP_SIDECAR_STEPS_H

#include "sidecar/sidecar_state.h"

/* Sets up an instance of which no step has begun. */
void sidecar_steps_init(struct sidecar *sidecar, const struct sidecar_options *options,
			const struct gateway_target *target);

/* Starts everything up to the control API. Returns 0 or negative errno, logged. In both cases the
 * caller must call sidecar_steps_stop(). */
int sidecar_steps_start(struct sidecar *sidecar);

/* Undoes all steps that have begun. */
void sidecar_steps_stop(struct sidecar *sidecar);

#endif
