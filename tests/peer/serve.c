// SPDX-License-Identifier: Apache-2.0
/* The server: one thread with epoll and several modes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "peer.h"

#define BUFFER_SIZE 16384
#define GREETING    "220 peer ready\r\n"

enum mode {
	ECHO,
	SINK,
	SOURCE,
	HASH,
	GREET,
	HOLD,
	HTTP,
	MODES
};
static const char *const mode_words[MODES] = {"echo",  "sink", "source", "hash",
					      "greet", "hold", "http"};

/* One accepted connection. `buffer` holds what is still to be sent. */
struct connection {
	int fd;
	uint32_t interest; /* what epoll is asked for now */
	size_t start, end;
	int64_t in, out;
	bool eof;	/* the client's FIN came */
	bool answering; /* nothing is read any more: what is left is the answer */
	bool shut;	/* our FIN is sent */
	struct digest *digest;
	char peer[ADDRESS_TEXT], local[ADDRESS_TEXT];
	uint8_t first[64]; /* what came first: the id of a flood's attempt */
	size_t first_size;
	uint8_t buffer[BUFFER_SIZE];
};

struct server {
	const struct options *options;
	enum mode mode;
	int epoll;
	FILE *log; /* NULL: none */
	long accepted, closed, failed;
	int64_t in, out;
};

static void connection_close(struct server *server, struct connection *connection, int error)
{
	char digest[DIGEST_TEXT];

	server->closed++;
	server->failed += error != 0;
	server->in += connection->in;
	server->out += connection->out;
	if (server->log) {
		fprintf(server->log, "close result=%s peer=%s local=%s in=%lld out=%lld first=",
			error_word(error), connection->peer, connection->local,
			(long long)connection->in, (long long)connection->out);
		print_quoted(server->log, connection->first, connection->first_size);
		fputc('\n', server->log);
	}
	if (connection->digest)
		digest_end(&connection->digest, digest);
	close(connection->fd);
	free(connection);
}

/* Queues the answer of the modes that speak after the client's FIN or request. */
static void answer_make(struct server *server, struct connection *connection)
{
	char digest[DIGEST_TEXT], body[2 * ADDRESS_TEXT + 32];
	char *text = (char *)connection->buffer;
	int size = 0;

	connection->answering = true;
	if (server->mode == SINK || server->mode == HASH)
		digest_end(&connection->digest, digest);
	if (server->mode == SINK) {
		size = snprintf(text, BUFFER_SIZE, "%s\n", digest);
	} else if (server->mode == HASH) {
		size = snprintf(text, BUFFER_SIZE, "bytes=%lld sha256=%s\n",
				(long long)connection->in, digest);
	} else if (server->mode == HTTP) {
		int length = snprintf(body, sizeof(body), "peer=%s local=%s\n", connection->peer,
				      connection->local);

		size = snprintf(text, BUFFER_SIZE,
				"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
				"Content-Length: %d\r\nConnection: close\r\n\r\n%s",
				length, body);
	}
	connection->start = 0;
	connection->end = (size_t)size;
}

static void received(struct server *server, struct connection *connection, const uint8_t *data,
		     size_t size)
{
	size_t room = sizeof(connection->first) - connection->first_size;

	room = room < size ? room : size;
	memcpy(connection->first + connection->first_size, data, room);
	connection->first_size += room;
	connection->in += (int64_t)size;
	switch (server->mode) {
	case SINK:
	case HASH:
		digest_add(&connection->digest, data, size);
		break;
	case HTTP:
		/* Kept as it comes; nobody here sends more than a buffer of headers. */
		connection->end += size;
		if (memmem(connection->buffer, connection->end, "\r\n\r\n", 4) ||
		    connection->end == BUFFER_SIZE)
			answer_make(server, connection);
		break;
	case ECHO:
	case GREET:
		connection->start = 0;
		connection->end = size;
		if (server->options->close_first)
			connection->answering = true;
		break;
	default:
		break;
	}
}

/* Whether more may be read now, and the buffer for it. */
static uint8_t *read_space(const struct server *server, struct connection *connection,
			   uint8_t *scratch, size_t *size)
{
	bool keeps = server->mode == ECHO || server->mode == GREET;

	if (connection->eof || server->mode == HOLD || (connection->answering && !connection->shut))
		return NULL;
	if (keeps && connection->start < connection->end)
		return NULL;
	*size = BUFFER_SIZE;
	if (keeps)
		return connection->buffer;
	if (server->mode == HTTP && !connection->answering) {
		*size = BUFFER_SIZE - connection->end;
		return connection->buffer + connection->end;
	}
	return scratch;
}

/* Reads and writes as much as possible. Returns 1 to go on, 0 at the end, or -errno. */
static int connection_step(struct server *server, struct connection *connection)
{
	uint8_t scratch[BUFFER_SIZE];
	bool http_reading = server->mode == HTTP && !connection->answering;

	if (server->mode == SOURCE && connection->start == connection->end && !connection->shut) {
		int64_t left = server->options->bytes - connection->out;
		size_t size = left < BUFFER_SIZE ? (size_t)left : BUFFER_SIZE;

		data_fill(connection->buffer, size, (uint64_t)server->options->seed,
			  (uint64_t)connection->out);
		connection->start = 0;
		connection->end = size;
		connection->answering = left == 0;
	}
	if (!http_reading && connection->start < connection->end) {
		ssize_t sent = send(connection->fd, connection->buffer + connection->start,
				    connection->end - connection->start, MSG_NOSIGNAL);

		if (sent < 0 && errno != EAGAIN)
			return -errno;
		if (sent > 0) {
			connection->start += (size_t)sent;
			connection->out += sent;
		}
	}
	if (!http_reading && connection->start == connection->end && !connection->shut &&
	    connection->answering) {
		if (shutdown(connection->fd, SHUT_WR) < 0)
			return -errno;
		connection->shut = true;
		if (server->options->close_first || connection->eof)
			return 0;
	}
	size_t size = 0;
	uint8_t *space = read_space(server, connection, scratch, &size);

	if (space) {
		ssize_t got = recv(connection->fd, space, size, 0);

		if (got < 0)
			return errno == EAGAIN ? 1 : -errno;
		if (got > 0 && !connection->answering)
			received(server, connection, space, (size_t)got);
		else if (got == 0)
			connection->eof = true;
		if (got == 0 && connection->shut)
			return 0;
		if (got == 0 && !connection->answering && server->mode != SOURCE)
			answer_make(server, connection);
	}
	return 1;
}

static uint32_t interest_of(const struct server *server, struct connection *connection)
{
	uint8_t *space;
	size_t size;
	uint32_t events = 0;
	bool pending = connection->start < connection->end || connection->answering ||
		       server->mode == SOURCE;

	if (server->mode == HTTP && !connection->answering)
		pending = false;
	if (pending && !connection->shut)
		events |= EPOLLOUT;
	space = read_space(server, connection, connection->buffer, &size);
	if (space)
		events |= EPOLLIN;
	return events;
}

static void connection_event(struct server *server, struct connection *connection, uint32_t events)
{
	struct epoll_event event;
	int step = 1;

	if (server->mode == HOLD && events & EPOLLERR) {
		int error = 0;
		socklen_t size = sizeof(error);

		(void)getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &size);
		step = error ? -error : 0;
	} else if (server->mode == HOLD && events & EPOLLHUP) {
		step = 0;
	} else if (server->mode != HOLD) {
		step = connection_step(server, connection);
	}
	if (step <= 0) {
		connection_close(server, connection, step);
		return;
	}
	event = (struct epoll_event) {.events = interest_of(server, connection),
				      .data.ptr = connection};
	if (event.events != connection->interest) {
		(void)epoll_ctl(server->epoll, EPOLL_CTL_MOD, connection->fd, &event);
		connection->interest = event.events;
	}
}

static void server_accept(struct server *server, int listener)
{
	/* Bounded, so that a flood of new connections does not starve the others. */
	for (int i = 0; i < 64; i++) {
		struct sockaddr_storage address = {0};
		socklen_t size = sizeof(address);
		int fd = accept4(listener, (void *)&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
		struct connection *connection;
		struct epoll_event event = {0};

		if (fd < 0)
			return;
		connection = calloc(1, sizeof(*connection));
		if (!connection)
			abort();
		connection->fd = fd;
		server->accepted++;
		address_text(&address, connection->peer);
		local_text(fd, connection->local);
		printf("accept peer=%s local=%s\n", connection->peer, connection->local);
		if (server->mode == GREET) {
			connection->end = strlen(GREETING);
			memcpy(connection->buffer, GREETING, connection->end);
		}
		connection->interest = interest_of(server, connection);
		event.events = connection->interest;
		event.data.ptr = connection;
		if (epoll_ctl(server->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
			connection_close(server, connection, -errno);
	}
}

/* Listens on both families with one socket when no address is named. Returns an fd or -errno. */
static int listen_on(const char *host, uint16_t port)
{
	struct options plain = {0};
	struct sockaddr_storage address;
	int one = 1, zero = 0, error, fd;

	if (!literal_parse(host ? host : "::", port, &address))
		return -EINVAL;
	fd = socket_for(&plain, address.ss_family, SOCK_STREAM);
	if (fd < 0 && !host)
		return listen_on("0.0.0.0", port);
	if (fd < 0)
		return fd;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (!host)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	if (bind(fd, (void *)&address, address_size(&address)) == 0 && listen(fd, 4096) == 0)
		return fd;
	error = -errno;
	close(fd);
	return host ? error : listen_on("0.0.0.0", port);
}

static int server_loop(struct server *server, int listener, int64_t deadline_us)
{
	const struct options *options = server->options;
	struct epoll_event events[128];

	while (!stop_requested && now_us() < deadline_us && !file_exists(options->until_file) &&
	       (!options->count || server->closed < options->count)) {
		int count = epoll_wait(server->epoll, events, 128, 200);

		for (int i = 0; i < count; i++) {
			if (!events[i].data.ptr)
				server_accept(server, listener);
			else
				connection_event(server, events[i].data.ptr, events[i].events);
		}
		if (server->log)
			fflush(server->log);
	}
	printf("total accepted=%ld closed=%ld failed=%ld in=%lld out=%lld\n", server->accepted,
	       server->closed, server->failed, (long long)server->in, (long long)server->out);
	return 0;
}

int command_serve(const struct options *options)
{
	struct server server = {.options = options};
	struct epoll_event event = {.events = EPOLLIN};
	char local[ADDRESS_TEXT];
	uint16_t port;
	int listener;

	while (options->mode && server.mode < MODES &&
	       strcmp(options->mode, mode_words[server.mode]) != 0)
		server.mode++;
	if (server.mode == MODES || options->arg_count != 1 || !port_parse(options->args[0], &port))
		return 2;
	raise_open_files();
	if (options->log && !(server.log = fopen(options->log, "ae"))) {
		printf("result=%s log=%s\n", error_word(errno), options->log);
		return 1;
	}
	listener = listen_on(options->address, port);
	server.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (listener < 0 || server.epoll < 0 ||
	    epoll_ctl(server.epoll, EPOLL_CTL_ADD, listener, &event) < 0) {
		printf("result=%s\n", error_word(listener < 0 ? listener : errno));
		return 1;
	}
	printf("ready listen=%s mode=%s\n", local_text(listener, local), mode_words[server.mode]);
	return server_loop(&server, listener, deadline_from(options, 600));
}
