// SPDX-License-Identifier: Apache-2.0
#include "agent/agent_candidates.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/agent_session.h"
#include "datapath/rendezvous.h"
#include "lib/escape.h"
#include "lib/log.h"
#include "lib/netns.h"
#include "lib/process_rights.h"
#include "lib/util.h"

/* Docker reports a container's start before its program has opened the rendezvous. The agent tries
 * every few milliseconds for half a second, then ten times a second for a minute. */
#define SOON_MS	    2
#define TRIES_SOON  250
#define LATER_MS    100
#define TRIES_LATER 600

/* A process is contacted again at this pace while another sidecar is served in its namespace, or
 * while the agent is short of descriptors. It lasts as long as the process. */
#define BUSY_MS 250

/* A session that asks for too much is looked at again after this time. */
#define PAUSE_MS 50

struct agent_candidate {
	struct agent_candidate *next;
	struct agent_candidates *candidates;
	char id[65]; /* of its container; "": given by --pid */
	char name[64];
	pid_t pid;
	struct loop_handler exit; /* its pidfd, readable once it has ended */
	struct loop_timer retry;
	unsigned int tries;
	int told; /* the error that was logged last, so that retries are silent */
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

	agent_ends_settle(candidates->ends, namespace, 0);
	/* The candidate is gone if the session ended with its process. */
	for (candidate = candidates->first; candidate; candidate = candidate->next) {
		if (candidate->session == session)
			candidate->session = NULL;
	}
	if (namespace->kept)
		log_warning("%s: its sidecar is gone; nothing gets out of its network namespace "
			    "until another one is served (--guard)",
			    agent_session_name(session));
	else
		log_info("%s: its sidecar is gone; %s", agent_session_name(session),
			 detached ? "nothing is attached any more"
				  : "the attached programs let nothing out, until its network "
				    "namespace is gone");
	namespace->netns_fd = safe_close(namespace->netns_fd);
	if (detached && !namespace->kept)
		agent_namespaces_drop(candidates->namespaces, namespace);
	else
		agent_namespaces_sweep(candidates->namespaces);
}

/* The agent lacks memory or descriptors. This says nothing about a sidecar, so it is tried again.
 */
static bool is_shortage(int error)
{
	return error == -EMFILE || error == -ENFILE || error == -ENOMEM;
}

static int session_attached(void *context, const struct agent_session *session, uint32_t ifindex)
{
	const struct agent_candidates *candidates = context;
	int error = agent_ends_guard(candidates->ends, agent_session_namespace(session), ifindex,
				     agent_session_name(session));

	agent_namespaces_settle(candidates->namespaces);
	return error;
}

static void session_settled(void *context, const struct agent_session *session, uint32_t ifindex)
{
	const struct agent_candidates *candidates = context;

	agent_ends_settle(candidates->ends, agent_session_namespace(session), ifindex);
}

static const struct agent_session_handler session_handler = {
	.ended = session_ended,
	.attached = session_attached,
	.settled = session_settled,
};

/* Returns 0 if the process may steer in the namespace @netns_fd, -EACCES if it may not, or another
 * negative errno. */
static int check_rights(const struct agent_candidate *candidate, int netns_fd)
{
	int rights = process_rights_net_admin(candidate->exit.fd, candidate->pid, netns_fd);

	if (rights == -EACCES)
		return -EPERM; /* the agent's own right is missing */
	return rights > 0 ? 0 : rights == 0 ? -EACCES : rights;
}

/* Ends the session of a process that holds the namespace and has lost the right to it. Its bypassed
 * prefixes must not stay for the sidecar, which steers by nftables until it is served. */
static void drop_imposter(const struct agent_candidates *candidates,
			  const struct agent_namespace *namespace)
{
	struct agent_candidate *holder = candidates->first;

	while (holder &&
	       (!holder->session || agent_session_namespace(holder->session) != namespace))
		holder = holder->next;
	if (!holder || check_rights(holder, namespace->netns_fd) != -EACCES)
		return;
	log_warning("%s: process %d has no CAP_NET_ADMIN any more: it is no longer served",
		    holder->name, (int)holder->pid);
	agent_session_expel(holder->session);
}

/* Opens the network namespace of a process that has the right to steer in it. Returns 0 with its
 * descriptor (the caller's) and its number, or a negative errno. */
static int open_namespace(const struct agent_candidate *candidate, int *ret_netns_fd,
			  uint32_t *ret_netns)
{
	_cleanup_close_ int netns_fd = netns_open_of(candidate->pid);
	int error;

	if (netns_fd < 0)
		return netns_fd == -ENOENT ? -ESRCH : netns_fd == -EACCES ? -EPERM : netns_fd;
	/* It also tells that the process still runs, so the namespace is its own. */
	error = check_rights(candidate, netns_fd);
	if (error == 0)
		error = agent_namespaces_number(candidate->candidates->namespaces, netns_fd,
						ret_netns);
	if (error == 0)
		*ret_netns_fd = TAKE_FD(netns_fd);
	return error;
}

/* Starts to serve the process if it waits at the rendezvous and has the right to be served. Returns
 * 0 with its @greeting, or a negative errno. */
static int meet(struct agent_candidate *candidate, struct agent_hello *greeting)
{
	struct agent_candidates *candidates = candidate->candidates;
	_cleanup_close_ int end = rendezvous_find(candidate->exit.fd, greeting), netns_fd = -1;
	struct agent_namespace *namespace;
	uint32_t netns = 0;
	int session, error;

	error = end < 0 ? end : open_namespace(candidate, &netns_fd, &netns);
	if (error < 0)
		return error;
	namespace = agent_namespaces_get(candidates->namespaces, netns);
	if (!namespace)
		return -ENOMEM;
	if (namespace->netns_fd >= 0) {
		drop_imposter(candidates, namespace);
		return -EBUSY;
	}
	session = rendezvous_offer(end, greeting);
	if (session < 0)
		return session;
	namespace->netns_fd = TAKE_FD(netns_fd);
	error = agent_session_new(candidates->loop, &candidates->pause_class, session,
				  candidate->name, candidate->pid, namespace, &session_handler,
				  candidates, &candidate->session);
	if (error == 0)
		return 0;
	namespace->netns_fd = safe_close(namespace->netns_fd);
	return error;
}

/* Logs why the process is not served. Returns @error. */
static int refused(const struct agent_candidate *candidate, int error,
		   const struct agent_hello *greeting)
{
	char version[4 * sizeof(greeting->version)];
	int pid = (int)candidate->pid;

	switch (error) {
	case -ESRCH:
		break;
	case -EPROTO:
		log_error("%s: its sidecar is sidestep %s (protocol %u, maps %u), this agent is %s "
			  "(%d, %d): run one version of both. The sidecar uses nftables "
			  "until then",
			  candidate->name, escape_text(version, sizeof(version), greeting->version),
			  greeting->wire_version, greeting->abi_version, SIDESTEP_VERSION,
			  AGENT_WIRE_VERSION, SIDESTEP_ABI_VERSION);
		break;
	case -EPERM:
		log_error("%s: no access to process %d: the agent needs CAP_SYS_PTRACE and the "
			  "host's processes (docker run --privileged --pid=host)",
			  candidate->name, pid);
		break;
	case -EACCES:
		log_error("%s: process %d is not served: it has no CAP_NET_ADMIN in its network "
			  "namespace, so it is not the sidecar",
			  candidate->name, pid);
		break;
	case -EXDEV:
		log_error("%s: runs in the host's network namespace, which is not touched: start "
			  "it without --network host",
			  candidate->name);
		break;
	case -EBUSY:
		log_error("%s: another sidecar is served in its network namespace; it is tried "
			  "again until that one ends",
			  candidate->name);
		break;
	case -EAGAIN:
	case -ENOTSUP:
		log_info("%s: process %d does not want an agent: it has rights of its own, or is "
			 "not sidestep",
			 candidate->name, pid);
		break;
	default:
		(void)log_errno(error, "%s: cannot contact process %d", candidate->name, pid);
	}
	return error;
}

/* Returns when to try again after @error, or NULL: never. */
static struct loop_timer_class *next_try(struct agent_candidate *candidate, int error)
{
	struct agent_candidates *candidates = candidate->candidates;

	switch (error) {
	case -EAGAIN:
		if (candidate->tries >= TRIES_SOON + TRIES_LATER)
			return NULL;
		return candidate->tries++ < TRIES_SOON ? &candidates->soon_class
						       : &candidates->later_class;
	case -EBUSY:
		return &candidates->busy_class;
	}
	return is_shortage(error) ? &candidates->busy_class : NULL;
}

static void contact(struct agent_candidate *candidate)
{
	struct agent_hello greeting = {.version = ""};
	int error = meet(candidate, &greeting);
	struct loop_timer_class *again = next_try(candidate, error);
	char version[4 * sizeof(greeting.version)];

	if (again)
		loop_timer_start(candidate->candidates->loop, again, &candidate->retry);
	if (error == 0)
		log_info("%s: process %d is served (sidestep %s)", candidate->name,
			 (int)candidate->pid,
			 escape_text(version, sizeof(version), greeting.version));
	else if (error != candidate->told && !(again && error == -EAGAIN))
		candidate->told = refused(candidate, error, &greeting);
}

static void retry_expired(struct loop_timer *timer)
{
	contact(container_of(timer, struct agent_candidate, retry));
}

/* Docker's newest list had a process that could not be watched. */
static void again_expired(struct loop_timer *timer)
{
	struct agent_candidates *candidates = container_of(timer, struct agent_candidates, again);

	agent_candidates_update(candidates, candidates->seen, candidates->seen_count);
}

static void process_exited(struct loop_handler *handler, uint32_t events)
{
	struct agent_candidate *candidate = container_of(handler, struct agent_candidate, exit);

	(void)events;
	/* The session may outlive the process, because any process can hold its end. */
	if (candidate->session) {
		agent_session_drain(candidate->session);
		agent_session_end(candidate->session);
	}
	candidate_remove(candidate);
}

void agent_candidates_init(struct agent_candidates *candidates, struct loop *loop,
			   struct agent_namespaces *namespaces, struct agent_ends *ends)
{
	*candidates = (struct agent_candidates) {
		.loop = loop,
		.namespaces = namespaces,
		.ends = ends,
		.again.expired = again_expired,
	};
	loop_timer_class_init(loop, &candidates->soon_class, SOON_MS);
	loop_timer_class_init(loop, &candidates->later_class, LATER_MS);
	loop_timer_class_init(loop, &candidates->busy_class, BUSY_MS);
	loop_timer_class_init(loop, &candidates->pause_class, PAUSE_MS);
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

int agent_candidates_add(struct agent_candidates *candidates, const char *id, const char *name,
			 pid_t pid)
{
	struct agent_candidate *known = candidate_find(candidates, id, pid);
	char suffix[COMPLAINT_SUFFIX_MAX];
	int error;

	/* The agent's own container may be of the same image. */
	if (pid == getpid())
		return 0;
	if (known) {
		known->listed = true;
		return 0;
	}
	error = candidate_new(candidates, id, name, pid);
	if (error == 0 || error == -ESRCH)
		return 0;
	if (complaint_due(&candidates->complaint, suffix))
		(void)log_errno(error, "%s: cannot watch process %d%s", name, (int)pid, suffix);
	return error;
}

void agent_candidates_update(struct agent_candidates *candidates, const struct agent_seen *seen,
			     size_t count)
{
	struct agent_candidate *candidate, *next;
	size_t i;

	candidates->seen = seen;
	candidates->seen_count = count;
	loop_timer_stop(&candidates->again);
	for (candidate = candidates->first; candidate; candidate = candidate->next)
		candidate->listed = candidate->id[0] == '\0';
	for (i = 0; i < count; i++)
		if ((seen[i].roles & AGENT_SIDECAR) &&
		    is_shortage(agent_candidates_add(candidates, seen[i].id, seen[i].name,
						     seen[i].pid)))
			loop_timer_start(candidates->loop, &candidates->busy_class,
					 &candidates->again);
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
