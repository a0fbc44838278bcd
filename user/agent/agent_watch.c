// SPDX-License-Identifier: Apache-2.0
#include "agent/agent_watch.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "docker/docker_sidecars.h"
#include "lib/log.h"
#include "lib/util.h"

struct agent_watch {
	struct loop *loop;
	struct docker_sidecars *docker;
	void (*seen)(const struct agent_seen *seen, size_t count, void *context);
	void *context;
	struct agent_seen *current; /* the list that .seen got last; the loop's thread */
	pthread_mutex_t lock;	    /* guards the fields below */
	struct agent_seen *news;    /* NULL: none */
	size_t news_count;
};

static void on_sidecars(const struct docker_sidecar *sidecars, size_t count, void *context)
{
	struct agent_watch *watch = context;
	struct agent_seen *seen = calloc(count + 1, sizeof(*seen)), *old;
	size_t i;

	if (!seen) {
		log_error("no memory for %zu sidecars: new ones are not served", count);
		return;
	}
	for (i = 0; i < count; i++) {
		(void)snprintf(seen[i].id, sizeof(seen[i].id), "%s", sidecars[i].id);
		(void)snprintf(seen[i].name, sizeof(seen[i].name), "%s", sidecars[i].name);
		seen[i].pid = sidecars[i].pid;
		seen[i].unused_since_ms = sidecars[i].unused_since_ms;
	}
	(void)pthread_mutex_lock(&watch->lock);
	old = watch->news;
	watch->news = seen;
	watch->news_count = count;
	(void)pthread_mutex_unlock(&watch->lock);
	free(old);
	loop_wake(watch->loop);
}

static void on_connected(bool connected, const char *reason, void *context)
{
	(void)context;
	if (connected)
		log_info("connected to Docker: watching for sidecars");
	else
		log_warning("no connection to Docker: %s; running sidecars are still served, "
			    "new ones go unnoticed",
			    reason);
}

static const struct docker_sidecars_handler handler = {
	.sidecars = on_sidecars,
	.connected = on_connected,
};

static void woken(void *context)
{
	struct agent_watch *watch = context;
	struct agent_seen *news;
	size_t count;

	(void)pthread_mutex_lock(&watch->lock);
	news = TAKE_PTR(watch->news);
	count = watch->news_count;
	(void)pthread_mutex_unlock(&watch->lock);
	if (!news)
		return;
	watch->seen(news, count, watch->context);
	free(watch->current);
	watch->current = news;
}

int agent_watch_new(struct loop *loop, const char *docker_socket,
		    const struct option_strings *matches,
		    void (*seen)(const struct agent_seen *seen, size_t count, void *context),
		    void *context, struct agent_watch **ret_watch)
{
	struct agent_watch *watch = calloc(1, sizeof(*watch));
	int error;

	if (!watch)
		return log_errno(-ENOMEM, "docker: cannot start watching");
	watch->loop = loop;
	watch->seen = seen;
	watch->context = context;
	(void)pthread_mutex_init(&watch->lock, NULL);
	loop_on_wake(loop, woken, watch);
	error = docker_sidecars_new(docker_socket, matches->values, matches->count, &handler, watch,
				    &watch->docker);
	if (error < 0) {
		agent_watch_free(watch);
		return error;
	}
	*ret_watch = watch;
	return 0;
}

void agent_watch_free(struct agent_watch *watch)
{
	if (!watch)
		return;
	docker_sidecars_free(watch->docker);
	(void)pthread_mutex_destroy(&watch->lock);
	free(watch->news);
	free(watch->current);
	free(watch);
}
