// SPDX-License-Identifier: Apache-2.0
/* Transfers over many connections at the same time, and compares every byte. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "peer.h"

#define CONNECTIONS_MAX 4000
#define CHUNK		65536

/* up needs serve --mode sink, both needs --mode echo. down needs --mode source with the same
 * --bytes and
 * --seed. */
enum direction {
	BOTH,
	UP,
	DOWN
};

struct stream {
	int fd;
	bool connected, finished;
	uint64_t seed;
	int64_t sent, received;
	char answer[DIGEST_TEXT + 1]; /* up: the digest and a newline */
	int64_t answer_size;
};

struct transfer {
	const struct options *options;
	enum direction direction;
	int epoll;
	struct stream *streams;
	long running, ok;
	struct tally failures;
	uint8_t chunk[CHUNK];
};

static void stream_finish(struct transfer *transfer, struct stream *stream, const char *failure)
{
	if (stream->finished)
		return;
	stream->finished = true;
	transfer->running--;
	if (failure)
		tally_add(&transfer->failures, failure);
	else
		transfer->ok++;
	if (stream->fd >= 0)
		close(stream->fd);
	stream->fd = -1;
}

static const char *stream_send(struct transfer *transfer, struct stream *stream)
{
	int64_t total = transfer->direction == DOWN ? 0 : transfer->options->bytes;
	int64_t left = total - stream->sent;
	size_t size = left < CHUNK ? (size_t)left : CHUNK;
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = stream};
	ssize_t sent = 0;

	if (size > 0) {
		data_fill(transfer->chunk, size, stream->seed, (uint64_t)stream->sent);
		sent = send(stream->fd, transfer->chunk, size, MSG_NOSIGNAL);
	}
	if (sent < 0)
		return errno == EAGAIN ? NULL : error_word(errno);
	stream->sent += sent;
	if (stream->sent < total)
		return NULL;
	/* All sent: half-close, and only listen from here on. Down half-closes when all has come.
	 */
	if (transfer->direction != DOWN && shutdown(stream->fd, SHUT_WR) < 0)
		return error_word(errno);
	(void)epoll_ctl(transfer->epoll, EPOLL_CTL_MOD, stream->fd, &event);
	return NULL;
}

/* Whether all bytes had come when the stream ended. */
static const char *stream_verdict(const struct transfer *transfer, const struct stream *stream)
{
	char digest[DIGEST_TEXT];

	if (transfer->direction != UP)
		return stream->received == transfer->options->bytes ? NULL : "short";
	if (stream->answer_size != DIGEST_TEXT)
		return "short";
	data_digest(stream->seed, (uint64_t)transfer->options->bytes, digest);
	return memcmp(digest, stream->answer, DIGEST_TEXT - 1) == 0 ? NULL : "mismatch";
}

static void stream_receive(struct transfer *transfer, struct stream *stream)
{
	ssize_t got = recv(stream->fd, transfer->chunk, CHUNK, 0);

	if (got < 0) {
		if (errno != EAGAIN)
			stream_finish(transfer, stream, error_word(errno));
		return;
	}
	if (got == 0) {
		stream_finish(transfer, stream, stream_verdict(transfer, stream));
		return;
	}
	if (transfer->direction == UP) {
		int64_t room = (int64_t)sizeof(stream->answer) - stream->answer_size;

		memcpy(stream->answer + stream->answer_size, transfer->chunk,
		       (size_t)(got < room ? got : room));
		stream->answer_size += got < room ? got : room;
		return;
	}
	if (stream->received + got > transfer->options->bytes ||
	    !data_matches(transfer->chunk, (size_t)got, stream->seed, (uint64_t)stream->received)) {
		stream_finish(transfer, stream, "mismatch");
		return;
	}
	stream->received += got;
}

static void stream_event(struct transfer *transfer, struct stream *stream, uint32_t events)
{
	const char *failure = NULL;

	if (!stream->connected) {
		/* It is over, one way or the other; a busy machine must not look like a time-out.
		 */
		int error = connect_wait(stream->fd, now_us() + 1000000);

		if (error) {
			stream_finish(transfer, stream, error_word(error));
			return;
		}
		stream->connected = true;
	}
	if (events & EPOLLOUT)
		failure = stream_send(transfer, stream);
	if (failure)
		stream_finish(transfer, stream, failure);
	else if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		stream_receive(transfer, stream);
}

static void transfer_open(struct transfer *transfer, long index,
			  const struct sockaddr_storage *peer)
{
	struct stream *stream = &transfer->streams[index];
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = stream};

	/* The server makes up the same bytes for all connections. */
	stream->seed = (uint64_t)transfer->options->seed +
		       (transfer->direction == DOWN ? 0 : (uint64_t)index);
	stream->fd = connect_start(transfer->options, peer);
	if (stream->fd < 0)
		stream_finish(transfer, stream, error_word(stream->fd));
	else if (epoll_ctl(transfer->epoll, EPOLL_CTL_ADD, stream->fd, &event) < 0)
		stream_finish(transfer, stream, error_word(errno));
}

static void transfer_run(struct transfer *transfer, int64_t deadline_us)
{
	struct epoll_event events[256];

	while (transfer->running > 0 && !stop_requested && now_us() < deadline_us) {
		int count = epoll_wait(transfer->epoll, events, 256, 100);

		for (int i = 0; i < count; i++)
			stream_event(transfer, events[i].data.ptr, events[i].events);
	}
}

static void transfer_print(const struct transfer *transfer, long connections, int64_t elapsed_us)
{
	int64_t sent = 0, received = 0;

	for (long i = 0; i < connections; i++) {
		sent += transfer->streams[i].sent;
		received += transfer->streams[i].received;
	}
	printf("result=%s connections=%ld ok=%ld failed=%ld sent=%lld received=%lld elapsed_us=%lld"
	       " mbit=%lld",
	       transfer->ok == connections ? "ok" : "failed", connections, transfer->ok,
	       connections - transfer->ok, (long long)sent, (long long)received,
	       (long long)elapsed_us,
	       (long long)((sent > received ? sent : received) * 8 / (elapsed_us + 1)));
	tally_print(&transfer->failures);
	putchar('\n');
}

int command_transfer(const struct options *options)
{
	static struct transfer transfer;
	int64_t deadline_us = deadline_from(options, 10), start_us = now_us();
	long connections = options->connections > 0 ? options->connections : 1;
	struct sockaddr_storage peer;
	const char *why;
	uint16_t port;

	transfer.options = options;
	if (options->direction && strcmp(options->direction, "both") != 0)
		transfer.direction = strcmp(options->direction, "up") == 0 ? UP : DOWN;
	if (options->arg_count != 2 || !port_parse(options->args[1], &port) ||
	    connections > CONNECTIONS_MAX ||
	    (transfer.direction == DOWN && strcmp(options->direction, "down") != 0) ||
	    resolve(options, options->args[0], port, deadline_us, &peer, &why) != 0)
		return 2;
	raise_open_files();
	transfer.streams = calloc((size_t)connections, sizeof(*transfer.streams));
	transfer.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!transfer.streams || transfer.epoll < 0)
		return 1;
	transfer.running = connections;
	for (long i = 0; i < connections; i++)
		transfer_open(&transfer, i, &peer);
	transfer_run(&transfer, deadline_us);
	for (long i = 0; i < connections; i++)
		stream_finish(&transfer, &transfer.streams[i],
			      transfer.streams[i].connected ? "timeout" : "connect-timeout");
	transfer_print(&transfer, connections, now_us() - start_us);
	free(transfer.streams);
	return transfer.ok != connections;
}
