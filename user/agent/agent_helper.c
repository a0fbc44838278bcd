// SPDX-License-Identifier: Apache-2.0
#include "agent/agent_helper.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "agent/agent_news.h"
#include "lib/clock.h"
#include "lib/escape.h"
#include "lib/log.h"
#include "lib/util.h"

/* A helper that ends is started again after the first time, or after the second if it had lasted
 * less than that. */
#define RESTART_SOON_MS	 100
#define RESTART_LATER_MS 5000

/* Packets that are taken in one round of the loop, so that the helper does not hold up others. */
#define PACKETS_PER_ROUND 32

/* The longest line of lib/log.h. */
#define LINE_MAX_BYTES 1024

static const struct agent_allowance lines_allowed = {.burst = 500, .per_minute = 1200};

void agent_helper_violated(struct agent_helper *helper, const char *what)
{
	if (what)
		log_error("%s: %s %s: it is ended and started again", helper->handler->topic,
			  helper->handler->name, what);
	helper->handler->hang_up(helper);
	if (agent_helper_runs(helper))
		(void)kill(helper->pid, SIGKILL);
}

/* Logs one line of the helper's. */
static void log_packet(struct agent_helper *helper, char *line, size_t size)
{
	char escaped[LINE_MAX_BYTES], suffix[COMPLAINT_SUFFIX_MAX];
	unsigned int level;
	const char *text = agent_news_log_text(line, size, &level);

	if (agent_budget_left(&helper->lines, &lines_allowed, clock_ms())) {
		agent_budget_spend(&helper->lines);
		log_write((enum log_level)level, "%s", escape_text(escaped, sizeof(escaped), text));
	} else if (complaint_due(&helper->complaint, suffix)) {
		log_warning("%s: %s logs too much, a line is left out%s", helper->handler->topic,
			    helper->handler->name, suffix);
	}
}

static void log_ready(struct loop_handler *handler, uint32_t events)
{
	struct agent_helper *helper = container_of(handler, struct agent_helper, log);
	char line[LINE_MAX_BYTES + 1];
	int packets;

	(void)events;
	for (packets = 0; packets < PACKETS_PER_ROUND; packets++) {
		ssize_t size = recv(handler->fd, line, LINE_MAX_BYTES, MSG_DONTWAIT);

		if (size < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		/* Its end is closed, and the process ended or no longer of use. */
		if (size <= 0) {
			agent_helper_violated(helper, NULL);
			loop_close(handler);
			return;
		}
		log_packet(helper, line, (size_t)size);
	}
}

static void describe(const siginfo_t *end, char *buffer, size_t size)
{
	if (end->si_code == CLD_EXITED)
		(void)snprintf(buffer, size, "status %d", end->si_status);
	else
		(void)snprintf(buffer, size, "signal %d", end->si_status);
}

static void start_later(struct agent_helper *helper, const siginfo_t *end)
{
	bool lasted = clock_ms() - helper->started_ms >= RESTART_LATER_MS;
	char how[32];

	describe(end, how, sizeof(how));
	log_warning("%s: %s ended (%s) and is started again in %d ms; %s", helper->handler->topic,
		    helper->handler->name, how, lasted ? RESTART_SOON_MS : RESTART_LATER_MS,
		    helper->handler->meanwhile);
	loop_timer_start(helper->loop, lasted ? &helper->soon_class : &helper->later_class,
			 &helper->restart);
}

static void exited(struct loop_handler *handler, uint32_t events)
{
	struct agent_helper *helper = container_of(handler, struct agent_helper, exit);
	siginfo_t end = {.si_pid = 0};

	(void)events;
	/* Its last lines say why. */
	if (helper->log.fd >= 0)
		log_ready(&helper->log, EPOLLIN);
	loop_close(&helper->log);
	helper->handler->hang_up(helper);
	(void)waitid(P_PID, (id_t)helper->pid, &end, WEXITED);
	loop_close(handler);
	if (!helper->leaving)
		start_later(helper, &end);
	helper->handler->ended(helper);
}

static void restart_expired(struct loop_timer *timer)
{
	struct agent_helper *helper = container_of(timer, struct agent_helper, restart);

	if (helper->handler->start(helper) == 0)
		return;
	loop_timer_start(helper->loop, &helper->later_class, &helper->restart);
	helper->handler->ended(helper);
}

void agent_helper_init(struct agent_helper *helper, struct loop *loop,
		       const struct agent_helper_handler *handler)
{
	*helper = (struct agent_helper) {
		.loop = loop,
		.handler = handler,
		.exit = {.fd = -1, .ready = exited},
		.log = {.fd = -1, .ready = log_ready},
		.restart.expired = restart_expired,
	};
	loop_timer_class_init(loop, &helper->soon_class, RESTART_SOON_MS);
	loop_timer_class_init(loop, &helper->later_class, RESTART_LATER_MS);
}

/* Kills the process and waits for its end. */
static void end_process(struct agent_helper *helper)
{
	(void)kill(helper->pid, SIGKILL);
	(void)waitid(P_PID, (id_t)helper->pid, NULL, WEXITED);
	loop_close(&helper->log);
	loop_close(&helper->exit);
}

/* Takes the descriptors of @spawned one by one. Returns 0 or a negative errno. */
static int listen_to(struct agent_helper *helper, struct agent_spawned *spawned)
{
	int error = loop_add(helper->loop, &helper->exit, spawned->pidfd, EPOLLIN);

	if (error < 0)
		return error;
	spawned->pidfd = -1;
	error = loop_add(helper->loop, &helper->log, spawned->log_fd, EPOLLIN);
	if (error == 0)
		spawned->log_fd = -1;
	return error;
}

int agent_helper_spawn(struct agent_helper *helper, const struct agent_spawn_config *config,
		       int *ret_news_fd, int *ret_asks_fd)
{
	const char *topic = helper->handler->topic, *name = helper->handler->name;
	struct agent_spawned spawned = {0};
	int error = agent_spawn(config, &spawned);

	if (error == -EPERM)
		return log_errno(
			error, "cannot start %s; it needs CAP_SYS_ADMIN (docker run --privileged)",
			name);
	if (error < 0)
		return log_errno(error, "%s: cannot start %s", topic, name);
	helper->pid = spawned.pid;
	helper->started_ms = clock_ms();
	error = listen_to(helper, &spawned);
	if (error == 0) {
		*ret_news_fd = spawned.news_fd;
		*ret_asks_fd = spawned.asks_fd;
		return 0;
	}
	(void)safe_close(spawned.pidfd);
	(void)safe_close(spawned.log_fd);
	(void)safe_close(spawned.news_fd);
	(void)safe_close(spawned.asks_fd);
	end_process(helper);
	return log_errno(error, "%s: cannot listen to %s", topic, name);
}

void agent_helper_end(struct agent_helper *helper)
{
	loop_timer_stop(&helper->restart);
	helper->handler->hang_up(helper);
	if (agent_helper_runs(helper))
		end_process(helper);
}
