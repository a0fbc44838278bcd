// SPDX-License-Identifier: Apache-2.0
#include "agent/agent_doubts.h"

#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "lib/util.h"

#define DELAY_MS 1000

/* A served application can make devices as fast as it likes. */
#define DOUBTS_MAX 256

struct doubt {
	struct agent_doubts *doubts;
	struct list_link link;
	struct loop_timer timer;
	uint32_t netns, ifindex;
	char name[]; /* of the container */
};

static void tell(const char *name, uint32_t ifindex)
{
	log_warning("%s: its device %u is no veth from this host, so no guard stands outside. An "
		    "application with CAP_NET_RAW or CAP_NET_ADMIN gets packets out there",
		    name, ifindex);
}

static void forget(struct doubt *doubt)
{
	loop_timer_stop(&doubt->timer);
	list_remove(&doubt->link);
	doubt->doubts->count--;
	free(doubt);
}

static void delay_expired(struct loop_timer *timer)
{
	struct doubt *doubt = container_of(timer, struct doubt, timer);

	tell(doubt->name, doubt->ifindex);
	forget(doubt);
}

void agent_doubts_init(struct agent_doubts *doubts, struct loop *loop)
{
	*doubts = (struct agent_doubts) {.loop = loop};
	list_init(&doubts->all);
	loop_timer_class_init(loop, &doubts->delay_class, DELAY_MS);
}

void agent_doubts_add(struct agent_doubts *doubts, uint32_t netns, uint32_t ifindex,
		      const char *name)
{
	size_t size = strlen(name) + 1;
	struct doubt *doubt;

	agent_doubts_settle(doubts, netns, ifindex);
	doubt = doubts->count < DOUBTS_MAX ? calloc(1, sizeof(*doubt) + size) : NULL;
	if (!doubt) {
		tell(name, ifindex);
		return;
	}
	*doubt = (struct doubt) {.doubts = doubts, .netns = netns, .ifindex = ifindex};
	doubt->timer.expired = delay_expired;
	memcpy(doubt->name, name, size);
	list_append(&doubts->all, &doubt->link);
	doubts->count++;
	loop_timer_start(doubts->loop, &doubts->delay_class, &doubt->timer);
}

void agent_doubts_settle(struct agent_doubts *doubts, uint32_t netns, uint32_t ifindex)
{
	struct list_link *link = doubts->all.next, *next;

	for (; link != &doubts->all; link = next) {
		struct doubt *doubt = container_of(link, struct doubt, link);

		next = link->next;
		if (doubt->netns == netns && (ifindex == 0 || doubt->ifindex == ifindex))
			forget(doubt);
	}
}

void agent_doubts_release(struct agent_doubts *doubts)
{
	while (doubts->count > 0)
		forget(container_of(doubts->all.next, struct doubt, link));
}
