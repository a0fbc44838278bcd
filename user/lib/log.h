/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logs messages for people, one line each, on standard error:
 *
 *	sidestep: error: cannot listen on 0.0.0.0:39001: Address already in use; stop the ...
 *	{"time":"2026-11-30T00:54:56.123456Z","level":"error","message":"cannot listen on ..."}
 *
 * A message names what failed, on what, why, and what to do about it. A password in a URL that it
 * quotes becomes "*".
 *
 * Standard error may be a pipe that nobody reads. A process with event loops limits how long a line
 * waits for room. A line that finds none is lost. The next one that gets out is preceded by their
 * number.
 */
#ifndef SIDESTEP_LOG_H
#define SIDESTEP_LOG_H

#include <stdbool.h>
#include <stddef.h>

enum log_level {
	LOG_ERROR,
	LOG_WARNING,
	LOG_INFO,
	LOG_DEBUG,
};

/* Drops messages above this level, LOG_INFO by default. Must not run while other threads log. */
void log_set_level(enum log_level level);

enum log_format {
	LOG_TEXT,
	LOG_JSON,
};

/* Sets the form of the lines, LOG_TEXT without times by default. Text then has times as well if
 * standard error is a file or a terminal, because nobody else adds them there. Must not run while
 * other threads log. */
void log_set_format(enum log_format format);

bool log_enabled(enum log_level level);
enum log_level log_level(void);

/* Values of log_set_patience(): waits as long as it takes, or as long as a start or a stop may. */
#define LOG_PATIENT  (-1)
#define LOG_BOUND_MS 1000

/* Sets how long a line may wait for room, ms; LOG_PATIENT by default. 0 is for running event loops.
 * Lines after one that has waited in vain do not wait. Thread safe. */
void log_set_patience(int ms);

/* Writes a line of output, @length bytes with its newline, to standard output in the same way. A
 * pipe takes more than PIPE_BUF bytes (4096) only in part if it is almost full. Thread safe. */
void log_record(const char *line, size_t length);

/* Writes one line at once. Its text is cut at 1 KiB. Thread safe. Keeps errno. */
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Logs an error with the text of @error, a negative errno, and returns @error. So one statement
 * does both: return log_errno(-errno, "cannot open %s", path); */
int log_errno(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...)	 log_write(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_WARNING, __VA_ARGS__)
#define log_info(...)	 log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...)	 log_write(LOG_DEBUG, __VA_ARGS__)

#endif
