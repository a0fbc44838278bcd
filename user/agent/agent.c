// SPDX-License-Identifier: Apache-2.0
#include "agent/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>

#include "agent/agent_candidates.h"
#include "agent/agent_ends.h"
#include "agent/agent_events.h"
#include "agent/agent_holds.h"
#include "agent/agent_metrics.h"
#include "agent/agent_namespaces.h"
#include "agent/agent_notify.h"
#include "agent/agent_reaper.h"
#include "agent/agent_wards.h"
#include "agent/agent_watch.h"
#include "lib/log.h"
#include "lib/netns.h"
#include "lib/process.h"
#include "lib/util.h"
#include "programs/programs.h"
#include "stream/loop.h"

struct agent {
	const struct agent_options *options;
	struct loop *loop;
	struct programs *programs;
	int lock_fd;   /* of the pin directory */
	int home_fd;   /* the host's network namespace */
	uint32_t home; /* its number */
	struct loop_handler signals;
	struct agent_notify notify;
	struct agent_events *events; /* NULL: --clean */
	struct agent_namespaces namespaces;
	struct agent_ends *ends; /* NULL: --clean */
	struct agent_candidates candidates;
	struct agent_wards wards;
	struct agent_holds *holds;     /* NULL: no --guard */
	struct agent_reaper *reaper;   /* NULL: no --reap-after */
	struct agent_watch *watch;     /* NULL: --pid */
	struct agent_metrics *metrics; /* NULL: nobody wants any */
};

static void on_seen(const struct agent_seen *seen, size_t count, int64_t heard_us, void *context)
{
	struct agent *agent = context;

	agent_events_seen(agent->events, seen, count);
	/* A sidecar that is served opens what is closed. */
	agent_wards_update(&agent->wards, seen, count);
	agent_candidates_update(&agent->candidates, seen, count);
	if (agent->holds)
		agent_holds_update(agent->holds, seen, count);
	if (agent->reaper)
		agent_reaper_update(agent->reaper, seen, count);
	agent_metrics_synced(agent->metrics, heard_us);
}

static void on_watcher_ended(void *context)
{
	agent_metrics_failed(((struct agent *)context)->metrics);
}

static void signalled(struct loop_handler *handler, uint32_t events)
{
	struct agent *agent = container_of(handler, struct agent, signals);

	(void)events;
	loop_stop(agent->loop);
}

static int open_loop(struct agent *agent)
{
	int fd, error;

	(void)signal(SIGPIPE, SIG_IGN);
	agent->loop = loop_new();
	if (!agent->loop)
		return log_errno(-errno, "cannot make an event loop");
	fd = process_open_signals(NULL);
	if (fd < 0)
		return log_errno(fd, "cannot open a signalfd");
	agent->signals.ready = signalled;
	error = loop_add(agent->loop, &agent->signals, fd, EPOLLIN);
	if (error < 0) {
		(void)close(fd);
		return log_errno(error, "cannot wait for signals");
	}
	return 0;
}

/* Locks the pin directory, before anything in it changes. Returns 0 also if there is none. */
static int lock_pins(struct agent *agent)
{
	const char *pin = agent->options->pin;

	agent->lock_fd = open(pin, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (agent->lock_fd < 0)
		return errno == ENOENT ? 0 : log_errno(-errno, "cannot open %s", pin);
	if (flock(agent->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	log_error("another agent uses %s: stop it first, or give this one a --pin of its own", pin);
	return -EADDRINUSE;
}

static int load(struct agent *agent)
{
	const struct programs_config config = {
		.kind = PROGRAMS_SHARED,
		.way = agent->options->attach,
		.pin = agent->options->pin,
		.adopt = !agent->options->clean,
	};
	int error = lock_pins(agent);

	if (error == 0)
		error = programs_load(&config, false, &agent->programs);
	/* The load has made the directory. */
	if (error == 0 && agent->lock_fd < 0)
		error = lock_pins(agent);
	return error;
}

static int find_home(struct agent *agent)
{
	int error = programs_netns(&agent->home);

	agent->home_fd = netns_open_own();
	if (agent->home_fd < 0)
		error = agent->home_fd;
	return error < 0 ? log_errno(error, "cannot open the host's network namespace") : 0;
}

static int add_pids(struct agent *agent)
{
	int error;
	size_t i;

	if (agent->options->pids.count > 0 && agent->options->guards.count > 0) {
		log_error("--guard does not go with --pid, because Docker names the containers");
		return -EINVAL;
	}
	for (i = 0; i < agent->options->pids.count; i++) {
		const char *text = agent->options->pids.values[i];
		char *end, name[64];
		long pid = strtol(text, &end, 10);

		if (*text == '\0' || *end != '\0' || pid <= 0 || pid > INT32_MAX) {
			log_error("--pid %s: give the number of a process", text);
			return -EINVAL;
		}
		(void)snprintf(name, sizeof(name), "process-%ld", pid);
		error = agent_candidates_add(&agent->candidates, "", name, (pid_t)pid);
		if (error < 0)
			return error;
	}
	return 0;
}

static int watch(struct agent *agent)
{
	const struct agent_options *options = agent->options;
	const struct docker_patterns patterns = {
		.matches = options->matches.values,
		.match_count = options->matches.count,
		.guards = options->guards.values,
		.guard_count = options->guards.count,
	};
	static const struct agent_watch_handler handler = {on_seen, on_watcher_ended};
	int error = agent_watch_new(agent->loop, options->docker_socket, &patterns, &handler, agent,
				    &agent->watch);

	if (error == 0 && options->reap_s > 0)
		error = agent_reaper_new(agent->loop, agent->watch, options->reap_s,
					 &agent->reaper);
	return error;
}

/* Without guarded containers, nothing that an earlier agent holds stays so. */
static int start_holds(struct agent *agent)
{
	if (agent->options->guards.count > 0)
		return agent_holds_new(agent->loop, &agent->namespaces, &agent->wards,
				       &agent->holds);
	agent_holds_drop(&agent->namespaces);
	return 0;
}

/* Opens the events, and the metrics that they feed. */
static int start_events(struct agent *agent)
{
	struct event_sink sinks[AGENT_METRICS_SINKS];
	int error = agent_metrics_new(agent->options, &agent->metrics);
	size_t count = error == 0 ? agent_metrics_sinks(agent->metrics, sinks) : 0;

	if (error == 0)
		error = agent_events_new(agent->loop, agent->programs, agent->home,
					 agent->options->event_socket, sinks, count,
					 &agent->events);
	return error < 0 ? error
			 : agent_metrics_start(agent->metrics, agent->programs, agent->events);
}

static int start(struct agent *agent)
{
	int error;

	/* Each namespace takes up to three descriptors. */
	process_raise_file_limit();
	if ((error = find_home(agent)) < 0 || (error = open_loop(agent)) < 0 ||
	    (error = load(agent)) < 0)
		return error;
	if (!agent->options->clean && (error = start_events(agent)) < 0)
		return error;
	agent_namespaces_init(&agent->namespaces, agent->loop, agent->programs, agent->events,
			      agent->options->pin, agent->home_fd, agent->home);
	if (agent->options->clean)
		return 0;
	error = agent_ends_new(agent->loop, &agent->namespaces, &agent->ends);
	if (error < 0)
		return error;
	agent_candidates_init(&agent->candidates, agent->loop, &agent->namespaces, agent->ends);
	agent_wards_init(&agent->wards, agent->loop, &agent->namespaces, agent->ends);
	if ((error = agent_namespaces_adopt(&agent->namespaces)) < 0 ||
	    (error = agent_ends_adopt(agent->ends)) < 0 || (error = add_pids(agent)) < 0 ||
	    (error = start_holds(agent)) < 0)
		return error;
	return agent->options->pids.count > 0 ? 0 : watch(agent);
}

static void stop(struct agent *agent)
{
	agent_metrics_stop(agent->metrics);
	agent_reaper_free(agent->reaper);
	agent_watch_free(agent->watch);
	agent_holds_free(agent->holds);
	agent_wards_release(&agent->wards);
	agent_candidates_release(&agent->candidates);
	agent_ends_free(agent->ends);
	agent_namespaces_release(&agent->namespaces);
	agent_events_stop(agent->events);
	agent_metrics_free(agent->metrics);
	agent_events_free(agent->events);
	loop_close(&agent->signals);
	loop_free(agent->loop);
	programs_free(agent->programs);
	(void)safe_close(agent->lock_fd);
	(void)safe_close(agent->home_fd);
}

int agent_run(const struct agent_options *options)
{
	struct agent agent = {
		.options = options,
		.lock_fd = -1,
		.home_fd = -1,
		.signals = {.fd = -1},
		.notify = {.fd = -1},
	};
	int error;

	log_set_patience(LOG_BOUND_MS);
	error = start(&agent);
	if (error == 0 && options->clean) {
		agent_holds_drop(&agent.namespaces);
		error = agent_namespaces_remove_all(&agent.namespaces);
	} else if (error == 0) {
		log_info("agent %s: programs loaded, pinned below %s", SIDESTEP_VERSION,
			 options->pin);
		agent_notify_start(&agent.notify, agent.loop);
		log_set_patience(0);
		error = loop_run(agent.loop);
		agent_notify_stop(&agent.notify);
		log_set_patience(LOG_BOUND_MS);
		log_info("stopped; attached programs stay and work (sidestep agent --clean removes "
			 "them)");
	}
	stop(&agent);
	return error;
}
