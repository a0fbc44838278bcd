// SPDX-License-Identifier: Apache-2.0
/* Accepts a connection from outside and then connects the same socket to the outside. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "peer.h"

/* Returns the first connection to the port, at any IPv4 address, or -errno. */
static int accept_one(uint16_t port, int64_t deadline_us)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd, error, one = 1;

	if (listener < 0)
		return -errno;
	if (setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(listener, (const void *)&address, sizeof(address)) < 0 ||
	    listen(listener, 1) < 0) {
		error = -errno;
		close(listener);
		return error;
	}
	puts("ready");
	fflush(stdout);
	error = wait_fd(listener, POLLIN, deadline_us);
	fd = error ? error : accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!error && fd < 0)
		fd = -errno;
	close(listener);
	return fd;
}

/* connect(2): AF_UNSPEC dissolves the association; the next connect makes another one. */
static int turn_to(int fd, const struct sockaddr_storage *peer, int64_t deadline_us)
{
	const struct sockaddr none = {.sa_family = AF_UNSPEC};

	if (connect(fd, &none, sizeof(none)) < 0)
		return -errno;
	if (connect(fd, (const void *)peer, address_size(peer)) < 0 && errno != EINPROGRESS)
		return -errno;
	return connect_wait(fd, deadline_us);
}

/* Answers the client, so that the kernel has sent from the accepted socket, and then connects anew.
 * Prints "turned result=ok received=N" once --send got an answer. */
int command_turn(const struct options *options)
{
	const char *text = options->send ? options->send : "turned\n";
	int64_t deadline_us = deadline_from(options, 10);
	struct sockaddr_storage peer;
	uint16_t from, to;
	char buffer[4096];
	ssize_t got = 0;
	const char *why;
	int fd, error;

	if (options->arg_count != 3 || !port_parse(options->args[0], &from) ||
	    !port_parse(options->args[2], &to) ||
	    resolve(options, options->args[1], to, deadline_us, &peer, &why) != 0)
		return 2;
	fd = accept_one(from, deadline_us);
	error = fd < 0 ? fd : wait_fd(fd, POLLIN, deadline_us);
	if (!error && recv(fd, buffer, sizeof(buffer), 0) <= 0)
		error = -EPIPE;
	if (!error)
		error = send_all(fd, "answer\n", 7, deadline_us);
	if (!error)
		error = turn_to(fd, &peer, deadline_us);
	if (!error)
		error = send_all(fd, text, strlen(text), deadline_us);
	if (!error)
		error = wait_fd(fd, POLLIN, deadline_us);
	if (!error)
		got = recv(fd, buffer, sizeof(buffer), 0);
	printf("turned result=%s received=%zd\n", error_word(error), got);
	if (fd >= 0)
		close(fd);
	return error || got <= 0;
}
