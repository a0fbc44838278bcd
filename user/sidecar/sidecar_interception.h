/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of a sidecar's start that close the network namespace and then steer, and their undoing
 * (sidecar_steps.h). Each start step returns 0 or a negative errno, logged.
 */
#ifndef SIDESTEP_SIDECAR_INTERCEPTION_H
#define SIDESTEP_SIDECAR_INTERCEPTION_H

#include "sidecar/sidecar_state.h"

/* Makes the steering, which has no datapath yet. */
int sidecar_interception_new(struct sidecar *sidecar);

/* Closes the namespace if --guard-first or a predecessor's traces want it. From here on a start
 * that fails leaves it closed. */
int sidecar_interception_close(struct sidecar *sidecar);

/* Guards the devices by the datapath. It comes before the proxy's sockets, because the application
 * can take all ports. Nothing in bridge mode, where programs on bridges would steer at once. */
int sidecar_interception_guard_devices(struct sidecar *sidecar);

/*
 * Steers from here on. In sidecar mode maps and devices are ready: first the older connections,
 * then the programs that judge by the maps, and routes last. In bridge mode the programs come
 * first, because the proxy's own namespace has no traffic yet.
 */
int sidecar_interception_start(struct sidecar *sidecar);

/* Must be called after a step failed: where the host's agent serves, the namespace stays closed. */
void sidecar_interception_failed(struct sidecar *sidecar);

/* Whether nothing is to leave the namespace after this process, until the next one steers. */
bool sidecar_interception_stays_closed(const struct sidecar *sidecar);

/* Removes routes and rules, while the guard of devices is still attached. Nothing if the namespace
 * stays closed. */
void sidecar_interception_end(struct sidecar *sidecar);

/* Bridge mode: logs how many bridges are steered, if that has changed. One that is missing may come
 * later, but often its name is wrong. */
void sidecar_interception_tell_bridges(struct sidecar *sidecar);

#endif
