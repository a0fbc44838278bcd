// SPDX-License-Identifier: Apache-2.0
#include "agent/agent_reaper.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "docker/docker_orphans.h"
#include "lib/log.h"
#include "lib/util.h"

#define PERIOD_MS 1000

struct agent_reaper {
	struct loop *loop;
	struct loop_timer_class period;
	struct loop_timer timer;
	char *docker_socket;
	int64_t age_ms;
	const struct agent_seen *seen;
	size_t count;
	atomic_bool removing; /* a thread uses .docker_socket and .orphan */
	char orphan[65];
};

static void *remove_orphan(void *context)
{
	struct agent_reaper *reaper = context;

	if (docker_orphans_remove(reaper->docker_socket, reaper->orphan) == 0)
		log_info("container %.12s removed: no container uses its network any more "
			 "(--reap-after)",
			 reaper->orphan);
	atomic_store(&reaper->removing, false);
	return NULL;
}

/* Removes a container in a thread, because the engine may take seconds. One removal runs at a time;
 * the next second finds the other orphans again. */
static void start_removal(struct agent_reaper *reaper, const char *id)
{
	pthread_t thread;

	if (atomic_load(&reaper->removing))
		return;
	memcpy(reaper->orphan, id, sizeof(reaper->orphan));
	atomic_store(&reaper->removing, true);
	if (pthread_create(&thread, NULL, remove_orphan, reaper) != 0) {
		atomic_store(&reaper->removing, false);
		return;
	}
	(void)pthread_detach(thread);
}

/* A timer does it because no event tells that a sidecar has become old enough. */
static void expired(struct loop_timer *timer)
{
	struct agent_reaper *reaper = container_of(timer, struct agent_reaper, timer);
	int64_t now_ms = (int64_t)loop_now(reaper->loop);
	size_t i;

	loop_timer_start(reaper->loop, &reaper->period, &reaper->timer);
	for (i = 0; i < reaper->count; i++) {
		struct agent_seen seen = reaper->seen[i];
		const struct docker_sidecar sidecar = {
			.name = seen.name,
			.unused_since_ms = seen.unused_since_ms,
		};

		if (!docker_orphans_match(&sidecar, now_ms, reaper->age_ms))
			continue;
		start_removal(reaper, seen.id);
		return;
	}
}

int agent_reaper_new(struct loop *loop, const char *docker_socket, unsigned int reap_s,
		     struct agent_reaper **ret_reaper)
{
	struct agent_reaper *reaper = calloc(1, sizeof(*reaper));
	char *copy = strdup(docker_socket);

	if (!reaper || !copy) {
		free(reaper);
		free(copy);
		return log_errno(-ENOMEM, "cannot look for orphans");
	}
	reaper->loop = loop;
	reaper->docker_socket = copy;
	reaper->age_ms = (int64_t)reap_s * 1000;
	reaper->timer.expired = expired;
	loop_timer_class_init(loop, &reaper->period, PERIOD_MS);
	loop_timer_start(loop, &reaper->period, &reaper->timer);
	*ret_reaper = reaper;
	return 0;
}

void agent_reaper_update(struct agent_reaper *reaper, const struct agent_seen *seen, size_t count)
{
	reaper->seen = seen;
	reaper->count = count;
}

void agent_reaper_free(struct agent_reaper *reaper)
{
	if (!reaper)
		return;
	loop_timer_stop(&reaper->timer);
	/* Otherwise the thread still uses it, and the process ends soon. */
	if (atomic_load(&reaper->removing))
		return;
	free(reaper->docker_socket);
	free(reaper);
}
