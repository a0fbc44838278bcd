// SPDX-License-Identifier: Apache-2.0
#include "docker/docker_sidecars.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "docker/docker_entries.h"
#include "docker/docker_labels.h"
#include "docker/docker_names.h"
#include "docker/docker_session.h"
#include "docker/docker_sidecars_json.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/util.h"

/* The list is read this long after the last event. An earlier read would delay the inspections,
 * which are urgent; see also DOCKER_EVENT_CHANGING. */
#define SETTLE_MS 1000

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

	struct docker_entries entries;
	struct docker_names names; /* of containers without an entry */
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
	return watcher->entries.all || selects(watcher, facts) != DOCKER_NOT_SELECTED;
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

static int set_labels(struct docker_sidecars *watcher, struct docker_entry *entry,
		      const struct docker_facts *facts)
{
	int news = facts->labels
			   ? docker_labels_set(&entry->sidecar.labels, facts->labels, facts->event)
			   : 0;

	if (news < 0)
		return docker_refuse(news, watcher->session.reason, "out of memory");
	watcher->changed = watcher->changed || news > 0;
	return 0;
}

static void set_pid(struct docker_sidecars *watcher, struct docker_entry *entry, pid_t pid)
{
	watcher->changed = watcher->changed || entry->sidecar.pid != pid;
	entry->sidecar.pid = pid;
}

static void set_flag(struct docker_sidecars *watcher, bool *flag, bool value)
{
	watcher->changed = watcher->changed || *flag != value;
	*flag = value;
}

static void set_in_use(struct docker_sidecars *watcher, struct docker_entry *entry)
{
	int64_t *since = &entry->sidecar.unused_since_ms;

	if (entry->in_use == (*since == 0))
		return;
	*since = entry->in_use ? 0 : (int64_t)clock_ms();
	watcher->changed = true;
}

/* Notes the name of a container that has no entry, if anybody wants it. */
static int note_name(struct docker_sidecars *watcher, const struct docker_facts *facts)
{
	int news = watcher->patterns.names ? docker_names_add(&watcher->names, facts) : 0;

	if (news < 0)
		return docker_refuse(news, watcher->session.reason, "out of memory");
	watcher->changed = watcher->changed || news > 0;
	return 0;
}

/* An event's name is the engine's, which writes it over a label "name". It comes before the
 * container runs. */
static int take_name(struct docker_sidecars *watcher, struct docker_entry *entry,
		     const struct docker_facts *facts)
{
	const struct docker_patterns *patterns = &watcher->patterns;

	set_flag(watcher, &entry->sidecar.guarded,
		 docker_name_matches(facts, patterns->guards, patterns->guard_count));
	return set_text(watcher, &entry->sidecar.name, facts->name);
}

static int sidecars_event(const char *line, size_t size, void *context)
{
	struct docker_sidecars *watcher = context;
	_cleanup_document_ struct docker_document event = {0};
	struct docker_entry *entry;
	int error = docker_parse_container_event(line, size, &event, watcher->session.reason);

	if (error < 0 || event.count == 0)
		return error;
	/* A container that is no sidecar may use the network namespace of one. */
	docker_session_read_after(&watcher->session, SETTLE_MS);
	entry = docker_entries_find(&watcher->entries, event.facts->id);
	if (!entry && concerns(watcher, event.facts)) {
		entry = docker_entries_add(&watcher->entries, event.facts->id,
					   watcher->session.reason);
		if (!entry)
			return -ENOMEM;
	}
	if (!entry)
		return note_name(watcher, event.facts);
	entry->due = true;
	return watcher->entries.all ? take_name(watcher, entry, event.facts) : 0;
}

/* Applies the list, and leaves to an inspection what the list cannot prove. It lags behind (see
 * DOCKER_EVENT_CHANGING), so a container that it lacks may still run. After a loss, events were
 * missed, and every known sidecar may have another process or none. */
static int apply_list(struct docker_sidecars *watcher, const struct docker_document *list)
{
	bool missed = !docker_session_connected(&watcher->session);
	struct docker_entry *entry;
	size_t i;
	int error;

	for (i = 0; i < watcher->entries.count; i++) {
		watcher->entries.items[i].in_use = false;
		watcher->entries.items[i].listed = false;
	}
	docker_names_begin(&watcher->names);
	for (i = 0; i < list->count; i++) {
		if (!concerns(watcher, &list->facts[i])) {
			error = note_name(watcher, &list->facts[i]);
			if (error < 0)
				return error;
			continue;
		}
		entry = docker_entries_add(&watcher->entries, list->facts[i].id,
					   watcher->session.reason);
		if (!entry)
			return -ENOMEM;
		entry->listed = true;
	}
	if (docker_names_end(&watcher->names))
		watcher->changed = true;
	for (i = 0; i < list->count; i++) {
		const char *owner = docker_network_owner(&list->facts[i]);

		entry = owner ? docker_entries_find(&watcher->entries, owner) : NULL;
		if (entry)
			entry->in_use = true;
	}
	for (i = 0; i < watcher->entries.count; i++) {
		entry = &watcher->entries.items[i];
		entry->due = entry->due || missed || entry->listed != (entry->sidecar.pid != 0);
		set_in_use(watcher, entry);
	}
	return 0;
}

static int apply_inspection(struct docker_sidecars *watcher, struct docker_entry *entry,
			    const struct docker_facts *facts)
{
	bool selected = facts->pid != 0 && selects(watcher, facts) == DOCKER_SELECTED;
	int error;

	if (selected && !facts->net_admin)
		log_debug("docker: %s is no sidecar: it was started without --cap-add NET_ADMIN",
			  facts->name);
	entry->gone = false;
	set_flag(watcher, &entry->sidecar.sidecar, selected && facts->net_admin);
	if (!entry->sidecar.sidecar && !watcher->entries.all) {
		set_pid(watcher, entry, 0);
		return 0;
	}
	error = take_name(watcher, entry, facts);
	if (error == 0)
		error = set_text(watcher, &entry->sidecar.image, facts->image);
	if (error == 0)
		error = set_labels(watcher, entry, facts);
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
	struct docker_entry *entry = docker_entries_find(&watcher->entries, inspection->id);

	entry->inspecting = false;
	if (result == 0)
		result = docker_parse_inspection(body->data, body->used, &document,
						 watcher->session.reason);
	if (result == 0) {
		result = apply_inspection(watcher, entry, document.facts);
	} else if (result == -ENOENT) {
		/* One that is only pruned for that is a change, too. */
		set_flag(watcher, &entry->gone, watcher->entries.all);
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
	const struct docker_names *names = &watcher->names;
	_cleanup_free_ struct docker_sidecar *sidecars =
		calloc(watcher->entries.count + names->count + 1, sizeof(*sidecars));
	size_t count = 0, i;

	if (!sidecars) {
		/* .changed stays, so the next round tries again. */
		log_error("docker: no memory for %zu sidecars", watcher->entries.count);
		return;
	}
	for (i = 0; i < watcher->entries.count; i++) {
		const struct docker_sidecar *sidecar = &watcher->entries.items[i].sidecar;

		if (sidecar->pid != 0 || (watcher->entries.all && sidecar->name))
			sidecars[count++] = *sidecar;
	}
	for (i = 0; i < names->count && count < DOCKER_SIDECARS_MAX; i++)
		sidecars[count++] = (struct docker_sidecar) {.id = names->items[i].id,
							     .name = names->items[i].name,
							     .labels = names->items[i].labels};
	watcher->changed = false;
	watcher->handler->sidecars(sidecars, count, watcher->context);
}

/* An answer was applied. Reports the end of a read of the state, and changes. */
static void answer_applied(struct docker_sidecars *watcher)
{
	docker_entries_prune(&watcher->entries);
	if (watcher->settling && !docker_entries_unsettled(&watcher->entries)) {
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
		   struct docker_entry *entry)
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

	/* Names have come in events. */
	if (watcher->changed && (watcher->entries.all || watcher->patterns.names) &&
	    docker_session_connected(&watcher->session))
		report(watcher);
	for (i = 0; i < watcher->entries.count && error == 0; i++) {
		/* If an inspection runs, its answer may be older than the event: another one
		 * follows. */
		if (!watcher->entries.items[i].due || watcher->entries.items[i].inspecting)
			continue;
		while (slot < DOCKER_INSPECTIONS_MAX &&
		       watcher->inspections[slot].request.state != DOCKER_REQUEST_IDLE)
			slot++;
		if (slot == DOCKER_INSPECTIONS_MAX)
			break;
		error = inspect(watcher, &watcher->inspections[slot], &watcher->entries.items[i]);
	}
	return error;
}

static void sidecars_closed(void *context)
{
	struct docker_sidecars *watcher = context;
	size_t i;

	for (i = 0; i < DOCKER_INSPECTIONS_MAX; i++)
		docker_request_remove(&watcher->inspections[i].request);
	for (i = 0; i < watcher->entries.count; i++) {
		watcher->entries.items[i].due = false;
		watcher->entries.items[i].inspecting = false;
	}
	docker_entries_prune(&watcher->entries);
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
	docker_entries_release(&watcher->entries);
	docker_names_release(&watcher->names);
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
	watcher->entries.all = patterns->guard_count > 0;
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
