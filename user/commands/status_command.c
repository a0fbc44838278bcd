// SPDX-License-Identifier: Apache-2.0
/* `sidestep status`: shows the pinned maps of instances, which need not be running. */
#include <stdio.h>

#include "commands.h"
#include "commands/status_print.h"
#include "commands/status_read.h"
#include "lib/option_entries.h"
#include "lib/options.h"
#include "lib/util.h"

struct status_options {
	bool json;
	const char *pin;
};

static const struct option_entry entries[] = {
	{.section = "Options",
	 .name = "json",
	 .type = OPTION_BOOL,
	 .offset = offsetof(struct status_options, json),
	 .help = "Print one JSON document with everything."},
	{OPTION_ENTRY_PIN(struct status_options, pin),
	 .default_note = "every directory below " STATUS_PIN_ROOT,
	 .help = "Read only the maps of the instance that was started with the same --pin."},
};

static const struct option_example examples[] = {
	{"Show all instances of this machine:", "sidestep status"},
	{"Show them to a program:", "sidestep status --json"},
	{"Show the raw maps:", "bpftool map dump pinned " STATUS_PIN_ROOT "/NAME/bypass4"},
};

static const struct option_status statuses[] = {
	{STATUS_OK, "success, even if nothing is running"},
	{STATUS_FAILED, "an instance's maps could not be read"},
	{STATUS_USAGE, "wrong command line"},
};

const struct options_command status_options_command = {
	.name = "sidestep status",
	.summary = "Shows what instances with pinned maps intercept, bypass and count.",
	.description =
		"Reads the maps that \"sidestep sidecar --pin DIR\" pins. The instance may have "
		"ended. Needs CAP_BPF (root).",
	.entries = entries,
	.entry_count = ARRAY_SIZE(entries),
	.examples = examples,
	.example_count = ARRAY_SIZE(examples),
	.statuses = statuses,
	.status_count = ARRAY_SIZE(statuses),
};

int command_status(int argc, char **argv)
{
	_cleanup_json_ json_t *instances = json_array();
	struct status_options options = {0};
	json_t *instance;
	int first, error;
	size_t i;

	error = options_parse(&status_options_command, argc, argv, &options, &first);
	if (error != 0)
		return error < 0 ? STATUS_USAGE : STATUS_OK;
	error = options.pin ? status_read_directory(options.pin, instances)
			    : status_read_all(instances);
	if (options.json) {
		(void)json_dumpf(instances, stdout, JSON_INDENT(2));
		(void)printf("\n");
	} else if (json_array_size(instances) == 0 && error == 0) {
		(void)printf("No instance has maps pinned below %s. (\"sidestep sidecar --pin "
			     "DIR\" pins them.)\n",
			     STATUS_PIN_ROOT);
	} else {
		json_array_foreach (instances, i, instance)
			status_print(instance);
	}
	return error < 0 ? STATUS_FAILED : STATUS_OK;
}
