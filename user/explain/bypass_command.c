// SPDX-License-Identifier: Apache-2.0
/* `sidestep bypass` shows and changes the subnets that a running sidecar leaves alone. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "explain/chosen_netns.h"
#include "lib/address.h"
#include "lib/log.h"
#include "lib/options.h"
#include "lib/util.h"
#include "operator/operator_client.h"

struct bypass_options {
	struct chosen_netns chosen;
	bool json;
};

static const struct option_entry entries[] = {
	CHOSEN_NETNS_ENTRIES(offsetof(struct bypass_options, chosen)),
	{OPTION_ENTRY_DOCKER_SOCKET(struct bypass_options, chosen.docker_socket),
	 .default_text = DOCKER_SOCKET_DEFAULT, .help = "Docker's API socket, for --container."},
	{.section = "Output",
	 .name = "json",
	 .type = OPTION_BOOL,
	 .offset = offsetof(struct bypass_options, json),
	 .help = "Print the list as one JSON document."},
};

static const struct option_example examples[] = {
	{"Show why subnets are left alone:", "sidestep bypass list"},
	{"Leave one more alone until the sidecar ends:", "sidestep bypass add 203.0.113.0/24"},
	{"Do so on the host, for a container:",
	 "sidestep bypass --container app add 203.0.113.0/24"},
};

static const struct option_status statuses[] = {
	{STATUS_OK, "listed or changed"},
	{STATUS_FAILED, "not; one line on standard error tells why"},
	{STATUS_USAGE, "wrong command line"},
};

const struct options_command bypass_options_command = {
	.name = "sidestep bypass",
	.summary = "Shows and changes the subnets that a running sidecar leaves alone.",
	.arguments = "list|add|del [CIDR]",
	.description =
		"\"list\" tells each subnet's origin and age. \"add\" is in force at once, and "
		"until \"del\" or the sidecar's end. \"del\" takes back what was added, and no "
		"subnet of another origin. Run it in the sidecar's container as its user, or on "
		"the host as root.",
	.entries = entries,
	.entry_count = ARRAY_SIZE(entries),
	.examples = examples,
	.example_count = ARRAY_SIZE(examples),
	.statuses = statuses,
	.status_count = ARRAY_SIZE(statuses),
	.minimum_arguments = 1,
	.maximum_arguments = 2,
};

/* Makes the request of the command line. Returns a new object, or NULL, logged. */
static json_t *make_request(char **arguments, int count)
{
	const char *verb = arguments[0], *text = count == 2 ? arguments[1] : NULL;
	bool list = strcmp(verb, "list") == 0;
	char cleared[ADDRESS_TEXT_MAX];
	struct prefix prefix;
	int error;

	if (!list && strcmp(verb, "add") != 0 && strcmp(verb, "del") != 0) {
		log_error("'%.80s' is not list, add or del", verb);
		return NULL;
	}
	if (list != !text) {
		log_error(list ? "list takes no subnet"
			       : "%s takes a subnet, for example "
				 "203.0.113.0/24",
			  verb);
		return NULL;
	}
	if (list)
		return json_pack("{s:s}", "bypass", verb);
	error = prefix_parse(text, &prefix);
	if (error == -ERANGE && prefix_parse_lenient(text, &prefix) == 0)
		log_error("'%.80s' has bits behind its prefix length; the subnet is %s", text,
			  prefix_format(&prefix, cleared));
	else if (error < 0)
		log_error("'%.80s' is no subnet; for example: 203.0.113.0/24", text);
	if (error < 0)
		return NULL;
	return json_pack("{s:s, s:s}", "bypass", verb, "prefix", text);
}

static void print_entries(const json_t *list)
{
	const json_t *entry;
	size_t i;

	json_array_foreach (list, i, entry)
		(void)printf("%-24s %8.0f s  %s\n",
			     json_string_value(json_object_get(entry, "prefix")),
			     json_real_value(json_object_get(entry, "age_seconds")),
			     json_string_value(json_object_get(entry, "origin")));
}

static int print_answer(const json_t *answer, bool json)
{
	const char *refused = json_string_value(json_object_get(answer, "error"));
	const json_t *list = json_object_get(answer, "entries");

	if (refused) {
		log_error("%s", refused);
		return -EPERM;
	}
	if (json && list) {
		(void)json_dumpf(list, stdout, JSON_INDENT(2));
		(void)printf("\n");
	} else {
		print_entries(list);
	}
	return 0;
}

static int ask(const struct bypass_options *options, const json_t *request)
{
	_cleanup_close_ int home = -1, fd = chosen_netns_enter(&options->chosen, &home);
	json_t *answer;
	int error;

	if (fd < 0)
		return fd;
	error = operator_ask(request, home >= 0, &answer, NULL);
	if (error == -ENOENT || error == -ECONNREFUSED) {
		log_error("no sidecar of this network namespace can be asked from here. Ask in its "
			  "container, or on the host: sidestep bypass --container NAME");
		return error;
	}
	if (error < 0)
		return log_errno(error, "cannot ask the sidecar");
	error = print_answer(answer, options->json);
	json_decref(answer);
	return error;
}

int command_bypass(int argc, char **argv)
{
	struct bypass_options options = {.json = false};
	int first, error = options_parse(&bypass_options_command, argc, argv, &options, &first);
	json_t *request;

	if (error != 0)
		return error < 0 ? STATUS_USAGE : STATUS_OK;
	request = make_request(argv + first, argc - first);
	if (!request)
		return STATUS_USAGE;
	error = ask(&options, request);
	json_decref(request);
	return error < 0 ? STATUS_FAILED : STATUS_OK;
}
