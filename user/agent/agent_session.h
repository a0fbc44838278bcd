/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent does at a sidecar's request (agent_wire.h), in that sidecar's namespace alone. */
#ifndef SIDESTEP_AGENT_SESSION_H
#define SIDESTEP_AGENT_SESSION_H

#include "agent/agent_namespace.h"
#include "stream/loop.h"

struct agent_session;

struct agent_session_handler {
	/* The other side is gone, and the session is freed thereafter. @detached: it has asked for
	 * that. */
	void (*ended)(void *context, struct agent_session *session, bool detached);
	/* Something was attached. */
	void (*attached)(void *context);
};

/*
 * Serves the session @fd (taken over, also on failure) of the container @name, whose first process
 * is @pid, on the loop. @namespace must have its netns_fd, and outlive the session. Returns 0 or
 * negative errno.
 */
int agent_session_new(struct loop *loop, int fd, const char *name, pid_t pid,
		      struct agent_namespace *namespace,
		      const struct agent_session_handler *session_handler, void *context,
		      struct agent_session **ret_session);

/* From the loop's thread; the handler is not called. NULL is allowed. */
void agent_session_free(struct agent_session *session);

const char *agent_session_name(const struct agent_session *session);
struct agent_namespace *agent_session_namespace(const struct agent_session *session);

#endif
