// SPDX-License-Identifier: Apache-2.0
#include "agent/agent_reaper.h"

#include <errno.h>
#include <stdlib.h>

#include "docker/docker_orphans.h"
#include "lib/log.h"
#include "lib/util.h"

#define PERIOD_MS 1000

struct agent_reaper {
	struct loop *loop;
	struct agent_watch *watch;
	struct loop_timer_class period;
	struct loop_timer timer;
	int64_t age_ms;
	const struct agent_seen *seen;
	size_t count;
};

/* A timer does it because no event tells that a sidecar has become old enough. One removal runs at
 * a time, because the engine may take seconds. The next second finds the other orphans again. */
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

		if (!(seen.roles & AGENT_SIDECAR) ||
		    !docker_orphans_match(&sidecar, now_ms, reaper->age_ms))
			continue;
		agent_watch_remove(reaper->watch, seen.id);
		return;
	}
}

int agent_reaper_new(struct loop *loop, struct agent_watch *watch, unsigned int reap_s,
		     struct agent_reaper **ret_reaper)
{
	struct agent_reaper *reaper = calloc(1, sizeof(*reaper));

	if (!reaper)
		return log_errno(-ENOMEM, "cannot look for orphans");
	reaper->loop = loop;
	reaper->watch = watch;
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
	free(reaper);
}
