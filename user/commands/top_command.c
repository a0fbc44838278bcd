// SPDX-License-Identifier: Apache-2.0
/* `sidestep top`: shows on a terminal who connects where, and what becomes of it. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "commands.h"
#include "commands/command_list.h"
#include "commands/status_read.h"
#include "commands/top_source.h"
#include "commands/top_view.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/option_entries.h"
#include "lib/options.h"
#include "lib/process.h"
#include "lib/util.h"

struct top_options {
	unsigned int group; /* enum top_group */
	unsigned int interval_ms;
	const char *sockets;
	const char *pin;
};

static const char *const group_choices[] = {"container", "process", "destination", NULL};

static const struct option_entry entries[] = {
	{.section = "Options",
	 .name = "by",
	 .argument = "container|process|destination",
	 .type = OPTION_CHOICE,
	 .choices = group_choices,
	 .offset = offsetof(struct top_options, group),
	 .default_text = "container",
	 .help = "The first table. The key g changes it."},
	{.name = "interval",
	 .argument = "MS",
	 .type = OPTION_UNSIGNED,
	 .offset = offsetof(struct top_options, interval_ms),
	 .minimum = 100,
	 .maximum = 60000,
	 .default_text = "1000",
	 .help = "The time between two looks, over which rates are computed."},
	{.name = "sockets",
	 .argument = "DIR",
	 .type = OPTION_STRING,
	 .offset = offsetof(struct top_options, sockets),
	 .default_text = TOP_SOCKETS_FOLDER,
	 .help = "The directory of the event sockets. All of them are followed, up to 64."},
	{OPTION_ENTRY_PIN(struct top_options, pin),
	 .default_note = "every directory below " STATUS_PIN_ROOT,
	 .help = "Read only the maps of the instance that was started with the same --pin."},
};

static const struct option_example examples[] = {
	{"Show all instances of this machine:", "sidestep top"},
	{"Show a sidecar's processes:", "docker exec -it SIDECAR sidestep top --by process"},
};

static const struct option_status statuses[] = {
	{STATUS_OK, "ended by the key q or by a signal"},
	{STATUS_FAILED, "there is no terminal"},
	{STATUS_USAGE, "wrong command line"},
};

const struct options_command top_options_command = {
	.name = "sidestep top",
	.summary = "Shows connections, bytes and verdicts on a terminal, as they come.",
	.description =
		"Follows the event sockets of sidecars and of the agent, and reads the pinned maps. "
		"Needs root, and CAP_BPF for the maps.\n"
		"The key g changes the table, and n, o, c, r, f, s, v, b, d and D sort it. Enter "
		"shows the connections of a row with reason and message, and V the verdicts. The "
		"key q ends.",
	.entries = entries,
	.entry_count = ARRAY_SIZE(entries),
	.examples = examples,
	.example_count = ARRAY_SIZE(examples),
	.statuses = statuses,
	.status_count = ARRAY_SIZE(statuses),
};

/* Runs until the key q or a signal. Keys are shown at once, and events at the next look. */
static void run(struct top_view *view, struct top_model *model, struct top_source *source,
		unsigned int interval_ms, int signal_fd)
{
	enum {
		KEYS,
		SIGNALS,
		SOCKETS
	};
	uint64_t due_ms = 0, now_ms;
	bool draw = true;

	for (;;) {
		struct pollfd events[SOCKETS + TOP_SOCKETS_MAX] = {
			[KEYS] = {.fd = STDIN_FILENO, .events = POLLIN},
			[SIGNALS] = {.fd = signal_fd, .events = POLLIN},
		};
		size_t count;
		int ready;

		now_ms = clock_ms();
		if (now_ms >= due_ms) {
			top_source_look(source);
			top_model_tick(model, now_ms);
			due_ms = now_ms + interval_ms;
			draw = true;
		}
		view->sockets = top_source_count(source);
		if (draw)
			top_view_draw(view, model);
		count = top_source_poll(source, events + SOCKETS);
		ready = poll(events, SOCKETS + count, (int)(due_ms - now_ms));
		if (events[SIGNALS].revents || events[KEYS].revents & (POLLHUP | POLLERR) ||
		    !top_view_keys(view))
			return;
		/* A change of the window's size interrupts the wait. */
		draw = ready < 0 || events[KEYS].revents;
		if (ready > 0)
			top_source_read(source, events + SOCKETS, count);
	}
}

/* Sends messages nowhere, because they would spoil the screen. Returns a copy of the descriptor. */
static int silence(void)
{
	int copy = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	_cleanup_close_ int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	if (null >= 0)
		(void)dup2(null, STDERR_FILENO);
	return copy;
}

static void unsilence(int copy)
{
	if (copy >= 0)
		(void)dup2(copy, STDERR_FILENO);
	(void)safe_close(copy);
}

static int show(const struct top_options *options)
{
	struct top_view view = {.group = (enum top_group)options->group, .order = TOP_RATE};
	_cleanup_close_ int signal_fd = process_open_signals(NULL);
	struct top_model *model = top_model_new();
	struct top_source *source = model ? top_source_new(model, options->sockets, options->pin)
					  : NULL;
	int error = !source ? -ENOMEM : signal_fd < 0 ? signal_fd : top_view_open();

	if (error == 0) {
		int copy = silence();

		run(&view, model, source, options->interval_ms, signal_fd);
		top_view_close();
		unsilence(copy);
	}
	top_source_free(source);
	top_model_free(model);
	return error;
}

int command_top(int argc, char **argv)
{
	struct top_options options;
	int first, error;

	error = options_parse(&top_options_command, argc, argv, &options, &first);
	if (error != 0)
		return error < 0 ? STATUS_USAGE : STATUS_OK;
	error = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) ? show(&options) : -ENOTTY;
	if (error == -ENOTTY)
		log_error("this is no terminal that can be used (TERM, docker exec -it); `sidestep "
			  "observe` prints the events as lines");
	else if (error < 0)
		(void)log_errno(error, "cannot show anything");
	return error < 0 ? STATUS_FAILED : STATUS_OK;
}
