/* SPDX-License-Identifier: Apache-2.0 */
/* The steps that start a sidecar, and undo the start in reverse. */
#ifndef SIDESTEP_SIDECAR_STEPS_H
#define SIDESTEP_SIDECAR_STEPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/socket_address.h"
#include "sidecar/sidecar_datapath.h"
#include "sidecar/sidecar_options.h"
#include "sidecar/sidecar_takeover.h"
#include "steering/bridge_netns.h"

/* Belongs to the main thread. The options and the gateway are the caller's. */
struct sidecar {
	const struct sidecar_options *options;
	const struct socket_address *gateway;
	bool bridge_mode;
	size_t steps_begun; /* these need a stop */
	bool live;	    /* every step succeeded */
	int signal_fd;
	int lock_fd;
	int monitor_fd;
	int anchor_fd;
	uint32_t anchor_ifindex;
	int gateway_fd; /* eventfd: the control API has changed the gateway */
	struct bridge_netns bridge;
	struct policy *policy;
	struct tls_authority *tls;
	struct sidecar_datapath datapath;
	struct sidecar_takeover takeover;
	struct proxy *proxy;
	struct steering *steering;
	struct docker_feed *feed;
	struct preflight *preflight;
	struct control *control;
};

/* Sets up an instance of which no step has begun. */
void sidecar_steps_init(struct sidecar *sidecar, const struct sidecar_options *options,
			const struct socket_address *gateway);

/* Starts everything up to the control API. Returns 0 or negative errno, logged. In both cases the
 * caller must call sidecar_steps_stop(). */
int sidecar_steps_start(struct sidecar *sidecar);

/* Undoes all steps that have begun. */
void sidecar_steps_stop(struct sidecar *sidecar);

#endif
