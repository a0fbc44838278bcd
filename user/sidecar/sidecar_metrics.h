/* SPDX-License-Identifier: Apache-2.0 */
/* A sidecar's metrics (--metrics-listen): collects them from its parts. */
#ifndef SIDESTEP_SIDECAR_METRICS_H
#define SIDESTEP_SIDECAR_METRICS_H

#include "sidecar/sidecar_state.h"

/* Checks the options. Returns 0 or -EINVAL, logged. */
int sidecar_metrics_check(const struct sidecar_options *options);

/* Makes what takes events, before they are opened. Returns 0 or negative errno, logged. */
int sidecar_metrics_prepare(struct sidecar *sidecar);

/* Adds it to the events. Returns 0 or -ENOBUFS. */
int sidecar_metrics_add_sinks(struct sidecar *sidecar);

/* Sends the events that are left, and frees. */
void sidecar_metrics_release(struct sidecar *sidecar);

/* Open the address while files may still be made, and serve it once everything runs. Return 0 or
 * negative errno, logged. */
int sidecar_metrics_open(struct sidecar *sidecar);
int sidecar_metrics_start(struct sidecar *sidecar);

/* Stop serving, before the parts go that it asks, and close. Idempotent. */
void sidecar_metrics_stop(struct sidecar *sidecar);
void sidecar_metrics_close(struct sidecar *sidecar);

/* Returns the file that the close removes, or NULL. */
const char *sidecar_metrics_file(const struct sidecar *sidecar);

/* Notes the result of a sync, and how long Docker's last event waited for it. */
void sidecar_metrics_synced(struct sidecar *sidecar, int error);

#endif
