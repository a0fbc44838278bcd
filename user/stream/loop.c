// SPDX-License-Identifier: Apache-2.0
#include "stream/loop.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "lib/clock.h"
#include "lib/util.h"

/* Events taken from the kernel at once: enough to spread the cost of the call, and few enough to
 * run tasks and timers often. */
#define LOOP_BATCH 64

struct loop {
	int epoll;
	bool stopping;
	uint64_t now_ms;
	struct list_link tasks;
	struct loop_timer_class *classes;
	struct loop_handler wake;
	void (*woken)(void *context);
	void *woken_context;
};

static void wake_ready(struct loop_handler *handler, uint32_t events)
{
	struct loop *loop = container_of(handler, struct loop, wake);
	uint64_t count;

	(void)events;
	(void)!read(handler->fd, &count, sizeof(count));
	if (loop->woken)
		loop->woken(loop->woken_context);
}

struct loop *loop_new(void)
{
	_cleanup_free_ struct loop *loop = calloc(1, sizeof(*loop));
	_cleanup_close_ int epoll = -1, wake = -1;
	int error;

	if (!loop)
		return NULL;
	epoll = epoll_create1(EPOLL_CLOEXEC);
	wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (epoll < 0 || wake < 0)
		return NULL;
	loop->epoll = epoll;
	loop->now_ms = clock_ms();
	list_init(&loop->tasks);
	loop->wake.ready = wake_ready;
	error = loop_add(loop, &loop->wake, wake, EPOLLIN);
	if (error < 0) {
		errno = -error;
		return NULL;
	}
	(void)TAKE_FD(wake);
	(void)TAKE_FD(epoll);
	return TAKE_PTR(loop);
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	loop_close(&loop->wake);
	(void)safe_close(loop->epoll);
	free(loop);
}

int loop_add(struct loop *loop, struct loop_handler *handler, int fd, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = handler};

	if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
		handler->fd = -1;
		return -errno;
	}
	handler->fd = fd;
	return 0;
}

int loop_modify(struct loop *loop, struct loop_handler *handler, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = handler};

	return epoll_ctl(loop->epoll, EPOLL_CTL_MOD, handler->fd, &event) < 0 ? -errno : 0;
}

void loop_close(struct loop_handler *handler)
{
	handler->fd = safe_close(handler->fd);
	handler->latched = 0;
}

void loop_defer(struct loop *loop, struct loop_task *task)
{
	if (!list_linked(&task->link))
		list_append(&loop->tasks, &task->link);
}

void loop_cancel(struct loop_task *task)
{
	list_remove(&task->link);
}

static void release_run(struct loop_task *task)
{
	free(container_of(task, struct loop_release, task)->memory);
}

void loop_free_later(struct loop *loop, struct loop_release *release, void *memory)
{
	release->task.run = release_run;
	release->memory = memory;
	loop_defer(loop, &release->task);
}

void loop_timer_class_init(struct loop *loop, struct loop_timer_class *timer_class,
			   unsigned int duration_ms)
{
	list_init(&timer_class->timers);
	timer_class->duration_ms = duration_ms;
	timer_class->next = loop->classes;
	loop->classes = timer_class;
}

void loop_timer_start(struct loop *loop, struct loop_timer_class *timer_class,
		      struct loop_timer *timer)
{
	list_remove(&timer->link);
	/* Never due in the round that started it: a timer may start itself again. */
	timer->deadline_ms = loop->now_ms +
			     (timer_class->duration_ms ? timer_class->duration_ms : 1);
	list_append(&timer_class->timers, &timer->link);
}

void loop_timer_stop(struct loop_timer *timer)
{
	list_remove(&timer->link);
}

uint64_t loop_now(const struct loop *loop)
{
	return loop->now_ms;
}

/* Returns how long epoll_wait() may sleep, in ms: to the first deadline, or without end (-1). */
static int loop_patience(const struct loop *loop)
{
	const struct loop_timer_class *timer_class;
	uint64_t first = UINT64_MAX, now;

	if (list_first(&loop->tasks))
		return 0;
	for (timer_class = loop->classes; timer_class; timer_class = timer_class->next) {
		struct list_link *link = list_first(&timer_class->timers);
		const struct loop_timer *timer;

		if (!link)
			continue;
		timer = container_of(link, struct loop_timer, link);
		if (timer->deadline_ms < first)
			first = timer->deadline_ms;
	}
	if (first == UINT64_MAX)
		return -1;
	now = clock_ms();
	if (first <= now)
		return 0;
	return first - now > 3600000 ? 3600000 : (int)(first - now);
}

static void loop_run_timers(struct loop *loop)
{
	struct loop_timer_class *timer_class;

	for (timer_class = loop->classes; timer_class; timer_class = timer_class->next) {
		struct list_link *link;

		while ((link = list_first(&timer_class->timers))) {
			struct loop_timer *timer = container_of(link, struct loop_timer, link);

			if (timer->deadline_ms > loop->now_ms)
				break;
			list_remove(&timer->link);
			timer->expired(timer);
		}
	}
}

static void loop_run_tasks(struct loop *loop)
{
	struct list_link batch, *link;

	list_move_all(&loop->tasks, &batch);
	while ((link = list_first(&batch))) {
		struct loop_task *task = container_of(link, struct loop_task, link);

		list_remove(link);
		task->run(task);
	}
}

int loop_run(struct loop *loop)
{
	struct epoll_event events[LOOP_BATCH];

	loop->stopping = false;
	while (!loop->stopping) {
		int i, count = epoll_wait(loop->epoll, events, LOOP_BATCH, loop_patience(loop));

		if (count < 0 && errno != EINTR)
			return -errno;
		loop->now_ms = clock_ms();
		for (i = 0; i < count; i++) {
			struct loop_handler *handler = events[i].data.ptr;

			if (handler->fd < 0)
				continue;
			handler->latched |= events[i].events;
			handler->ready(handler, events[i].events);
		}
		loop_run_timers(loop);
		loop_run_tasks(loop);
	}
	return 0;
}

void loop_stop(struct loop *loop)
{
	loop->stopping = true;
}

void loop_flush(struct loop *loop)
{
	while (loop->tasks.next != &loop->tasks)
		loop_run_tasks(loop);
}

void loop_on_wake(struct loop *loop, void (*woken)(void *context), void *context)
{
	loop->woken = woken;
	loop->woken_context = context;
}

void loop_wake(struct loop *loop)
{
	static const uint64_t one = 1;

	/* Fails only when the counter is full: then the loop is about to wake anyway. */
	(void)!write(loop->wake.fd, &one, sizeof(one));
}
