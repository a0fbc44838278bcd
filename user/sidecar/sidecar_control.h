/* SPDX-License-Identifier: Apache-2.0 */
/* The last step of a sidecar's start: the control API, and how its requests reach the other parts.
 */
#ifndef SIDESTEP_SIDECAR_CONTROL_H
#define SIDESTEP_SIDECAR_CONTROL_H

#include "sidecar/sidecar_state.h"

/* Opens the API, if the options ask for it. Returns 0 or negative errno, logged. */
int sidecar_control_start(struct sidecar *sidecar);

void sidecar_control_stop(struct sidecar *sidecar);

#endif
