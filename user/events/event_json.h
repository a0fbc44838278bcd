/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes events as JSON (RFC 8259), one object a line, as docs/event.schema.json has it. It stands
 * in the way of every connection, so it uses no library.
 */
#ifndef SIDESTEP_EVENT_JSON_H
#define SIDESTEP_EVENT_JSON_H

#include <stddef.h>

#include "events/event.h"
#include "lib/json_text.h"

/* The most bytes of a line. */
#define EVENT_JSON_MAX (EVENT_TEXTS * EVENT_TEXT_MAX * JSON_TEXT_ESCAPED + EVENT_LABELS_MAX + 4096)

/* Writes one line with its newline, without a NUL. Returns its size. */
size_t event_json_write(const struct event *event, char line[EVENT_JSON_MAX]);

#endif
