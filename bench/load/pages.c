// SPDX-License-Identifier: Apache-2.0
/* Receives and sends without a copy. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

struct pages {
	int full[2]; /* a pipe with LOAD_PAGES_SIZE bytes, of which nothing is taken */
	int rest[2]; /* a pipe with what is still to be sent of the last tee(2) */
	size_t left; /* so many bytes */
};

ssize_t load_drop(int fd)
{
	return recv(fd, NULL, LOAD_PAGES_SIZE, MSG_TRUNC);
}

static void open_pipe(int ends[2])
{
	if (pipe2(ends, O_CLOEXEC) < 0)
		die("pipe");
	/* The kernel's default is fine if this is refused. */
	(void)fcntl(ends[1], F_SETPIPE_SZ, LOAD_PAGES_SIZE);
}

struct pages *pages_new(void)
{
	static const char zeros[65536];
	struct pages *pages = calloc(1, sizeof(*pages));
	size_t filled = 0;
	int sockets[2];

	if (!pages)
		die("out of memory");
	open_pipe(pages->full);
	open_pipe(pages->rest);
	/* The pages come through a socket, where they lie together by 32 KiB, as a relay's do. */
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0)
		die("socketpair");
	while (filled < LOAD_PAGES_SIZE) {
		ssize_t size = send(sockets[0], zeros, sizeof(zeros), MSG_NOSIGNAL);

		if (size > 0)
			size = splice(sockets[1], NULL, pages->full[1], NULL, (size_t)size,
				      SPLICE_F_NONBLOCK);
		if (size < 0 && errno == EAGAIN) /* a small pipe is full */
			break;
		if (size <= 0)
			die("splice");
		filled += (size_t)size;
	}
	(void)close(sockets[0]);
	(void)close(sockets[1]);
	return pages;
}

ssize_t pages_send(struct pages *pages, int fd)
{
	ssize_t size;

	if (pages->left == 0) {
		size = tee(pages->full[0], pages->rest[1], LOAD_PAGES_SIZE, SPLICE_F_NONBLOCK);
		if (size <= 0)
			die("tee");
		pages->left = (size_t)size;
	}
	size = splice(pages->rest[0], NULL, fd, NULL, pages->left, SPLICE_F_MOVE);
	if (size > 0)
		pages->left -= (size_t)size;
	return size;
}

void pages_free(struct pages *pages)
{
	if (!pages)
		return;
	(void)close(pages->full[0]);
	(void)close(pages->full[1]);
	(void)close(pages->rest[0]);
	(void)close(pages->rest[1]);
	free(pages);
}
