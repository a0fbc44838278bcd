// SPDX-License-Identifier: Apache-2.0
/* `sidestep agent`: its options, its help and its exit status. */
#include <errno.h>

#include "agent/agent.h"
#include "commands.h"
#include "docker/docker_label.h"
#include "lib/log.h"
#include "lib/option_entries.h"
#include "lib/process.h"
#include "lib/run_socket.h"
#include "lib/util.h"
#include "metrics/metrics_hosts.h"

#define DEFAULT_PIN "/sys/fs/bpf/sidestep/agent"

#define FIELD(member) .offset = offsetof(struct agent_options, member)

static const struct option_entry entries[] = {
	{.section = "Sidecars to serve",
	 OPTION_ENTRY_DOCKER_SOCKET(struct agent_options, docker_socket),
	 .default_text = "/var/run/docker.sock",
	 .help = "Docker's API socket. A container is a sidecar if it or its image has the "
		 "label " DOCKER_SIDECAR_LABEL "=" DOCKER_SIDECAR_ROLE
		 " and it was started with CAP_NET_ADMIN."},
	{.name = "match",
	 .argument = "PATTERN",
	 .type = OPTION_STRINGS,
	 FIELD(matches),
	 .example = "*-proxy",
	 .help = "Containers whose name or image matches are sidecars too, with CAP_NET_ADMIN. * "
		 "matches any text. May be repeated."},
	{.name = "pid",
	 .argument = "PID",
	 .type = OPTION_STRINGS,
	 FIELD(pids),
	 .example = "4711",
	 .help = "Serve the sidecar with this process, and do not ask Docker for others. May be "
		 "repeated."},
	{.name = "guard",
	 .argument = "NAME",
	 .type = OPTION_STRINGS,
	 FIELD(guards),
	 .example = "app*",
	 .help = "Keep the network namespace of this container closed whenever no sidecar is served "
		 "there. * matches any text. May be repeated."},
	{.name = "reap-after",
	 .argument = "SECONDS",
	 .type = OPTION_UNSIGNED,
	 FIELD(reap_s),
	 .minimum = 0,
	 .maximum = 86400,
	 .default_text = "0",
	 .default_note = "never",
	 .help = "Remove a running container named X-proxy once no other container has used its "
		 "network for this time. A killed workerd leaves such containers."},
	{.section = "State",
	 OPTION_ENTRY_PIN(struct agent_options, pin),
	 .default_text = DEFAULT_PIN,
	 .help = "Directory below a bpffs for maps and attachments. They stay when the agent ends, "
		 "and the next agent uses them."},
	{OPTION_ENTRY_ATTACH(struct agent_options, attach)},
	{.name = "event-socket",
	 .argument = "PATH",
	 .type = OPTION_STRING,
	 FIELD(event_socket),
	 .default_text = RUN_SOCKET_AGENT,
	 .help = "Unix socket for those who follow the events of all sidecars that are served."},
	{.name = "clean",
	 .type = OPTION_BOOL,
	 FIELD(clean),
	 .help = "Detach and unpin everything below --pin, and exit. The sidecars that were served "
		 "let nothing out after that."},
	{.section = "Operation",
	 OPTION_ENTRY_METRICS_LISTEN(struct agent_options, metrics_listen),
	 .help = "Serve metrics for Prometheus at this address, over HTTP, with the counters of "
		 "each container and what all sidecars report: IP:PORT, [IPv6]:PORT or unix:/PATH. An address that is not a "
		 "loopback one needs --metrics-allow."},
	{OPTION_ENTRY_METRICS_ALLOW(struct agent_options, metrics_allow)},
	{OPTION_ENTRY_METRICS_HOSTS(struct agent_options, metrics_hosts),
	 .maximum = METRICS_HOSTS_MAX},
	{OPTION_ENTRY_OTLP(struct agent_options, otlp.url)},
	{OPTION_ENTRY_OTLP_HEADER(struct agent_options, otlp.headers)},
	{OPTION_ENTRY_OTLP_CA(struct agent_options, otlp.ca)},
	{OPTION_ENTRY_OTLP_INTERVAL(struct agent_options, otlp.interval_s)},
	{OPTION_ENTRY_LOG_LEVEL(struct agent_options, log_level)},
	{OPTION_ENTRY_LOG_FORMAT(struct agent_options, log_format)},
};

static const struct option_example examples[] = {
	{"Serve all sidecars of the host:", "sidestep agent"},
	{"The same from a container:",
	 "docker run -d --privileged --pid=host --network=host -v /sys/fs/bpf:/sys/fs/bpf -v "
	 "/var/run/docker.sock:/var/run/docker.sock sidestep agent"},
	{"Detach everything:", "sidestep agent --clean"},
};

static const struct option_status statuses[] = {
	{STATUS_OK, "ended by SIGTERM or SIGINT; attached programs stay and work"},
	{STATUS_FAILED, "could not start, or --clean left something; the log says why"},
	{STATUS_USAGE, "wrong command line"},
	{STATUS_BUSY, "another agent uses the same --pin"},
};

const struct options_command agent_options_command = {
	.name = "sidestep agent",
	.summary = "Steers for sidecars that have no right to load BPF programs.",
	.description =
		"Waits for containers that are sidecars, contacts the sidestep in each "
		"(pidfd_getfd(2)), and attaches its programs to their network namespaces. One load "
		"serves all.\n"
		"Needs root, the host's process ids and network namespace, and Linux 6.6. Sidecars "
		"use nftables while there is no agent, and change over when one starts.",
	.entries = entries,
	.entry_count = ARRAY_SIZE(entries),
	.examples = examples,
	.example_count = ARRAY_SIZE(examples),
	.statuses = statuses,
	.status_count = ARRAY_SIZE(statuses),
};

int command_agent(int argc, char **argv)
{
	struct agent_options options = {0};
	int first, error;

	process_hide_memory();
	error = options_parse(&agent_options_command, argc, argv, &options, &first);
	if (error != 0)
		return error < 0 ? STATUS_USAGE : STATUS_OK;
	log_set_level(options.log_level);
	log_set_format(options.log_format);
	error = agent_run(&options);
	options_release(&agent_options_command, &options);
	if (error == -EADDRINUSE)
		return STATUS_BUSY;
	return error == -EINVAL ? STATUS_USAGE : error < 0 ? STATUS_FAILED : STATUS_OK;
}
