/* SPDX-License-Identifier: Apache-2.0 */
/* Makes text of unknown origin safe for a terminal, a log or a document. */
#ifndef SIDESTEP_ESCAPE_H
#define SIDESTEP_ESCAPE_H

#include <stddef.h>

/* Writes @text to @buffer of @size bytes. Each byte that is not printable ASCII becomes \xNN, and a
 * backslash is doubled. The result is cut before a character that does not fit. Returns @buffer. */
const char *escape_text(char *buffer, size_t size, const char *text);

#endif
