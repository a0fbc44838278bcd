/* SPDX-License-Identifier: Apache-2.0 */
/* Writes strings of JSON (RFC 8259 section 7) without a library, for what is written often. */
#ifndef SIDESTEP_JSON_TEXT_H
#define SIDESTEP_JSON_TEXT_H

#include <stddef.h>

/* The most bytes that a byte of text becomes ("\u001f"). */
#define JSON_TEXT_ESCAPED 6

/* Writes @text with its quotes, and without a NUL. Other bytes than UTF-8 become U+FFFD. @out has
 * room for JSON_TEXT_ESCAPED bytes for each byte of text, and for the quotes. Returns the size. */
size_t json_text_write(const char *text, char *out);

#endif
