// SPDX-License-Identifier: Apache-2.0
#include "docker/docker_gate.h"

#include <stdio.h>
#include <string.h>

#include "docker/docker_api.h"
#include "docker/docker_sidecars_json.h"
#include "lib/util.h"

/* The digits of a time in seconds, at most. */
#define TIME_DIGITS_MAX 19

/* Is @query "since=TIME&filters=" and our filters? */
static bool asks_for_our_events(const char *query)
{
	static const char since[] = "since=", filters[] = "&filters=";
	_cleanup_free_ char *wanted = docker_url_encode(DOCKER_SIDECARS_EVENT_FILTERS);
	size_t digits;

	if (!wanted || strncmp(query, since, sizeof(since) - 1) != 0)
		return false;
	query += sizeof(since) - 1;
	digits = strspn(query, "0123456789");
	query += digits;
	return digits > 0 && digits <= TIME_DIGITS_MAX &&
	       strncmp(query, filters, sizeof(filters) - 1) == 0 &&
	       strcmp(query + sizeof(filters) - 1, wanted) == 0;
}

/* Is @path "/containers/ID/json"? */
static bool is_inspection(const char *path)
{
	static const char before[] = "/containers/", behind[] = "/json";
	char id[DOCKER_ID_MAX + 1];
	size_t length;

	if (strncmp(path, before, sizeof(before) - 1) != 0)
		return false;
	path += sizeof(before) - 1;
	length = strcspn(path, "/");
	if (length >= sizeof(id) || strcmp(path + length, behind) != 0)
		return false;
	memcpy(id, path, length);
	id[length] = '\0';
	return docker_is_id(id);
}

static bool is_removal(const struct docker_ask *ask, const char *id)
{
	char path[sizeof(ask->path)];

	(void)snprintf(path, sizeof(path), "/containers/%s", id);
	return docker_is_id(id) && strcmp(ask->path, path) == 0 &&
	       strcmp(ask->query, "force=1") == 0;
}

bool docker_gate_passes(const struct docker_ask *ask, const char *removable)
{
	if (!memchr(ask->method, '\0', sizeof(ask->method)) ||
	    !memchr(ask->path, '\0', sizeof(ask->path)) ||
	    !memchr(ask->query, '\0', sizeof(ask->query)))
		return false;
	if (strcmp(ask->method, "DELETE") == 0)
		return is_removal(ask, removable);
	if (strcmp(ask->method, "GET") != 0)
		return false;
	if (strcmp(ask->path, "/events") == 0)
		return asks_for_our_events(ask->query);
	return ask->query[0] == '\0' &&
	       (strcmp(ask->path, "/containers/json") == 0 || is_inspection(ask->path));
}
