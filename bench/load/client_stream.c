// SPDX-License-Identifier: Apache-2.0
/* Uses one connection, for messages there and back or for as many bytes as it takes. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"

static char buffer[LOAD_BUFFER];

/* The part of the time that a download has before it is counted. */
#define WARM_UP 0.1

static void read_exactly(int fd, void *data, size_t size)
{
	char *next = data;

	while (size > 0) {
		ssize_t count = recv(fd, next, size, 0);

		if (count <= 0)
			die("the connection ended early");
		next += count;
		size -= (size_t)count;
	}
}

int client_pingpong(const struct client_options *options)
{
	static struct histogram latency;
	struct client_result result = {.latency = &latency};
	int fd = client_open(options, 0);
	uint64_t start, now, end;

	result.mss = client_mss(fd);
	/* One message goes before the clock runs, so the tunnel behind it exists. */
	if (send(fd, buffer, options->size, MSG_NOSIGNAL) != (ssize_t)options->size)
		die("cannot send");
	read_exactly(fd, buffer, options->size);
	start = now = now_ns();
	end = start + (uint64_t)(options->seconds * 1e9);
	while (now < end) {
		uint64_t before = now;

		if (send(fd, buffer, options->size, MSG_NOSIGNAL) != (ssize_t)options->size)
			die("cannot send");
		read_exactly(fd, buffer, options->size);
		now = now_ns();
		histogram_add(&latency, now - before);
		result.count++;
	}
	result.seconds = (double)(now - start) / 1e9;
	return client_print(&result);
}

int client_upload(const struct client_options *options)
{
	struct client_result result = {.count = 1};
	struct pages *pages = options->no_copy ? pages_new() : NULL;
	int fd = client_open(options, 0);
	uint64_t start = now_ns(), end = start + (uint64_t)(options->seconds * 1e9), counted;

	result.mss = client_mss(fd);
	do {
		ssize_t count = pages ? pages_send(pages, fd)
				      : send(fd, buffer, sizeof(buffer), MSG_NOSIGNAL);

		if (count < 0)
			die("cannot send");
		result.bytes += (uint64_t)count;
	} while (now_ns() < end);
	/* The clock stops when the other end has read the last byte, so no queue hides one. */
	if (shutdown(fd, SHUT_WR) < 0)
		die("shutdown");
	read_exactly(fd, &counted, sizeof(counted));
	result.seconds = (double)(now_ns() - start) / 1e9;
	if (counted != result.bytes)
		result.errors++;
	pages_free(pages);
	return client_print(&result);
}

int client_download(const struct client_options *options)
{
	struct client_result result = {.count = 1};
	int fd = client_open(options, 0);
	uint64_t begin = now_ns(), start = 0, now;

	result.mss = client_mss(fd);
	for (;;) {
		ssize_t count = options->no_copy ? load_drop(fd)
						 : recv(fd, buffer, sizeof(buffer), 0);

		if (count <= 0)
			die("the stream ended early");
		now = now_ns();
		if (start) {
			result.bytes += (uint64_t)count;
			if (now - start >= (uint64_t)(options->seconds * 1e9))
				break;
			continue;
		}
		result.warm_up_bytes += (uint64_t)count;
		if (now - begin >= (uint64_t)(options->seconds * WARM_UP * 1e9))
			start = now;
	}
	result.seconds = (double)(now - start) / 1e9;
	return client_print(&result);
}
