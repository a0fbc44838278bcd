// SPDX-License-Identifier: Apache-2.0
/* The command line of `sidestep gateway`, the reference gateway. */
#include <errno.h>
#include <string.h>

#include "commands.h"
#include "gateway/gateway.h"
#include "lib/log.h"
#include "lib/options.h"
#include "lib/process.h"
#include "lib/sandbox.h"
#include "lib/util.h"

#define DEFAULT_LISTEN "127.0.0.1:8080"

struct gateway_options {
	struct option_strings listen;
	struct option_strings maps;
	struct endpoint map_all;
	bool server;
	bool plaintext;
	unsigned int status;
	unsigned int delay_ms;
	bool garbage;
	bool log;
};

#define FIELD(member) .offset = offsetof(struct gateway_options, member)

static const struct option_entry entries[] = {
	{.section = "Listening",
	 .name = "listen",
	 .argument = "ADDRESS",
	 .type = OPTION_STRINGS,
	 FIELD(listen),
	 .default_note = DEFAULT_LISTEN,
	 .help = "Listen on IP:PORT, [IPv6]:PORT or unix:/PATH. May be repeated, with one path at "
		 "most."},
	{.section = "Where tunnels lead",
	 .name = "server",
	 .type = OPTION_BOOL,
	 FIELD(server),
	 .help = "Dial nothing. Answer HTTP requests with the destination that was asked for, and "
		 "echo everything else."},
	{.name = "map",
	 .argument = "FROM=TO",
	 .type = OPTION_STRINGS,
	 FIELD(maps),
	 .help = "Connect tunnels for IP:PORT to another IP:PORT. May be repeated."},
	{.name = "map-all",
	 .argument = "IP:PORT",
	 .type = OPTION_ENDPOINT,
	 FIELD(map_all),
	 .help = "Connect all other tunnels here."},
	{.name = "plaintext",
	 .type = OPTION_BOOL,
	 FIELD(plaintext),
	 .help = "Declare that the tunnels' targets take the plaintext of TLS (X-Tls-Plaintext: "
		 "accept). Implied by --server."},
	{.section = "As a test double",
	 .name = "status",
	 .argument = "CODE",
	 .type = OPTION_UNSIGNED,
	 FIELD(status),
	 .maximum = 599,
	 .default_text = "0",
	 .default_note = "the true one",
	 .help = "Answer every CONNECT with this status. From 300 on nothing is dialed."},
	{.name = "delay",
	 .argument = "MS",
	 .type = OPTION_UNSIGNED,
	 FIELD(delay_ms),
	 .maximum = 600000,
	 .default_text = "0",
	 .help = "Wait before answering."},
	{.name = "garbage",
	 .type = OPTION_BOOL,
	 FIELD(garbage),
	 .help = "Answer with bytes that are not HTTP, and close."},
	{.section = "Output",
	 .name = "log",
	 .type = OPTION_BOOL,
	 FIELD(log),
	 .help = "Print a JSON object for each CONNECT on standard output."},
};

static const struct option_example examples[] = {
	{"Watch the tunnels, without the internet:", "sidestep gateway --server --log"},
	{"The same, as the only setting of a container:", "SERVER=1 sidestep"},
};

static const struct option_status statuses[] = {
	{STATUS_OK, "ended by SIGTERM or SIGINT"},
	{STATUS_FAILED, "could not listen (the log says why)"},
	{STATUS_USAGE, "wrong command line"},
};

const struct options_command gateway_options_command = {
	.name = "sidestep gateway",
	.summary = "The reference HTTP CONNECT gateway, for development and tests.",
	.entries = entries,
	.entry_count = ARRAY_SIZE(entries),
	.examples = examples,
	.example_count = ARRAY_SIZE(examples),
	.statuses = statuses,
	.status_count = ARRAY_SIZE(statuses),
};

static int parse_listen(const struct option_strings *texts, struct endpoint *endpoints,
			struct gateway_config *config)
{
	size_t i;

	for (i = 0; i < texts->count; i++) {
		if (strncmp(texts->values[i], "unix:/", 6) == 0 && !config->unix_path) {
			config->unix_path = texts->values[i] + 5;
		} else if (endpoint_parse(texts->values[i], &endpoints[config->listen_count]) < 0) {
			log_error("--listen %s: give IP:PORT, [IPv6]:PORT or one unix:/PATH",
				  texts->values[i]);
			return -EINVAL;
		} else {
			config->listen_count++;
		}
	}
	if (texts->count == 0)
		config->listen_count = endpoint_parse(DEFAULT_LISTEN, endpoints) == 0;
	config->listen = endpoints;
	return 0;
}

static int parse_map(const char *text, struct gateway_map *map)
{
	const char *equals = strchr(text, '=');
	char from[ADDRESS_TEXT_MAX];

	if (equals && (size_t)(equals - text) < sizeof(from)) {
		memcpy(from, text, (size_t)(equals - text));
		from[equals - text] = '\0';
		if (endpoint_parse(from, &map->from) == 0 &&
		    endpoint_parse(equals + 1, &map->to) == 0)
			return 0;
	}
	log_error("--map %s: give IP:PORT=IP:PORT", text);
	return -EINVAL;
}

static void say_listening(const struct gateway_config *config, const char *address)
{
	log_info("gateway: listens on %s, %s", address,
		 config->server ? "and dials nothing" : "and connects clients to any destination");
}

/* From here on the gateway only serves. */
static void listening(void *context, const struct gateway_listening *addresses)
{
	const struct gateway_config *config = context;
	const struct sandbox sandbox = {.role = SANDBOX_GATEWAY, .sockets = {config->unix_path}};
	char text[ADDRESS_TEXT_MAX];
	size_t i;

	for (i = 0; i < addresses->count; i++)
		say_listening(
			config,
			endpoint_format((const struct sockaddr *)&addresses->addresses[i].address,
					text));
	if (config->unix_path)
		say_listening(config, config->unix_path);
	sandbox_files(&sandbox);
	sandbox_calls(&sandbox);
}

static int run(const struct gateway_options *options)
{
	_cleanup_free_ struct endpoint *endpoints = NULL;
	_cleanup_free_ struct gateway_map *maps = NULL;
	struct gateway_config config = {
		.server = options->server,
		.plaintext = options->plaintext,
		.status = (int)options->status,
		.delay_ms = options->delay_ms,
		.garbage = options->garbage,
		.log = options->log,
		.map_count = options->maps.count,
		.listening = listening,
		.context = &config,
	};
	size_t i;

	endpoints = calloc(options->listen.count + 1, sizeof(*endpoints));
	maps = calloc(options->maps.count + 1, sizeof(*maps));
	if (!endpoints || !maps)
		return STATUS_FAILED;
	if (parse_listen(&options->listen, endpoints, &config) < 0)
		return STATUS_USAGE;
	for (i = 0; i < options->maps.count; i++)
		if (parse_map(options->maps.values[i], &maps[i]) < 0)
			return STATUS_USAGE;
	config.maps = maps;
	if (options->map_all.address.ss_family != AF_UNSPEC)
		config.map_all = &options->map_all;
	return gateway_run(&config) < 0 ? STATUS_FAILED : STATUS_OK;
}

int command_gateway(int argc, char **argv)
{
	struct gateway_options options = {.status = 0};
	int first, error, status;

	process_hide_memory();
	error = options_parse(&gateway_options_command, argc, argv, &options, &first);
	if (error != 0)
		return error < 0 ? STATUS_USAGE : STATUS_OK;
	/* Without arguments the gateway serves and logs. */
	if (argc < 2)
		options.server = options.log = true;
	status = run(&options);
	options_release(&gateway_options_command, &options);
	return status;
}
