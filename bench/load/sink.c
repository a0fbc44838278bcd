// SPDX-License-Identifier: Apache-2.0
/*
 * The receiver of all measurements: a plain server, a CONNECT gateway that is the server itself
 * (no third hop), or the process behind a steering. It has one thread and uses epoll. enum
 * load_port lists its behaviours.
 */
#include "sink.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

#define HEAD_MAX     1024
#define EVENTS	     256
#define ACCEPT_BATCH 64
#define PREFIX_MAX   4096

enum kind {
	KIND_LISTENER,
	KIND_CONNECTION,
	KIND_DNS,
	KIND_SIGNAL,
	KIND_STEER,
};

struct source {
	enum kind kind;
	int fd;
	int mode; /* enum load_port */
	bool writing;
	bool close_after;
	unsigned int head_length; /* of an unfinished HTTP head */
	uint64_t bytes;
	struct pages *pages; /* LOAD_PAGES */
	char head[];
};

static int epoll_fd;
static char buffer[LOAD_BUFFER], zeros[LOAD_BUFFER];

static void watch(struct source *source, uint32_t events, int operation)
{
	struct epoll_event event = {.events = events, .data.ptr = source};

	if (epoll_ctl(epoll_fd, operation, source->fd, &event) < 0)
		die("epoll_ctl");
}

static struct source *source_new(enum kind kind, int fd, int mode)
{
	bool head = mode == LOAD_HTTP || mode == LOAD_GATEWAY;
	struct source *source = calloc(1, sizeof(*source) + (head ? HEAD_MAX : 0));

	if (!source)
		die("out of memory");
	source->kind = kind;
	source->fd = fd;
	source->mode = mode;
	source->pages = mode == LOAD_PAGES ? pages_new() : NULL;
	return source;
}

static void source_close(struct source *source)
{
	(void)close(source->fd);
	pages_free(source->pages);
	free(source);
}

/* A reader that has enough, and a sender that is done, both end the connection here. */
static bool send_all(struct source *source, const void *data, size_t size)
{
	return send(source->fd, data, size, MSG_NOSIGNAL) == (ssize_t)size;
}

/* Sends as much as the socket takes. Returns false if the connection is over. */
static bool source_bytes(struct source *source)
{
	int round;

	/* A few at a time, so that others get their turn. */
	for (round = 0; round < 4; round++) {
		ssize_t sent = source->pages ? pages_send(source->pages, source->fd)
					     : send(source->fd, zeros, sizeof(zeros), MSG_NOSIGNAL);

		if (sent < 0 && errno != EAGAIN)
			return false;
		/* Fewer pages may have been left in the pipe. */
		if (sent < (source->pages ? 0 : (ssize_t)sizeof(zeros))) {
			if (!source->writing) {
				source->writing = true;
				watch(source, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
			}
			return true;
		}
	}
	if (!source->writing) {
		source->writing = true;
		watch(source, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
	}
	return true;
}

/* Returns the port in "CONNECT 1.2.3.4:PORT HTTP/1.1", or 0 for anything else. */
static int connect_port(const char *head, size_t length)
{
	const char *colon;

	if (length < 16 || memcmp(head, "CONNECT ", 8) != 0)
		return 0;
	colon = memchr(head, ':', length);
	return colon ? atoi(colon + 1) : 0;
}

/* Answers each complete head in @data. Returns false if the connection is over. */
static bool http_bytes(struct source *source, const char *data, size_t size)
{
	while (size > 0) {
		size_t space = HEAD_MAX - 1 - source->head_length;
		size_t take = size < space ? size : space;
		char *end;
		size_t head, used;

		memcpy(source->head + source->head_length, data, take);
		source->head[source->head_length + take] = '\0';
		end = strstr(source->head, "\r\n\r\n");
		if (!end) {
			source->head_length += (unsigned int)take;
			return take == size; /* else: a head that is too long */
		}
		head = (size_t)(end - source->head) + 4;
		used = head - source->head_length;
		end[2] = '\0';
		source->close_after = strcasestr(source->head, "\r\nConnection: close\r\n") != NULL;
		source->head_length = 0;
		data += used;
		size -= used;
		if (!send_all(source, LOAD_ANSWER, sizeof(LOAD_ANSWER) - 1) || source->close_after)
			return false;
	}
	return true;
}

static bool input(struct source *source, const char *data, size_t size)
{
	source->bytes += size;
	switch (source->mode) {
	case LOAD_HTTP:
		return http_bytes(source, data, size);
	case LOAD_ECHO:
		return send_all(source, data, size);
	default:
		return true;
	}
}

static bool end_of_input(struct source *source)
{
	if (source->mode == LOAD_DISCARD || source->mode == LOAD_DROP)
		(void)send_all(source, &source->bytes, sizeof(source->bytes));
	return false;
}

/* Reads the head of a CONNECT request, at once or in pieces. Bytes behind it belong to the
 * tunnel. */
static bool gateway_bytes(struct source *source, const char *data, size_t size)
{
	static const char established[] = "HTTP/1.1 200 OK\r\n\r\n";
	size_t take = size < HEAD_MAX - 1 - source->head_length
			      ? size
			      : HEAD_MAX - 1 - source->head_length;
	size_t used;
	char *end;

	memcpy(source->head + source->head_length, data, take);
	source->head[source->head_length + take] = '\0';
	end = strstr(source->head, "\r\n\r\n");
	if (!end) {
		source->head_length += (unsigned int)take;
		return take == size;
	}
	used = (size_t)(end - source->head) + 4 - source->head_length;
	source->mode = connect_port(source->head, (size_t)(end - source->head));
	source->head_length = 0;
	if (source->mode == 0 || !send_all(source, established, sizeof(established) - 1) ||
	    source->mode == LOAD_CLOSE)
		return false;
	if (source->mode == LOAD_SOURCE)
		return source_bytes(source);
	return used == size || input(source, data + used, size - used);
}

static bool readable(struct source *source)
{
	ssize_t count = source->mode == LOAD_DROP ? load_drop(source->fd)
						  : recv(source->fd, buffer, sizeof(buffer), 0);

	if (count < 0)
		return errno == EAGAIN;
	if (count == 0)
		return end_of_input(source);
	return source->mode == LOAD_GATEWAY ? gateway_bytes(source, buffer, (size_t)count)
					    : input(source, buffer, (size_t)count);
}

static void connection_event(struct source *source, uint32_t events)
{
	bool alive = true;

	if (events & EPOLLOUT)
		alive = source_bytes(source);
	if (alive && events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		alive = readable(source);
	if (!alive)
		source_close(source);
}

static void accept_some(const struct source *listener)
{
	int i;

	for (i = 0; i < ACCEPT_BATCH; i++) {
		struct sockaddr_in local = {.sin_family = AF_INET};
		socklen_t length = sizeof(local);
		struct source *source;
		int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		int mode;

		if (fd < 0)
			return;
		/* This is asked for each connection, however it came, so that all pay the same. */
		if (getsockname(fd, (struct sockaddr *)&local, &length) < 0)
			die("getsockname");
		mode = ntohs(local.sin_port);
		if (mode == LOAD_CLOSE) {
			(void)close(fd);
			continue;
		}
		source = source_new(KIND_CONNECTION, fd, mode);
		watch(source, EPOLLIN, EPOLL_CTL_ADD);
		if ((mode == LOAD_SOURCE || mode == LOAD_PAGES) && !source_bytes(source))
			source_close(source);
	}
}

/* Turns each query into an answer without records, which is enough for a relay. */
static void answer_dns(const struct source *source)
{
	struct sockaddr_in peer;
	socklen_t length = sizeof(peer);
	unsigned char query[512];
	ssize_t size;

	while ((size = recvfrom(source->fd, query, sizeof(query), 0, (struct sockaddr *)&peer,
				&length)) >= 12) {
		query[2] |= 0x80; /* QR: an answer */
		query[3] = 0x80;  /* RA, no error */
		(void)sendto(source->fd, query, (size_t)size, 0, (struct sockaddr *)&peer, length);
		length = sizeof(peer);
	}
}

/* @device: bound to it, or NULL. */
static int listen_tcp(int port, bool transparent, const char *device)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0)
		die("socket");
	if (transparent && setsockopt(fd, SOL_IP, IP_TRANSPARENT, &one, sizeof(one)) < 0)
		die("IP_TRANSPARENT");
	if (device &&
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)strlen(device)) < 0)
		die("SO_BINDTODEVICE");
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 16384) < 0)
		die("cannot listen on port %d", port);
	watch(source_new(KIND_LISTENER, fd, 0), EPOLLIN, EPOLL_CTL_ADD);
	return fd;
}

static void listen_dns(const char *text)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(53)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 || inet_pton(AF_INET, text, &address.sin_addr) != 1 ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die("cannot serve DNS at %s", text);
	watch(source_new(KIND_DNS, fd, 0), EPOLLIN, EPOLL_CTL_ADD);
}

static void watch_signals(void)
{
	sigset_t signals;
	int fd;

	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGTERM);
	(void)sigaddset(&signals, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &signals, NULL);
	fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		die("signalfd");
	watch(source_new(KIND_SIGNAL, fd, 0), EPOLLIN, EPOLL_CTL_ADD);
}

/* Until SIGTERM or SIGINT. */
static void serve(struct steer *steer)
{
	struct epoll_event events[EVENTS];

	for (;;) {
		int count = epoll_wait(epoll_fd, events, EVENTS, -1), i;

		for (i = 0; i < count; i++) {
			struct source *source = events[i].data.ptr;

			switch (source->kind) {
			case KIND_LISTENER:
				accept_some(source);
				break;
			case KIND_CONNECTION:
				connection_event(source, events[i].events);
				break;
			case KIND_DNS:
				answer_dns(source);
				break;
			case KIND_STEER:
				steer_sync(steer);
				break;
			case KIND_SIGNAL:
				return;
			}
		}
	}
}

static void usage(void)
{
	die("usage: sink [--listen] [--listen-foreign] [--transparent PORT] [--dns ADDRESS]"
	    " [--steer bpf|nft|bridge:NAME [--bypass CIDR]... [--pin DIR]]");
}

static struct steer *start_steering(const char *how, const char *pin, const char *const *prefixes,
				    unsigned int count)
{
	struct steer *steer = steer_new(how, pin);
	int listener, lo_listener;

	steer_enter(steer);
	listener = listen_tcp(15001, true, NULL);
	lo_listener = listen_tcp(15002, true, "lo");
	steer_leave(steer);
	steer_start(steer, listener, lo_listener, prefixes, count);
	if (steer_fd(steer) >= 0)
		watch(source_new(KIND_STEER, steer_fd(steer), 0), EPOLLIN, EPOLL_CTL_ADD);
	return steer;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"listen", no_argument, NULL, 'l'},
		{"listen-foreign", no_argument, NULL, 'f'},
		{"transparent", required_argument, NULL, 't'},
		{"dns", required_argument, NULL, 'd'},
		{"steer", required_argument, NULL, 's'},
		{"bypass", required_argument, NULL, 'b'},
		{"pin", required_argument, NULL, 'p'},
		{NULL, 0, NULL, 0},
	};
	static const int ports[] = {LOAD_CLOSE,	 LOAD_HTTP, LOAD_ECHO,	LOAD_DISCARD,
				    LOAD_SOURCE, LOAD_DROP, LOAD_PAGES, LOAD_GATEWAY};
	static const char *prefixes[PREFIX_MAX];
	const char *how = NULL, *pin = NULL;
	struct steer *steer = NULL;
	unsigned int count = 0, i;
	int option;

	raise_file_limit();
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0)
		die("epoll_create1");
	watch_signals();
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'l') {
			for (i = 0; i < sizeof(ports) / sizeof(ports[0]); i++)
				(void)listen_tcp(ports[i], false, NULL);
		} else if (option == 'f') {
			for (i = 0; i < sizeof(ports) / sizeof(ports[0]); i++)
				(void)listen_tcp(ports[i], true, "lo");
		} else if (option == 't') {
			(void)listen_tcp(atoi(optarg), true, NULL);
		} else if (option == 'd') {
			listen_dns(optarg);
		} else if (option == 's') {
			how = optarg;
		} else if (option == 'p') {
			pin = optarg;
		} else if (option == 'b' && count < PREFIX_MAX) {
			prefixes[count++] = optarg;
		} else {
			usage();
		}
	}
	if (how)
		steer = start_steering(how, pin, prefixes, count);
	(void)printf("ready\n");
	(void)fflush(stdout);
	serve(steer);
	if (steer)
		steer_stop(steer);
	return 0;
}
