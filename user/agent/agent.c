// SPDX-License-Identifier: Apache-2.0
/*
 * `sidestep agent`: the one privileged process of a host. Loads the BPF programs once, and attaches
 * them to the network namespaces of sidecars that have no right to do so themselves.
 */
#include "agent/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/signalfd.h>

#include "commands.h"
#include "lib/log.h"
#include "lib/netns.h"
#include "lib/option_entries.h"
#include "lib/process.h"
#include "lib/util.h"

#define DEFAULT_PIN "/sys/fs/bpf/sidestep/agent"

#define SOON_MS	 2
#define LATER_MS 100
#define SWEEP_MS 1000

/* Between two links, and after the last attachment: each keeps the network settings of the whole
 * machine locked for an RCU grace period, 10 ms and more. Filters do as well meanwhile. */
#define SETTLE_MS 100

#define FIELD(member) .offset = offsetof(struct agent_options, member)

static const struct option_entry entries[] = {
	{.section = "Whom to serve",
	 OPTION_ENTRY_DOCKER_SOCKET(struct agent_options, docker_socket),
	 .default_text = "/var/run/docker.sock",
	 .help = "Docker's API socket. Containers with the label " DOCKER_SIDECAR_LABEL
		 "=" DOCKER_SIDECAR_ROLE ", their own or their image's, are sidecars."},
	{.name = "match",
	 .argument = "PATTERN",
	 .type = OPTION_STRINGS,
	 FIELD(matches),
	 .example = "*-proxy",
	 .help = "Containers whose name or image matches are sidecars as well. * stands for "
		 "anything. May be repeated."},
	{.name = "pid",
	 .argument = "PID",
	 .type = OPTION_STRINGS,
	 FIELD(pids),
	 .example = "4711",
	 .help = "Serve the sidecar that this process is; Docker is then not asked for others. May "
		 "be repeated."},
	{.name = "reap-after",
	 .argument = "SECONDS",
	 .type = OPTION_UNSIGNED,
	 FIELD(reap_s),
	 .minimum = 0,
	 .maximum = 86400,
	 .default_text = "0",
	 .default_note = "never",
	 .help = "Remove running containers named X-proxy whose network no other container has "
		 "used for so long: what a killed workerd leaves."},
	{.section = "State",
	 OPTION_ENTRY_PIN(struct agent_options, pin),
	 .default_text = DEFAULT_PIN,
	 .help = "Directory below a bpffs for maps and attachments. They stay when the agent ends, "
		 "and the next one goes on with them."},
	{OPTION_ENTRY_ATTACH(struct agent_options, attach)},
	{.name = "clean",
	 .type = OPTION_BOOL,
	 FIELD(clean),
	 .help = "Detach and unpin everything below --pin, and exit. Sidecars that are served then "
		 "let nothing out."},
	{OPTION_ENTRY_LOG_LEVEL(struct agent_options, log_level)},
};

static const struct option_example examples[] = {
	{"Serve all sidecars of the host:", "sidestep agent"},
	{"The same from a container:",
	 "docker run -d --privileged --pid=host --network=host -v /sys/fs/bpf:/sys/fs/bpf -v "
	 "/var/run/docker.sock:/var/run/docker.sock sidestep agent"},
	{"Take everything away:", "sidestep agent --clean"},
};

static const struct option_status statuses[] = {
	{STATUS_OK, "ended by SIGTERM or SIGINT; what is attached stays and works"},
	{STATUS_FAILED, "could not start; the log says why"},
	{STATUS_USAGE, "wrong command line"},
	{STATUS_BUSY, "another agent uses the same --pin"},
};

static const struct options_command command = {
	.name = "sidestep agent",
	.summary = "Steers for sidecars that have no right to load BPF programs.",
	.description =
		"Waits for containers that are sidecars, takes up contact with the sidestep in "
		"each (pidfd_getfd(2)), and attaches its programs to their network namespaces. One "
		"load serves all.\n"
		"Needs root, the host's process ids and network namespace, and Linux 6.6. Sidecars "
		"use nftables while there is no agent, and change over when one comes.",
	.entries = entries,
	.entry_count = ARRAY_SIZE(entries),
	.examples = examples,
	.example_count = ARRAY_SIZE(examples),
	.statuses = statuses,
	.status_count = ARRAY_SIZE(statuses),
};

struct agent_namespace *agent_namespace_get(struct agent *agent, uint32_t netns)
{
	struct agent_namespace *namespace;

	for (namespace = agent->namespaces; namespace; namespace = namespace->next)
		if (namespace->netns == netns)
			return namespace;
	namespace = calloc(1, sizeof(*namespace));
	if (!namespace)
		return NULL;
	namespace->programs = agent->programs;
	namespace->pin = agent->options.pin;
	namespace->home_fd = agent->home_fd;
	namespace->netns = netns;
	namespace->netns_fd = -1;
	namespace->next = agent->namespaces;
	agent->namespaces = namespace;
	return namespace;
}

void agent_namespace_drop(struct agent *agent, struct agent_namespace *namespace)
{
	struct agent_namespace **link = &agent->namespaces;

	while (*link != namespace)
		link = &(*link)->next;
	*link = namespace->next;
	(void)safe_close(namespace->netns_fd);
	free(namespace);
}

static void sweep_expired(struct loop_timer *timer)
{
	struct agent *agent = container_of(timer, struct agent, sweep);
	struct agent_namespace *namespace, *next;
	bool waiting = false;

	for (namespace = agent->namespaces; namespace; namespace = next) {
		next = namespace->next;
		if (namespace->netns_fd >= 0)
			continue;
		if (agent_namespace_gone(namespace)) {
			log_debug("network namespace %u is gone", namespace->netns);
			agent_namespace_remove(namespace);
			agent_namespace_drop(agent, namespace);
		} else {
			waiting = true;
		}
	}
	if (waiting)
		agent_sweep_start(agent);
}

void agent_sweep_start(struct agent *agent)
{
	agent->sweep.expired = sweep_expired;
	loop_timer_start(agent->loop, &agent->sweep_class, &agent->sweep);
}

static void settle_expired(struct loop_timer *timer)
{
	struct agent *agent = container_of(timer, struct agent, settle);
	struct agent_namespace *namespace;

	for (namespace = agent->namespaces; namespace; namespace = namespace->next) {
		if (!namespace->unsettled || namespace->netns_fd < 0)
			continue;
		agent_namespace_settle(namespace);
		agent_settle_later(agent);
		return;
	}
}

void agent_settle_later(struct agent *agent)
{
	agent->settle.expired = settle_expired;
	loop_timer_start(agent->loop, &agent->settle_class, &agent->settle);
}

static void adopt_namespace(void *context, uint32_t netns)
{
	struct agent *agent = context;
	struct agent_namespace *namespace = agent_namespace_get(agent, netns);

	if (namespace)
		(void)agent_namespace_adopt(namespace);
}

int agent_adopt(struct agent *agent)
{
	struct agent_namespace *namespace;
	unsigned int count = 0;
	int error = agent_namespace_list(agent->options.pin, adopt_namespace, agent);

	if (error < 0)
		return log_errno(error, "cannot list what is attached already (%s/links)",
				 agent->options.pin);
	for (namespace = agent->namespaces; namespace; namespace = namespace->next)
		count++;
	if (count > 0) {
		log_info("%u network namespaces of an earlier agent go on with this one's programs",
			 count);
		agent_sweep_start(agent);
	}
	return 0;
}

/* In the watcher's thread. */
static void on_sidecars(const struct docker_sidecar *sidecars, size_t count, void *context)
{
	struct agent *agent = context;
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
	(void)pthread_mutex_lock(&agent->lock);
	old = agent->seen;
	agent->seen = seen;
	agent->seen_count = count;
	agent->news = true;
	(void)pthread_mutex_unlock(&agent->lock);
	free(old);
	loop_wake(agent->loop);
}

static void on_connected(bool connected, const char *reason, void *context)
{
	(void)context;
	if (connected)
		log_info("connected to Docker: watching for sidecars");
	else
		log_warning("no connection to Docker: %s; sidecars that run are served on", reason);
}

static const struct docker_sidecars_handler handler = {
	.sidecars = on_sidecars,
	.connected = on_connected,
};

static void woken(void *context)
{
	agent_candidates_update(context);
}

static void signalled(struct loop_handler *handler_of_signals, uint32_t events)
{
	struct agent *agent = container_of(handler_of_signals, struct agent, signals);

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
	loop_on_wake(agent->loop, woken, agent);
	loop_timer_class_init(agent->loop, &agent->soon_class, SOON_MS);
	loop_timer_class_init(agent->loop, &agent->later_class, LATER_MS);
	loop_timer_class_init(agent->loop, &agent->sweep_class, SWEEP_MS);
	loop_timer_class_init(agent->loop, &agent->settle_class, SETTLE_MS);
	return 0;
}

/* Before anything is changed there. */
static int lock_pins(struct agent *agent)
{
	agent->lock_fd = open(agent->options.pin, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (agent->lock_fd < 0)
		return errno == ENOENT ? 0
				       : log_errno(-errno, "cannot open %s", agent->options.pin);
	if (flock(agent->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	log_error("another agent uses %s: stop it first, or give this one a --pin of its own",
		  agent->options.pin);
	return -EADDRINUSE;
}

static int load(struct agent *agent)
{
	const struct programs_config config = {
		.kind = PROGRAMS_SHARED,
		.way = agent->options.attach,
		.pin = agent->options.pin,
		.adopt = !agent->options.clean,
	};
	int error = lock_pins(agent);

	if (error == 0)
		error = programs_load(&config, false, &agent->programs);
	/* The directory is there now. */
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
	size_t i;

	for (i = 0; i < agent->options.pids.count; i++) {
		const char *text = agent->options.pids.values[i];
		char *end, name[64];
		long pid = strtol(text, &end, 10);

		if (*text == '\0' || *end != '\0' || pid <= 0 || pid > INT32_MAX) {
			log_error("--pid %s: give the number of a process", text);
			return -EINVAL;
		}
		(void)snprintf(name, sizeof(name), "process-%ld", pid);
		agent_candidate_add(agent, "", name, (pid_t)pid);
	}
	return 0;
}

static void remove_all(struct agent *agent)
{
	char path[4096];

	(void)agent_namespace_list(agent->options.pin, adopt_namespace, agent);
	while (agent->namespaces) {
		agent_namespace_remove(agent->namespaces);
		agent_namespace_drop(agent, agent->namespaces);
	}
	(void)snprintf(path, sizeof(path), "%s/links", agent->options.pin);
	(void)rmdir(path);
	log_info("nothing is attached any more, %s is removed", agent->options.pin);
}

static int start(struct agent *agent)
{
	int error;

	/* A descriptor or three for each namespace. */
	process_raise_file_limit();
	if ((error = find_home(agent)) < 0 || (error = open_loop(agent)) < 0 ||
	    (error = load(agent)) < 0)
		return error;
	if (agent->options.clean)
		return 0;
	if ((error = agent_adopt(agent)) < 0 || (error = add_pids(agent)) < 0)
		return error;
	if (agent->options.pids.count > 0)
		return 0;
	if (agent->options.reap_s > 0)
		agent_reap_start(agent);
	return docker_sidecars_new(agent->options.docker_socket, agent->options.matches.values,
				   agent->options.matches.count, &handler, agent, &agent->docker);
}

static void stop(struct agent *agent)
{
	docker_sidecars_free(agent->docker);
	if (agent->loop)
		agent_candidates_free(agent);
	while (agent->namespaces)
		agent_namespace_drop(agent, agent->namespaces);
	loop_close(&agent->signals);
	loop_free(agent->loop);
	programs_free(agent->programs);
	free(agent->seen);
	(void)safe_close(agent->lock_fd);
	(void)safe_close(agent->home_fd);
}

int command_agent(int argc, char **argv)
{
	struct agent agent = {
		.lock_fd = -1,
		.home_fd = -1,
		.signals = {.fd = -1},
		.lock = PTHREAD_MUTEX_INITIALIZER,
	};
	int first, error;

	error = options_parse(&command, argc, argv, &agent.options, &first);
	if (error != 0)
		return error < 0 ? STATUS_USAGE : STATUS_OK;
	log_set_level(agent.options.log_level);
	error = start(&agent);
	if (error == 0 && agent.options.clean) {
		remove_all(&agent);
	} else if (error == 0) {
		log_info("agent %s: programs loaded, pinned below %s", SIDESTEP_VERSION,
			 agent.options.pin);
		error = loop_run(agent.loop);
		log_info("stopped; what is attached stays and works (sidestep agent --clean takes "
			 "it away)");
	}
	stop(&agent);
	options_release(&command, &agent.options);
	if (error == -EADDRINUSE)
		return STATUS_BUSY;
	return error == -EINVAL ? STATUS_USAGE : error < 0 ? STATUS_FAILED : STATUS_OK;
}
