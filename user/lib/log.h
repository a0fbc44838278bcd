/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logs messages for people, one line each, on standard error:
 *
 *	sidestep: error: cannot listen on 0.0.0.0:39001: Address already in use; stop the ...
 *
 * A message names what failed, on what, why, and what to do about it.
 */
#ifndef SIDESTEP_LOG_H
#define SIDESTEP_LOG_H

#include <stdbool.h>

enum log_level {
	LOG_ERROR,
	LOG_WARNING,
	LOG_INFO,
	LOG_DEBUG,
};

/* Drops messages above this level, LOG_INFO by default. Must not run while other threads log. */
void log_set_level(enum log_level level);

bool log_enabled(enum log_level level);

/* Writes one line with one write(2), cut at 1 KiB. Thread safe. Keeps errno. */
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Logs an error with the text of @error, a negative errno, and returns @error. So one statement
 * does both: return log_errno(-errno, "cannot open %s", path); */
int log_errno(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...)	 log_write(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_WARNING, __VA_ARGS__)
#define log_info(...)	 log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...)	 log_write(LOG_DEBUG, __VA_ARGS__)

#endif
