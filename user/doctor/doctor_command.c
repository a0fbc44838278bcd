// SPDX-License-Identifier: Apache-2.0
/* `sidestep doctor`: checks for everything that a sidecar, bridge mode or the agent needs. */
#include <stdio.h>

#include "commands.h"
#include "doctor/doctor_options.h"
#include "doctor/doctor_place.h"
#include "lib/json.h"
#include "lib/util.h"

static const struct option_entry entries[] = {
	DOCTOR_OPTION_ENTRIES,
	{.section = "Output",
	 .name = "json",
	 .type = OPTION_BOOL,
	 .offset = offsetof(struct doctor_options, json),
	 .help = "Print one JSON document."},
	{.name = "fix",
	 .type = OPTION_BOOL,
	 .offset = offsetof(struct doctor_options, fix),
	 .help = "Mount a bpffs at /sys/fs/bpf if none is there."},
};

static const struct option_example examples[] = {
	{"Check for a sidecar in an application container's network namespace:",
	 "docker run --rm --network container:app --cap-add NET_ADMIN IMAGE doctor --gateway "
	 "172.17.0.1:8080"},
	{"Check a container's network from the host:",
	 "sidestep doctor --container app --gateway 172.17.0.1:8080"},
	{"Check for bridge mode:", "sidestep doctor --bridge docker0 --gateway 127.0.0.1:8080"},
	{"Tell a program what is wrong:", "sidestep doctor --json"},
};

static const struct option_status statuses[] = {
	{STATUS_OK, "no check failed; there may be warnings"},
	{STATUS_FAILED, "a check failed that the sidecar needs"},
	{STATUS_USAGE, "wrong command line"},
	{STATUS_GATEWAY, "the gateway cannot be reached; other checks may have failed, too"},
};

const struct options_command doctor_options_command = {
	.name = "sidestep doctor",
	.summary = "Finds out what a sidecar would lack here, and prints remedies.",
	.description =
		"Prints each finding with its severity (ok, note, warning or failed), subject and "
		"id, and below it why it matters and what mends it. docs/DOCTOR.md has all ids. "
		"Run it in the sidecar's network namespace with the sidecar's rights, or on the "
		"host with --container, --bridge or --agent. It connects to the gateway and "
		"closes. Without --fix it sends and changes nothing.",
	.entries = entries,
	.entry_count = ARRAY_SIZE(entries),
	.examples = examples,
	.example_count = ARRAY_SIZE(examples),
	.statuses = statuses,
	.status_count = ARRAY_SIZE(statuses),
};

int command_doctor(int argc, char **argv)
{
	_cleanup_json_ json_t *result = NULL;
	struct doctor_options options = {.container = NULL};
	int first, error;

	error = options_parse(&doctor_options_command, argc, argv, &options, &first);
	if (error != 0)
		return error < 0 ? STATUS_USAGE : STATUS_OK;
	result = doctor_examine(&options, !options.json);
	options_release(&doctor_options_command, &options);
	if (!result)
		return STATUS_USAGE;
	if (options.json) {
		(void)json_dumpf(result, stdout, JSON_INDENT(2));
		(void)printf("\n");
	}
	return (int)json_integer_value(json_object_get(result, "status"));
}
