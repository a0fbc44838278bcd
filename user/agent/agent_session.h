/* SPDX-License-Identifier: Apache-2.0 */
/* Serves a sidecar's requests (datapath/agent_wire.h). It only touches that sidecar's namespace. */
#ifndef SIDESTEP_AGENT_SESSION_H
#define SIDESTEP_AGENT_SESSION_H

#include "agent/agent_namespace.h"
#include "stream/loop.h"

struct agent_session;

struct agent_session_handler {
	/* The sidecar is gone, and the session frees itself after the call. @detached: the sidecar
	 * has asked to detach. */
	void (*ended)(void *context, struct agent_session *session, bool detached);
	/* The sidecar's request attached programs, to the device @ifindex or to none (0). The
	 * sidecar gets the error that it returns. */
	int (*attached)(void *context, const struct agent_session *session, uint32_t ifindex);
	/* The device leads inside, or the sidecar follows it no more. */
	void (*settled)(void *context, const struct agent_session *session, uint32_t ifindex);
};

/*
 * Serves the session @fd of the container @name, whose first process is @pid, on the loop. A
 * session that asks for too much waits for @pause_class. It takes @fd over, also on failure.
 * @namespace must have its netns_fd, and outlive the session. Returns 0 or a negative errno.
 */
int agent_session_new(struct loop *loop, struct loop_timer_class *pause_class, int fd,
		      const char *name, pid_t pid, struct agent_namespace *namespace,
		      const struct agent_session_handler *session_handler, void *context,
		      struct agent_session **ret_session);

/* Serves the requests that wait, as far as the allowance goes, and takes no further ones. The
 * sidecar has ended and may have asked to detach while the agent was busy. */
void agent_session_drain(struct agent_session *session);

/* Ends the session, without regard to requests that wait. The handler's ended() is called when the
 * events in progress have been handled; until then, repeating it is harmless. */
void agent_session_end(struct agent_session *session);

/* Does likewise, after detaching everything, as if the sidecar had asked for it. */
void agent_session_expel(struct agent_session *session);

/* Called from the loop's thread. The handler is not called. NULL is allowed. */
void agent_session_free(struct agent_session *session);

const char *agent_session_name(const struct agent_session *session);
struct agent_namespace *agent_session_namespace(const struct agent_session *session);

#endif
