/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes secrets out of texts. They are credentials and cookies of HTTP heads, and user, password
 * and query of URLs. Values that are called a password, a token or a key are secrets as well, and
 * private keys in PEM. A text that is cut in the middle of one may keep a part. Pure, no I/O.
 */
#ifndef SIDESTEP_REPORT_SCRUB_H
#define SIDESTEP_REPORT_SCRUB_H

#include <jansson.h>
#include <stddef.h>

/* Stands in the place of each secret. */
#define REPORT_SCRUBBED "[removed]"

/* Returns the text without its secrets and its NULs, which the caller frees, or NULL: no memory. */
char *report_scrub(const char *text, size_t size);

/* Does so in place for each string of a document. A string that cannot be scrubbed is removed. NULL
 * is allowed. */
void report_scrub_json(json_t *value);

#endif
