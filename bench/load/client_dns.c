// SPDX-License-Identifier: Apache-2.0
/* Sends DNS queries over UDP, with a socket for each that may be under way. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"

#define EVENTS	   256
#define TIMEOUT_MS 1000

struct query {
	int fd;
	uint16_t id;
	uint64_t start;
};

static bool query_send(struct query *query)
{
	/* One question: bench.example, A, IN. */
	unsigned char data[] = {0,   0,	  1,   0,   0,	 1,   0,   0, 0,   0,	0,
				0,   5,	  'b', 'e', 'n', 'c', 'h', 7, 'e', 'x', 'a',
				'm', 'p', 'l', 'e', 0,	 0,   1,   0, 1};

	query->id++;
	data[0] = (unsigned char)(query->id >> 8);
	data[1] = (unsigned char)query->id;
	query->start = now_ns();
	return send(query->fd, data, sizeof(data), 0) == sizeof(data);
}

/* Tells whether the answer to the current query is there. */
static bool query_answered(const struct query *query)
{
	unsigned char data[512];

	while (recv(query->fd, data, sizeof(data), MSG_DONTWAIT) >= 12)
		if (data[0] == query->id >> 8 && data[1] == (query->id & 0xff) && data[2] & 0x80)
			return true;
	return false;
}

int client_dns(const struct client_options *options)
{
	static struct histogram latency;
	struct client_result result = {.latency = &latency};
	struct query *queries = calloc(options->clients, sizeof(*queries));
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	uint64_t start = now_ns(), end = start + (uint64_t)(options->seconds * 1e9);
	struct epoll_event events[EVENTS];
	unsigned int i;
	int count, n;

	if (!queries || epoll_fd < 0)
		die("cannot begin");
	for (i = 0; i < options->clients; i++) {
		struct sockaddr_in address = client_address(options, 0);
		struct epoll_event event = {.events = EPOLLIN, .data.ptr = &queries[i]};

		queries[i].fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		queries[i].id = (uint16_t)(i * 37);
		if (queries[i].fd < 0 ||
		    connect(queries[i].fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, queries[i].fd, &event) < 0 ||
		    !query_send(&queries[i]))
			die("cannot send a query");
	}
	while (now_ns() < end) {
		count = epoll_wait(epoll_fd, events, EVENTS, TIMEOUT_MS);
		if (count <= 0) {
			/* All were lost; those that were lost singly are found here in time, too.
			 */
			for (i = 0; i < options->clients; i++, result.errors++)
				(void)query_send(&queries[i]);
			continue;
		}
		for (n = 0; n < count; n++) {
			struct query *query = events[n].data.ptr;

			if (!query_answered(query))
				continue;
			histogram_add(&latency, now_ns() - query->start);
			result.count++;
			(void)query_send(query);
		}
	}
	result.seconds = (double)(now_ns() - start) / 1e9;
	return client_print(&result);
}
