// SPDX-License-Identifier: Apache-2.0
#include "docker/docker_networks.h"

#include <errno.h>
#include <stdlib.h>

#include "docker/docker_json.h"
#include "docker/docker_session.h"
#include "docker/docker_sidecars_json.h"
#include "lib/log.h"
#include "lib/util.h"

/* A DOCKER_EVENT_CHANGING has surely had its effect after this time. */
#define SETTLE_MS 250

/* Those that run, and those that were created. Docker and Podman both know these states. */
#define CONTAINERS_PATH                                                                            \
	"/containers/json?all=1&filters="                                                          \
	"%7B%22status%22%3A%5B%22created%22%2C%22running%22%2C%22paused%22%5D%7D"

/* Belongs to the session's thread, except for the fields that docker_networks_new() sets before the
 * thread starts. */
struct docker_networks {
	struct docker_session session;
	const struct docker_networks_handler *handler;
	void *context;
};

static int networks_event(const char *line, size_t size, void *context)
{
	struct docker_networks *networks = context;
	enum docker_event_effect effect;
	int error = docker_parse_event(line, size, &effect, networks->session.reason);

	if (error < 0)
		return error;
	if (effect != DOCKER_EVENT_NOTHING && networks->handler->event)
		networks->handler->event(networks->context);
	if (effect != DOCKER_EVENT_NOTHING)
		docker_session_read_soon(&networks->session);
	if (effect == DOCKER_EVENT_CHANGING)
		docker_session_read_after(&networks->session, SETTLE_MS);
	return 0;
}

/* Hands the containers to the watcher's user. */
static int read_tenants(struct docker_networks *networks, const struct docker_buffer *list)
{
	_cleanup_document_ struct docker_document document = {0};
	_cleanup_free_ struct docker_tenant *tenants = NULL;
	char *reason = networks->session.reason;
	int error = docker_parse_containers(list->data, list->used, &document, reason);
	size_t i;

	if (error < 0)
		return error;
	tenants = calloc(document.count + 1, sizeof(*tenants));
	if (!tenants)
		return docker_refuse(-ENOMEM, reason, "out of memory");
	for (i = 0; i < document.count; i++) {
		const struct docker_facts *facts = &document.facts[i];

		tenants[i] = (struct docker_tenant) {
			.id = facts->id,
			.name = facts->name,
			.labels = facts->labels,
			.owner = docker_network_owner(facts),
			.has_engine = docker_mounts_hold(facts,
							 networks->session.engine.socket_path),
		};
	}
	networks->handler->tenants(tenants, document.count,
				   (uint64_t)networks->session.read_started_ms * 1000000,
				   networks->context);
	return 0;
}

static int networks_read(const struct docker_request *answers, void *context)
{
	struct docker_networks *networks = context;
	const struct docker_buffer *list = &answers[0].body, *containers = &answers[1].body;
	struct docker_network *state;
	size_t count;
	int error;

	error = docker_parse_state(list->data, list->used, containers->data, containers->used,
				   &state, &count, networks->session.reason);
	if (error < 0)
		return error;
	docker_session_read_finished(&networks->session);
	networks->handler->networks(state, count, networks->context);
	docker_state_free(state, count);
	return networks->handler->tenants ? read_tenants(networks, containers) : 0;
}

static void networks_connected(bool connected, const char *reason, void *context)
{
	struct docker_networks *networks = context;

	if (networks->handler->connected)
		networks->handler->connected(connected, reason, networks->context);
}

static const struct docker_session_watcher networks_watcher = {
	.subject = "networks",
	.thread_name = "docker-networks",
	.event_filters = DOCKER_NETWORKS_EVENT_FILTERS,
	.state_paths = {"/networks", CONTAINERS_PATH},
	.event = networks_event,
	.read = networks_read,
	.connected = networks_connected,
};

int docker_networks_new(const char *socket_path, const struct docker_networks_handler *handler,
			void *context, struct docker_networks **ret_networks)
{
	struct docker_networks *networks;
	struct docker_engine engine;
	int error = docker_engine_init(&engine, socket_path);

	if (error < 0)
		return error;
	networks = calloc(1, sizeof(*networks));
	if (!networks)
		return log_errno(-ENOMEM, "docker: cannot start watching");
	networks->handler = handler;
	networks->context = context;
	networks->session.resync_ms = handler->resync_ms;
	error = docker_session_start(&networks->session, &engine, &networks_watcher, networks);
	if (error < 0) {
		free(networks);
		return error;
	}
	*ret_networks = networks;
	return 0;
}

void docker_networks_free(struct docker_networks *networks)
{
	if (!networks)
		return;
	docker_session_stop(&networks->session);
	free(networks);
}
