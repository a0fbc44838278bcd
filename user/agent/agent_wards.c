// SPDX-License-Identifier: Apache-2.0
#include "agent/agent_wards.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent_guard.h"
#include "lib/log.h"
#include "lib/netns.h"
#include "lib/util.h"

/* Guarded containers that are remembered. An engine that makes one anew gives it another id. */
#define WARDS_MAX 4096

/* The pause after a failure. */
#define AGAIN_MS 250

/* A guarded container. */
struct agent_ward {
	char id[65];
	pid_t pid;    /* of the last run whose namespace was looked at; 0: none, or it failed */
	bool running; /* in the newest list */
};

static struct agent_ward *ward_at(const struct agent_wards *wards, size_t i)
{
	return (struct agent_ward *)wards->wards.items + i;
}

static struct agent_ward *find(const struct agent_wards *wards, const char *id)
{
	size_t i;

	for (i = 0; i < wards->wards.count; i++)
		if (strcmp(ward_at(wards, i)->id, id) == 0)
			return ward_at(wards, i);
	return NULL;
}

/* Makes room in a full list: the first one that does not run is forgotten. */
static void forget_one(struct agent_wards *wards)
{
	size_t i;

	for (i = 0; i < wards->wards.count; i++) {
		if (ward_at(wards, i)->running)
			continue;
		memmove(ward_at(wards, i), ward_at(wards, i + 1),
			(wards->wards.count - i - 1) * sizeof(struct agent_ward));
		wards->wards.count--;
		return;
	}
}

static struct agent_ward *add(struct agent_wards *wards, const struct agent_seen *seen)
{
	struct agent_ward ward = {.pid = 0};

	if (wards->wards.count >= WARDS_MAX)
		forget_one(wards);
	memcpy(ward.id, seen->id, sizeof(ward.id));
	if (array_append(&wards->wards, &ward) < 0) {
		log_error("%s: no memory to guard it", seen->name);
		return NULL;
	}
	return ward_at(wards, wards->wards.count - 1);
}

/* Closes the namespace inside and outside. Returns 0 or the first failure. */
static int close_both(const struct agent_wards *wards, struct agent_namespace *namespace,
		      const char *name)
{
	int inside = agent_guard_close(namespace);
	int outside = agent_ends_guard(wards->ends, namespace, 0, name);

	return inside < 0 ? inside : outside;
}

/* Closes the namespace @netns_fd of @seen, unless a sidecar is served there. Returns 0 or a
 * negative errno. */
static int keep_closed(struct agent_wards *wards, const struct agent_seen *seen, int netns_fd)
{
	struct agent_namespace *namespace;
	uint32_t netns;
	int error = agent_namespaces_number(wards->namespaces, netns_fd, &netns);

	if (error < 0)
		return error;
	namespace = agent_namespaces_get(wards->namespaces, netns);
	if (!namespace)
		return -ENOMEM;
	namespace->kept = true;
	if (namespace->netns_fd >= 0)
		return 0;
	/* Only a session keeps the descriptor. */
	namespace->netns_fd = netns_fd;
	error = close_both(wards, namespace, seen->name);
	namespace->netns_fd = -1;
	agent_namespaces_sweep(wards->namespaces);
	if (error == 0)
		log_warning("%s: no sidecar is served in its network namespace (process %d): "
			    "nothing gets out until one is (--guard)",
			    seen->name, (int)seen->pid);
	return error;
}

/* Looks at a new run of a guarded container. */
static void look(struct agent_wards *wards, struct agent_ward *ward, const struct agent_seen *seen)
{
	_cleanup_close_ int netns_fd = netns_open_of(seen->pid);
	int error = netns_fd < 0 ? netns_fd : keep_closed(wards, seen, netns_fd);

	ward->pid = seen->pid;
	switch (error) {
	case 0:
	case -ENOENT: /* it has ended */
	case -ESRCH:
		break;
	case -EXDEV:
		log_error("%s: runs in the host's network namespace, which --guard does not close: "
			  "start it without --network host",
			  seen->name);
		break;
	default:
		(void)log_errno(error, "%s: cannot close its network namespace", seen->name);
		ward->pid = 0;
		loop_timer_start(wards->loop, &wards->again_class, &wards->again);
	}
}

static void again_expired(struct loop_timer *timer)
{
	struct agent_wards *wards = container_of(timer, struct agent_wards, again);

	agent_wards_update(wards, wards->seen, wards->seen_count);
}

void agent_wards_init(struct agent_wards *wards, struct loop *loop,
		      struct agent_namespaces *namespaces, struct agent_ends *ends)
{
	*wards = (struct agent_wards) {
		.loop = loop,
		.namespaces = namespaces,
		.ends = ends,
		.wards.size = sizeof(struct agent_ward),
		.again.expired = again_expired,
	};
	loop_timer_class_init(loop, &wards->again_class, AGAIN_MS);
}

void agent_wards_update(struct agent_wards *wards, const struct agent_seen *seen, size_t count)
{
	struct agent_ward *ward;
	size_t i;

	wards->seen = seen;
	wards->seen_count = count;
	loop_timer_stop(&wards->again);
	for (i = 0; i < wards->wards.count; i++)
		ward_at(wards, i)->running = false;
	for (i = 0; i < count; i++) {
		ward = find(wards, seen[i].id);
		if (!ward && (seen[i].roles & AGENT_GUARDED))
			ward = add(wards, &seen[i]);
		if (!ward)
			continue;
		ward->running = seen[i].pid != 0;
		if (!ward->running)
			ward->pid = 0;
		else if (ward->pid != seen[i].pid)
			look(wards, ward, &seen[i]);
	}
}

bool agent_wards_has(const struct agent_wards *wards, const char *id)
{
	return find(wards, id) != NULL;
}

void agent_wards_release(struct agent_wards *wards)
{
	loop_timer_stop(&wards->again);
	free(wards->wards.items);
}
