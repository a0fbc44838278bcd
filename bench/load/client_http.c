// SPDX-License-Identifier: Apache-2.0
/*
 * Opens many short connections (connect, http) or many long ones (keepalive). epoll drives a slot
 * for each concurrent connection.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"

#define REQUEST_HEAD "GET /bench HTTP/1.1\r\nHost: bench.example\r\nUser-Agent: bench\r\n"
static const char request_close[] = REQUEST_HEAD "Connection: close\r\n\r\n";
static const char request_keep[] = REQUEST_HEAD "\r\n";

#define EVENTS 256
/* The number of connections that are opened at the same time, while many are set up. */
#define OPENING_MAX 128
/* Nothing here waits longer. */
#define STALL_MS 5000

struct slot {
	int fd;
	bool connected;
	bool waiting;	       /* for an answer */
	unsigned int received; /* of the answer that is awaited */
	uint64_t start;
};

struct run {
	const struct client_options *options;
	struct slot *slots;
	int epoll_fd;
	bool http;	/* sends a request and wants an answer */
	bool keepalive; /* on the same connection again and again */
	uint64_t number;
	uint64_t end;
	unsigned int open, opened, answered;
	unsigned int next; /* keepalive with a window: whose turn it is */
	struct client_result result;
	struct histogram latency;
};

static void slot_open(struct run *run, struct slot *slot)
{
	struct sockaddr_in address = client_address(run->options, run->number++);
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = slot};
	int one = 1;

	slot->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (slot->fd < 0)
		die("socket");
	slot->connected = slot->waiting = false;
	slot->received = 0;
	(void)setsockopt(slot->fd, SOL_TCP, TCP_NODELAY, &one, sizeof(one));
	slot->start = now_ns();
	if (connect(slot->fd, (struct sockaddr *)&address, sizeof(address)) < 0 &&
	    errno != EINPROGRESS)
		die("cannot connect to %s:%d", inet_ntoa(address.sin_addr), run->options->port);
	if (epoll_ctl(run->epoll_fd, EPOLL_CTL_ADD, slot->fd, &event) < 0)
		die("epoll_ctl");
	run->open++;
}

static void slot_close(struct run *run, struct slot *slot)
{
	(void)close(slot->fd);
	slot->fd = -1;
	run->open--;
}

static bool over(const struct run *run)
{
	return now_ns() >= run->end;
}

/* Counts a unit of work that is done, and begins the next. */
static void slot_again(struct run *run, struct slot *slot)
{
	run->result.count++;
	if (run->http)
		histogram_add(&run->latency, now_ns() - slot->start);
	slot_close(run, slot);
	if (!over(run))
		slot_open(run, slot);
}

static void slot_fail(struct run *run, struct slot *slot)
{
	run->result.errors++;
	slot_close(run, slot);
	/* Many failures in a row are no measurement. */
	if (run->result.errors > 1000 && run->result.count == 0)
		die("nothing but errors");
	if (!run->keepalive && !over(run))
		slot_open(run, slot);
}

static bool send_request(struct run *run, struct slot *slot)
{
	const char *request = run->keepalive ? request_keep : request_close;
	size_t size = run->keepalive ? sizeof(request_keep) - 1 : sizeof(request_close) - 1;

	slot->received = 0;
	slot->waiting = true;
	if (run->keepalive)
		slot->start = now_ns();
	return send(slot->fd, request, size, MSG_NOSIGNAL) == (ssize_t)size;
}

/* Sends the next request, on the same connection, or with a window on the next connection in
 * turn. */
static bool send_next(struct run *run, struct slot *slot)
{
	unsigned int tries;

	if (!run->options->window)
		return send_request(run, slot);
	for (tries = 0; tries < run->options->clients; tries++) {
		struct slot *next = &run->slots[run->next++ % run->options->clients];

		if (next->fd < 0 || next->waiting)
			continue;
		if (!send_request(run, next))
			slot_fail(run, next);
		return true;
	}
	return true;
}

static bool slot_connected(struct run *run, struct slot *slot)
{
	int error = 0;
	socklen_t length = sizeof(error);

	if (getsockopt(slot->fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0 || error)
		return false;
	slot->connected = true;
	run->opened++;
	if (!run->result.mss)
		run->result.mss = client_mss(slot->fd);
	if (!run->http)
		histogram_add(&run->latency, now_ns() - slot->start);
	return !run->http || send_request(run, slot);
}

/* Returns false if the answer is not the expected one. */
static bool slot_read(struct run *run, struct slot *slot)
{
	static const char answer[] = LOAD_ANSWER;
	char data[1024];
	ssize_t count;

	while ((count = recv(slot->fd, data, sizeof(data), 0)) > 0) {
		if (!run->http || slot->received + (size_t)count > sizeof(answer) - 1 ||
		    memcmp(data, answer + slot->received, (size_t)count) != 0)
			return false;
		slot->received += (unsigned int)count;
		if (run->keepalive && slot->received == sizeof(answer) - 1) {
			histogram_add(&run->latency, now_ns() - slot->start);
			run->result.count++;
			run->answered++;
			slot->waiting = false;
			if (run->options->hold || over(run))
				return true;
			return send_next(run, slot);
		}
	}
	if (count < 0)
		return errno == EAGAIN;
	if (run->keepalive || (run->http && slot->received != sizeof(answer) - 1))
		return false;
	slot_again(run, slot);
	return true;
}

static void slot_event(struct run *run, struct slot *slot, uint32_t events)
{
	int fd = slot->fd;

	if (fd < 0)
		return;
	if (!slot->connected && events & (EPOLLOUT | EPOLLERR | EPOLLHUP) &&
	    !slot_connected(run, slot)) {
		slot_fail(run, slot);
		return;
	}
	if (slot->connected && events & (EPOLLIN | EPOLLERR | EPOLLHUP) && !slot_read(run, slot))
		slot_fail(run, slot);
}

/* Handles the events that are there. Returns false if nothing happened for too long. */
static bool step(struct run *run)
{
	struct epoll_event events[EVENTS];
	int count = epoll_wait(run->epoll_fd, events, EVENTS, STALL_MS), i;

	for (i = 0; i < count; i++)
		slot_event(run, events[i].data.ptr, events[i].events);
	return count > 0;
}

static void run_init(struct run *run, const struct client_options *options)
{
	unsigned int i;

	run->options = options;
	run->slots = calloc(options->clients, sizeof(*run->slots));
	run->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (!run->slots || run->epoll_fd < 0)
		die("cannot begin");
	for (i = 0; i < options->clients; i++)
		run->slots[i].fd = -1;
	run->end = UINT64_MAX;
}

static int finish(struct run *run, uint64_t start)
{
	run->result.seconds = (double)(now_ns() - start) / 1e9;
	run->result.latency = &run->latency;
	return client_print(&run->result);
}

static int short_connections(struct run *run)
{
	uint64_t start = now_ns();
	unsigned int i;

	run->end = start + (uint64_t)(run->options->seconds * 1e9);
	for (i = 0; i < run->options->clients; i++)
		slot_open(run, &run->slots[i]);
	/* Requests under way at the end are counted, and so is their time. */
	while (run->open > 0) {
		if (!step(run)) {
			run->result.errors += run->open;
			break;
		}
	}
	return finish(run, start);
}

int client_connect(const struct client_options *options)
{
	static struct run run;

	run_init(&run, options);
	return short_connections(&run);
}

int client_http(const struct client_options *options)
{
	static struct run run = {.http = true};

	run_init(&run, options);
	return short_connections(&run);
}

static void hold(struct run *run)
{
	char end;

	(void)printf("{\"held\": %u, \"errors\": %llu}\n", run->open,
		     (unsigned long long)run->result.errors);
	(void)fflush(stdout);
	while (read(STDIN_FILENO, &end, 1) > 0)
		;
}

/*
 * All connections are opened, and have had an answer, before the time begins. Then each has one
 * request under way at any moment. With a window only so many have, in turn.
 */
int client_keepalive(const struct client_options *options)
{
	static struct run run = {.http = true, .keepalive = true};
	static struct client_options setup;
	uint64_t start = now_ns();
	unsigned int i;

	setup = *options;
	setup.hold = true; /* for as long as connections are set up: one answer each */
	run_init(&run, &setup);
	for (i = 0; i < options->clients; i++) {
		slot_open(&run, &run.slots[i]);
		while (run.open - run.answered >= OPENING_MAX && step(&run))
			;
	}
	while (run.answered < run.open && step(&run))
		;
	run.result.errors += run.open - run.answered;
	run.result.setup_seconds = (double)(now_ns() - start) / 1e9;
	if (options->hold) {
		hold(&run);
		return 0;
	}
	setup.hold = false;
	run.result.count = 0;
	memset(&run.latency, 0, sizeof(run.latency));
	start = now_ns();
	run.end = start + (uint64_t)(options->seconds * 1e9);
	run.answered = 0;
	run.next = options->window;
	for (i = 0; i < options->clients && (!options->window || i < options->window); i++)
		if (run.slots[i].fd >= 0 && !send_request(&run, &run.slots[i]))
			slot_fail(&run, &run.slots[i]);
	while (run.open > 0 && !over(&run))
		if (!step(&run)) {
			run.result.errors += run.open;
			break;
		}
	return finish(&run, start);
}
