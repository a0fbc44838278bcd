/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes events to a file, to standard output or to journald. A file of EVENT_LOG_SIZE bytes
 * becomes NAME.1, the one before NAME.2, and so on; EVENT_LOG_FILES are kept. A file that somebody
 * else has moved or removed is opened anew.
 *
 * Lines that cannot be written are counted, and a record of type `lost` stands in their place.
 */
#ifndef SIDESTEP_EVENT_LOG_H
#define SIDESTEP_EVENT_LOG_H

#include "events/events.h"

#define EVENT_LOG_SIZE	(64 * 1024 * 1024)
#define EVENT_LOG_FILES 4
/* The socket of journald's native protocol
 * (https://systemd.io/JOURNAL_NATIVE_PROTOCOL). */
#define EVENT_LOG_JOURNAL "/run/systemd/journal/socket"

struct event_log;

/* Opens @target, a path, "-" or "journal", and adds the log to the sinks of @events. Before the
 * start. @size: EVENT_LOG_SIZE, except in tests. Returns 0 or negative errno. */
int event_log_new(struct events *events, const char *target, size_t size,
		  struct event_log **ret_log);

/* Returns the file that it writes. NULL: it writes none, or @log is NULL. */
const char *event_log_file(const struct event_log *log);

/* After events_stop(). NULL is allowed. */
void event_log_free(struct event_log *log);

#endif
