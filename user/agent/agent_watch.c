// SPDX-License-Identifier: Apache-2.0
#include "agent/agent_watch.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "agent/agent_broker.h"
#include "agent/agent_spawn.h"
#include "datapath/rendezvous.h"
#include "docker/docker_sidecars.h"
#include "lib/clock.h"
#include "lib/complaint.h"
#include "lib/escape.h"
#include "lib/log.h"
#include "lib/util.h"

/* A watcher that ends is started again after the first time, or after the second if it had lasted
 * less than that. */
#define RESTART_SOON_MS	 100
#define RESTART_LATER_MS 5000

/* Packets that are taken in one round of the loop, so that the watcher does not hold up others. */
#define PACKETS_PER_ROUND 32

/* The longest line of lib/log.h. */
#define LINE_MAX_BYTES 1024

/* An honest watcher sends a list when a container starts, ends or changes its users. */
static const struct agent_allowance lists_allowed = {.burst = 2000, .per_minute = 12000};
static const struct agent_allowance lines_allowed = {.burst = 500, .per_minute = 1200};

struct agent_watch {
	struct loop *loop;
	struct docker_engine engine;
	struct docker_patterns patterns;
	struct agent_watch_handler handler;
	void *context;

	pid_t pid; /* of the watcher; valid while .exit is registered */
	uint64_t started_ms;
	struct loop_handler exit; /* its pidfd, readable once it has ended */
	struct loop_handler news, log;
	struct agent_broker broker;
	struct loop_timer restart;
	struct loop_timer_class soon_class, later_class;

	struct agent_seen *current; /* the list that .seen got last */
	struct agent_seen *next;    /* grows until AGENT_NEWS_LAST */
	size_t next_count;
	char removal[65]; /* the orphan that the watcher removes; "": none */
	struct agent_budget lists, lines;
	struct complaint complaint;
};

/* Ends the watcher's connections, so that nothing of it is heard any more. */
static void hang_up(struct agent_watch *watch)
{
	agent_broker_close(&watch->broker);
	loop_close(&watch->news);
	free(watch->next);
	watch->next = NULL;
	watch->next_count = 0;
	watch->removal[0] = '\0';
}

/* Ends a watcher that did @what (agent_broker.violated). It is started again later. */
static void violated(void *context, const char *what)
{
	struct agent_watch *watch = context;

	if (what)
		log_error("docker: the watcher %s: it is ended", what);
	hang_up(watch);
	(void)kill(watch->pid, SIGKILL);
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

/* Logs one line of the watcher's. */
static void log_packet(struct agent_watch *watch, char *line, size_t size)
{
	char escaped[LINE_MAX_BYTES], suffix[COMPLAINT_SUFFIX_MAX];
	unsigned int level;
	const char *text = agent_news_log_text(line, size, &level);

	if (agent_budget_left(&watch->lines, &lines_allowed, clock_ms())) {
		agent_budget_spend(&watch->lines);
		log_write((enum log_level)level, "%s", escape_text(escaped, sizeof(escaped), text));
	} else if (complaint_due(&watch->complaint, suffix)) {
		log_warning("docker: the watcher logs too much, a line is left out%s", suffix);
	}
}

static void log_ready(struct loop_handler *handler, uint32_t events)
{
	struct agent_watch *watch = container_of(handler, struct agent_watch, log);
	char line[LINE_MAX_BYTES + 1];
	int packets;

	(void)events;
	for (packets = 0; packets < PACKETS_PER_ROUND; packets++) {
		ssize_t size = recv(handler->fd, line, LINE_MAX_BYTES, MSG_DONTWAIT);

		if (size < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		/* Its end is closed, and the process ended or no longer of use. */
		if (size <= 0) {
			violated(watch, NULL);
			loop_close(handler);
			return;
		}
		log_packet(watch, line, (size_t)size);
	}
}

static void describe(const siginfo_t *end, char *buffer, size_t size)
{
	if (end->si_code == CLD_EXITED)
		(void)snprintf(buffer, size, "status %d", end->si_status);
	else
		(void)snprintf(buffer, size, "signal %d", end->si_status);
}

static void exited(struct loop_handler *handler, uint32_t events)
{
	struct agent_watch *watch = container_of(handler, struct agent_watch, exit);
	bool lasted = clock_ms() - watch->started_ms >= RESTART_LATER_MS;
	siginfo_t end = {.si_pid = 0};
	char how[32];

	(void)events;
	/* Its last lines say why. */
	if (watch->log.fd >= 0)
		log_ready(&watch->log, EPOLLIN);
	loop_close(&watch->log);
	hang_up(watch);
	(void)waitid(P_PID, (id_t)watch->pid, &end, WEXITED);
	loop_close(handler);
	describe(&end, how, sizeof(how));
	log_warning(
		"docker: the watcher ended (%s) and is started again in %d ms; running sidecars "
		"are still served, new ones wait",
		how, lasted ? RESTART_SOON_MS : RESTART_LATER_MS);
	watch->handler.ended(watch->context);
	loop_timer_start(watch->loop, lasted ? &watch->soon_class : &watch->later_class,
			 &watch->restart);
}

/* Takes the descriptors of @spawned one by one. Returns 0 or a negative errno. */
static int listen_to(struct agent_watch *watch, struct agent_spawned *spawned)
{
	int error = loop_add(watch->loop, &watch->exit, spawned->pidfd, EPOLLIN);

	if (error == 0) {
		spawned->pidfd = -1;
		error = loop_add(watch->loop, &watch->log, spawned->log_fd, EPOLLIN);
	}
	if (error == 0) {
		spawned->log_fd = -1;
		error = loop_add(watch->loop, &watch->news, spawned->news_fd, EPOLLIN);
	}
	if (error == 0) {
		spawned->news_fd = -1;
		error = agent_broker_open(&watch->broker, spawned->asks_fd);
	}
	if (error == 0)
		spawned->asks_fd = -1;
	return error;
}

/* Kills the watcher and waits for its end. */
static void end_watcher(struct agent_watch *watch)
{
	loop_close(&watch->log);
	hang_up(watch);
	loop_close(&watch->exit);
	(void)kill(watch->pid, SIGKILL);
	(void)waitid(P_PID, (id_t)watch->pid, NULL, WEXITED);
}

static int start(struct agent_watch *watch)
{
	struct agent_spawned spawned = {0};
	int error = agent_spawn(watch->engine.socket_path, &watch->patterns, &spawned);

	if (error == -EPERM)
		return log_errno(error, "docker: cannot start the watcher; it needs CAP_SYS_ADMIN "
					"(docker run --privileged)");
	if (error < 0)
		return log_errno(error, "docker: cannot start the watcher");
	watch->pid = spawned.pid;
	watch->started_ms = clock_ms();
	error = listen_to(watch, &spawned);
	if (error == 0)
		return 0;
	(void)safe_close(spawned.pidfd);
	(void)safe_close(spawned.log_fd);
	(void)safe_close(spawned.news_fd);
	(void)safe_close(spawned.asks_fd);
	end_watcher(watch);
	return log_errno(error, "docker: cannot listen to the watcher");
}

static void restart_expired(struct loop_timer *timer)
{
	struct agent_watch *watch = container_of(timer, struct agent_watch, restart);

	if (start(watch) < 0) {
		watch->handler.ended(watch->context);
		loop_timer_start(watch->loop, &watch->later_class, &watch->restart);
	}
}

int agent_watch_new(struct loop *loop, const char *docker_socket,
		    const struct docker_patterns *patterns,
		    const struct agent_watch_handler *handler, void *context,
		    struct agent_watch **ret_watch)
{
	struct agent_watch *watch = calloc(1, sizeof(*watch));
	int error;

	if (!watch)
		return log_errno(-ENOMEM, "docker: cannot start watching");
	watch->loop = loop;
	watch->patterns = *patterns;
	watch->handler = *handler;
	watch->context = context;
	watch->exit = (struct loop_handler) {.fd = -1, .ready = exited};
	watch->news = (struct loop_handler) {.fd = -1, .ready = news_ready};
	watch->log = (struct loop_handler) {.fd = -1, .ready = log_ready};
	watch->restart.expired = restart_expired;
	loop_timer_class_init(loop, &watch->soon_class, RESTART_SOON_MS);
	loop_timer_class_init(loop, &watch->later_class, RESTART_LATER_MS);
	agent_broker_init(&watch->broker, loop, &watch->engine, watch->removal, violated, watch);
	error = docker_engine_init(&watch->engine, docker_socket);
	if (error == 0)
		error = start(watch);
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
	loop_timer_stop(&watch->restart);
	if (watch->exit.fd >= 0)
		end_watcher(watch);
	loop_flush(watch->loop);
	free(watch->current);
	free(watch);
}
