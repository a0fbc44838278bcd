/* SPDX-License-Identifier: Apache-2.0 */
/* A sidecar's events: the log and the socket that they go to. */
#ifndef SIDESTEP_SIDECAR_EVENTS_H
#define SIDESTEP_SIDECAR_EVENTS_H

#include "sidecar/sidecar_state.h"

/* Opens what the options ask for. Without log and socket there are no events. Returns 0 or negative
 * errno, logged. */
int sidecar_events_open(struct sidecar *sidecar);

/* Starts their thread, in the sandbox of the calling one. Returns 0 or negative errno, logged. */
int sidecar_events_start(struct sidecar *sidecar);

/* Returns where people find the events, to be read behind a message. NULL: there are none. */
const char *sidecar_events_hint(const struct sidecar *sidecar);

/* Writes what is left, and closes all. */
void sidecar_events_close(struct sidecar *sidecar);

#endif
