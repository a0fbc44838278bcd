/* SPDX-License-Identifier: Apache-2.0 */
/* The place of a sidecar's socket for events, which its readers know as well. */
#ifndef SIDESTEP_EVENT_PLACE_H
#define SIDESTEP_EVENT_PLACE_H

#include <stdint.h>

#define EVENT_PLACE_FOLDER "/run/sidestep"
#define EVENT_PLACE_MAX	   64

/* Returns the number of the calling thread's network namespace in events: its cookie or, before
 * Linux 5.14, its inode. */
uint64_t event_place_netns(void);

/* Prints the path of the socket for that namespace. */
void event_place(uint64_t netns, char path[EVENT_PLACE_MAX]);

#endif
