// SPDX-License-Identifier: Apache-2.0
#include "docker/docker_networks.h"

#include <errno.h>
#include <stdlib.h>

#include "docker/docker_json.h"
#include "docker/docker_session.h"
#include "lib/log.h"

/* A DOCKER_EVENT_CHANGING has surely had its effect after this time. */
#define SETTLE_MS 250

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
	return 0;
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
	.state_paths = {"/networks", "/containers/json"},
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
