/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps a helper of the agent running: starts its process (agent_spawn.h), starts it again when it
 * ends, and logs for it. The agent does not trust it.
 */
#ifndef SIDESTEP_AGENT_HELPER_H
#define SIDESTEP_AGENT_HELPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/agent_budget.h"
#include "agent/agent_spawn.h"
#include "lib/complaint.h"
#include "stream/loop.h"

struct agent_helper;

/* All are called in the loop's thread. */
struct agent_helper_handler {
	const char *topic;     /* of the lines in the log */
	const char *name;      /* for the log */
	const char *meanwhile; /* what its end means, for the log */
	/* Calls agent_helper_spawn(), and opens the connections. Returns 0 or a negative errno,
	 * logged. */
	int (*start)(struct agent_helper *helper);
	/* Closes the connections, so that nothing of the helper is heard any more. Idempotent. */
	void (*hang_up)(struct agent_helper *helper);
	/* It has ended, or could not be started again. */
	void (*ended)(struct agent_helper *helper);
};

/* Embedded in its owner. */
struct agent_helper {
	struct loop *loop;
	const struct agent_helper_handler *handler;
	bool leaving; /* the owner says that it is not started again */

	pid_t pid; /* valid while .exit is registered */
	uint64_t started_ms;
	struct loop_handler exit; /* its pidfd, readable once it has ended */
	struct loop_handler log;
	struct loop_timer restart;
	struct loop_timer_class soon_class, later_class;
	struct agent_budget lines;
	struct complaint complaint;
};

/* The owner and @handler outlive the helper. */
void agent_helper_init(struct agent_helper *helper, struct loop *loop,
		       const struct agent_helper_handler *handler);

/* Executes the helper's process. Returns 0 with the agent's ends of its news and asks, which are
 * the caller's, or a negative errno, logged. */
int agent_helper_spawn(struct agent_helper *helper, const struct agent_spawn_config *config,
		       int *ret_news_fd, int *ret_asks_fd);

static inline bool agent_helper_runs(const struct agent_helper *helper)
{
	return helper->exit.fd >= 0;
}

/* Ends a helper that did @what, which an honest one does not. It is started again later. NULL: it
 * closed its socket, or has ended. */
void agent_helper_violated(struct agent_helper *helper, const char *what);

/* Kills the helper, waits for its end, and does not start it again. Idempotent. */
void agent_helper_end(struct agent_helper *helper);

#endif
