// SPDX-License-Identifier: Apache-2.0
/* `sidestep ready`: tells whether interception is live in this network namespace. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "commands.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/options.h"
#include "lib/util.h"
#include "net/instance_lock.h"

/* No event tells that an instance is live, so the question is repeated. */
#define PAUSE (&(struct timespec) {.tv_nsec = 20000000})

struct ready_options {
	unsigned int wait_s;
};

static const struct option_entry entries[] = {
	{.section = "Options",
	 .name = "wait",
	 .argument = "SECONDS",
	 .type = OPTION_UNSIGNED,
	 .offset = offsetof(struct ready_options, wait_s),
	 .maximum = 86400,
	 .default_text = "0",
	 .help = "Wait up to so long for it."},
};

static const struct option_example examples[] = {
	{"Start the application once its connections are intercepted:",
	 "docker exec app-net sidestep ready --wait 10 && docker run --network container:app-net "
	 "my-app"},
};

static const struct option_status statuses[] = {
	{STATUS_OK, "interception is live"},
	{STATUS_FAILED, "it is not; one line on standard error tells why"},
	{STATUS_USAGE, "wrong command line"},
};

const struct options_command ready_options_command = {
	.name = "sidestep ready",
	.summary = "Tells whether interception is live in this network namespace.",
	.description = "Needs no rights. The image's health check runs it. It also finds a sidecar "
		       "of another container in the same network namespace.",
	.entries = entries,
	.entry_count = ARRAY_SIZE(entries),
	.examples = examples,
	.example_count = ARRAY_SIZE(examples),
	.statuses = statuses,
	.status_count = ARRAY_SIZE(statuses),
};

static int report(int error, enum instance_state state)
{
	if (error < 0)
		(void)log_errno(error, "not ready: cannot list the netlink sockets");
	else if (state == INSTANCE_STARTS)
		log_error("not ready: the sidecar in this network namespace is starting or "
			  "stopping");
	else if (state == INSTANCE_NONE)
		log_error("not ready: no sidecar runs in this network namespace");
	return error < 0 || state != INSTANCE_LIVE ? STATUS_FAILED : STATUS_OK;
}

int command_ready(int argc, char **argv)
{
	enum instance_state state = INSTANCE_NONE;
	struct ready_options options = {0};
	int first, error;
	uint64_t end;

	error = options_parse(&ready_options_command, argc, argv, &options, &first);
	if (error != 0)
		return error < 0 ? STATUS_USAGE : STATUS_OK;
	end = clock_ms() + options.wait_s * UINT64_C(1000);
	while ((error = instance_state(&state)) == 0 && state != INSTANCE_LIVE && clock_ms() < end)
		(void)nanosleep(PAUSE, NULL);
	return report(error, state);
}
