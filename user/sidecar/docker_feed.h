/* SPDX-License-Identifier: Apache-2.0 */
/* Carries Docker's networks from the watcher's thread to the thread that steers, and its containers
 * to those who name them. */
#ifndef SIDESTEP_DOCKER_FEED_H
#define SIDESTEP_DOCKER_FEED_H

#include <stdbool.h>

#include "lib/options.h"
#include "sidecar/sidecar_tenants.h"
#include "steering/steering.h"

struct docker_feed;

/* Watches the engine at @socket_path. @tenants learn of the containers; NULL: nobody wants to
 * know. Returns 0 or negative errno, logged. */
int docker_feed_new(const char *socket_path, struct sidecar_tenants *tenants,
		    struct docker_feed **ret_feed);
void docker_feed_free(struct docker_feed *feed);

/* Returns a descriptor (the feed's) that is readable when a newer snapshot exists. */
int docker_feed_fd(const struct docker_feed *feed);

/* Tells whether all of @bridges name networks without a bridge, such as macvlan's. Each one that
 * does is logged. */
bool docker_feed_lacks_bridges(struct docker_feed *feed, const struct option_strings *bridges);

/* Hands the newest snapshot to @steering: the bypassed subnets and the interfaces of @bridges,
 * whose names are networks or interfaces. Returns 0 or negative errno. */
int docker_feed_apply(struct docker_feed *feed, struct steering *steering,
		      const struct option_strings *bridges);

/* The applied networks are in the datapath. Returns true if events led to it, with the time since
 * the first of them in *@ret_us. */
bool docker_feed_synced(struct docker_feed *feed, uint64_t *ret_us);

#endif
