// SPDX-License-Identifier: Apache-2.0
#include "agent/agent_candidates.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/agent_session.h"
#include "datapath/rendezvous.h"
#include "lib/log.h"
#include "lib/netns.h"
#include "lib/util.h"

/* Docker reports a container's start before its program has opened the rendezvous. The agent tries
 * every few milliseconds for half a second, then ten times a second for a minute. */
#define SOON_MS	    2
#define TRIES_SOON  250
#define LATER_MS    100
#define TRIES_LATER 600

struct agent_candidate {
	struct agent_candidate *next;
	struct agent_candidates *candidates;
	char id[65]; /* of its container; "": given by --pid */
	char name[64];
	pid_t pid;
	struct loop_handler exit; /* its pidfd, readable once it has ended */
	struct loop_timer retry;
	unsigned int tries;
	struct agent_session *session; /* NULL: none */
	bool listed;		       /* in the newest list */
	struct loop_release release;
};

static void candidate_remove(struct agent_candidate *candidate)
{
	struct agent_candidates *candidates = candidate->candidates;
	struct agent_candidate **link = &candidates->first;

	while (*link != candidate)
		link = &(*link)->next;
	*link = candidate->next;
	loop_timer_stop(&candidate->retry);
	loop_close(&candidate->exit);
	loop_free_later(candidates->loop, &candidate->release, candidate);
}

/* The session frees itself after this. */
static void session_ended(void *context, struct agent_session *session, bool detached)
{
	struct agent_candidates *candidates = context;
	struct agent_namespace *namespace = agent_session_namespace(session);
	struct agent_candidate *candidate;

	/* The candidate may be gone, as a process's end is reported before the end of its sockets.
	 */
	for (candidate = candidates->first; candidate; candidate = candidate->next) {
		if (candidate->session == session)
			candidate->session = NULL;
	}
	log_info("%s: its sidecar is gone; %s", agent_session_name(session),
		 detached ? "nothing is attached any more"
			  : "the attached programs let nothing out, until its network namespace "
			    "is gone");
	namespace->netns_fd = safe_close(namespace->netns_fd);
	if (detached)
		agent_namespaces_drop(candidates->namespaces, namespace);
	else
		agent_namespaces_sweep(candidates->namespaces);
}

static void session_attached(void *context)
{
	const struct agent_candidates *candidates = context;

	agent_namespaces_settle(candidates->namespaces);
}

static const struct agent_session_handler session_handler = {
	.ended = session_ended,
	.attached = session_attached,
};

static bool has_exited(const struct agent_candidate *candidate)
{
	struct pollfd event = {.fd = candidate->exit.fd, .events = POLLIN};

	return poll(&event, 1, 0) != 0;
}

/* Returns the number of the namespace @netns_fd, which must not be the host's own. */
static int number_namespace(const struct agent_candidates *candidates, const char *name,
			    int netns_fd, uint32_t *ret_netns)
{
	int error = netns_enter(netns_fd), back;

	if (error == 0)
		error = programs_netns(ret_netns);
	back = netns_enter(candidates->namespaces->home_fd);
	if (error < 0 || back < 0)
		return log_errno(error < 0 ? error : back, "%s: cannot enter its network namespace",
				 name);
	if (*ret_netns == candidates->home)
		return log_errno(-EPERM,
				 "%s: runs in the host's network namespace, which is not touched: "
				 "start it without --network host",
				 name);
	return 0;
}

/* Starts to serve the session @fd, and takes it over also on failure. */
static int session_begin(struct agent_candidate *candidate, int fd)
{
	struct agent_candidates *candidates = candidate->candidates;
	_cleanup_close_ int netns_fd = -1, session_fd = fd;
	struct agent_namespace *namespace;
	uint32_t netns = 0;
	int error;

	netns_fd = netns_open_of(candidate->pid);
	/* If the process still runs, the pid and so the namespace are its own. */
	if (netns_fd < 0 || has_exited(candidate))
		return -ESRCH;
	error = number_namespace(candidates, candidate->name, netns_fd, &netns);
	if (error < 0)
		return error;
	namespace = agent_namespaces_get(candidates->namespaces, netns);
	if (!namespace)
		return -ENOMEM;
	if (namespace->netns_fd >= 0)
		return log_errno(-EBUSY, "%s: another sidecar is served in its network namespace",
				 candidate->name);
	namespace->netns_fd = TAKE_FD(netns_fd);
	error = agent_session_new(candidates->loop, TAKE_FD(session_fd), candidate->name,
				  candidate->pid, namespace, &session_handler, candidates,
				  &candidate->session);
	if (error == 0)
		return 0;
	namespace->netns_fd = safe_close(namespace->netns_fd);
	return error;
}

/* Logs why the process is not served. */
static void refused(const struct agent_candidate *candidate, int error,
		    const struct agent_hello *greeting)
{
	if (error == -EPROTO)
		log_error("%s: its sidecar is sidestep %s (protocol %u, maps %u), this agent is %s "
			  "(%d, %d): run one version of both. The sidecar uses nftables "
			  "until then",
			  candidate->name, greeting->version, greeting->wire_version,
			  greeting->abi_version, SIDESTEP_VERSION, AGENT_WIRE_VERSION,
			  SIDESTEP_ABI_VERSION);
	else if (error == -EPERM)
		log_error("%s: no access to process %d: the agent needs CAP_SYS_PTRACE and the "
			  "host's processes (docker run --privileged --pid=host)",
			  candidate->name, (int)candidate->pid);
	else if (error == -EAGAIN || error == -ENOTSUP)
		log_info("%s: process %d does not want an agent: it has rights of its own, or is "
			 "not sidestep",
			 candidate->name, (int)candidate->pid);
	else if (error != -ESRCH)
		(void)log_errno(error, "%s: cannot contact process %d", candidate->name,
				(int)candidate->pid);
}

static void contact(struct agent_candidate *candidate)
{
	struct agent_candidates *candidates = candidate->candidates;
	struct agent_hello greeting = {.version = ""};
	int session = rendezvous_offer(candidate->exit.fd, &greeting);

	if (session == -EAGAIN && candidate->tries < TRIES_SOON + TRIES_LATER) {
		loop_timer_start(candidates->loop,
				 candidate->tries++ < TRIES_SOON ? &candidates->soon_class
								 : &candidates->later_class,
				 &candidate->retry);
	} else if (session < 0) {
		refused(candidate, session, &greeting);
	} else if (session_begin(candidate, session) == 0) {
		log_info("%s: process %d is served (sidestep %s)", candidate->name,
			 (int)candidate->pid, greeting.version);
	}
}

static void retry_expired(struct loop_timer *timer)
{
	contact(container_of(timer, struct agent_candidate, retry));
}

static void process_exited(struct loop_handler *handler, uint32_t events)
{
	(void)events;
	candidate_remove(container_of(handler, struct agent_candidate, exit));
}

void agent_candidates_init(struct agent_candidates *candidates, struct loop *loop,
			   struct agent_namespaces *namespaces, uint32_t home)
{
	*candidates = (struct agent_candidates) {
		.loop = loop,
		.namespaces = namespaces,
		.home = home,
	};
	loop_timer_class_init(loop, &candidates->soon_class, SOON_MS);
	loop_timer_class_init(loop, &candidates->later_class, LATER_MS);
}

static struct agent_candidate *candidate_find(const struct agent_candidates *candidates,
					      const char *id, pid_t pid)
{
	struct agent_candidate *candidate;

	for (candidate = candidates->first; candidate; candidate = candidate->next)
		if (candidate->pid == pid && strcmp(candidate->id, id) == 0)
			return candidate;
	return NULL;
}

/* Returns 0 or a negative errno. */
static int candidate_new(struct agent_candidates *candidates, const char *id, const char *name,
			 pid_t pid)
{
	_cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct agent_candidate *candidate;
	int error;

	if (pidfd < 0)
		return -errno;
	candidate = calloc(1, sizeof(*candidate));
	if (!candidate)
		return -ENOMEM;
	candidate->candidates = candidates;
	candidate->pid = pid;
	candidate->listed = true;
	(void)snprintf(candidate->id, sizeof(candidate->id), "%s", id);
	(void)snprintf(candidate->name, sizeof(candidate->name), "%s", name);
	candidate->exit.ready = process_exited;
	candidate->retry.expired = retry_expired;
	error = loop_add(candidates->loop, &candidate->exit, pidfd, EPOLLIN);
	if (error < 0) {
		free(candidate);
		return error;
	}
	(void)TAKE_FD(pidfd);
	candidate->next = candidates->first;
	candidates->first = candidate;
	contact(candidate);
	return 0;
}

void agent_candidates_add(struct agent_candidates *candidates, const char *id, const char *name,
			  pid_t pid)
{
	struct agent_candidate *known = candidate_find(candidates, id, pid);
	int error;

	/* The agent's own container may be of the same image. */
	if (pid == getpid())
		return;
	if (known) {
		known->listed = true;
		return;
	}
	error = candidate_new(candidates, id, name, pid);
	if (error < 0 && error != -ESRCH)
		(void)log_errno(error, "%s: cannot watch process %d", name, (int)pid);
}

void agent_candidates_update(struct agent_candidates *candidates, const struct agent_seen *seen,
			     size_t count)
{
	struct agent_candidate *candidate, *next;
	size_t i;

	for (candidate = candidates->first; candidate; candidate = candidate->next)
		candidate->listed = candidate->id[0] == '\0';
	for (i = 0; i < count; i++)
		agent_candidates_add(candidates, seen[i].id, seen[i].name, seen[i].pid);
	/* A candidate with a session is removed when its process ends. */
	for (candidate = candidates->first; candidate; candidate = next) {
		next = candidate->next;
		if (!candidate->listed && !candidate->session)
			candidate_remove(candidate);
	}
}

void agent_candidates_release(struct agent_candidates *candidates)
{
	while (candidates->first) {
		struct agent_candidate *candidate = candidates->first;

		agent_session_free(candidate->session);
		candidate_remove(candidate);
	}
	if (candidates->loop)
		loop_flush(candidates->loop);
}
