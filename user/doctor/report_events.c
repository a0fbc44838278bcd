// SPDX-License-Identifier: Apache-2.0
#include "doctor/report_events.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "doctor/report_scrub.h"
#include "lib/json.h"
#include "lib/run_socket.h"
#include "lib/util.h"

/* The last ones that are asked for, and the time for an answer, s. */
#define EVENTS_LAST "1000"
#define ANSWER_S    2

/* Returns a stream of the socket's answer, which the caller closes, or NULL. */
static FILE *ask(const char *path)
{
	static const char request[] = "{\"last\":" EVENTS_LAST
				      ",\"open\":false,\"follow\":false}\n";
	static const struct timeval limit = {.tv_sec = ANSWER_S};
	_cleanup_close_ int fd = run_socket_connect(path, SOCK_STREAM);

	if (fd < 0)
		return NULL;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0 ||
	    send(fd, request, strlen(request), MSG_NOSIGNAL) < 0)
		return NULL;
	return fdopen(TAKE_FD(fd), "r");
}

/* Copies each event without secrets. A line that is no JSON is none. */
static void copy(FILE *answer, FILE *file)
{
	_cleanup_free_ char *line = NULL;
	size_t room = 0;

	while (getline(&line, &room, answer) > 0) {
		_cleanup_json_ json_t *event = json_loads(line, 0, NULL);

		if (!event)
			continue;
		report_scrub_json(event);
		(void)json_dumpf(event, file, JSON_COMPACT);
		(void)fputc('\n', file);
	}
}

static bool add(struct report_archive *archive, const char *path, const char *name)
{
	_cleanup_fclose_ FILE *answer = ask(path);
	char *text = NULL;
	size_t size;
	FILE *file;

	if (!answer)
		return false;
	file = open_memstream(&text, &size);
	if (!file)
		return false;
	copy(answer, file);
	if (fclose(file) == 0)
		report_archive_text(archive, name, text, size);
	free(text);
	return true;
}

unsigned int report_events(struct report_archive *archive, const char *folder)
{
	static const char suffix[] = ".events";
	_cleanup_closedir_ DIR *directory = opendir(folder);
	const struct dirent *entry;
	char path[4096], name[256];
	unsigned int count = 0;

	while (directory && (entry = readdir(directory))) {
		size_t length = strlen(entry->d_name);

		if (length < sizeof(suffix) ||
		    strcmp(entry->d_name + length + 1 - sizeof(suffix), suffix) != 0)
			continue;
		(void)snprintf(path, sizeof(path), "%.2000s/%s", folder, entry->d_name);
		(void)snprintf(name, sizeof(name), "events/%.*s.jsonl",
			       (int)(length + 1 - sizeof(suffix)), entry->d_name);
		count += add(archive, path, name);
	}
	return count;
}
