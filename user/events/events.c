// SPDX-License-Identifier: Apache-2.0
#include "events/events.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "lib/process.h"
#include "lib/time_text.h"
#include "lib/util.h"
#include "stream/loop.h"

/* A queue that has grown beyond this gives its memory back. */
#define QUEUE_KEPT (128 * 1024)

/* Packed events, each behind its size (uint32_t). */
struct queue {
	char *bytes; /* EVENTS_QUEUE_MAX; its pages come with use */
	size_t used;
	uint64_t lost; /* events that it had no room for */
};

struct events {
	struct events_config config;
	struct event_sink sinks[EVENTS_SINKS_MAX];
	size_t sink_count;
	pthread_mutex_t lock;
	struct queue waiting; /* guarded by the lock */
	bool woken;	      /* likewise: the thread will look */
	struct queue taken;   /* the thread's */
	atomic_ullong next_id, put, lost;
	atomic_int asks_open;
	atomic_bool stopping;
	struct loop *loop;
	struct loop_timer_class gather_class;
	struct loop_timer gather;
	pthread_t thread;
	bool running;
};

/* Ids begin here: unique for this boot, as long as fewer than a million come in a second. */
static uint64_t first_id(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void give(struct events *events, const struct event *event)
{
	size_t i;

	for (i = 0; i < events->sink_count; i++)
		events->sinks[i].take(events->sinks[i].context, event);
}

static void give_packed(struct events *events, const char *packed)
{
	struct event event;

	event_unpack(packed, &event);
	if (events->config.resolve)
		events->config.resolve(events->config.context, &event);
	give(events, &event);
}

static void give_lost(struct events *events, uint64_t lost)
{
	struct event event = events_lost(events, lost);

	give(events, &event);
}

/* Exchanges the queues, so that the producers go on meanwhile. Returns true if there was an event:
 * more may follow, and nobody will wake the thread for them. */
static bool take_queue(struct events *events)
{
	struct queue *taken = &events->taken, empty = {.bytes = taken->bytes};
	bool any;

	(void)pthread_mutex_lock(&events->lock);
	*taken = events->waiting;
	events->waiting = empty;
	any = events->woken = taken->used > 0 || taken->lost > 0;
	(void)pthread_mutex_unlock(&events->lock);
	return any;
}

static void give_queue(struct events *events)
{
	struct queue *taken = &events->taken;
	size_t offset = 0, i;
	uint32_t size;

	while (offset < taken->used) {
		memcpy(&size, taken->bytes + offset, sizeof(size));
		give_packed(events, taken->bytes + offset + sizeof(size));
		offset += sizeof(size) + size;
	}
	if (taken->lost > 0)
		give_lost(events, taken->lost);
	for (i = 0; i < events->sink_count; i++) {
		if (events->sinks[i].flush)
			events->sinks[i].flush(events->sinks[i].context);
	}
	if (taken->used > QUEUE_KEPT)
		(void)madvise(taken->bytes, EVENTS_QUEUE_MAX, MADV_DONTNEED);
}

void events_drain(struct events *events)
{
	(void)take_queue(events);
	give_queue(events);
}

static void gathered(struct loop_timer *timer)
{
	struct events *events = container_of(timer, struct events, gather);

	/* Looking again costs less than being woken for the next event. */
	if (take_queue(events))
		loop_timer_start(events->loop, &events->gather_class, timer);
	give_queue(events);
}

static void woken(void *context)
{
	struct events *events = context;

	if (atomic_load(&events->stopping))
		loop_stop(events->loop);
	else if (!loop_timer_running(&events->gather))
		loop_timer_start(events->loop, &events->gather_class, &events->gather);
}

static void *run(void *context)
{
	struct events *events = context;

	(void)loop_run(events->loop);
	return NULL;
}

static int map_queue(struct queue *queue)
{
	queue->bytes = mmap(NULL, EVENTS_QUEUE_MAX, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (queue->bytes != MAP_FAILED)
		return 0;
	queue->bytes = NULL;
	return -errno;
}

int events_new(const struct events_config *config, struct events **ret_events)
{
	struct events *events = calloc(1, sizeof(*events));
	int error;

	if (!events)
		return -ENOMEM;
	events->config = *config;
	(void)pthread_mutex_init(&events->lock, NULL);
	atomic_store(&events->next_id, first_id());
	events->gather.expired = gathered;
	events->loop = loop_new();
	error = events->loop ? map_queue(&events->waiting) : -errno;
	if (error == 0)
		error = map_queue(&events->taken);
	if (error < 0) {
		events_free(events);
		return error;
	}
	loop_timer_class_init(events->loop, &events->gather_class, EVENTS_GATHER_MS);
	loop_on_wake(events->loop, woken, events);
	*ret_events = events;
	return 0;
}

int events_add_sink(struct events *events, const struct event_sink *sink)
{
	if (events->sink_count == EVENTS_SINKS_MAX)
		return -ENOBUFS;
	events->sinks[events->sink_count++] = *sink;
	return 0;
}

struct loop *events_loop(struct events *events)
{
	return events->loop;
}

int events_start(struct events *events)
{
	int error = process_start_thread(&events->thread, run, events);

	events->running = error == 0;
	return error;
}

void events_put(struct events *events, struct event *event)
{
	struct queue *queue = &events->waiting;
	bool wake = false;
	size_t size;

	if (event->time_us == 0)
		event->time_us = time_text_now();
	if (event->id == 0)
		event->id = events_new_id(events);
	if (event->netns == 0)
		event->netns = events->config.netns;
	(void)pthread_mutex_lock(&events->lock);
	size = event_pack_sized(event, queue->bytes + queue->used, EVENTS_QUEUE_MAX - queue->used);
	queue->used += size;
	if (size == 0)
		queue->lost++;
	if (!events->woken)
		wake = events->woken = true;
	(void)pthread_mutex_unlock(&events->lock);
	(void)atomic_fetch_add_explicit(size > 0 ? &events->put : &events->lost, 1,
					memory_order_relaxed);
	if (wake)
		loop_wake(events->loop);
}

uint64_t events_new_id(struct events *events)
{
	return atomic_fetch_add_explicit(&events->next_id, 1, memory_order_relaxed);
}

uint64_t events_find_id(const struct events *events, uint32_t low)
{
	uint64_t next = atomic_load_explicit(&events->next_id, memory_order_relaxed);

	return next - (uint32_t)((uint32_t)next - low);
}

void events_ask_open(struct events *events, int change)
{
	(void)atomic_fetch_add(&events->asks_open, change);
}

bool events_asks_open(const struct events *events)
{
	return atomic_load_explicit(&events->asks_open, memory_order_relaxed) > 0;
}

struct event events_lost(struct events *events, uint64_t count)
{
	struct event event = event_of(EVENT_LOST);

	event.time_us = time_text_now();
	event.id = events_new_id(events);
	event.netns = events->config.netns;
	event.count = count;
	return event;
}

void events_counters(struct events *events, struct events_counters *ret_counters)
{
	ret_counters->taken = atomic_load(&events->put);
	ret_counters->lost = atomic_load(&events->lost);
}

static void unmap_queue(struct queue *queue)
{
	if (queue->bytes)
		(void)munmap(queue->bytes, EVENTS_QUEUE_MAX);
}

void events_stop(struct events *events)
{
	if (!events || !events->running)
		return;
	atomic_store(&events->stopping, true);
	loop_wake(events->loop);
	(void)pthread_join(events->thread, NULL);
	events->running = false;
	events_drain(events);
}

void events_free(struct events *events)
{
	if (!events)
		return;
	events_stop(events);
	unmap_queue(&events->waiting);
	unmap_queue(&events->taken);
	loop_free(events->loop);
	(void)pthread_mutex_destroy(&events->lock);
	free(events);
}
