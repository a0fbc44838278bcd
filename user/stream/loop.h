/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small event loop on epoll(7). Each thread has one of its own; only loop_wake() may be called by
 * other threads.
 *
 * Owners embed handlers, tasks and timers in their structs, so an event costs no allocation. One
 * rule limits an event handler: memory that holds a handler is freed from a task or a timer, never
 * from a handler. The batch of events in progress may still name it. loop_free_later() does that.
 */
#ifndef SIDESTEP_LOOP_H
#define SIDESTEP_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "lib/list.h"

struct loop;

/* Takes a file descriptor's events. Zero-initialised with fd = -1 it is valid and not registered.
 */
struct loop_handler {
	int fd; /* -1: not registered, late events are dropped */
	/* Every event since the owner last cleared its bit. With EPOLLET the fd may be ready for
	 * these: the owner clears EPOLLIN and EPOLLOUT when a call returns EAGAIN. */
	uint32_t latched;
	void (*ready)(struct loop_handler *handler, uint32_t events);
	/* The object that ready() works for, if the handler is not a part of it. */
	void *owner;
};

/* Work that waits until the batch of events in progress is over. Zero-initialised: not queued. */
struct loop_task {
	struct list_link link;
	void (*run)(struct loop_task *task);
};

/* Memory that is freed once no event in progress can name it. Zero-initialised at first. */
struct loop_release {
	struct loop_task task;
	void *memory;
};

/* All timers of one class last equally long, so a FIFO list of them is sorted. */
struct loop_timer_class {
	struct list_link timers;
	struct loop_timer_class *next;
	unsigned int duration_ms;
};

/* Zero-initialised: not running. */
struct loop_timer {
	struct list_link link;
	uint64_t deadline_ms;
	void (*expired)(struct loop_timer *timer);
};

/* NULL with errno set. */
struct loop *loop_new(void);

/* Handlers that are still registered are forgotten; their fds stay open. NULL is allowed. */
void loop_free(struct loop *loop);

/* Registers @fd for @events (EPOLL* bits, with EPOLLET if wanted). Keeps latched bits.
 * handler->ready must be set before the loop runs on. Returns 0, or negative errno with handler->fd
 * = -1. */
int loop_add(struct loop *loop, struct loop_handler *handler, int fd, uint32_t events);

/* Changes the events of a registered handler. Returns 0 or negative errno. */
int loop_modify(struct loop *loop, struct loop_handler *handler, uint32_t events);

/* Forgets a handler and closes its fd. Closing takes it out of the epoll set, so the fd must not
 * have duplicates. Does nothing if the handler is not registered. */
void loop_close(struct loop_handler *handler);

/* Queues the task, unless it is queued already. A task that is queued by a task runs in the next
 * round, behind the events that have arrived meanwhile. */
void loop_defer(struct loop *loop, struct loop_task *task);
void loop_cancel(struct loop_task *task);

/* Frees @memory, from malloc(), by a task. @release is a part of it. */
void loop_free_later(struct loop *loop, struct loop_release *release, void *memory);

/* Registers a class; it must outlive its timers and the loop's run. */
void loop_timer_class_init(struct loop *loop, struct loop_timer_class *timer_class,
			   unsigned int duration_ms);

/* Starts a timer, or starts it again. O(1). */
void loop_timer_start(struct loop *loop, struct loop_timer_class *timer_class,
		      struct loop_timer *timer);
void loop_timer_stop(struct loop_timer *timer);
static inline bool loop_timer_running(const struct loop_timer *timer)
{
	return list_linked(&timer->link);
}

/* CLOCK_MONOTONIC in ms as of the start of the current round. */
uint64_t loop_now(const struct loop *loop);

/* Runs until loop_stop(). Returns 0 or negative errno. */
int loop_run(struct loop *loop);

/* From the loop's own thread: loop_run() returns once the current round is over. */
void loop_stop(struct loop *loop);

/* Runs the queued tasks, and those that they queue, until none is left. For the end, when the loop
 * no longer runs. */
void loop_flush(struct loop *loop);

/* Sets the function that loop_wake() triggers. Before the loop runs. */
void loop_on_wake(struct loop *loop, void (*woken)(void *context), void *context);

/* Makes the loop call its wake function soon. From any thread, also from a signal handler. Calls
 * before it runs are merged. */
void loop_wake(struct loop *loop);

#endif
