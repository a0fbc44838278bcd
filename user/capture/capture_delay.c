// SPDX-License-Identifier: Apache-2.0
#include "capture/capture_delay.h"

#include <stdlib.h>
#include <string.h>

#include "lib/util.h"

struct held {
	struct list_link link;
	uint64_t due_ms;
	struct capture_packet packet;
	uint8_t frame[];
};

void capture_delay_init(struct capture_delay *delay,
			void (*passed)(void *context, const struct capture_packet *packet),
			void *context)
{
	*delay = (struct capture_delay) {.passed = passed, .context = context};
	list_init(&delay->packets);
}

static struct held *oldest(const struct capture_delay *delay)
{
	struct list_link *link = list_first(&delay->packets);

	return link ? container_of(link, struct held, link) : NULL;
}

static void pass(struct capture_delay *delay, struct held *held)
{
	delay->passed(delay->context, &held->packet);
	delay->size -= held->packet.size;
	list_remove(&held->link);
	free(held);
}

void capture_delay_add(struct capture_delay *delay, uint64_t now_ms,
		       const struct capture_packet *packet)
{
	struct held *held = malloc(sizeof(*held) + packet->size);

	if (!held) {
		(void)capture_delay_pass(delay, UINT64_MAX);
		delay->passed(delay->context, packet);
		return;
	}
	*held = (struct held) {.due_ms = now_ms + CAPTURE_DELAY_MS, .packet = *packet};
	memcpy(held->frame, packet->frame, packet->size);
	held->packet.frame = held->frame;
	list_append(&delay->packets, &held->link);
	delay->size += packet->size;
	while (delay->size > CAPTURE_DELAY_MAX)
		pass(delay, oldest(delay));
}

int capture_delay_pass(struct capture_delay *delay, uint64_t now_ms)
{
	struct held *held;

	while ((held = oldest(delay)) && held->due_ms <= now_ms)
		pass(delay, held);
	return held ? (int)(held->due_ms - now_ms) : -1;
}
