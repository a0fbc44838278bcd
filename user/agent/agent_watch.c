// SPDX-License-Identifier: Apache-2.0
#include "agent/agent_watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/agent_broker.h"
#include "agent/agent_helper.h"
#include "datapath/rendezvous.h"
#include "docker/docker_sidecars.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/util.h"

/* Packets that are taken in one round of the loop, so that the watcher does not hold up others. */
#define PACKETS_PER_ROUND 32

/* An honest watcher sends a list when a container starts, ends or changes its users. */
static const struct agent_allowance lists_allowed = {.burst = 2000, .per_minute = 12000};

/* The program, the command, the log level, the socket, the number of matches, and NULL. */
#define ARGUMENTS 6

struct agent_watch {
	struct agent_helper helper;
	struct docker_engine engine;
	struct docker_patterns patterns;
	struct agent_watch_handler handler;
	void *context;

	struct loop_handler news;
	struct agent_broker broker;

	struct agent_seen *current; /* the list that .seen got last */
	struct agent_seen *next;    /* grows until AGENT_NEWS_LAST */
	size_t next_count;
	char removal[65]; /* the orphan that the watcher removes; "": none */
	struct agent_budget lists;
};

static void hang_up(struct agent_helper *helper)
{
	struct agent_watch *watch = container_of(helper, struct agent_watch, helper);

	agent_broker_close(&watch->broker);
	loop_close(&watch->news);
	free(watch->next);
	watch->next = NULL;
	watch->next_count = 0;
	watch->removal[0] = '\0';
}

/* The broker's: agent_broker.violated. */
static void violated(void *context, const char *what)
{
	struct agent_watch *watch = context;

	agent_helper_violated(&watch->helper, what);
}

static int next_append(struct agent_watch *watch, const struct agent_news *news)
{
	size_t count = watch->next_count + news->count;
	struct agent_seen *grown = reallocarray(watch->next, count + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	memcpy(grown + watch->next_count, news->seen, news->count * sizeof(*grown));
	watch->next = grown;
	watch->next_count = count;
	return 0;
}

static void next_publish(struct agent_watch *watch, int64_t heard_us)
{
	struct agent_seen *list = TAKE_PTR(watch->next);
	size_t count = watch->next_count;

	watch->next_count = 0;
	watch->handler.seen(list, count, heard_us, watch->context);
	free(watch->current);
	watch->current = list;
}

/* Acts on valid news. Returns what is wrong with it, or NULL. */
static const char *take_news(struct agent_watch *watch, const struct agent_news *news)
{
	if (news->type == AGENT_NEWS_REMOVAL_OVER) {
		if (watch->removal[0] == '\0')
			return "reported a removal that nobody wanted";
		watch->removal[0] = '\0';
		return NULL;
	}
	if (watch->next_count + news->count > DOCKER_SIDECARS_MAX)
		return "reported too many containers";
	if (next_append(watch, news) < 0) {
		log_error("docker: no memory for a list of sidecars");
		return "cannot be heard";
	}
	if (news->type != AGENT_NEWS_LAST)
		return NULL;
	if (!agent_budget_left(&watch->lists, &lists_allowed, clock_ms()))
		return "reported too often";
	agent_budget_spend(&watch->lists);
	next_publish(watch, news->heard_us);
	return NULL;
}

static void news_ready(struct loop_handler *handler, uint32_t events)
{
	struct agent_watch *watch = container_of(handler, struct agent_watch, news);
	const char *wrong = NULL;
	struct agent_news news;
	int packets;

	(void)events;
	for (packets = 0; packets < PACKETS_PER_ROUND && !wrong; packets++) {
		/* Descriptors that come with it are discarded, because nothing takes them. */
		ssize_t size = recv(handler->fd, &news, sizeof(news), MSG_DONTWAIT | MSG_TRUNC);

		if (size < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (size <= 0) {
			violated(watch, NULL);
			return;
		}
		wrong = agent_news_valid(&news, (size_t)size, (int64_t)(clock_ns() / 1000))
				? take_news(watch, &news)
				: "sent a malformed report";
	}
	if (wrong)
		violated(watch, wrong);
}

static void ended(struct agent_helper *helper)
{
	const struct agent_watch *watch = container_of(helper, struct agent_watch, helper);

	watch->handler.ended(watch->context);
}

/* Takes the descriptors, also on failure. */
static int listen_to(struct agent_watch *watch, int news_fd, int asks_fd)
{
	_cleanup_close_ int news = news_fd, asks = asks_fd;
	int error = loop_add(watch->helper.loop, &watch->news, news, EPOLLIN);

	if (error == 0) {
		(void)TAKE_FD(news);
		error = agent_broker_open(&watch->broker, asks);
	}
	if (error == 0)
		(void)TAKE_FD(asks);
	return error;
}

static int spawn(struct agent_watch *watch, char **arguments, int *ret_news_fd, int *ret_asks_fd)
{
	static char program[] = "sidestep", command[] = "agent-watcher";
	size_t matches = watch->patterns.match_count, guards = watch->patterns.guard_count;
	char level[] = {(char)('0' + log_level()), '\0'}, count[24];
	const struct agent_spawn_config config = {.arguments = arguments, .listener_fd = -1};

	arguments[0] = program;
	arguments[1] = command;
	arguments[2] = level;
	arguments[3] = watch->engine.socket_path;
	(void)snprintf(count, sizeof(count), "%zu", matches);
	arguments[4] = count;
	/* execve(2) does not change them. */
	if (matches > 0)
		memcpy(&arguments[5], watch->patterns.matches, matches * sizeof(*arguments));
	if (guards > 0)
		memcpy(&arguments[5 + matches], watch->patterns.guards,
		       guards * sizeof(*arguments));
	return agent_helper_spawn(&watch->helper, &config, ret_news_fd, ret_asks_fd);
}

static int start(struct agent_helper *helper)
{
	struct agent_watch *watch = container_of(helper, struct agent_watch, helper);
	size_t patterns = watch->patterns.match_count + watch->patterns.guard_count;
	_cleanup_free_ char **arguments = calloc(ARGUMENTS + patterns, sizeof(*arguments));
	int news_fd = -1, asks_fd = -1;
	int error = arguments ? spawn(watch, arguments, &news_fd, &asks_fd)
			      : log_errno(-ENOMEM, "docker: cannot start the watcher");

	if (error < 0)
		return error;
	error = listen_to(watch, news_fd, asks_fd);
	if (error == 0)
		return 0;
	agent_helper_end(helper);
	return log_errno(error, "docker: cannot listen to the watcher");
}

static const struct agent_helper_handler helper_handler = {
	.topic = "docker",
	.name = "the watcher",
	.meanwhile = "running sidecars are still served, new ones wait",
	.start = start,
	.hang_up = hang_up,
	.ended = ended,
};

int agent_watch_new(struct loop *loop, const char *docker_socket,
		    const struct docker_patterns *patterns,
		    const struct agent_watch_handler *handler, void *context,
		    struct agent_watch **ret_watch)
{
	struct agent_watch *watch = calloc(1, sizeof(*watch));
	int error;

	if (!watch)
		return log_errno(-ENOMEM, "docker: cannot start watching");
	agent_helper_init(&watch->helper, loop, &helper_handler);
	watch->patterns = *patterns;
	watch->handler = *handler;
	watch->context = context;
	watch->news = (struct loop_handler) {.fd = -1, .ready = news_ready};
	agent_broker_init(&watch->broker, loop, &watch->engine, watch->removal, violated, watch);
	error = docker_engine_init(&watch->engine, docker_socket);
	if (error == 0)
		error = start(&watch->helper);
	if (error < 0) {
		agent_watch_free(watch);
		return error;
	}
	*ret_watch = watch;
	return 0;
}

void agent_watch_remove(struct agent_watch *watch, const char *id)
{
	struct agent_removal removal = {.id = ""};

	if (watch->removal[0] != '\0' || watch->news.fd < 0)
		return;
	(void)snprintf(removal.id, sizeof(removal.id), "%s", id);
	if (rendezvous_send(watch->news.fd, &removal, sizeof(removal), -1, MSG_DONTWAIT) == 0)
		memcpy(watch->removal, removal.id, sizeof(removal.id));
}

void agent_watch_free(struct agent_watch *watch)
{
	if (!watch)
		return;
	agent_helper_end(&watch->helper);
	loop_flush(watch->helper.loop);
	free(watch->current);
	free(watch);
}
