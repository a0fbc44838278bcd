// SPDX-License-Identifier: Apache-2.0
#include "docker/docker_networks.h"

#include <errno.h>
#include <stdlib.h>

#include "docker/docker_json.h"
#include "docker/docker_session.h"
#include "lib/log.h"

/* When a DOCKER_EVENT_CHANGING has had its effect, with much to spare. */
#define SETTLE_MS 250

/* Of the session's thread alone, but for what docker_watch_new() sets before it starts. */
struct docker_watch {
	struct docker_session session;
	const struct docker_watch_handler *handler;
	void *context;
	struct docker_request networks;
	struct docker_request containers;
	unsigned int pending; /* of the two: how many are not done */
};

static int watch_event(const char *line, size_t size, void *context)
{
	struct docker_watch *watch = context;
	enum docker_event_effect effect;
	int error = docker_parse_event(line, size, &effect, watch->session.reason);

	if (error < 0)
		return error;
	if (effect != DOCKER_EVENT_NOTHING)
		docker_session_read_soon(&watch->session);
	if (effect == DOCKER_EVENT_CHANGING)
		docker_session_read_after(&watch->session, SETTLE_MS);
	return 0;
}

static int watch_read(void *context)
{
	struct docker_watch *watch = context;
	int error = docker_session_get(&watch->session, &watch->networks, "/networks");

	if (error == 0)
		error = docker_session_get(&watch->session, &watch->containers, "/containers/json");
	watch->pending = 2;
	return error;
}

static int watch_answered(struct docker_request *request, int result, void *context)
{
	struct docker_watch *watch = context;
	struct docker_network *networks;
	size_t count;
	int error;

	(void)request;
	if (result < 0 || --watch->pending > 0)
		return result;
	error = docker_parse_state(watch->networks.body.data, watch->networks.body.used,
				   watch->containers.body.data, watch->containers.body.used,
				   &networks, &count, watch->session.reason);
	if (error < 0)
		return error;
	docker_request_remove(&watch->networks);
	docker_request_remove(&watch->containers);
	docker_session_read_finished(&watch->session);
	watch->handler->networks(networks, count, watch->context);
	docker_networks_free(networks, count);
	return 0;
}

static void watch_closed(void *context)
{
	struct docker_watch *watch = context;

	docker_request_remove(&watch->networks);
	docker_request_remove(&watch->containers);
}

static void watch_connected(bool connected, const char *reason, void *context)
{
	struct docker_watch *watch = context;

	if (watch->handler->connected)
		watch->handler->connected(connected, reason, watch->context);
}

static const struct docker_session_watcher networks_watcher = {
	.subject = "networks",
	.thread_name = "docker-networks",
	.event_filters = DOCKER_EVENT_FILTERS,
	.event = watch_event,
	.read = watch_read,
	.answered = watch_answered,
	.closed = watch_closed,
	.connected = watch_connected,
};

int docker_watch_new(const char *socket_path, const struct docker_watch_handler *handler,
		     void *context, struct docker_watch **ret_watch)
{
	struct docker_watch *watch = calloc(1, sizeof(*watch));
	int error;

	if (!watch)
		return log_errno(-ENOMEM, "docker: cannot start watching");
	watch->handler = handler;
	watch->context = context;
	error = docker_session_start(&watch->session, socket_path, &networks_watcher, watch);
	if (error < 0) {
		free(watch);
		return error;
	}
	*ret_watch = watch;
	return 0;
}

void docker_watch_free(struct docker_watch *watch)
{
	if (!watch)
		return;
	docker_session_stop(&watch->session);
	free(watch);
}
