/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Joins the events and the datapath. Events learn who opened their flow, and in which container.
 * Denied packets become events, and the host's agent hears of all.
 */
#ifndef SIDESTEP_SIDECAR_WHO_H
#define SIDESTEP_SIDECAR_WHO_H

#include "events/events.h"
#include "sidecar/sidecar_datapath.h"
#include "sidecar/sidecar_tenants.h"

struct sidecar_who;

/* NULL: no memory. @datapath stays the caller's. Reads files, so it comes before the sandbox. */
struct sidecar_who *sidecar_who_new(struct sidecar_datapath *datapath);

/* Returns what @who knows of the containers, to be kept up to date. NULL: nothing, as in bridge
 * mode, or if @who is NULL. */
struct sidecar_tenants *sidecar_who_tenants(struct sidecar_who *who);

/* For struct events_config; @context is the struct sidecar_who. */
void sidecar_who_resolve(void *context, struct event *event);

/* Adds a sink for the host's agent, and takes the records of denied packets. Before the start of
 * @events. Returns 0 or negative errno. */
int sidecar_who_join(struct sidecar_who *who, struct events *events);

/* Tells of the packets that were denied until now. After events_stop(). NULL is allowed. */
void sidecar_who_finish(struct sidecar_who *who);

/* After events_stop(), and before the datapath is closed. NULL is allowed. */
void sidecar_who_free(struct sidecar_who *who);

#endif
