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

/* The list is read this long after the last event. An earlier read would delay the inspections,
 * which are urgent; see also DOCKER_EVENT_CHANGING. */
#define SETTLE_MS 1000

/* A container that is or may be reported. */
struct entry {
	struct docker_sidecar sidecar; /* .pid 0: not known to run, not reported */
	bool due;		       /* to be inspected, even if an inspection runs */
	bool inspecting;
	bool listed; /* in the list that is being applied */
	bool in_use; /* another container of that list shares its network namespace */
};

struct inspection {
	struct docker_request request; /* idle: free */
	char id[DOCKER_ID_MAX + 1];
	char path[sizeof("/containers//json") + DOCKER_ID_MAX];
};

/* Belongs to the session's thread, except for the fields that docker_sidecars_new() sets before the
 * thread starts. */
struct docker_sidecars {
	struct docker_session session;
	const struct docker_sidecars_handler *handler;
	void *context;
	struct docker_patterns patterns;

	struct entry *entries; /* ordered by id */
	size_t count;
	struct inspection inspections[DOCKER_INSPECTIONS_MAX];
	bool settling; /* the list is applied, but its inspections are not done */
	bool changed;  /* since the handler was called */
};

/* The session has requests of its own: the event stream and the state. */
_Static_assert(DOCKER_INSPECTIONS_MAX + 1 + DOCKER_STATE_PATHS <= DOCKER_REQUESTS_MAX,
	       "requests at the same time");

static enum docker_selection selects(const struct docker_sidecars *watcher,
				     const struct docker_facts *facts)
{
	return docker_selects(facts, watcher->patterns.matches, watcher->patterns.match_count);
}

/* Is the container to be inspected? If any name is guarded, all are. */
static bool concerns(const struct docker_sidecars *watcher, const struct docker_facts *facts)
{
	return watcher->patterns.guard_count > 0 || selects(watcher, facts) != DOCKER_NOT_SELECTED;
}

/* Returns the place where @id is or belongs. */
static size_t entry_place(const struct docker_sidecars *watcher, const char *id, bool *ret_found)
{
	size_t low = 0, high = watcher->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(watcher->entries[middle].sidecar.id, id);

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

static struct entry *entry_find(struct docker_sidecars *watcher, const char *id)
{
	bool found;
	size_t place = entry_place(watcher, id, &found);

	return found ? &watcher->entries[place] : NULL;
}

/* Finds the entry of @id or adds one that is to be inspected. Returns NULL with session.reason.
 * Entries move in memory. */
static struct entry *entry_add(struct docker_sidecars *watcher, const char *id)
{
	_cleanup_free_ char *copy = NULL;
	struct entry *entries;
	bool found;
	size_t place = entry_place(watcher, id, &found);

	if (found)
		return &watcher->entries[place];
	if (watcher->count >= DOCKER_SIDECARS_MAX) {
		(void)docker_refuse(-E2BIG, watcher->session.reason,
				    "the limit of %d sidecars is passed", DOCKER_SIDECARS_MAX);
		return NULL;
	}
	copy = strdup(id);
	entries = copy ? reallocarray(watcher->entries, watcher->count + 1, sizeof(*entries))
		       : NULL;
	if (!entries) {
		(void)docker_refuse(-ENOMEM, watcher->session.reason, "out of memory");
		return NULL;
	}
	watcher->entries = entries;
	memmove(entries + place + 1, entries + place, (watcher->count - place) * sizeof(*entries));
	watcher->count++;
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

/* Removes the entries that are not to be reported. */
static void entries_prune(struct docker_sidecars *watcher)
{
	size_t kept = 0, i;

	for (i = 0; i < watcher->count; i++) {
		struct entry *entry = &watcher->entries[i];

		if (entry->sidecar.pid == 0 && !entry->due && !entry->inspecting)
			entry_release(entry);
		else
			watcher->entries[kept++] = *entry;
	}
	watcher->count = kept;
}

static bool entries_unsettled(const struct docker_sidecars *watcher)
{
	size_t i;

	for (i = 0; i < watcher->count; i++)
		if (watcher->entries[i].due || watcher->entries[i].inspecting)
			return true;
	return false;
}

static int set_text(struct docker_sidecars *watcher, char **text, const char *value)
{
	char *copy;

	if (*text && strcmp(*text, value) == 0)
		return 0;
	copy = strdup(value);
	if (!copy)
		return docker_refuse(-ENOMEM, watcher->session.reason, "out of memory");
	free(*text);
	*text = copy;
	watcher->changed = true;
	return 0;
}

static void set_pid(struct docker_sidecars *watcher, struct entry *entry, pid_t pid)
{
	watcher->changed = watcher->changed || entry->sidecar.pid != pid;
	entry->sidecar.pid = pid;
}

static void set_flag(struct docker_sidecars *watcher, bool *flag, bool value)
{
	watcher->changed = watcher->changed || *flag != value;
	*flag = value;
}

static void set_in_use(struct docker_sidecars *watcher, struct entry *entry)
{
	int64_t *since = &entry->sidecar.unused_since_ms;

	if (entry->in_use == (*since == 0))
		return;
	*since = entry->in_use ? 0 : (int64_t)clock_ms();
	watcher->changed = true;
}

static int sidecars_event(const char *line, size_t size, void *context)
{
	struct docker_sidecars *watcher = context;
	_cleanup_document_ struct docker_document event = {0};
	struct entry *entry;
	int error = docker_parse_container_event(line, size, &event, watcher->session.reason);

	if (error < 0 || event.count == 0)
		return error;
	/* A container that is no sidecar may use the network namespace of one. */
	docker_session_read_after(&watcher->session, SETTLE_MS);
	entry = entry_find(watcher, event.facts->id);
	if (!entry && concerns(watcher, event.facts)) {
		entry = entry_add(watcher, event.facts->id);
		if (!entry)
			return -ENOMEM;
	}
	if (entry)
		entry->due = true;
	return 0;
}

/* Applies the list, and leaves to an inspection what the list cannot prove. It lags behind (see
 * DOCKER_EVENT_CHANGING), so a container that it lacks may still run. After a loss, events were
 * missed, and every known sidecar may have another process or none. */
static int apply_list(struct docker_sidecars *watcher, const struct docker_document *list)
{
	bool missed = !docker_session_connected(&watcher->session);
	struct entry *entry;
	size_t i;

	for (i = 0; i < watcher->count; i++) {
		watcher->entries[i].in_use = false;
		watcher->entries[i].listed = false;
	}
	for (i = 0; i < list->count; i++) {
		if (!concerns(watcher, &list->facts[i]))
			continue;
		entry = entry_add(watcher, list->facts[i].id);
		if (!entry)
			return -ENOMEM;
		entry->listed = true;
	}
	for (i = 0; i < list->count; i++) {
		const char *owner = docker_network_owner(&list->facts[i]);

		entry = owner ? entry_find(watcher, owner) : NULL;
		if (entry)
			entry->in_use = true;
	}
	for (i = 0; i < watcher->count; i++) {
		entry = &watcher->entries[i];
		entry->due = entry->due || missed || !entry->listed;
		set_in_use(watcher, entry);
	}
	return 0;
}

static int apply_inspection(struct docker_sidecars *watcher, struct entry *entry,
			    const struct docker_facts *facts)
{
	const struct docker_patterns *patterns = &watcher->patterns;
	bool selected = facts->pid != 0 && selects(watcher, facts) == DOCKER_SELECTED;
	int error;

	if (selected && !facts->net_admin)
		log_debug("docker: %s is no sidecar: it was started without --cap-add NET_ADMIN",
			  facts->name);
	set_flag(watcher, &entry->sidecar.sidecar, selected && facts->net_admin);
	set_flag(watcher, &entry->sidecar.guarded,
		 docker_name_matches(facts, patterns->guards, patterns->guard_count));
	if (!entry->sidecar.sidecar && patterns->guard_count == 0) {
		set_pid(watcher, entry, 0);
		return 0;
	}
	error = set_text(watcher, &entry->sidecar.name, facts->name);
	if (error == 0)
		error = set_text(watcher, &entry->sidecar.image, facts->image);
	if (error == 0) {
		entry->sidecar.started = facts->started;
		set_pid(watcher, entry, facts->pid);
	}
	return error;
}

static int inspection_answered(struct docker_sidecars *watcher, struct inspection *inspection,
			       int result)
{
	_cleanup_document_ struct docker_document document = {0};
	struct docker_buffer *body = &inspection->request.body;
	struct entry *entry = entry_find(watcher, inspection->id);

	entry->inspecting = false;
	if (result == 0)
		result = docker_parse_inspection(body->data, body->used, &document,
						 watcher->session.reason);
	if (result == 0) {
		result = apply_inspection(watcher, entry, document.facts);
	} else if (result == -ENOENT) {
		set_pid(watcher, entry, 0);
		result = 0;
	} else if (result == -EPROTO || result == -ETIMEDOUT) {
		/* A container that the engine cannot show must not hide the others. If it is not
		 * known to run, the next list has it inspected again. */
		log_warning("docker: %s; the container keeps its last known state",
			    watcher->session.reason);
		result = 0;
	}
	docker_request_remove(&inspection->request);
	return result;
}

static void report(struct docker_sidecars *watcher)
{
	_cleanup_free_ struct docker_sidecar *sidecars = calloc(watcher->count + 1,
								sizeof(*sidecars));
	size_t count = 0, i;

	if (!sidecars) {
		/* .changed stays, so the next round tries again. */
		log_error("docker: no memory for %zu sidecars", watcher->count);
		return;
	}
	for (i = 0; i < watcher->count; i++)
		if (watcher->entries[i].sidecar.pid != 0)
			sidecars[count++] = watcher->entries[i].sidecar;
	watcher->changed = false;
	watcher->handler->sidecars(sidecars, count, watcher->context);
}

/* An answer was applied. Reports the end of a read of the state, and changes. */
static void answer_applied(struct docker_sidecars *watcher)
{
	entries_prune(watcher);
	if (watcher->settling && !entries_unsettled(watcher)) {
		watcher->settling = false;
		docker_session_read_finished(&watcher->session);
	}
	/* After a loss, only a complete state is reported. */
	if (watcher->changed && docker_session_connected(&watcher->session))
		report(watcher);
}

static int sidecars_read(const struct docker_request *answers, void *context)
{
	struct docker_sidecars *watcher = context;
	_cleanup_document_ struct docker_document list = {0};
	int error = docker_parse_containers(answers->body.data, answers->body.used, &list,
					    watcher->session.reason);

	if (error == 0)
		error = apply_list(watcher, &list);
	if (error < 0)
		return error;
	watcher->settling = true;
	answer_applied(watcher);
	return 0;
}

static int sidecars_answered(struct docker_request *request, int result, void *context)
{
	struct docker_sidecars *watcher = context;
	int error = inspection_answered(watcher, request->context, result);

	if (error == 0)
		answer_applied(watcher);
	return error;
}

static int inspect(struct docker_sidecars *watcher, struct inspection *inspection,
		   struct entry *entry)
{
	const char *id = entry->sidecar.id;

	(void)snprintf(inspection->id, sizeof(inspection->id), "%s", id);
	(void)snprintf(inspection->path, sizeof(inspection->path), "/containers/%s/json", id);
	inspection->request.context = inspection;
	entry->due = false;
	entry->inspecting = true;
	return docker_session_get(&watcher->session, &inspection->request, inspection->path);
}

static int sidecars_work(void *context)
{
	struct docker_sidecars *watcher = context;
	size_t slot = 0, i;
	int error = 0;

	for (i = 0; i < watcher->count && error == 0; i++) {
		/* If an inspection runs, its answer may be older than the event: another one
		 * follows. */
		if (!watcher->entries[i].due || watcher->entries[i].inspecting)
			continue;
		while (slot < DOCKER_INSPECTIONS_MAX &&
		       watcher->inspections[slot].request.state != DOCKER_REQUEST_IDLE)
			slot++;
		if (slot == DOCKER_INSPECTIONS_MAX)
			break;
		error = inspect(watcher, &watcher->inspections[slot], &watcher->entries[i]);
	}
	return error;
}

static void sidecars_closed(void *context)
{
	struct docker_sidecars *watcher = context;
	size_t i;

	for (i = 0; i < DOCKER_INSPECTIONS_MAX; i++)
		docker_request_remove(&watcher->inspections[i].request);
	for (i = 0; i < watcher->count; i++) {
		watcher->entries[i].due = false;
		watcher->entries[i].inspecting = false;
	}
	entries_prune(watcher);
	watcher->settling = false;
	/* The first state of a session is always reported. */
	watcher->changed = true;
}

static void sidecars_connected(bool connected, const char *reason, void *context)
{
	struct docker_sidecars *watcher = context;

	if (watcher->handler->connected)
		watcher->handler->connected(connected, reason, watcher->context);
}

static const struct docker_session_watcher sidecars_watcher = {
	.subject = "sidecars",
	.thread_name = "docker-sidecars",
	.event_filters = DOCKER_SIDECARS_EVENT_FILTERS,
	.state_paths = {"/containers/json"},
	.event = sidecars_event,
	.read = sidecars_read,
	.answered = sidecars_answered,
	.work = sidecars_work,
	.closed = sidecars_closed,
	.connected = sidecars_connected,
};

static void sidecars_release(struct docker_sidecars *watcher)
{
	size_t i;

	for (i = 0; i < watcher->count; i++)
		entry_release(&watcher->entries[i]);
	free(watcher->entries);
	free(watcher);
}

int docker_sidecars_new(const struct docker_engine *engine, const struct docker_patterns *patterns,
			const struct docker_sidecars_handler *handler, void *context,
			struct docker_sidecars **ret_sidecars)
{
	struct docker_sidecars *watcher = calloc(1, sizeof(*watcher));
	int error;

	if (!watcher)
		return log_errno(-ENOMEM, "docker: cannot start watching");
	watcher->handler = handler;
	watcher->context = context;
	watcher->patterns = *patterns;
	watcher->changed = true;
	error = docker_session_start(&watcher->session, engine, &sidecars_watcher, watcher);
	if (error < 0) {
		sidecars_release(watcher);
		return error;
	}
	*ret_sidecars = watcher;
	return 0;
}

void docker_sidecars_free(struct docker_sidecars *sidecars)
{
	if (!sidecars)
		return;
	docker_session_stop(&sidecars->session);
	sidecars_release(sidecars);
}
