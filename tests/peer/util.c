// SPDX-License-Identifier: Apache-2.0
/* Time, signals, text and sockets, which all subcommands share. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "peer.h"

volatile sig_atomic_t stop_requested;

int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t deadline_from(const struct options *options, long default_s)
{
	int64_t default_us = (int64_t)default_s * 1000000;

	return now_us() + (options->timeout_us > 0 ? options->timeout_us : default_us);
}

int wait_fd(int fd, short events, int64_t deadline_us)
{
	for (;;) {
		struct pollfd entry = {.fd = fd, .events = events};
		int64_t left_us = deadline_us - now_us();

		if (stop_requested)
			return -EINTR;
		if (left_us <= 0)
			return -ETIMEDOUT;
		if (poll(&entry, 1, (int)(left_us / 1000) + 1) > 0)
			return 0;
	}
}

int wait_fd_late(int fd, short events, int64_t deadline_us)
{
	struct pollfd entry = {.fd = fd, .events = events};
	int error = wait_fd(fd, events, deadline_us);

	return error == -ETIMEDOUT && poll(&entry, 1, 0) > 0 ? 0 : error;
}

static void on_signal(int number)
{
	(void)number;
	stop_requested = 1;
}

void handle_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal};

	/* No SA_RESTART: a wait must notice. */
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

bool file_exists(const char *path)
{
	return path && access(path, F_OK) == 0;
}

void raise_open_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	if (limit.rlim_max < 16384)
		limit.rlim_max = 16384;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
		return;
	/* Not allowed to raise the hard limit: take all of it. */
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

const char *error_word(int error)
{
	const char *name;

	switch (error < 0 ? -error : error) {
	case 0:
		return "ok";
	case ECONNREFUSED:
		return "refused";
	case ECONNRESET:
	case EPIPE:
		return "reset";
	case ETIMEDOUT:
		return "timeout";
	case EHOSTUNREACH:
	case ENETUNREACH:
		return "unreachable";
	case EINTR:
		return "stopped";
	}
	name = strerrorname_np(error < 0 ? -error : error);
	return name ? name : "unknown";
}

const char *address_text(const struct sockaddr_storage *address, char text[ADDRESS_TEXT])
{
	char host[INET6_ADDRSTRLEN] = "?";

	if (address->ss_family == AF_INET) {
		const struct sockaddr_in *v4 = (const void *)address;

		inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
		snprintf(text, ADDRESS_TEXT, "%s:%u", host, ntohs(v4->sin_port));
	} else if (address->ss_family == AF_INET6) {
		const struct sockaddr_in6 *v6 = (const void *)address;

		if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
			inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], host, sizeof(host));
			snprintf(text, ADDRESS_TEXT, "%s:%u", host, ntohs(v6->sin6_port));
		} else {
			inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
			snprintf(text, ADDRESS_TEXT, "[%s]:%u", host, ntohs(v6->sin6_port));
		}
	} else {
		snprintf(text, ADDRESS_TEXT, "-");
	}
	return text;
}

const char *local_text(int fd, char text[ADDRESS_TEXT])
{
	struct sockaddr_storage address = {0};
	socklen_t size = sizeof(address);

	if (fd >= 0)
		(void)getsockname(fd, (struct sockaddr *)&address, &size);
	return address_text(&address, text);
}

socklen_t address_size(const struct sockaddr_storage *address)
{
	return address->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
					      : sizeof(struct sockaddr_in);
}

bool literal_parse(const char *host, uint16_t port, struct sockaddr_storage *address)
{
	struct sockaddr_in *v4 = (void *)address;
	struct sockaddr_in6 *v6 = (void *)address;

	memset(address, 0, sizeof(*address));
	if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		return true;
	}
	if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		return true;
	}
	return false;
}

bool port_parse(const char *text, uint16_t *port)
{
	char *end;
	long value = text ? strtol(text, &end, 10) : 0;

	if (!text || end == text || *end || value < 0 || value > 65535)
		return false;
	*port = (uint16_t)value;
	return true;
}

void print_quoted(FILE *out, const uint8_t *bytes, size_t size)
{
	fputc('"', out);
	for (size_t i = 0; i < size; i++) {
		if (bytes[i] == '"' || bytes[i] == '\\')
			fprintf(out, "\\%c", bytes[i]);
		else if (bytes[i] == '\n')
			fputs("\\n", out);
		else if (bytes[i] == '\r')
			fputs("\\r", out);
		else if (bytes[i] < 0x20 || bytes[i] > 0x7e)
			fprintf(out, "\\x%02x", bytes[i]);
		else
			fputc(bytes[i], out);
	}
	fputc('"', out);
}

static int bind_source(const struct options *options, int fd, int family)
{
	const char *any = family == AF_INET6 ? "::" : "0.0.0.0";
	struct sockaddr_storage source;
	int one = 1;

	if (!options->source && !options->source_port)
		return 0;
	if (!literal_parse(options->source ? options->source : any, (uint16_t)options->source_port,
			   &source))
		return -EINVAL;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	return bind(fd, (struct sockaddr *)&source, address_size(&source)) < 0 ? -errno : 0;
}

int socket_for(const struct options *options, int family, int type)
{
	int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error = 0, one = 1;

	if (fd < 0)
		return -errno;
	if (options->device && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, options->device,
					  (socklen_t)strlen(options->device) + 1) < 0)
		error = -errno;
	if (!error && options->mark) {
		uint32_t mark = (uint32_t)options->mark;

		if (setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) < 0)
			error = -errno;
	}
	/* IPv6 sockets have this option too. */
	if (!error && options->freebind &&
	    setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &one, sizeof(one)) < 0)
		error = -errno;
	if (!error)
		error = bind_source(options, fd, family);
	if (error) {
		close(fd);
		return error;
	}
	return fd;
}

int connect_start(const struct options *options, const struct sockaddr_storage *peer)
{
	int fd = socket_for(options, peer->ss_family, SOCK_STREAM);

	if (fd < 0)
		return fd;
	if (connect(fd, (const struct sockaddr *)peer, address_size(peer)) < 0 &&
	    errno != EINPROGRESS) {
		int error = -errno;

		close(fd);
		return error;
	}
	return fd;
}

int connect_wait(int fd, int64_t deadline_us)
{
	int error = wait_fd_late(fd, POLLOUT, deadline_us);
	socklen_t size = sizeof(error);

	if (error)
		return error;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		return -errno;
	return -error;
}

int send_all(int fd, const void *data, size_t size, int64_t deadline_us)
{
	const uint8_t *next = data;

	while (size > 0) {
		ssize_t sent = send(fd, next, size, MSG_NOSIGNAL);

		if (sent < 0 && errno == EAGAIN) {
			int error = wait_fd(fd, POLLOUT, deadline_us);

			if (error)
				return error;
			continue;
		}
		if (sent < 0)
			return -errno;
		next += sent;
		size -= (size_t)sent;
	}
	return 0;
}
