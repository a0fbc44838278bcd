// SPDX-License-Identifier: Apache-2.0
/*
 * `sidestep agent-watcher`: the agent's process without rights. It parses what Docker answers and
 * tells the agent which sidecars run. The agent executes it (agent_spawn.h), so it has no options.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "agent/agent_asks.h"
#include "agent/agent_news.h"
#include "agent/agent_spawn.h"
#include "commands.h"
#include "datapath/rendezvous.h"
#include "docker/docker_orphans.h"
#include "docker/docker_sidecars.h"
#include "lib/clock.h"
#include "lib/confine.h"
#include "lib/escape.h"
#include "lib/log.h"
#include "lib/sandbox.h"

/* The command, the log level, Docker's socket, and how many matches come before the guards. */
#define ARGUMENTS_BEFORE_PATTERNS 4

static void send_news(const struct agent_news *news)
{
	/* Without an agent the process ends soon. */
	(void)rendezvous_send(AGENT_HELPER_NEWS_FD, news, agent_news_size(news->count), -1, 0);
}

static void on_sidecars(const struct docker_sidecar *sidecars, size_t count, void *context)
{
	struct agent_news news = {.type = AGENT_NEWS_PART,
				  .heard_us = (int64_t)(clock_ns() / 1000)};
	size_t i;

	(void)context;
	for (i = 0; i < count; i++) {
		struct agent_seen *seen = &news.seen[news.count++];

		*seen = (struct agent_seen) {
			.pid = sidecars[i].pid,
			.roles = (sidecars[i].sidecar ? AGENT_SIDECAR : 0) |
				 (sidecars[i].guarded ? AGENT_GUARDED : 0),
			.unused_since_ms = sidecars[i].unused_since_ms,
		};
		(void)snprintf(seen->id, sizeof(seen->id), "%s", sidecars[i].id);
		(void)escape_text(seen->name, sizeof(seen->name), sidecars[i].name);
		if (sidecars[i].labels)
			memcpy(seen->labels, sidecars[i].labels, sizeof(seen->labels));
		if (news.count < AGENT_NEWS_SEEN_MAX)
			continue;
		send_news(&news);
		news.count = 0;
	}
	news.type = AGENT_NEWS_LAST;
	send_news(&news);
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

/* Has the agent send a request: docker_engine.ask. The threads take turns, so that each gets its
 * own answer. */
static int ask_agent(const struct docker_ask *ask, void *context)
{
	pthread_mutex_t *turn = context;
	struct agent_answer answer = {.error = 0};
	int fd = -1, error;

	(void)pthread_mutex_lock(turn);
	error = rendezvous_send(AGENT_HELPER_ASKS_FD, ask, sizeof(*ask), -1, 0);
	if (error == 0)
		error = rendezvous_receive(AGENT_HELPER_ASKS_FD, &answer, sizeof(answer), &fd, 0);
	(void)pthread_mutex_unlock(turn);
	if (error < 0)
		return error;
	return answer.error < 0 ? answer.error : fd;
}

static void remove_orphan(const struct docker_engine *engine, const char *id)
{
	static const struct agent_news over = {.type = AGENT_NEWS_REMOVAL_OVER};

	if (docker_orphans_remove(engine, id) == 0)
		log_info("container %.12s removed: no container uses its network any more "
			 "(--reap-after)",
			 id);
	send_news(&over);
}

/* Removes the orphans that the agent names, until the agent ends. */
static void follow(const struct docker_engine *engine)
{
	struct agent_removal removal;
	ssize_t size;

	while ((size = recv(AGENT_HELPER_NEWS_FD, &removal, sizeof(removal), 0)) != 0) {
		if (size == (ssize_t)sizeof(removal))
			remove_orphan(engine, removal.id);
		else if (size < 0 && errno != EINTR)
			break;
	}
}

/* The agent has written the arguments. */
static struct docker_patterns read_patterns(int argc, char **argv)
{
	const char *const *patterns = (const char *const *)argv + ARGUMENTS_BEFORE_PATTERNS;
	size_t count = (size_t)(argc - ARGUMENTS_BEFORE_PATTERNS);
	size_t match_count = strtoul(argv[3], NULL, 10);

	return (struct docker_patterns) {
		.matches = patterns,
		.match_count = match_count,
		.guards = patterns + match_count,
		.guard_count = count - match_count,
		.names = true,
	};
}

int command_agent_watcher(int argc, char **argv)
{
	pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
	struct docker_sidecars *sidecars = NULL;
	struct docker_patterns patterns;
	struct docker_engine engine;
	const struct sandbox sandbox = {.role = SANDBOX_DOCKER};

	if (argc < ARGUMENTS_BEFORE_PATTERNS || strlen(argv[1]) != 1 || !agent_spawned()) {
		log_error("agent-watcher is a part of `sidestep agent`, which starts it");
		return STATUS_USAGE;
	}
	log_set_level((enum log_level)(argv[1][0] - '0'));
	(void)prctl(PR_SET_NAME, "docker-watcher");
	if (confine_process() < 0 || docker_engine_init(&engine, argv[2]) < 0)
		return STATUS_FAILED;
	engine.ask = ask_agent;
	engine.context = &turn;
	sandbox_files(&sandbox);
	patterns = read_patterns(argc, argv);
	if (docker_sidecars_new(&engine, &patterns, &handler, NULL, &sidecars) < 0)
		return STATUS_FAILED;
	/* No thread starts after this. */
	sandbox_calls(&sandbox);
	follow(&engine);
	docker_sidecars_free(sidecars);
	return STATUS_OK;
}
