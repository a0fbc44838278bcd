// SPDX-License-Identifier: Apache-2.0
/* `sidestep observe`: shows what sidecars and the agent remember of connections, and follows it. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "commands.h"
#include "commands/observe_filter.h"
#include "commands/observe_known.h"
#include "commands/observe_print.h"
#include "lib/log.h"
#include "lib/options.h"
#include "lib/run_socket.h"
#include "lib/util.h"

#define FIELD(member) .offset = offsetof(struct observe_options, member)

static const struct option_entry entries[] = {
	{.section = "Which events",
	 .name = "f",
	 .type = OPTION_BOOL,
	 FIELD(follow),
	 .help = "Follow: show later events as they come."},
	{.name = "last",
	 .argument = "N",
	 .type = OPTION_UNSIGNED,
	 FIELD(last),
	 .maximum = OBSERVE_ALL,
	 .default_text = "1000000",
	 .default_note = "all",
	 .example = "100",
	 .help = "Of the remembered events show the latest N only. 0: none of them."},
	{.name = "since",
	 .argument = "TIME",
	 .type = OPTION_STRING,
	 FIELD(since),
	 .default_note = "all",
	 .example = "5m",
	 .help = "Show those that are younger: 90s, 5m, 2h, 1d."},
	{.name = "container",
	 .argument = "GLOB",
	 .type = OPTION_STRING,
	 FIELD(container),
	 .default_note = "any",
	 .example = "web*",
	 .help = "Of containers with this name, or whose ID begins so."},
	{.name = "process",
	 .argument = "GLOB",
	 .type = OPTION_STRING,
	 FIELD(process),
	 .default_note = "any",
	 .example = "curl",
	 .help = "Of processes with this name or path."},
	{.name = "verdict",
	 .argument = "NAME",
	 .type = OPTION_STRING,
	 FIELD(verdict),
	 .default_note = "any",
	 .example = "deny_udp",
	 .help = "With this verdict, a counter of \"sidestep status\"."},
	{.name = "reason",
	 .argument = "ID",
	 .type = OPTION_STRING,
	 FIELD(reason),
	 .default_note = "any",
	 .example = "gateway_refused",
	 .help = "With this reason (docs/EVENTS.md)."},
	{.name = "to",
	 .argument = "NAME|CIDR",
	 .type = OPTION_STRING,
	 FIELD(to),
	 .default_note = "anywhere",
	 .example = "*.example.com",
	 .help = "To destinations with this name, a glob, or in this subnet."},
	{.name = "port",
	 .argument = "N",
	 .type = OPTION_UNSIGNED,
	 FIELD(port),
	 .minimum = 1,
	 .maximum = 65535,
	 .default_note = "any",
	 .example = "443",
	 .help = "To this port."},
	{.section = "Source and output",
	 .name = "socket",
	 .argument = "PATH",
	 .type = OPTION_STRING,
	 FIELD(socket),
	 .default_note = "the sidecar's of this network namespace, or else the agent's",
	 .example = RUN_SOCKET_FOLDER "/4321.events",
	 .help = "The socket to read."},
	{.name = "json",
	 .type = OPTION_BOOL,
	 FIELD(json),
	 .help = "Print the events as they are, one a line."},
	{.name = "table",
	 .type = OPTION_BOOL,
	 FIELD(table),
	 .help = "Print a table, which is the default."},
};

static const struct option_example examples[] = {
	{"Watch the connections of a sidecar's applications:",
	 "docker exec app-net sidestep observe -f"},
	{"Show why connections to a name failed in the last five minutes:",
	 "sidestep observe --since 5m --to \"*.example.com\" --json"},
};

static const struct option_status statuses[] = {
	{STATUS_OK, "success, even if there are no such events"},
	{STATUS_FAILED, "there is no such socket, or its sidecar has ended"},
	{STATUS_USAGE, "wrong command line"},
};

const struct options_command observe_options_command = {
	.name = "sidestep observe",
	.summary = "Shows connections, denials and DNS answers, each with its reason.",
	.description =
		"Reads the events that a sidecar remembers (--event-memory), in its network "
		"namespace. A failure has its cause and its remedy on lines of their own. Needs to be "
		"root.",
	.entries = entries,
	.entry_count = ARRAY_SIZE(entries),
	.examples = examples,
	.example_count = ARRAY_SIZE(examples),
	.statuses = statuses,
	.status_count = ARRAY_SIZE(statuses),
};

struct observer {
	const struct observe_options *options;
	struct observe_filter filter;
	bool colours;
	/* The latest lines that are not printed yet (--last), as a ring. */
	char **kept;
	size_t kept_count;
	struct observe_known known; /* while it will follow */
};

static void print_line(const struct observer *observer, const char *line, const json_t *event)
{
	if (observer->options->json)
		(void)fputs(line, stdout);
	else
		observe_print(event, observer->colours);
}

/* Keeps the line in the ring, in place of one that is too old. */
static int keep_line(struct observer *observer, const char *line)
{
	char **place = &observer->kept[observer->kept_count++ % observer->options->last];

	free(*place);
	*place = strdup(line);
	return *place ? 0 : -ENOMEM;
}

static void print_kept(struct observer *observer)
{
	size_t count = observer->options->last, i;

	for (i = 0; i < count; i++) {
		char *line = observer->kept[(observer->kept_count + i) % count];
		json_t *event = line ? json_loads(line, 0, NULL) : NULL;

		if (event)
			print_line(observer, line, event);
		json_decref(event);
		free(line);
	}
	free(observer->kept);
	observer->kept = NULL;
}

static int take_line(struct observer *observer, const char *line, bool following)
{
	json_t *event = json_loads(line, 0, NULL);
	const char *id = json_string_value(json_object_get(event, "id"));
	int error = 0;

	if (!id || !json_is_string(json_object_get(event, "time"))) {
		json_decref(event);
		return -EPROTO;
	}
	if (following && observe_known_has(&observer->known, id))
		goto end;
	if (!following && observer->options->follow)
		error = observe_known_add(&observer->known, id);
	if (error < 0 || !observe_filter_selects(&observer->filter, event))
		goto end;
	if (observer->kept)
		error = keep_line(observer, line);
	else if (following || observer->options->last > 0)
		print_line(observer, line, event);
end:
	json_decref(event);
	return error;
}

/* Connects to the socket. Returns a stream, or NULL with errno set. */
static FILE *ask(const char *path, const char *request)
{
	_cleanup_close_ int fd = run_socket_connect(path, SOCK_STREAM);
	FILE *stream;

	if (fd < 0)
		errno = -fd;
	if (fd < 0)
		return NULL;
	if (send(fd, request, strlen(request), MSG_NOSIGNAL) < 0) {
		/* There are too many readers. EPIPE would be that of standard output. */
		errno = errno == EPIPE ? ECONNRESET : errno;
		return NULL;
	}
	stream = fdopen(fd, "r");
	if (stream)
		(void)TAKE_FD(fd);
	return stream;
}

/* Reads what the socket gives to the end. Returns 0 or negative errno. */
static int read_events(struct observer *observer, const char *path, const char *request,
		       bool following)
{
	_cleanup_fclose_ FILE *stream = ask(path, request);
	_cleanup_free_ char *line = NULL;
	size_t room = 0;
	int error = 0;

	if (!stream)
		return -errno;
	while (error == 0 && getline(&line, &room, stream) > 0) {
		error = take_line(observer, line, following);
		(void)fflush(stdout);
		if (ferror(stdout))
			return -EPIPE;
	}
	/* A socket that is closed before it has read the request is reset. */
	return error == 0 && ferror(stream) ? -ECONNRESET : error;
}

/* First what is remembered, of which --last selects; then what comes. */
static int observe(struct observer *observer, const char *path, uint64_t since_ms)
{
	const struct observe_options *options = observer->options;
	char request[128], since[64] = "";
	int error;

	if (since_ms > 0)
		(void)snprintf(since, sizeof(since), "\"since_ms\":%" PRIu64 ",", since_ms);
	(void)snprintf(request, sizeof(request), "{%s\"follow\":false}\n", since);
	error = read_events(observer, path, request, false);
	if (observer->kept)
		print_kept(observer);
	if (error < 0 || !options->follow)
		return error;
	(void)snprintf(request, sizeof(request), "{%s\"follow\":true}\n", since);
	error = read_events(observer, path, request, true);
	return error == 0 ? -ECONNRESET : error;
}

static int report(const char *path, int error)
{
	switch (error) {
	case 0:
	case -EPIPE:
		return STATUS_OK;
	case -ENOENT:
	case -ECONNREFUSED:
		log_error("no sidecar gives events at %s; is one running in this network "
			  "namespace, with --event-memory above 0? Or name its socket (--socket)",
			  path);
		return STATUS_FAILED;
	case -ECONNRESET:
		log_error("the sidecar has ended, or has too many readers");
		return STATUS_FAILED;
	default:
		(void)log_errno(error, "cannot read the events at %s", path);
		return STATUS_FAILED;
	}
}

/* Returns the socket to read: the sidecar's here or, where none is, the agent's. */
static const char *choose_socket(const struct observe_options *options,
				 char path[RUN_SOCKET_PATH_MAX])
{
	if (options->socket)
		return options->socket;
	(void)run_socket_path("", run_socket_netns(), "events", path);
	return access(path, F_OK) < 0 && access(RUN_SOCKET_AGENT, F_OK) == 0 ? RUN_SOCKET_AGENT
									     : path;
}

/* Returns 0, or -EINVAL, logged. */
static int check(struct observer *observer, uint64_t *ret_since_ms)
{
	const struct observe_options *options = observer->options;

	if (options->since && observe_parse_since(options->since, ret_since_ms) < 0) {
		log_error("--since %.80s: give a number above 0 and s, m, h or d, such as 5m",
			  options->since);
		return -EINVAL;
	}
	if (options->json && options->table) {
		log_error("--json and --table exclude each other; leave one of them out");
		return -EINVAL;
	}
	return observe_filter_init(&observer->filter, options);
}

int command_observe(int argc, char **argv)
{
	struct observe_options options = {0};
	struct observer observer = {.options = &options};
	char path[RUN_SOCKET_PATH_MAX];
	const char *socket;
	uint64_t since_ms = 0;
	int first, error;

	error = options_parse(&observe_options_command, argc, argv, &options, &first);
	if (error != 0)
		return error < 0 ? STATUS_USAGE : STATUS_OK;
	if (check(&observer, &since_ms) < 0)
		return STATUS_USAGE;
	observer.colours = isatty(STDOUT_FILENO);
	socket = choose_socket(&options, path);
	if (options.last > 0 && options.last < OBSERVE_ALL) {
		observer.kept = calloc(options.last, sizeof(*observer.kept));
		if (!observer.kept)
			return report("", -ENOMEM);
	}
	error = observe(&observer, socket, since_ms);
	observe_known_free(&observer.known);
	return report(socket, error);
}
