// SPDX-License-Identifier: Apache-2.0
#include "docker/docker_sidecars.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "docker/docker_session.h"
#include "docker/docker_sidecars_json.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/util.h"

/* How long after the last event the list is read: not at once, since the engine would answer that
 * while it is asked for what is urgent; see also DOCKER_EVENT_CHANGING. */
#define SETTLE_MS 1000

/* A container that is, or may be, a running sidecar. */
struct entry {
	struct docker_sidecar sidecar; /* .pid 0: not known to run; not shown */
	bool due;		       /* to be inspected, also when that is going on */
	bool inspecting;
	bool listed; /* by the list that is being applied */
	bool in_use; /* the same */
};

struct inspection {
	struct docker_request request; /* idle: free */
	char id[DOCKER_ID_MAX + 1];
	char path[sizeof("/containers//json") + DOCKER_ID_MAX];
};

/* Of the session's thread alone, but for what docker_containers_new() sets before it starts. */
struct docker_containers {
	struct docker_session session;
	const struct docker_containers_handler *handler;
	void *context;
	char **matches;
	size_t match_count;

	struct entry *entries; /* ordered by id */
	size_t count;
	struct docker_request list;
	struct inspection inspections[DOCKER_INSPECTIONS_MAX];
	bool reading; /* the list and all inspections that follow from it */
	bool changed; /* since the handler was called */
};

/* They, the list and the event stream. */
_Static_assert(DOCKER_INSPECTIONS_MAX + 2 <= DOCKER_REQUESTS_MAX, "requests at the same time");

static enum docker_selection selects(const struct docker_containers *watch,
				     const struct docker_facts *facts)
{
	return docker_selects(facts, (const char *const *)watch->matches, watch->match_count);
}

/* Where @id is, or would have to be. */
static size_t entry_place(const struct docker_containers *watch, const char *id, bool *ret_found)
{
	size_t low = 0, high = watch->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(watch->entries[middle].sidecar.id, id);

		if (order == 0) {
			*ret_found = true;
			return middle;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*ret_found = false;
	return low;
}

static struct entry *entry_find(struct docker_containers *watch, const char *id)
{
	bool found;
	size_t place = entry_place(watch, id, &found);

	return found ? &watch->entries[place] : NULL;
}

/* Finds it, or adds it as one that is to be inspected. Returns NULL with session.reason. Moves the
 * other entries. */
static struct entry *entry_add(struct docker_containers *watch, const char *id)
{
	_cleanup_free_ char *copy = NULL;
	struct entry *entries;
	bool found;
	size_t place = entry_place(watch, id, &found);

	if (found)
		return &watch->entries[place];
	if (watch->count >= DOCKER_SIDECARS_MAX) {
		(void)docker_refuse(-E2BIG, watch->session.reason,
				    "the limit of %d sidecars is passed", DOCKER_SIDECARS_MAX);
		return NULL;
	}
	copy = strdup(id);
	entries = copy ? reallocarray(watch->entries, watch->count + 1, sizeof(*entries)) : NULL;
	if (!entries) {
		(void)docker_refuse(-ENOMEM, watch->session.reason, "out of memory");
		return NULL;
	}
	watch->entries = entries;
	memmove(entries + place + 1, entries + place, (watch->count - place) * sizeof(*entries));
	watch->count++;
	entries[place] = (struct entry) {
		.sidecar.id = TAKE_PTR(copy),
		.sidecar.unused_since_ms = (int64_t)clock_ms(),
		.due = true,
	};
	return &entries[place];
}

static void entry_release(struct entry *entry)
{
	free(entry->sidecar.id);
	free(entry->sidecar.name);
	free(entry->sidecar.image);
}

/* Without those that turned out not to be running sidecars. */
static void entries_prune(struct docker_containers *watch)
{
	size_t kept = 0, i;

	for (i = 0; i < watch->count; i++) {
		struct entry *entry = &watch->entries[i];

		if (entry->sidecar.pid == 0 && !entry->due && !entry->inspecting)
			entry_release(entry);
		else
			watch->entries[kept++] = *entry;
	}
	watch->count = kept;
}

static bool entries_unsettled(const struct docker_containers *watch)
{
	size_t i;

	for (i = 0; i < watch->count; i++)
		if (watch->entries[i].due || watch->entries[i].inspecting)
			return true;
	return false;
}

static int set_text(struct docker_containers *watch, char **text, const char *value)
{
	char *copy;

	if (*text && strcmp(*text, value) == 0)
		return 0;
	copy = strdup(value);
	if (!copy)
		return docker_refuse(-ENOMEM, watch->session.reason, "out of memory");
	free(*text);
	*text = copy;
	watch->changed = true;
	return 0;
}

static void set_pid(struct docker_containers *watch, struct entry *entry, pid_t pid)
{
	watch->changed = watch->changed || entry->sidecar.pid != pid;
	entry->sidecar.pid = pid;
}

static void set_in_use(struct docker_containers *watch, struct entry *entry)
{
	int64_t *since = &entry->sidecar.unused_since_ms;

	if (entry->in_use == (*since == 0))
		return;
	*since = entry->in_use ? 0 : (int64_t)clock_ms();
	watch->changed = true;
}

static int watch_event(const char *line, size_t size, void *context)
{
	struct docker_containers *watch = context;
	_cleanup_document_ struct docker_document event = {0};
	struct entry *entry;
	int error = docker_parse_container_event(line, size, &event, watch->session.reason);

	if (error < 0 || event.count == 0)
		return error;
	/* Also for what is no sidecar: it may use one's network namespace. */
	docker_session_read_after(&watch->session, SETTLE_MS);
	entry = entry_find(watch, event.facts->id);
	if (!entry && selects(watch, event.facts) != DOCKER_NOT_SELECTED) {
		entry = entry_add(watch, event.facts->id);
		if (!entry)
			return -ENOMEM;
	}
	if (entry)
		entry->due = true;
	return 0;
}

static int watch_read(void *context)
{
	struct docker_containers *watch = context;

	watch->reading = true;
	return docker_session_get(&watch->session, &watch->list, "/containers/json");
}

/* What the list cannot prove is left to an inspection: it lags behind (see DOCKER_EVENT_CHANGING),
 * so even one that it lacks may be running. After a loss events were missed: whatever was known may
 * run with another process, or not at all. */
static int apply_list(struct docker_containers *watch, const struct docker_document *list)
{
	bool missed = !docker_session_connected(&watch->session);
	struct entry *entry;
	size_t i;

	for (i = 0; i < watch->count; i++) {
		watch->entries[i].in_use = false;
		watch->entries[i].listed = false;
	}
	for (i = 0; i < list->count; i++) {
		if (selects(watch, &list->facts[i]) == DOCKER_NOT_SELECTED)
			continue;
		entry = entry_add(watch, list->facts[i].id);
		if (!entry)
			return -ENOMEM;
		entry->listed = true;
	}
	for (i = 0; i < list->count; i++) {
		const char *owner = docker_network_owner(&list->facts[i]);

		entry = owner ? entry_find(watch, owner) : NULL;
		if (entry)
			entry->in_use = true;
	}
	for (i = 0; i < watch->count; i++) {
		entry = &watch->entries[i];
		entry->due = entry->due || missed || !entry->listed;
		set_in_use(watch, entry);
	}
	return 0;
}

static int list_answered(struct docker_containers *watch)
{
	_cleanup_document_ struct docker_document list = {0};
	int error = docker_parse_containers(watch->list.body.data, watch->list.body.used, &list,
					    watch->session.reason);

	if (error == 0)
		error = apply_list(watch, &list);
	docker_request_remove(&watch->list);
	return error;
}

static int apply_inspection(struct docker_containers *watch, struct entry *entry,
			    const struct docker_facts *facts)
{
	int error;

	if (facts->pid == 0 || selects(watch, facts) != DOCKER_SELECTED) {
		set_pid(watch, entry, 0);
		return 0;
	}
	error = set_text(watch, &entry->sidecar.name, facts->name);
	if (error == 0)
		error = set_text(watch, &entry->sidecar.image, facts->image);
	if (error == 0) {
		entry->sidecar.started = facts->started;
		set_pid(watch, entry, facts->pid);
	}
	return error;
}

static int inspection_answered(struct docker_containers *watch, struct inspection *inspection,
			       int result)
{
	_cleanup_document_ struct docker_document document = {0};
	struct docker_buffer *body = &inspection->request.body;
	struct entry *entry = entry_find(watch, inspection->id);

	entry->inspecting = false;
	if (result == 0)
		result = docker_parse_inspection(body->data, body->used, &document,
						 watch->session.reason);
	if (result == 0) {
		result = apply_inspection(watch, entry, document.facts);
	} else if (result == -ENOENT) {
		set_pid(watch, entry, 0);
		result = 0;
	} else if (result == -EPROTO || result == -ETIMEDOUT) {
		/* One container that the engine cannot show, or not now, must not hide the others.
		 * If it is not known to run, the next list asks for it again. */
		log_warning("docker: %s; what is known of this container stays in force",
			    watch->session.reason);
		result = 0;
	}
	docker_request_remove(&inspection->request);
	return result;
}

static void report(struct docker_containers *watch)
{
	_cleanup_free_ struct docker_sidecar *sidecars = calloc(watch->count + 1,
								sizeof(*sidecars));
	size_t count = 0, i;

	if (!sidecars) {
		/* .changed stays: the next round tries again. */
		log_error("docker: no memory for %zu sidecars", watch->count);
		return;
	}
	for (i = 0; i < watch->count; i++)
		if (watch->entries[i].sidecar.pid != 0)
			sidecars[count++] = watch->entries[i].sidecar;
	watch->changed = false;
	watch->handler->containers(sidecars, count, watch->context);
}

static int watch_answered(struct docker_request *request, int result, void *context)
{
	struct docker_containers *watch = context;
	int error;

	if (request != &watch->list)
		error = inspection_answered(watch, request->context, result);
	else
		error = result < 0 ? result : list_answered(watch);
	if (error < 0)
		return error;
	entries_prune(watch);
	if (watch->reading && watch->list.state == DOCKER_REQUEST_IDLE &&
	    !entries_unsettled(watch)) {
		watch->reading = false;
		docker_session_read_finished(&watch->session);
	}
	/* After a loss only what was read completely is news. */
	if (watch->changed && docker_session_connected(&watch->session))
		report(watch);
	return 0;
}

static int inspect(struct docker_containers *watch, struct inspection *inspection,
		   struct entry *entry)
{
	const char *id = entry->sidecar.id;

	(void)snprintf(inspection->id, sizeof(inspection->id), "%s", id);
	(void)snprintf(inspection->path, sizeof(inspection->path), "/containers/%s/json", id);
	inspection->request.context = inspection;
	entry->due = false;
	entry->inspecting = true;
	return docker_session_get(&watch->session, &inspection->request, inspection->path);
}

static int watch_work(void *context)
{
	struct docker_containers *watch = context;
	size_t slot = 0, i;
	int error = 0;

	for (i = 0; i < watch->count && error == 0; i++) {
		/* One that is being inspected is inspected once more: the answer may be older
		 * than the event. */
		if (!watch->entries[i].due || watch->entries[i].inspecting)
			continue;
		while (slot < DOCKER_INSPECTIONS_MAX &&
		       watch->inspections[slot].request.state != DOCKER_REQUEST_IDLE)
			slot++;
		if (slot == DOCKER_INSPECTIONS_MAX)
			break;
		error = inspect(watch, &watch->inspections[slot], &watch->entries[i]);
	}
	return error;
}

static void watch_closed(void *context)
{
	struct docker_containers *watch = context;
	size_t i;

	docker_request_remove(&watch->list);
	for (i = 0; i < DOCKER_INSPECTIONS_MAX; i++)
		docker_request_remove(&watch->inspections[i].request);
	for (i = 0; i < watch->count; i++) {
		watch->entries[i].due = false;
		watch->entries[i].inspecting = false;
	}
	entries_prune(watch);
	watch->reading = false;
	/* The first state of a session is told, whatever it is. */
	watch->changed = true;
}

static void watch_connected(bool connected, const char *reason, void *context)
{
	struct docker_containers *watch = context;

	if (watch->handler->connected)
		watch->handler->connected(connected, reason, watch->context);
}

static const struct docker_session_watcher containers_watcher = {
	.subject = "sidecars",
	.thread_name = "docker-sidecars",
	.event_filters = DOCKER_CONTAINER_EVENT_FILTERS,
	.event = watch_event,
	.read = watch_read,
	.answered = watch_answered,
	.work = watch_work,
	.closed = watch_closed,
	.connected = watch_connected,
};

static void containers_release(struct docker_containers *watch)
{
	size_t i;

	for (i = 0; i < watch->count; i++)
		entry_release(&watch->entries[i]);
	free(watch->entries);
	for (i = 0; i < watch->match_count; i++)
		free(watch->matches[i]);
	free(watch->matches);
	free(watch);
}

static int copy_matches(struct docker_containers *watch, const char *const *matches, size_t count)
{
	watch->matches = calloc(count + 1, sizeof(*watch->matches));
	if (!watch->matches)
		return -ENOMEM;
	for (; watch->match_count < count; watch->match_count++) {
		watch->matches[watch->match_count] = strdup(matches[watch->match_count]);
		if (!watch->matches[watch->match_count])
			return -ENOMEM;
	}
	return 0;
}

int docker_containers_new(const char *socket_path, const char *const *matches, size_t match_count,
			  const struct docker_containers_handler *handler, void *context,
			  struct docker_containers **ret_containers)
{
	struct docker_containers *watch = calloc(1, sizeof(*watch));
	int error;

	if (!watch)
		return log_errno(-ENOMEM, "docker: cannot start watching");
	watch->handler = handler;
	watch->context = context;
	watch->changed = true;
	error = copy_matches(watch, matches, match_count);
	if (error < 0)
		(void)log_errno(error, "docker: cannot start watching");
	else
		error = docker_session_start(&watch->session, socket_path, &containers_watcher,
					     watch);
	if (error < 0) {
		containers_release(watch);
		return error;
	}
	*ret_containers = watch;
	return 0;
}

void docker_containers_free(struct docker_containers *containers)
{
	if (!containers)
		return;
	docker_session_stop(&containers->session);
	containers_release(containers);
}
