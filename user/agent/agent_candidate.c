// SPDX-License-Identifier: Apache-2.0
/* From a container that starts to a session with its sidecar. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/syscall.h>

#include "agent/agent.h"
#include "datapath/rendezvous.h"
#include "lib/log.h"
#include "lib/netns.h"
#include "lib/util.h"

/* A container's start is told before its program has opened the rendezvous: it is tried every few
 * milliseconds for half a second, then ten times a second, and given up in the end. */
#define TRIES_SOON  250
#define TRIES_LATER 600

static void release(struct loop_task *task)
{
	free(container_of(task, struct agent_candidate, release));
}

static void candidate_remove(struct agent_candidate *candidate)
{
	struct agent *agent = candidate->agent;
	struct agent_candidate **link = &agent->candidates;

	while (*link != candidate)
		link = &(*link)->next;
	*link = candidate->next;
	loop_timer_stop(&candidate->retry);
	loop_close(&candidate->exit);
	candidate->release.run = release;
	loop_defer(agent->loop, &candidate->release);
}

/* Its memory: a session that ends by itself frees itself. */
static void session_ended(void *context, struct agent_session *session, bool detached)
{
	struct agent *agent = context;
	struct agent_namespace *namespace = agent_session_namespace(session);
	struct agent_candidate *candidate;

	for (candidate = agent->candidates; candidate; candidate = candidate->next) {
		if (candidate->session == session)
			candidate->session = NULL;
	}
	/* The candidate may be gone: a process's end is told before its sockets'. */
	log_info("%s: its sidecar is gone; %s", agent_session_name(session),
		 detached ? "nothing is attached any more"
			  : "what is attached lets nothing out, until its network namespace is "
			    "gone");
	namespace->netns_fd = safe_close(namespace->netns_fd);
	if (detached)
		agent_namespace_drop(agent, namespace);
	else
		agent_sweep_start(agent);
}

static void session_attached(void *context)
{
	agent_settle_later(context);
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

/* The number of the namespace at @netns_fd, which must not be the host's own. */
static int number_namespace(struct agent *agent, const char *name, int netns_fd,
			    uint32_t *ret_netns)
{
	int error = netns_enter(netns_fd), back;

	if (error == 0)
		error = programs_netns(ret_netns);
	back = netns_enter(agent->home_fd);
	if (error < 0 || back < 0)
		return log_errno(error < 0 ? error : back, "%s: cannot enter its network namespace",
				 name);
	if (*ret_netns == agent->home)
		return log_errno(-EPERM,
				 "%s: runs in the host's network namespace, which is not touched: "
				 "start it without --network host",
				 name);
	return 0;
}

/* Takes over @session. */
static int session_begin(struct agent_candidate *candidate, int session)
{
	struct agent *agent = candidate->agent;
	_cleanup_close_ int netns_fd = -1, session_fd = session;
	struct agent_namespace *namespace;
	uint32_t netns = 0;
	int error;

	netns_fd = netns_open_of(candidate->pid);
	/* The number is still that process's, and so the namespace is. */
	if (netns_fd < 0 || has_exited(candidate))
		return -ESRCH;
	error = number_namespace(agent, candidate->name, netns_fd, &netns);
	if (error < 0)
		return error;
	namespace = agent_namespace_get(agent, netns);
	if (!namespace)
		return -ENOMEM;
	if (namespace->netns_fd >= 0)
		return log_errno(-EBUSY, "%s: another sidecar is served in its network namespace",
				 candidate->name);
	namespace->netns_fd = TAKE_FD(netns_fd);
	error = agent_session_new(agent->loop, TAKE_FD(session_fd), candidate->name, candidate->pid,
				  namespace, &session_handler, agent, &candidate->session);
	if (error == 0)
		return 0;
	namespace->netns_fd = safe_close(namespace->netns_fd);
	return error;
}

static void meet(struct agent_candidate *candidate)
{
	struct agent *agent = candidate->agent;
	struct agent_hello greeting = {.version = ""};
	int session = rendezvous_offer(candidate->exit.fd, &greeting);

	if (session == -EAGAIN && candidate->tries < TRIES_SOON + TRIES_LATER) {
		loop_timer_start(agent->loop,
				 candidate->tries++ < TRIES_SOON ? &agent->soon_class
								 : &agent->later_class,
				 &candidate->retry);
		return;
	}
	if (session >= 0) {
		int error = session_begin(candidate, session);

		if (error == 0)
			log_info("%s: process %d is served (sidestep %s)", candidate->name,
				 (int)candidate->pid, greeting.version);
		return;
	}
	if (session == -EPROTO)
		log_error("%s: its sidecar is sidestep %s (protocol %u, maps %u), this agent is %s "
			  "(%d, %d): run one version of both; it uses nftables meanwhile",
			  candidate->name, greeting.version, greeting.wire_version,
			  greeting.abi_version, SIDESTEP_VERSION, AGENT_WIRE_VERSION,
			  SIDESTEP_ABI_VERSION);
	else if (session == -EPERM)
		log_error("%s: process %d may not be looked into: the agent needs CAP_SYS_PTRACE "
			  "and the host's processes (docker run --privileged --pid=host)",
			  candidate->name, (int)candidate->pid);
	else if (session == -EAGAIN || session == -ENOTSUP)
		log_info("%s: process %d does not want an agent: it has rights of its own, or is "
			 "not sidestep",
			 candidate->name, (int)candidate->pid);
	else if (session != -ESRCH)
		(void)log_errno(session, "%s: cannot meet process %d", candidate->name,
				(int)candidate->pid);
}

static void retry_expired(struct loop_timer *timer)
{
	meet(container_of(timer, struct agent_candidate, retry));
}

static void process_exited(struct loop_handler *handler, uint32_t events)
{
	(void)events;
	candidate_remove(container_of(handler, struct agent_candidate, exit));
}

void agent_candidate_add(struct agent *agent, const char *id, const char *name, pid_t pid)
{
	struct agent_candidate *candidate;
	int pidfd, error;

	/* The agent's own container, of the same image. */
	if (pid == getpid())
		return;
	for (candidate = agent->candidates; candidate; candidate = candidate->next) {
		if (candidate->pid != pid || strcmp(candidate->id, id) != 0)
			continue;
		candidate->listed = true;
		return;
	}
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0) {
		if (errno != ESRCH)
			(void)log_errno(-errno, "%s: cannot watch process %d", name, (int)pid);
		return;
	}
	candidate = calloc(1, sizeof(*candidate));
	if (!candidate) {
		(void)close(pidfd);
		return;
	}
	candidate->agent = agent;
	candidate->pid = pid;
	candidate->listed = true;
	(void)snprintf(candidate->id, sizeof(candidate->id), "%s", id);
	(void)snprintf(candidate->name, sizeof(candidate->name), "%s", name);
	candidate->exit.ready = process_exited;
	candidate->retry.expired = retry_expired;
	error = loop_add(agent->loop, &candidate->exit, pidfd, EPOLLIN);
	if (error < 0) {
		(void)close(pidfd);
		free(candidate);
		(void)log_errno(error, "%s: cannot watch process %d", name, (int)pid);
		return;
	}
	candidate->next = agent->candidates;
	agent->candidates = candidate;
	meet(candidate);
}

struct removal {
	struct agent *agent;
	char id[65];
};

/* Asking the engine may take seconds: in a thread of its own, one at a time. */
static void *remove_container(void *context)
{
	struct removal *removal = context;

	if (docker_orphans_remove(removal->agent->options.docker_socket, removal->id) == 0)
		log_info("container %.12s removed: no container uses its network any more "
			 "(--reap-after)",
			 removal->id);
	atomic_store(&removal->agent->reaping, false);
	free(removal);
	return NULL;
}

static void reap(struct agent *agent, const char *id)
{
	struct removal *removal;
	pthread_t thread;

	if (atomic_exchange(&agent->reaping, true))
		return; /* it is looked for again in a second */
	removal = calloc(1, sizeof(*removal));
	if (removal) {
		removal->agent = agent;
		memcpy(removal->id, id, sizeof(removal->id));
	}
	if (!removal || pthread_create(&thread, NULL, remove_container, removal) != 0) {
		free(removal);
		atomic_store(&agent->reaping, false);
		return;
	}
	(void)pthread_detach(thread);
}

/* Time alone makes an orphan: no event tells of it. */
static void reap_expired(struct loop_timer *timer)
{
	struct agent *agent = container_of(timer, struct agent, reap);
	int64_t age_ms = (int64_t)agent->options.reap_s * 1000;
	char orphan[65] = "";
	size_t i;

	(void)pthread_mutex_lock(&agent->lock);
	for (i = 0; i < agent->seen_count && !orphan[0]; i++) {
		const struct docker_sidecar sidecar = {
			.name = agent->seen[i].name,
			.unused_since_ms = agent->seen[i].unused_since_ms,
		};

		if (docker_orphans_match(&sidecar, (int64_t)loop_now(agent->loop), age_ms))
			memcpy(orphan, agent->seen[i].id, sizeof(orphan));
	}
	(void)pthread_mutex_unlock(&agent->lock);
	if (orphan[0])
		reap(agent, orphan);
	agent_reap_start(agent);
}

void agent_reap_start(struct agent *agent)
{
	agent->reap.expired = reap_expired;
	loop_timer_start(agent->loop, &agent->sweep_class, &agent->reap);
}

void agent_candidates_update(struct agent *agent)
{
	_cleanup_free_ struct agent_seen *seen = NULL;
	struct agent_candidate *candidate, *next;
	size_t count = 0, i;
	bool news;

	(void)pthread_mutex_lock(&agent->lock);
	news = agent->news;
	agent->news = false;
	seen = news ? calloc(agent->seen_count + 1, sizeof(*seen)) : NULL;
	if (seen) {
		count = agent->seen_count;
		memcpy(seen, agent->seen, count * sizeof(*seen));
	}
	(void)pthread_mutex_unlock(&agent->lock);
	if (!seen)
		return;
	for (candidate = agent->candidates; candidate; candidate = candidate->next)
		candidate->listed = candidate->id[0] == '\0';
	for (i = 0; i < count; i++)
		agent_candidate_add(agent, seen[i].id, seen[i].name, seen[i].pid);
	/* Whoever has a session ends by itself. */
	for (candidate = agent->candidates; candidate; candidate = next) {
		next = candidate->next;
		if (!candidate->listed && !candidate->session)
			candidate_remove(candidate);
	}
}

void agent_candidates_free(struct agent *agent)
{
	while (agent->candidates) {
		struct agent_candidate *candidate = agent->candidates;

		agent_session_free(candidate->session);
		candidate_remove(candidate);
	}
	loop_flush(agent->loop);
}
