// SPDX-License-Identifier: Apache-2.0
#include "lib/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/json_text.h"
#include "lib/time_text.h"

#define MESSAGE_SIZE 1024
/* Time, level and the like around a message are shorter than 128 bytes. */
#define LINE_MAX_SIZE (128 + MESSAGE_SIZE * JSON_TEXT_ESCAPED)

struct stream {
	int fd;
	const char *name;
	atomic_uint lost; /* lines since the last one that got out */
	atomic_bool full; /* the last line did not get out */
};

static struct stream messages = {.fd = STDERR_FILENO, .name = "messages"};
static struct stream records = {.fd = STDOUT_FILENO, .name = "records"};
static enum log_level log_limit = LOG_INFO;
static enum log_format line_format = LOG_TEXT;
static bool has_times; /* the lines of LOG_TEXT have them */
static atomic_int patience_ms = LOG_PATIENT;

static const char *const level_names[] = {
	[LOG_ERROR] = "error",
	[LOG_WARNING] = "warning",
	[LOG_INFO] = "info",
	[LOG_DEBUG] = "debug",
};

void log_set_level(enum log_level level)
{
	log_limit = level;
}

enum log_level log_level(void)
{
	return log_limit;
}

bool log_enabled(enum log_level level)
{
	return level <= log_limit;
}

void log_set_format(enum log_format format)
{
	struct stat status;

	line_format = format;
	has_times = isatty(STDERR_FILENO) ||
		    (fstat(STDERR_FILENO, &status) == 0 && S_ISREG(status.st_mode));
}

/* For files without a call that does not wait. The lock keeps another thread from taking the room
 * that poll(2) has seen. */
static ssize_t write_if_writable(int fd, const char *line, size_t length)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	struct pollfd room = {.fd = fd, .events = POLLOUT};
	ssize_t written = -1;

	(void)pthread_mutex_lock(&lock);
	if (poll(&room, 1, 0) == 0)
		errno = EAGAIN;
	else
		written = write(fd, line, length);
	(void)pthread_mutex_unlock(&lock);
	return written;
}

/* Writes without waiting, or fails with EAGAIN. O_NONBLOCK would serve as well, but would hold for
 * all processes that share the open file. */
static ssize_t write_now(int fd, const char *line, size_t length)
{
	struct iovec part = {.iov_len = length};
	struct stat status;
	ssize_t written;

	/* pwritev2(2) does not write to it. */
	memcpy(&part.iov_base, &line, sizeof(line));
	if (fstat(fd, &status) < 0)
		return -1;
	if (S_ISSOCK(status.st_mode))
		return send(fd, line, length, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (S_ISFIFO(status.st_mode)) {
		/* Older kernels know it for no pipe, newer ones not for those that have a name. */
		written = pwritev2(fd, &part, 1, -1, RWF_NOWAIT);
		if (written >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS))
			return written;
	}
	return write_if_writable(fd, line, length);
}

/* Returns false if the line did not get out in time. Any other failure cannot be reported. */
static bool put(struct stream *stream, const char *line, size_t length)
{
	struct pollfd room = {.fd = stream->fd, .events = POLLOUT};
	int patience = atomic_load(&patience_ms);

	while (write_now(stream->fd, line, length) < 0 && errno == EAGAIN) {
		/* If one line has waited in vain, the next ones do not wait, too. */
		if (atomic_exchange(&stream->full, true) && patience != LOG_PATIENT)
			return false;
		if (patience == 0 || poll(&room, 1, patience) == 0)
			return false;
	}
	atomic_store(&stream->full, false);
	return true;
}

/* Makes the whole line of a message. Returns its size. */
static size_t format_line(enum log_level level, const char *message, char line[LINE_MAX_SIZE])
{
	char time[TIME_TEXT_SIZE + 1] = "";

	if (line_format == LOG_JSON || has_times)
		time_text_write(time_text_now(), time);
	if (line_format == LOG_JSON) {
		size_t size = (size_t)sprintf(line,
					      "{\"time\":\"%s\",\"level\":\"%s\",\"message\":",
					      time, level_names[level]);

		size += json_text_write(message, line + size);
		line[size++] = '}';
		line[size++] = '\n';
		return size;
	}
	return (size_t)sprintf(line, "%s%ssidestep: %s: %s\n", time, *time ? " " : "",
			       level_names[level], message);
}

static void put_or_count(struct stream *stream, const char *line, size_t length)
{
	unsigned int lost = atomic_exchange(&stream->lost, 0);
	char notice[LINE_MAX_SIZE], text[128];

	if (lost > 0) {
		(void)snprintf(text, sizeof(text), "%u %s were lost, because nobody read them",
			       lost, stream->name);
		if (!put(&messages, notice, format_line(LOG_WARNING, text, notice))) {
			(void)atomic_fetch_add(&stream->lost, lost + 1);
			return;
		}
	}
	if (!put(stream, line, length))
		(void)atomic_fetch_add(&stream->lost, 1);
}

void log_set_patience(int ms)
{
	atomic_store(&patience_ms, ms);
}

void log_record(const char *line, size_t length)
{
	put_or_count(&records, line, length);
}

/* Replaces the password of each USER:PASSWORD@ in a message, which may quote a URL that somebody
 * gave. */
static void hide_passwords(char *message)
{
	char *at = message;

	while ((at = strchr(at, '@'))) {
		char *user = at, *scheme, *colon;

		while (user > message && !strchr(" '\"", user[-1]))
			user--;
		scheme = memmem(user, (size_t)(at - user), "://", 3);
		if (scheme)
			user = scheme + 3;
		colon = memchr(user, ':', (size_t)(at - user));
		if (colon && colon + 1 < at && strncmp(user, "unix:", 5) != 0) {
			colon[1] = '*';
			memmove(colon + 2, at, strlen(at) + 1);
			at = colon + 2;
		}
		at++;
	}
}

static void __attribute__((format(printf, 3, 0)))
log_line(enum log_level level, const char *reason, const char *format, va_list arguments)
{
	char message[MESSAGE_SIZE], line[LINE_MAX_SIZE];
	size_t length;
	int saved = errno;

	(void)vsnprintf(message, sizeof(message), format, arguments);
	length = strlen(message);
	if (reason)
		(void)snprintf(message + length, sizeof(message) - length, ": %s", reason);
	hide_passwords(message);
	put_or_count(&messages, line, format_line(level, message, line));
	errno = saved;
}

void log_write(enum log_level level, const char *format, ...)
{
	va_list arguments;

	if (!log_enabled(level))
		return;
	va_start(arguments, format);
	log_line(level, NULL, format, arguments);
	va_end(arguments);
}

int log_errno(int error, const char *format, ...)
{
	va_list arguments;
	char text[128];

	va_start(arguments, format);
	log_line(LOG_ERROR, strerror_r(-error, text, sizeof(text)), format, arguments);
	va_end(arguments);
	return error;
}
