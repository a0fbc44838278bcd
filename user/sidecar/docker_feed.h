/* SPDX-License-Identifier: Apache-2.0 */
/* Carries what user/docker/docker_networks.c sees, in a thread of its own, to the thread that
 * steers. */
#ifndef SIDESTEP_DOCKER_FEED_H
#define SIDESTEP_DOCKER_FEED_H

#include "lib/options.h"
#include "steering/steering.h"

struct docker_feed;

/* Watches the engine at @socket_path. Returns 0 or negative errno, logged. */
int docker_feed_new(const char *socket_path, struct docker_feed **ret_feed);
void docker_feed_free(struct docker_feed *feed);

/* Readable when there is news. Stays the feed's. */
int docker_feed_fd(const struct docker_feed *feed);

/* Hands the newest snapshot to @steering: bypassed subnets and, where @bridges has names, the
 * interfaces of the networks or bridges so named. Returns 0 or negative errno. */
int docker_feed_apply(struct docker_feed *feed, struct steering *steering,
		      const struct option_strings *bridges);

#endif
