// SPDX-License-Identifier: Apache-2.0
#include "events/event_log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "events/event_json.h"
#include "lib/clock.h"
#include "lib/complaint.h"
#include "lib/log.h"
#include "lib/socket_address.h"
#include "lib/util.h"

/* Lines are written together up to about this size, in bytes. */
#define BATCH (128 * 1024)
/* How long a pipe may be full, ms. The events' queue holds what comes meanwhile. */
#define PATIENCE_MS 100
/* How often it is looked whether the file is still in its place, ms. */
#define LOOK_MS 1000

struct event_log {
	struct events *events;
	const char *path; /* NULL: standard output, or journald */
	int fd;
	size_t size_max, size, limit; /* of the file; at the limit another one begins */
	uint64_t looked_ms;
	bool stuck; /* the pipe was full for too long */
	struct complaint complaint;
	uint64_t lost, batched; /* events not written, and in the batch */
	size_t used;
	char batch[BATCH + 2 * EVENT_JSON_MAX];
};

/* The log could not be @done to: errno tells why. */
static void complain(struct event_log *log, const char *done)
{
	char suffix[COMPLAINT_SUFFIX_MAX], text[128];
	const char *name = log->path ? log->path : "of journald";
	int error = errno;

	if (complaint_due(&log->complaint, suffix))
		log_warning("events are lost, because the event log %s cannot be %s: %s%s", name,
			    done, strerror_r(error, text, sizeof(text)), suffix);
}

static int open_file(struct event_log *log)
{
	/* Without O_NONBLOCK this would wait for the reader of a named pipe. */
	_cleanup_close_ int fd = open(log->path,
				      O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW |
					      O_NOCTTY | O_NONBLOCK,
				      S_IRUSR | S_IWUSR);
	struct stat status;

	if (fd < 0 || fstat(fd, &status) < 0)
		return -errno;
	/* A device is not renamed, and the reader of a pipe is not waited for. */
	if (!S_ISREG(status.st_mode))
		return -EINVAL;
	(void)safe_close(log->fd);
	log->fd = TAKE_FD(fd);
	log->size = (size_t)status.st_size;
	log->limit = log->size_max;
	return 0;
}

/* Renames NAME.2 to NAME.3 and so on, and begins a new file. */
static void rotate(struct event_log *log)
{
	char from[PATH_MAX], to[PATH_MAX];
	int i, error;

	for (i = EVENT_LOG_FILES - 2; i >= 0; i--) {
		(void)snprintf(to, sizeof(to), "%s.%d", log->path, i + 1);
		(void)snprintf(from, sizeof(from), i > 0 ? "%s.%d" : "%s", log->path, i);
		if (rename(from, to) < 0 && errno != ENOENT)
			complain(log, "renamed");
	}
	log->limit = log->size + log->size_max;
	error = open_file(log);
	if (error < 0) {
		errno = -error;
		complain(log, "opened");
	}
}

/* Somebody else may have moved the file, as logrotate(8) does. */
static void look_at_file(struct event_log *log)
{
	struct stat open_status, path_status;
	uint64_t now_ms = clock_ms();
	int error;

	if (now_ms < log->looked_ms + LOOK_MS)
		return;
	log->looked_ms = now_ms;
	if (stat(log->path, &path_status) == 0 && fstat(log->fd, &open_status) == 0 &&
	    path_status.st_ino == open_status.st_ino && path_status.st_dev == open_status.st_dev)
		return;
	error = open_file(log);
	if (error < 0) {
		errno = -error;
		complain(log, "opened");
	}
}

/* Writes whole lines, or takes back what was written of them. Returns 0 or -1. */
static int write_file(struct event_log *log)
{
	size_t written = 0;

	look_at_file(log);
	if (log->size > 0 && log->size + log->used > log->limit)
		rotate(log);
	while (written < log->used) {
		ssize_t size = write(log->fd, log->batch + written, log->used - written);

		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0) {
			complain(log, "written");
			(void)!ftruncate(log->fd, (off_t)log->size);
			return -1;
		}
		written += (size_t)size;
	}
	log->size += written;
	return 0;
}

/* Writes to a pipe, a terminal or a socket, whose reader may be slow. Part of a batch stays in it.
 */
static int write_stream(struct event_log *log)
{
	struct pollfd room = {.fd = log->fd, .events = POLLOUT};
	size_t written = 0;

	while (written < log->used) {
		ssize_t size = 0;

		if (poll(&room, 1, log->stuck ? 0 : PATIENCE_MS) > 0) {
			/* A pipe that has room at all takes so many bytes (pipe(7)). */
			size = log->used - written < PIPE_BUF ? (ssize_t)(log->used - written)
							      : PIPE_BUF;
			size = write(log->fd, log->batch + written, (size_t)size);
		}
		if (size < 0 && errno == EINTR)
			continue;
		log->stuck = size == 0;
		if (size <= 0)
			break;
		written += (size_t)size;
	}
	memmove(log->batch, log->batch + written, log->used - written);
	log->used -= written;
	return log->used == 0 ? 0 : -1;
}

static void write_batch(struct event_log *log)
{
	if (log->used == 0)
		return;
	if (!log->path) {
		if (write_stream(log) == 0)
			log->batched = 0;
		return;
	}
	if (write_file(log) < 0)
		log->lost += log->batched;
	log->used = log->batched = 0;
}

static void add_line(struct event_log *log, const struct event *event)
{
	struct event lost;

	if (log->lost > 0) {
		lost = events_lost(log->events, log->lost);
		log->used += event_json_write(&lost, log->batch + log->used);
		log->batched += log->lost;
		log->lost = 0;
	}
	log->used += event_json_write(event, log->batch + log->used);
	log->batched++;
}

static void take_line(void *context, const struct event *event)
{
	struct event_log *log = context;

	if (event->type == EVENT_OPEN)
		return;
	if (log->used >= BATCH)
		write_batch(log);
	if (log->used >= BATCH)
		log->lost += event->type == EVENT_LOST ? event->count : 1;
	else
		add_line(log, event);
}

static void flush_lines(void *context)
{
	write_batch(context);
}

/* Sends an event with fields of its own, so that journalctl(1) can select by them. Returns false if
 * journald has no room for it. */
static bool send_journal(struct event_log *log, const struct event *event)
{
	const char *reason = event->text[EVENT_REASON], *end = event_end_names[event->end];
	size_t size;

	size = (size_t)snprintf(log->batch, BATCH,
				"SYSLOG_IDENTIFIER=sidestep\nPRIORITY=%d\nSIDESTEP_TYPE=%s\n"
				"SIDESTEP_REASON=%s\nSIDESTEP_END=%s\nMESSAGE=",
				event->text[EVENT_MESSAGE] ? 4 : 6, event_type_names[event->type],
				reason ? reason : "", end ? end : "");
	size += event_json_write(event, log->batch + size);
	if (send(log->fd, log->batch, size, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return true;
	complain(log, "written");
	return false;
}

static void take_journal(void *context, const struct event *event)
{
	struct event_log *log = context;
	struct event lost;

	if (event->type == EVENT_OPEN)
		return;
	if (log->lost > 0) {
		lost = events_lost(log->events, log->lost);
		if (send_journal(log, &lost))
			log->lost = 0;
	}
	if (log->lost > 0 || !send_journal(log, event))
		log->lost += event->type == EVENT_LOST ? event->count : 1;
}

static int open_journal(struct event_log *log)
{
	struct socket_address address;

	if (socket_address_unix(EVENT_LOG_JOURNAL, &address) < 0)
		return -EINVAL;
	log->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (log->fd < 0 || connect(log->fd, (struct sockaddr *)&address.address, address.size) < 0)
		return -errno;
	return 0;
}

static int open_target(struct event_log *log, const char *target)
{
	struct event_sink sink = {.context = log, .take = take_line, .flush = flush_lines};
	int error = 0;

	if (strcmp(target, "journal") == 0) {
		sink = (struct event_sink) {.context = log, .take = take_journal};
		error = open_journal(log);
	} else if (strcmp(target, "-") == 0) {
		log->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
		error = log->fd < 0 ? -errno : 0;
	} else {
		log->path = target;
		error = open_file(log);
	}
	return error < 0 ? error : events_add_sink(log->events, &sink);
}

int event_log_new(struct events *events, const char *target, size_t size,
		  struct event_log **ret_log)
{
	struct event_log *log = malloc(sizeof(*log));
	int error;

	if (!log)
		return -ENOMEM;
	/* The batch's pages come with use. */
	memset(log, 0, offsetof(struct event_log, batch));
	log->events = events;
	log->size_max = size;
	log->fd = -1;
	error = open_target(log, target);
	if (error < 0) {
		event_log_free(log);
		return error;
	}
	*ret_log = log;
	return 0;
}

const char *event_log_file(const struct event_log *log)
{
	return log ? log->path : NULL;
}

void event_log_free(struct event_log *log)
{
	if (!log)
		return;
	(void)safe_close(log->fd);
	free(log);
}
