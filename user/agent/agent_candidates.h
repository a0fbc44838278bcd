/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processes that may be sidecars. The agent tries to open a session with each, and serves the
 * session in the sidecar's network namespace. It serves a process only if that process has
 * CAP_NET_ADMIN there, because an application can imitate all else. The session ends with the
 * process.
 */
#ifndef SIDESTEP_AGENT_CANDIDATES_H
#define SIDESTEP_AGENT_CANDIDATES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/agent_ends.h"
#include "agent/agent_namespaces.h"
#include "agent/agent_watch.h"
#include "lib/complaint.h"
#include "stream/loop.h"

struct agent_candidate;

/* Zero-initialised: empty. */
struct agent_candidates {
	struct loop *loop;
	struct agent_namespaces *namespaces;
	struct agent_ends *ends;
	struct agent_candidate *first;
	const struct agent_seen *seen; /* Docker's newest list; the watch's */
	size_t seen_count;
	struct loop_timer again;
	struct complaint complaint;
	struct loop_timer_class soon_class, later_class, busy_class, pause_class;
};

/* @loop, @namespaces and @ends stay the caller's. All functions are called from the loop's thread.
 */
void agent_candidates_init(struct agent_candidates *candidates, struct loop *loop,
			   struct agent_namespaces *namespaces, struct agent_ends *ends);

/* Adds the process @pid of the container @id (--pid: "") unless it is known, and contacts it.
 * Returns 0, also if it has ended, or a negative errno, logged. */
int agent_candidates_add(struct agent_candidates *candidates, const char *id, const char *name,
			 pid_t pid);

/* Adds the sidecars of Docker's newest list, and tries those again that cannot be watched now.
 * Removes those that it lacks and that have no session. @seen lasts until the next call. */
void agent_candidates_update(struct agent_candidates *candidates, const struct agent_seen *seen,
			     size_t count);

/* Ends all sessions. Attachments stay. */
void agent_candidates_release(struct agent_candidates *candidates);

#endif
