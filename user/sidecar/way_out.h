/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Notices that the network namespace has lost its last device that leads outside. Then its
 * container has ended, and nobody is left to serve. A container engine takes the devices away when
 * the container stops, and gives a restarted one a new namespace.
 */
#ifndef SIDESTEP_WAY_OUT_H
#define SIDESTEP_WAY_OUT_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "net/netlink_link.h"

/* A device that comes within this time takes the place of the last one, ms. */
#define WAY_OUT_GRACE_MS 1000

/* Belongs to the main thread. Zero-initialised with timer_fd = -1 it watches nothing. */
struct way_out {
	struct netlink *netlink;
	int timer_fd;	     /* readable when the grace is over */
	bool gone;	     /* the grace has begun */
	char name[IFNAMSIZ]; /* the last device that was up; "": there was none yet */
};

/* Whether packets leave the namespace by this link, and not only by another one of its links. */
bool way_out_leads(const struct netlink_link *link);

/* Looks for the first time. Returns 0 or
 * negative errno, logged. */
int way_out_open(struct way_out *way_out);
void way_out_close(struct way_out *way_out);

/* Looks again, after a change in the namespace. */
void way_out_look(struct way_out *way_out);

/* The timer is readable. Returns true if the last device is still gone. */
bool way_out_lost(struct way_out *way_out);

#endif
