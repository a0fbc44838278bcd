// SPDX-License-Identifier: Apache-2.0
/* Single connections: connect, reconnect and stall. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "peer.h"

#define KEEP_MAX 65536 /* how much of the answer --expect can look at */

struct talk {
	int fd;
	const char *phase; /* what it was doing when it failed */
	int64_t sent;
	int64_t received;
	int64_t connect_us;
	int64_t first_byte_us; /* since the start; -1: none came */
	struct digest *digest;
	uint8_t kept[KEEP_MAX];
	size_t kept_size;
	bool ended; /* the other side's FIN came */
};

static int64_t talk_total(const struct options *options)
{
	return options->send ? (int64_t)strlen(options->send) : options->send_bytes;
}

static int talk_send(struct talk *talk, const struct options *options)
{
	int64_t left = talk_total(options) - talk->sent;
	uint8_t buffer[16384];
	const void *data = buffer;
	size_t size = left < (int64_t)sizeof(buffer) ? (size_t)left : sizeof(buffer);
	ssize_t sent;

	if (options->send)
		data = options->send + talk->sent;
	else
		data_fill(buffer, size, (uint64_t)options->seed, (uint64_t)talk->sent);
	sent = send(talk->fd, data, size, MSG_NOSIGNAL);
	if (sent < 0)
		return errno == EAGAIN ? 0 : -errno;
	talk->sent += sent;
	if (talk->sent == talk_total(options) && options->half_close &&
	    shutdown(talk->fd, SHUT_WR) < 0)
		return -errno;
	return 0;
}

static int talk_receive(struct talk *talk, int64_t start_us)
{
	uint8_t buffer[65536];
	ssize_t got = recv(talk->fd, buffer, sizeof(buffer), 0);
	size_t keep;

	if (got < 0)
		return errno == EAGAIN ? 0 : -errno;
	if (got == 0) {
		talk->ended = true;
		return 0;
	}
	if (talk->first_byte_us < 0)
		talk->first_byte_us = now_us() - start_us;
	talk->received += got;
	digest_add(&talk->digest, buffer, (size_t)got);
	keep = sizeof(talk->kept) - talk->kept_size;
	keep = keep < (size_t)got ? keep : (size_t)got;
	memcpy(talk->kept + talk->kept_size, buffer, keep);
	talk->kept_size += keep;
	return 0;
}

static bool talk_has(const struct talk *talk, const char *text)
{
	return memmem(talk->kept, talk->kept_size, text, strlen(text)) != NULL;
}

/* Whether everything is done. */
static bool talk_done(const struct talk *talk, const struct options *options)
{
	if (talk->ended)
		return true;
	if (talk->sent < talk_total(options))
		return false;
	if (options->read_all)
		return false;
	if (options->expect)
		return talk_has(talk, options->expect);
	return !options->wait_first_byte || talk->received > 0;
}

/* Sends and receives as the options say. Returns 0, -errno, or -ENODATA for a stream that ended
 * early. */
static int talk_run(struct talk *talk, const struct options *options, int64_t start_us,
		    int64_t deadline_us)
{
	if (talk_total(options) == 0 && options->half_close && shutdown(talk->fd, SHUT_WR) < 0)
		return -errno;
	while (!talk_done(talk, options)) {
		bool may_send = !options->wait_first_byte || talk->received > 0;
		bool sending = may_send && talk->sent < talk_total(options);
		int error = wait_fd(talk->fd, (short)(POLLIN | (sending ? POLLOUT : 0)),
				    deadline_us);

		talk->phase = sending ? "send" : "read";
		if (!error)
			error = talk_receive(talk, start_us);
		if (!error && sending && !talk->ended)
			error = talk_send(talk, options);
		if (error)
			return error;
	}
	if (talk->sent < talk_total(options) || (options->wait_first_byte && !talk->received))
		return -ENODATA;
	return 0;
}

int command_connect(const struct options *options)
{
	static struct talk talk = {.fd = -1, .phase = "resolve", .first_byte_us = -1};
	struct sockaddr_storage peer = {0};
	char peer_address[ADDRESS_TEXT], local[ADDRESS_TEXT], digest[DIGEST_TEXT];
	int64_t deadline_us = deadline_from(options, 10), start_us;
	const char *word = NULL;
	uint16_t port;
	int error;

	if (options->arg_count != 2 || !port_parse(options->args[1], &port))
		return 2;
	error = resolve(options, options->args[0], port, deadline_us, &peer, &word);
	start_us = now_us();
	if (!error) {
		talk.phase = "connect";
		talk.fd = connect_start(options, &peer);
		error = talk.fd < 0 ? talk.fd : connect_wait(talk.fd, deadline_us);
		talk.connect_us = now_us() - start_us;
	}
	if (!error)
		error = talk_run(&talk, options, start_us, deadline_us);
	if (!error && options->expect && !talk_has(&talk, options->expect)) {
		word = "mismatch";
		error = -EBADMSG;
	}
	if (!word)
		word = error == -ENODATA ? "eof" : error_word(error);
	digest_end(&talk.digest, digest);
	printf("result=%s phase=%s peer=%s local=%s bytes=%lld sent=%lld sha256=%s connect_us=%lld"
	       " first_byte_us=%lld total_us=%lld first=",
	       word, error ? talk.phase : "done", address_text(&peer, peer_address),
	       local_text(talk.fd, local), (long long)talk.received, (long long)talk.sent, digest,
	       (long long)talk.connect_us, (long long)talk.first_byte_us,
	       (long long)(now_us() - start_us));
	print_quoted(stdout, talk.kept, talk.kept_size < 120 ? talk.kept_size : 120);
	putchar('\n');
	return error != 0;
}

/* One round of reconnect: connect, send a line, read it back, end as asked. 0 or -errno. */
static int reconnect_once(const struct options *options, const struct sockaddr_storage *peer,
			  long round, int64_t deadline_us)
{
	bool server_closes = options->close_by && strcmp(options->close_by, "server") == 0;
	char line[64], answer[64];
	size_t have = 0;
	int fd, error;

	snprintf(line, sizeof(line), "reconnect %ld\n", round);
	fd = connect_start(options, peer);
	if (fd < 0)
		return fd;
	error = connect_wait(fd, deadline_us);
	if (!error)
		error = send_all(fd, line, strlen(line), deadline_us);
	while (!error) {
		ssize_t got;

		if (!server_closes && have == strlen(line))
			break;
		error = wait_fd(fd, POLLIN, deadline_us);
		if (error)
			break;
		got = recv(fd, answer + have, sizeof(answer) - have, 0);
		if (got < 0)
			error = errno == EAGAIN ? 0 : -errno;
		else if (got == 0)
			break;
		else
			have += (size_t)got;
	}
	if (!error && (have != strlen(line) || memcmp(answer, line, have) != 0))
		error = -EBADMSG;
	if (options->close_by && strcmp(options->close_by, "reset") == 0) {
		struct linger now = {.l_onoff = 1};

		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	}
	close(fd);
	return error;
}

/* Connects the same four-tuple again and again. Prints times=40 ok=40 failed=0 waits=N.
 * A client that closed first has a TIME_WAIT, which it may use again only with
 * net.ipv4.tcp_tw_reuse=1 and after net.ipv4.tcp_tw_reuse_delay (1 s). Until then connect fails
 * with EADDRNOTAVAIL and sends nothing. The client waits for that and counts it. */
int command_reconnect(const struct options *options)
{
	long times = options->times > 0 ? options->times : 40, ok = 0, waits = 0;
	int64_t deadline_us = deadline_from(options, 10);
	struct sockaddr_storage peer;
	struct tally failures = {0};
	const char *why;
	uint16_t port;

	if (options->arg_count != 2 || !options->source_port ||
	    !port_parse(options->args[1], &port) ||
	    resolve(options, options->args[0], port, deadline_us, &peer, &why) != 0)
		return 2;
	for (long round = 0; round < times && !stop_requested; round++) {
		int64_t limit_us = now_us() + 5000000;
		int error;

		limit_us = limit_us < deadline_us ? limit_us : deadline_us;
		while ((error = reconnect_once(options, &peer, round, limit_us)) ==
			       -EADDRNOTAVAIL &&
		       now_us() < deadline_us) {
			waits++;
			usleep(20000);
			limit_us = now_us() + 5000000;
		}
		if (error)
			tally_add(&failures, error_word(error));
		else
			ok++;
	}
	printf("times=%ld ok=%ld failed=%ld waits=%ld", times, ok, times - ok, waits);
	tally_print(&failures);
	putchar('\n');
	return ok != times;
}

/* Prints "ready result=ok sent=N" when all is sent, or "ready result=blocked sent=M" when nothing
 * moved for half a second. Holds the connection, unread, until SIGTERM. */
int command_stall(const struct options *options)
{
	int64_t deadline_us = deadline_from(options, 600), sent = 0;
	struct sockaddr_storage peer;
	char local[ADDRESS_TEXT];
	uint8_t buffer[16384];
	const char *why;
	uint16_t port;
	int fd, error;

	if (options->arg_count != 2 || !port_parse(options->args[1], &port) ||
	    resolve(options, options->args[0], port, deadline_us, &peer, &why) != 0)
		return 2;
	fd = connect_start(options, &peer);
	error = fd < 0 ? fd : connect_wait(fd, now_us() + 10000000);
	while (!error && sent < options->bytes) {
		int64_t left = options->bytes - sent;
		size_t size = left < (int64_t)sizeof(buffer) ? (size_t)left : sizeof(buffer);
		ssize_t got;

		data_fill(buffer, size, (uint64_t)options->seed, (uint64_t)sent);
		got = send(fd, buffer, size, MSG_NOSIGNAL);
		if (got >= 0)
			sent += got;
		else if (errno == EAGAIN)
			error = wait_fd(fd, POLLOUT, now_us() + 500000);
		else
			error = -errno;
	}
	printf("ready result=%s local=%s sent=%lld\n",
	       error == -ETIMEDOUT && sent ? "blocked" : error_word(error), local_text(fd, local),
	       (long long)sent);
	if (error && error != -ETIMEDOUT)
		return 1;
	while (!stop_requested && now_us() < deadline_us)
		(void)poll(NULL, 0, 200);
	return 0;
}
