// SPDX-License-Identifier: Apache-2.0
#include "agent/agent_namespaces.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/agent_pins.h"
#include "lib/log.h"
#include "lib/netns.h"
#include "lib/util.h"

#define SWEEP_MS 1000

/* The pause after the last attachment, and between two links. Each link keeps the network settings
 * of the whole machine locked for an RCU grace period, 10 ms and more. Until then filters do the
 * same work. */
#define SETTLE_MS 100

static void sweep_expired(struct loop_timer *timer)
{
	struct agent_namespaces *namespaces = container_of(timer, struct agent_namespaces, sweep);
	struct agent_namespace *namespace, *next;
	char suffix[COMPLAINT_SUFFIX_MAX];
	bool waiting = false;
	int gone;

	for (namespace = namespaces->first; namespace; namespace = next) {
		next = namespace->next;
		if (namespace->netns_fd >= 0)
			continue;
		gone = agent_namespace_gone(namespace);
		if (gone < 0 && complaint_due(&namespaces->complaint, suffix))
			(void)log_errno(gone,
					"network namespace %u: cannot tell whether it is gone%s",
					namespace->netns, suffix);
		if (gone > 0) {
			log_debug("network namespace %u is gone", namespace->netns);
			(void)agent_namespace_remove(namespace);
			agent_namespaces_drop(namespaces, namespace);
		} else {
			waiting = true;
		}
	}
	if (waiting)
		agent_namespaces_sweep(namespaces);
}

static void settle_expired(struct loop_timer *timer)
{
	struct agent_namespaces *namespaces = container_of(timer, struct agent_namespaces, settle);
	struct agent_namespace *namespace;

	for (namespace = namespaces->first; namespace; namespace = namespace->next) {
		if (!namespace->unsettled || namespace->netns_fd < 0)
			continue;
		agent_namespace_settle(namespace);
		agent_namespaces_settle(namespaces);
		return;
	}
}

void agent_namespaces_init(struct agent_namespaces *namespaces, struct loop *loop,
			   struct programs *programs, struct agent_events *events, const char *pin,
			   int home_fd, uint32_t home)
{
	*namespaces = (struct agent_namespaces) {
		.loop = loop,
		.programs = programs,
		.events = events,
		.pin = pin,
		.home_fd = home_fd,
		.home = home,
		.sweep.expired = sweep_expired,
		.settle.expired = settle_expired,
	};
	loop_timer_class_init(loop, &namespaces->sweep_class, SWEEP_MS);
	loop_timer_class_init(loop, &namespaces->settle_class, SETTLE_MS);
}

int agent_namespaces_number(const struct agent_namespaces *namespaces, int netns_fd,
			    uint32_t *ret_netns)
{
	int error = netns_enter(netns_fd), back;

	if (error == 0)
		error = programs_netns(ret_netns);
	back = netns_enter(namespaces->home_fd);
	if (error < 0 || back < 0)
		return error < 0 ? error : back;
	return *ret_netns == namespaces->home ? -EXDEV : 0;
}

struct agent_namespace *agent_namespaces_get(struct agent_namespaces *namespaces, uint32_t netns)
{
	struct agent_namespace *namespace;

	for (namespace = namespaces->first; namespace; namespace = namespace->next)
		if (namespace->netns == netns)
			return namespace;
	namespace = calloc(1, sizeof(*namespace));
	if (!namespace)
		return NULL;
	namespace->programs = namespaces->programs;
	namespace->events = namespaces->events;
	namespace->pin = namespaces->pin;
	namespace->home_fd = namespaces->home_fd;
	namespace->netns = netns;
	namespace->netns_fd = -1;
	namespace->outer = (struct agent_outer)AGENT_OUTER_EMPTY;
	namespace->next = namespaces->first;
	namespaces->first = namespace;
	return namespace;
}

void agent_namespaces_drop(struct agent_namespaces *namespaces, struct agent_namespace *namespace)
{
	struct agent_namespace **link = &namespaces->first;

	while (*link != namespace)
		link = &(*link)->next;
	*link = namespace->next;
	(void)safe_close(namespace->netns_fd);
	agent_outer_release(&namespace->outer);
	free(namespace);
}

void agent_namespaces_sweep(struct agent_namespaces *namespaces)
{
	loop_timer_start(namespaces->loop, &namespaces->sweep_class, &namespaces->sweep);
}

void agent_namespaces_settle(struct agent_namespaces *namespaces)
{
	loop_timer_start(namespaces->loop, &namespaces->settle_class, &namespaces->settle);
}

static void adopt_one(void *context, uint32_t netns)
{
	struct agent_namespace *namespace = agent_namespaces_get(context, netns);

	if (!namespace)
		return;
	(void)agent_namespace_adopt(namespace);
	agent_outer_load(&namespace->outer, namespace->programs, netns);
}

int agent_namespaces_adopt(struct agent_namespaces *namespaces)
{
	struct agent_namespace *namespace;
	unsigned int count = 0;
	int error = agent_pins_list(namespaces->pin, adopt_one, namespaces);

	if (error < 0)
		return log_errno(error, "cannot list the attached programs (%s/links)",
				 namespaces->pin);
	for (namespace = namespaces->first; namespace; namespace = namespace->next)
		count++;
	if (count > 0) {
		log_info("%u network namespaces of an earlier agent go on with this one's programs",
			 count);
		agent_namespaces_sweep(namespaces);
	}
	return 0;
}

int agent_namespaces_remove_all(struct agent_namespaces *namespaces)
{
	struct agent_namespace *namespace;
	char path[4096];
	int error = 0, one;

	(void)agent_pins_list(namespaces->pin, adopt_one, namespaces);
	while ((namespace = namespaces->first)) {
		one = agent_namespace_remove(namespace);
		if (one < 0)
			error = log_errno(one,
					  "network namespace %u: its filters stay until it ends, "
					  "because neither a process nor a mount leads into it",
					  namespace->netns);
		agent_namespaces_drop(namespaces, namespace);
	}
	(void)snprintf(path, sizeof(path), "%s/links", namespaces->pin);
	(void)rmdir(path);
	if (error == 0)
		log_info("nothing is attached any more, %s is removed", namespaces->pin);
	return error;
}

void agent_namespaces_release(struct agent_namespaces *namespaces)
{
	while (namespaces->first)
		agent_namespaces_drop(namespaces, namespaces->first);
}
