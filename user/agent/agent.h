/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of `sidestep agent` share. */
#ifndef SIDESTEP_AGENT_H
#define SIDESTEP_AGENT_H

#include <pthread.h>
#include <stdatomic.h>

#include "agent/agent_namespace.h"
#include "agent/agent_session.h"
#include "docker/docker_orphans.h"
#include "docker/docker_sidecars.h"
#include "lib/options.h"
#include "stream/loop.h"

struct agent_options {
	const char *docker_socket;
	struct option_strings matches;
	struct option_strings pids;
	const char *pin;
	unsigned int reap_s; /* 0: never */
	unsigned int attach; /* enum programs_way */
	bool clean;
	unsigned int log_level; /* enum log_level */
};

/* A process that may be a sidecar. */
struct agent_candidate {
	struct agent_candidate *next;
	struct agent *agent;
	char id[65]; /* the container's, "": given by --pid */
	char name[64];
	pid_t pid;
	struct loop_handler exit; /* its pidfd: readable when it has ended */
	struct loop_timer retry;
	unsigned int tries;
	struct agent_session *session;
	bool listed; /* in the newest list */
	struct loop_task release;
};

/* A copy of what the watcher saw. */
struct agent_seen {
	char id[65];
	char name[64];
	pid_t pid;
	int64_t unused_since_ms; /* as in struct docker_sidecar */
};

struct agent {
	struct agent_options options;
	struct loop *loop;
	struct programs *programs;
	int lock_fd; /* of the pin directory */
	int home_fd; /* the host's network namespace */
	uint32_t home;
	struct loop_handler signals;
	struct docker_sidecars *docker;
	struct loop_timer_class soon_class, later_class, sweep_class, settle_class;
	struct loop_timer sweep, reap, settle;
	struct agent_namespace *namespaces;
	struct agent_candidate *candidates;
	atomic_bool reaping;
	pthread_mutex_t lock;	 /* guards what follows */
	struct agent_seen *seen; /* the newest list */
	size_t seen_count;
	bool news;
};

/* A process to meet, from the loop's thread; nothing when it is known already. */
void agent_candidate_add(struct agent *agent, const char *id, const char *name, pid_t pid);

/* The watcher's news, in the loop's thread. */
void agent_candidates_update(struct agent *agent);

/* Looks for orphans now and every second from here on (--reap-after). */
void agent_reap_start(struct agent *agent);

/* Ends all sessions; what is attached stays. */
void agent_candidates_free(struct agent *agent);

/* Adds what a predecessor left, and has it run this load's programs. 0 or negative errno, logged.
 */
int agent_adopt(struct agent *agent);

/* The namespace with that number, made where it is not known. NULL: no memory. */
struct agent_namespace *agent_namespace_get(struct agent *agent, uint32_t netns);

/* Forgets a namespace; what is attached stays so. */
void agent_namespace_drop(struct agent *agent, struct agent_namespace *namespace);

/* Looks after namespaces that nobody talks for, now and then, until they are gone. */
void agent_sweep_start(struct agent *agent);

/* Has links take the filters' place, one by one, once nothing was attached for a while. */
void agent_settle_later(struct agent *agent);

#endif
