/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the files of a report into a tar archive (libarchive). */
#ifndef SIDESTEP_REPORT_ARCHIVE_H
#define SIDESTEP_REPORT_ARCHIVE_H

#include <jansson.h>
#include <stddef.h>

/* The folder in the archive. */
#define REPORT_FOLDER "sidestep-report"

struct report_archive;

/* Makes the file @path, which nobody else may read, or replaces it. Returns 0 or a negative errno,
 * logged. */
int report_archive_open(const char *path, struct report_archive **ret_archive);

/* Adds the file @name. Secrets are taken out of its text (report_scrub.h), and of each string of
 * the JSON document @value, whose reference is taken. A failure is kept for report_archive_close().
 */
void report_archive_text(struct report_archive *archive, const char *name, const char *text,
			 size_t size);
void report_archive_json(struct report_archive *archive, const char *name, json_t *value);

/* Ends the archive and frees it. Returns 0, or the first failure as a negative errno, logged. */
int report_archive_close(struct report_archive *archive);

#endif
