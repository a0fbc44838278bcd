/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps the network namespaces of guarded containers (--guard) closed while no sidecar is served
 * there. The engine tells which containers these are, by their ids. A container that was guarded
 * once stays guarded under any other name.
 */
#ifndef SIDESTEP_AGENT_WARDS_H
#define SIDESTEP_AGENT_WARDS_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/agent_ends.h"
#include "agent/agent_namespaces.h"
#include "agent/agent_news.h"
#include "lib/array.h"
#include "stream/loop.h"

/* Zero-initialised: no container is guarded. */
struct agent_wards {
	struct loop *loop;
	struct agent_namespaces *namespaces;
	struct agent_ends *ends;
	struct array wards;	       /* struct agent_ward */
	const struct agent_seen *seen; /* Docker's newest list; the watch's */
	size_t seen_count;
	struct loop_timer_class again_class;
	struct loop_timer again;
};

/* @loop, @namespaces and @ends stay the caller's. All functions are called from the loop's thread.
 */
void agent_wards_init(struct agent_wards *wards, struct loop *loop,
		      struct agent_namespaces *namespaces, struct agent_ends *ends);

/* Closes the namespaces of guarded containers in Docker's newest list that run in new ones. One
 * that cannot be closed is tried again. @seen lasts until the next call. */
void agent_wards_update(struct agent_wards *wards, const struct agent_seen *seen, size_t count);

/* Is the container @id guarded, whatever its name is now? */
bool agent_wards_has(const struct agent_wards *wards, const char *id);

/* Frees the memory. The namespaces stay as they are. */
void agent_wards_release(struct agent_wards *wards);

#endif
