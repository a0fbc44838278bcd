/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small event loop on epoll(7): one for each thread, nothing in it is shared but loop_wake().
 *
 * Everything the loop knows of is embedded in its owner's structs, so that an event costs no
 * allocation. What an event handler may do to other owners is limited by one rule: memory that
 * holds a handler is freed from a task or a timer, never from a handler, as the batch of events
 * in progress may still name it.
 */
#ifndef SIDESTEP_LOOP_H
#define SIDESTEP_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "lib/list.h"

struct loop;

/* A file descriptor's events. Zero-initialised with fd = -1 it is valid and not registered. */
struct loop_handler {
	int fd; /* the owner's; -1: not registered, late events are dropped */
	/* Every event since the owner last cleared its bit. With EPOLLET this is what the fd may
	 * be ready for: the owner clears EPOLLIN and EPOLLOUT as calls answer EAGAIN. */
	uint32_t latched;
	void (*ready)(struct loop_handler *handler, uint32_t events);
	/* For ready(): the object that it works for, where the handler is not a part of it. */
	void *owner;
};

/* Work put off until the batch of events in progress is over. Zero-initialised: not queued. */
struct loop_task {
	struct list_link link;
	void (*run)(struct loop_task *task);
};

/* All timers of one class last equally long, which makes a FIFO list a sorted one. */
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

/* Handlers still registered are forgotten, their fds stay open. NULL is allowed. */
void loop_free(struct loop *loop);

/* Registers @fd for @events (EPOLL* bits, EPOLLET where wanted); handler->ready must be set.
 * Latched bits are kept. Returns 0 or negative errno, with handler->fd = -1 then. */
int loop_add(struct loop *loop, struct loop_handler *handler, int fd, uint32_t events);

/* Changes the events of a registered handler. Returns 0 or negative errno. */
int loop_modify(struct loop *loop, struct loop_handler *handler, uint32_t events);

/* Forgets a handler and closes its fd, which takes it out of the epoll set: the fd must not have
 * duplicates. Nothing happens when it is not registered. */
void loop_close(struct loop_handler *handler);

/* Queues the task once, however often it is called. Tasks that are queued by tasks run in the
 * next round, behind the events that have arrived meanwhile. */
void loop_defer(struct loop *loop, struct loop_task *task);
void loop_cancel(struct loop_task *task);

/* Makes a class known to the loop; it must outlive its timers and the loop's run. */
void loop_timer_class_init(struct loop *loop, struct loop_timer_class *timer_class,
			   unsigned int duration_ms);

/* Starts, or starts again; O(1). */
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

/* Runs the tasks that are queued, and those that they queue, until none is left. For the end, when
 * the loop does not run any more. */
void loop_flush(struct loop *loop);

/* What loop_wake() has run. Set before the loop runs. */
void loop_on_wake(struct loop *loop, void (*woken)(void *context), void *context);

/* From any thread, also from a signal handler: has the loop call its wake function soon. Calls
 * that come before it runs are merged. */
void loop_wake(struct loop *loop);

#endif
