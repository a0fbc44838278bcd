// SPDX-License-Identifier: Apache-2.0
#include "doctor/report_archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include "doctor/report_scrub.h"
#include "lib/log.h"
#include "lib/private_file.h"
#include "lib/util.h"

struct report_archive {
	struct archive *archive;
	int fd;
	int error; /* the first failure */
	char *path;
};

static void fail(struct report_archive *archive, int error)
{
	if (archive->error == 0)
		archive->error = error < 0 ? error : -EIO;
}

static int start(struct report_archive *archive, const char *path)
{
	archive->path = strdup(path);
	archive->archive = archive_write_new();
	if (!archive->path || !archive->archive)
		return log_errno(-ENOMEM, "cannot make an archive");
	archive->fd = private_file_open(path);
	if (archive->fd < 0)
		return log_errno(archive->fd, "cannot write %s", path);
	if (archive_write_set_format_pax_restricted(archive->archive) != ARCHIVE_OK ||
	    archive_write_open_fd(archive->archive, archive->fd) != ARCHIVE_OK)
		return log_errno(-EIO, "cannot make an archive of %s", path);
	return 0;
}

int report_archive_open(const char *path, struct report_archive **ret_archive)
{
	struct report_archive *archive = calloc(1, sizeof(*archive));
	int error;

	if (!archive)
		return log_errno(-ENOMEM, "cannot make an archive");
	archive->fd = -1;
	error = start(archive, path);
	if (error < 0) {
		fail(archive, error);
		(void)report_archive_close(archive);
		return error;
	}
	*ret_archive = archive;
	return 0;
}

static int write_entry(struct report_archive *archive, const char *name, const char *text,
		       size_t size)
{
	struct archive_entry *entry = archive_entry_new();
	char path[256];
	bool written;

	if (!entry)
		return -ENOMEM;
	(void)snprintf(path, sizeof(path), REPORT_FOLDER "/%s", name);
	archive_entry_set_pathname(entry, path);
	archive_entry_set_size(entry, (int64_t)size);
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_perm(entry, 0644);
	archive_entry_set_mtime(entry, time(NULL), 0);
	written = archive_write_header(archive->archive, entry) == ARCHIVE_OK &&
		  archive_write_data(archive->archive, text, size) == (la_ssize_t)size;
	archive_entry_free(entry);
	return written ? 0 : -archive_errno(archive->archive);
}

void report_archive_text(struct report_archive *archive, const char *name, const char *text,
			 size_t size)
{
	_cleanup_free_ char *clean = report_scrub(text, size);
	int error = clean ? write_entry(archive, name, clean, strlen(clean)) : -ENOMEM;

	if (error != 0)
		fail(archive, error);
}

void report_archive_json(struct report_archive *archive, const char *name, json_t *value)
{
	_cleanup_free_ char *text = NULL;
	int error;

	report_scrub_json(value);
	text = value ? json_dumps(value, JSON_INDENT(2)) : NULL;
	json_decref(value);
	error = text ? write_entry(archive, name, text, strlen(text)) : -ENOMEM;
	if (error != 0)
		fail(archive, error);
}

int report_archive_close(struct report_archive *archive)
{
	int error = archive->error;

	if (archive->archive && archive_write_free(archive->archive) != ARCHIVE_OK && error == 0)
		error = -EIO;
	if (archive->fd >= 0 && error < 0)
		(void)log_errno(error, "cannot write all of %s", archive->path);
	archive->fd = safe_close(archive->fd);
	free(archive->path);
	free(archive);
	return error;
}
