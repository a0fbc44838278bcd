// SPDX-License-Identifier: Apache-2.0
#include "docker/docker_sidecars_json.h"

#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "docker/docker_label.h"
#include "lib/util.h"

#define LIST_PATH	"GET /containers/json"
#define INSPECTION_PATH "GET /containers/ID/json"
#define EVENTS_PATH	"GET /events"

void docker_document_release(struct docker_document *document)
{
	free(document->facts);
	json_decref(document->root);
	*document = (struct docker_document) {0};
}

bool docker_is_id(const char *text)
{
	size_t length = strspn(text, "0123456789abcdef");

	return length > 0 && length <= DOCKER_ID_MAX && text[length] == '\0';
}

static const char *text_or_empty(const json_t *value)
{
	const char *text = json_string_value(value);

	return text ? text : "";
}

static const char *plain_name(const char *name, const char *id)
{
	name += *name == '/';
	return *name ? name : id;
}

static const char *role_of(const json_t *labels)
{
	return text_or_empty(json_object_get(labels, DOCKER_SIDECAR_LABEL));
}

static int document_load(const char *what, const char *text, size_t size,
			 struct docker_document *document, char reason[DOCKER_REASON_MAX])
{
	*document = (struct docker_document) {.root = docker_load(what, text, size, reason)};
	return document->root ? 0 : -EBADMSG;
}

static int document_allocate(struct docker_document *document, size_t count,
			     char reason[DOCKER_REASON_MAX])
{
	document->facts = calloc(count + 1, sizeof(*document->facts));
	if (!document->facts)
		return docker_refuse(-ENOMEM, reason, "out of memory");
	return 0;
}

static int parse_summary(json_t *value, size_t index, struct docker_facts *facts,
			 char reason[DOCKER_REASON_MAX])
{
	json_t *names = NULL, *labels = NULL, *host = NULL, *mounts = NULL;
	json_error_t error;

	if (json_unpack_ex(value, &error, 0, "{s:s, s:s, s?o, s?o, s?o, s?o}", "Id", &facts->id,
			   "Image", &facts->image, "Names", &names, "Labels", &labels, "HostConfig",
			   &host, "Mounts", &mounts) < 0)
		return docker_refuse(-EBADMSG, reason, LIST_PATH ": container %zu: %s", index,
				     error.text);
	if (!docker_is_id(facts->id))
		return docker_refuse(-EBADMSG, reason, LIST_PATH ": container %zu: bad Id '%.80s'",
				     index, facts->id);
	/* Names is null while the engine removes a container. */
	facts->name = plain_name(text_or_empty(json_array_get(names, 0)), facts->id);
	facts->role = role_of(labels);
	facts->network_mode = text_or_empty(json_object_get(host, "NetworkMode"));
	facts->mounts = mounts;
	facts->labels = labels;
	return 0;
}

int docker_parse_containers(const char *text, size_t size, struct docker_document *document,
			    char reason[DOCKER_REASON_MAX])
{
	json_t *value;
	size_t index;
	int error = document_load(LIST_PATH, text, size, document, reason);

	if (error == 0 && !json_is_array(document->root))
		error = docker_refuse(-EBADMSG, reason, LIST_PATH ": not an array");
	if (error == 0)
		error = document_allocate(document, json_array_size(document->root), reason);
	json_array_foreach (document->root, index, value) {
		if (error == 0)
			error = parse_summary(value, index, &document->facts[index], reason);
	}
	if (error < 0) {
		docker_document_release(document);
		return error;
	}
	document->count = json_array_size(document->root);
	return 0;
}

/* Parses "2026-01-02T03:04:05.678901234Z". An offset in place of the Z is ignored; no engine writes
 * one. */
static time_t parse_time(const char *text)
{
	struct tm parts = {0};
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &parts);
	time_t seconds = rest ? timegm(&parts) : 0;

	return seconds > 0 ? seconds : 0;
}

/* Did the engine grant CAP_NET_ADMIN to the container? An engine may keep the spelling of the
 * request. */
static bool grants_net_admin(const json_t *host)
{
	static const char *const names[] = {"NET_ADMIN", "CAP_NET_ADMIN", "ALL", "CAP_ALL"};
	const json_t *added = json_object_get(host, "CapAdd"), *name;
	size_t i, j;

	if (json_is_true(json_object_get(host, "Privileged")))
		return true;
	json_array_foreach (added, i, name) {
		for (j = 0; j < ARRAY_SIZE(names); j++)
			if (strcasecmp(text_or_empty(name), names[j]) == 0)
				return true;
	}
	return false;
}

int docker_parse_inspection(const char *text, size_t size, struct docker_document *document,
			    char reason[DOCKER_REASON_MAX])
{
	json_t *labels = NULL, *host = NULL;
	struct docker_facts *facts;
	const char *started = "";
	int running, restarting = 0, error;
	json_error_t where;
	json_int_t pid;

	error = document_load(INSPECTION_PATH, text, size, document, reason);
	if (error == 0)
		error = document_allocate(document, 1, reason);
	facts = document->facts;
	if (error == 0 &&
	    json_unpack_ex(document->root, &where, 0,
			   "{s:s, s:s, s:{s:b, s?b, s:I, s?s}, s:{s:s, s?o}, s?o}", "Id",
			   &facts->id, "Name", &facts->name, "State", "Running", &running,
			   "Restarting", &restarting, "Pid", &pid, "StartedAt", &started, "Config",
			   "Image", &facts->image, "Labels", &labels, "HostConfig", &host) < 0)
		error = docker_refuse(-EBADMSG, reason, INSPECTION_PATH ": %s", where.text);
	if (error == 0 && (!docker_is_id(facts->id) || pid < 0 || pid > INT_MAX))
		error = docker_refuse(-EBADMSG, reason, INSPECTION_PATH ": bad Id '%.80s' or Pid",
				      facts->id);
	if (error < 0) {
		docker_document_release(document);
		return error;
	}
	facts->name = plain_name(facts->name, facts->id);
	facts->role = role_of(labels);
	facts->network_mode = text_or_empty(json_object_get(host, "NetworkMode"));
	facts->labels = labels;
	facts->net_admin = grants_net_admin(host);
	/* "Running" is also true for a paused container, which does run, and between two runs of a
	 * restart policy. */
	facts->pid = running && !restarting ? (pid_t)pid : 0;
	facts->started = parse_time(started);
	document->count = 1;
	return 0;
}

int docker_parse_container_event(const char *line, size_t size, struct docker_document *document,
				 char reason[DOCKER_REASON_MAX])
{
	json_t *attributes = NULL;
	struct docker_facts *facts;
	const char *type, *action = "", *id = "";
	json_error_t where;
	int error = document_load(EVENTS_PATH, line, size, document, reason);

	if (error == 0)
		error = document_allocate(document, 1, reason);
	if (error == 0 &&
	    json_unpack_ex(document->root, &where, 0, "{s:s, s?s, s?{s?s, s?o}}", "Type", &type,
			   "Action", &action, "Actor", "ID", &id, "Attributes", &attributes) < 0)
		error = docker_refuse(-EBADMSG, reason, EVENTS_PATH ": %s", where.text);
	if (error == 0 && strcmp(type, "container") == 0 && !docker_is_id(id))
		error = docker_refuse(-EBADMSG, reason, EVENTS_PATH ": bad Actor.ID '%.80s'", id);
	if (error < 0) {
		docker_document_release(document);
		return error;
	}
	facts = document->facts;
	*facts = (struct docker_facts) {
		.id = id,
		.name = plain_name(text_or_empty(json_object_get(attributes, "name")), id),
		.image = text_or_empty(json_object_get(attributes, "image")),
		/* The event's attributes include the labels. */
		.role = role_of(attributes),
		.network_mode = "",
		.event = true,
	};
	/* Other events have attributes of their own. */
	if (strcmp(action, "create") == 0 || strcmp(action, "start") == 0)
		facts->labels = attributes;
	document->count = strcmp(type, "container") == 0;
	return 0;
}

bool docker_name_matches(const struct docker_facts *facts, const char *const *patterns,
			 size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (fnmatch(patterns[i], facts->name, 0) == 0)
			return true;
	return false;
}

enum docker_selection docker_selects(const struct docker_facts *facts, const char *const *matches,
				     size_t match_count)
{
	size_t i;

	if (strcmp(facts->role, DOCKER_SIDECAR_ROLE) == 0)
		return DOCKER_SELECTED;
	if (docker_name_matches(facts, matches, match_count))
		return DOCKER_SELECTED;
	for (i = 0; i < match_count; i++)
		if (fnmatch(matches[i], facts->image, 0) == 0)
			return DOCKER_SELECTED;
	if (match_count > 0 && strncmp(facts->image, "sha256:", 7) == 0)
		return DOCKER_PERHAPS_SELECTED;
	return DOCKER_NOT_SELECTED;
}

bool docker_mounts_hold(const struct docker_facts *facts, const char *path)
{
	const json_t *mount;
	size_t i;

	json_array_foreach (facts->mounts, i, mount) {
		const char *at = text_or_empty(json_object_get(mount, "Destination"));
		size_t length = strlen(at);

		if (length > 0 && strncmp(path, at, length) == 0 &&
		    (path[length] == '/' || path[length] == '\0'))
			return true;
	}
	return false;
}

const char *docker_network_owner(const struct docker_facts *facts)
{
	static const char prefix[] = "container:";

	if (strncmp(facts->network_mode, prefix, sizeof(prefix) - 1) != 0)
		return NULL;
	return facts->network_mode + sizeof(prefix) - 1;
}
