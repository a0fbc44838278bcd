// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "commands.h"
#include "lib/options.h"
#include "lib/util.h"
#include "sidecar/sidecar_options.h"

struct settings {
	bool dns;
	bool loud;
	unsigned int port;
	unsigned int mode;
	const char *path;
	struct option_address gateway;
	struct endpoint ingress;
	struct option_prefix bridge;
	struct option_strings names;
	struct option_prefixes bypass;
	unsigned int untouched;
};

static const char *const modes[] = {"deny", "proxy", "direct", NULL};

#define FIELD(name) .offset = offsetof(struct settings, name)

static const struct option_entry entries[] = {
	{.section = "Control",
	 .name = "http-ingress-address",
	 .argument = "ADDRESS:PORT",
	 .type = OPTION_ENDPOINT,
	 FIELD(ingress),
	 .default_text = "0.0.0.0:39001",
	 .help = "Where control requests are answered."},
	{.section = "Interception",
	 .name = "http-egress-port",
	 .argument = "PORT",
	 .type = OPTION_UNSIGNED,
	 FIELD(port),
	 .minimum = 1,
	 .maximum = 65535,
	 .default_text = "39000",
	 .help = "Port of the gateway that receives every intercepted connection, and a sentence "
		 "that is long enough to be wrapped."},
	{.name = "gateway-ip",
	 .argument = "ADDRESS",
	 .type = OPTION_ADDRESS,
	 FIELD(gateway),
	 .default_note = "that of host.docker.internal",
	 .help = "Address of the gateway."},
	{.name = "docker-gateway-cidr",
	 .argument = "PREFIX",
	 .type = OPTION_PREFIX,
	 .flags = OPTION_LENIENT,
	 FIELD(bridge),
	 .help = "Subnet to pass."},
	{.name = "bypass",
	 .argument = "PREFIX",
	 .type = OPTION_PREFIXES,
	 FIELD(bypass),
	 .help = "Pass what is sent to PREFIX."},
	{.name = "dns-enabled", .type = OPTION_BOOL, FIELD(dns), .help = "Answer DNS."},
	{.name = "loud",
	 .type = OPTION_BOOL,
	 FIELD(loud),
	 .default_text = "true",
	 .help = "Be loud."},
	{.name = "udp",
	 .argument = "MODE",
	 .type = OPTION_CHOICE,
	 FIELD(mode),
	 .choices = modes,
	 .default_text = "proxy",
	 .help = "The fate of UDP packets."},
	{.name = "state-directory",
	 .argument = "PATH",
	 .type = OPTION_STRING,
	 FIELD(path),
	 .help = "Where state is kept."},
	{.name = "name",
	 .argument = "NAME",
	 .type = OPTION_STRINGS,
	 FIELD(names),
	 .help = "A name."},
};

static const struct option_example examples[] = {
	{.text = "As workerd does:", .command = "sidestep sidecar --dns-enabled"},
};

static const struct option_status statuses[] = {{0, "Success."}, {2, "Bad options."}};

static const struct options_command command = {
	.name = "sidestep test",
	.summary = "tries options",
	.arguments = "[FILE]...",
	.description = "First paragraph.\n\nSecond paragraph.",
	.entries = entries,
	.entry_count = ARRAY_SIZE(entries),
	.examples = examples,
	.example_count = ARRAY_SIZE(examples),
	.statuses = statuses,
	.status_count = ARRAY_SIZE(statuses),
	.maximum_arguments = 2,
};

static int saved_fd = -1;
static FILE *capture;
static char captured[8192];

static void capture_start(int fd)
{
	(void)fflush(stdout);
	capture = tmpfile();
	assert_non_null(capture);
	saved_fd = dup(fd);
	assert_true(saved_fd >= 0);
	assert_int_equal(dup2(fileno(capture), fd), fd);
}

static void capture_end(int fd)
{
	size_t length;

	(void)fflush(stdout);
	assert_int_equal(dup2(saved_fd, fd), fd);
	saved_fd = safe_close(saved_fd);
	rewind(capture);
	length = fread(captured, 1, sizeof(captured) - 1, capture);
	captured[length] = '\0';
	(void)fclose(capture);
}

static int parse(struct settings *settings, int *first, const char **argv)
{
	int argc = 0;

	while (argv[argc])
		argc++;
	return options_parse(&command, argc, (char **)argv, settings, first);
}

#define PARSE(settings, first, ...)                                                                \
	parse(settings, first, (const char *[]) {"test", ##__VA_ARGS__, NULL})

/* Parses a wrong command line and compares the message. */
#define REFUSED(part, ...)                                                                         \
	do {                                                                                       \
		struct settings refused = {0};                                                     \
		int refused_first = -7, refused_result;                                            \
                                                                                                   \
		capture_start(STDERR_FILENO);                                                      \
		refused_result = PARSE(&refused, &refused_first, __VA_ARGS__);                     \
		capture_end(STDERR_FILENO);                                                        \
		assert_int_equal(refused_result, -EINVAL);                                         \
		assert_int_equal(refused_first, -7);                                               \
		if (!strstr(captured, part))                                                       \
			fail_msg("'%s' is not in: %s", part, captured);                            \
		assert_null(refused.bypass.values);                                                \
	} while (0)

static void test_table(void **state)
{
	(void)state;
	assert_int_equal(options_check(&command), 0);
}

/* The control API is workerd's, and with it comes workerd's protocol. */
static void test_gateway_protocol(void **state)
{
	static const struct {
		const char *argument[2];
		enum tunnel_protocol protocol;
	} rows[] = {
		{{NULL, NULL}, TUNNEL_PROTOCOL_CONNECT},
		{{"--gateway-protocol=workerd", NULL}, TUNNEL_PROTOCOL_WORKERD},
		{{"--http-ingress-address=0.0.0.0:1", NULL}, TUNNEL_PROTOCOL_WORKERD},
		{{"--http-ingress-address=0.0.0.0:1", "--gateway-protocol=connect"},
		 TUNNEL_PROTOCOL_CONNECT},
		{{"--http-ingress-address=0.0.0.0:1", "--gateway-protocol=auto"},
		 TUNNEL_PROTOCOL_WORKERD},
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		char *argv[] = {(char *)"sidecar", (char *)rows[i].argument[0],
				(char *)rows[i].argument[1], NULL};
		int argc = argv[1] ? argv[2] ? 3 : 2 : 1, first;
		struct sidecar_options options;

		assert_int_equal(
			options_parse(&sidecar_options_command, argc, argv, &options, &first), 0);
		assert_int_equal(sidecar_options_protocol(&options), rows[i].protocol);
		options_release(&sidecar_options_command, &options);
	}
}

static void test_bad_tables(void **state)
{
	struct option_entry bad[2];
	struct options_command broken = {.name = "broken",
					 .entries = bad,
					 .entry_count = ARRAY_SIZE(bad)};

	(void)state;
	capture_start(STDERR_FILENO);
	bad[0] = bad[1] = entries[0];
	assert_int_equal(options_check(&broken), -EINVAL);
	bad[1] = entries[1];
	assert_int_equal(options_check(&broken), 0);
	bad[1].default_text = "0";
	assert_int_equal(options_check(&broken), -EINVAL);
	bad[1] = entries[1];
	bad[1].help = "";
	assert_int_equal(options_check(&broken), -EINVAL);
	bad[1] = entries[1];
	bad[1].argument = NULL;
	assert_int_equal(options_check(&broken), -EINVAL);
	bad[1] = entries[4];
	bad[1].default_text = "10.0.0.0/8";
	assert_int_equal(options_check(&broken), -EINVAL);
	capture_end(STDERR_FILENO);
}

static void test_defaults(void **state)
{
	struct settings settings;
	char text[ADDRESS_TEXT_MAX];
	int first;

	(void)state;
	memset(&settings, 0xa5, sizeof(settings));
	assert_int_equal(PARSE(&settings, &first), 0);
	assert_int_equal(first, 1);
	assert_false(settings.dns);
	assert_true(settings.loud);
	assert_int_equal(settings.port, 39000);
	assert_int_equal(settings.mode, 1);
	assert_null(settings.path);
	assert_false(settings.gateway.given);
	assert_false(settings.bridge.given);
	assert_int_equal(settings.names.count, 0);
	assert_int_equal(settings.untouched, 0xa5a5a5a5);
	endpoint_format((struct sockaddr *)&settings.ingress.address, text);
	assert_string_equal(text, "0.0.0.0:39001");
	options_release(&command, &settings);
}

/* The command line that workerd builds, in its order. */
static void test_workerd(void **state)
{
	struct settings settings;
	char text[ADDRESS_TEXT_MAX];
	int first;

	(void)state;
	assert_int_equal(PARSE(&settings, &first, "--http-egress-port", "41234",
			       "--http-ingress-address", "0.0.0.0:39001", "--docker-gateway-cidr",
			       "172.17.0.0/16", "--dns-enabled"),
			 0);
	assert_int_equal(settings.port, 41234);
	assert_true(settings.dns);
	assert_true(settings.bridge.given);
	assert_string_equal(prefix_format(&settings.bridge.prefix, text), "172.17.0.0/16");
	options_release(&command, &settings);
}

static void test_spellings(void **state)
{
	static const char *const yes[] = {"1", "t", "T", "true", "True", "TRUE"};
	static const char *const no[] = {"0", "f", "F", "false", "False", "FALSE"};
	struct settings settings;
	char argument[64];
	size_t i;
	int first;

	(void)state;
	assert_int_equal(PARSE(&settings, &first, "-http-egress-port", "1"), 0);
	assert_int_equal(settings.port, 1);
	assert_int_equal(PARSE(&settings, &first, "-http-egress-port=2"), 0);
	assert_int_equal(settings.port, 2);
	assert_int_equal(PARSE(&settings, &first, "--http-egress-port=65535"), 0);
	assert_int_equal(settings.port, 65535);
	assert_int_equal(PARSE(&settings, &first, "--http-egress-port", "3", "-http-egress-port=4"),
			 0);
	assert_int_equal(settings.port, 4);
	assert_int_equal(PARSE(&settings, &first, "--state-directory=a=b"), 0);
	assert_string_equal(settings.path, "a=b");
	assert_int_equal(PARSE(&settings, &first, "--state-directory", "--dns-enabled"), 0);
	assert_string_equal(settings.path, "--dns-enabled");
	assert_int_equal(PARSE(&settings, &first, "-udp=direct", "-loud=false"), 0);
	assert_int_equal(settings.mode, 2);
	for (i = 0; i < ARRAY_SIZE(yes); i++) {
		(void)snprintf(argument, sizeof(argument), "--dns-enabled=%s", yes[i]);
		assert_int_equal(PARSE(&settings, &first, argument), 0);
		assert_true(settings.dns);
		(void)snprintf(argument, sizeof(argument), "-loud=%s", no[i]);
		assert_int_equal(PARSE(&settings, &first, argument), 0);
		assert_false(settings.loud);
	}
}

static void test_arguments(void **state)
{
	/* Arguments stand before, between and behind options, and keep their order. */
	static const char *given[] = {"test", "a", "-loud=0", "--", "-dns-enabled"};
	struct settings settings;
	int first;

	(void)state;
	assert_int_equal(options_parse(&command, 5, (char **)given, &settings, &first), 0);
	assert_int_equal(first, 3);
	assert_string_equal(given[3], "a");
	assert_string_equal(given[4], "-dns-enabled");
	assert_true(!settings.dns && !settings.loud);
	options_release(&command, &settings);
	REFUSED("--state-directory needs a value", "--state-directory");
	REFUSED("--state-directory needs a value", "a", "--state-directory");
	assert_int_equal(PARSE(&settings, &first, "-dns-enabled", "false", "-loud=0"), 0);
	assert_int_equal(first, 3);
	assert_true(settings.dns && !settings.loud);
	assert_int_equal(PARSE(&settings, &first, "-dns-enabled", "--", "-loud=0"), 0);
	assert_int_equal(first, 3);
	assert_true(settings.loud);
	assert_int_equal(PARSE(&settings, &first, "-"), 0);
	assert_int_equal(first, 1);
	REFUSED("unexpected argument 'c'", "a", "b", "c");
}

static void test_lists(void **state)
{
	struct settings settings;
	const char *argv[OPTION_LIST_MAX + 3] = {"test"};
	int first, i;

	(void)state;
	assert_int_equal(PARSE(&settings, &first, "--bypass", "10.0.0.0/8", "-name=a",
			       "--bypass=fd00::/8", "--name", "b"),
			 0);
	assert_int_equal(settings.bypass.count, 2);
	assert_int_equal(settings.bypass.values[1].length, 8);
	assert_int_equal(settings.names.count, 2);
	assert_string_equal(settings.names.values[0], "a");
	assert_string_equal(settings.names.values[1], "b");
	options_release(&command, &settings);
	options_release(&command, &settings);
	assert_int_equal(settings.names.count, 0);
	for (i = 1; i < OPTION_LIST_MAX + 2; i++)
		argv[i] = "-name=x";
	capture_start(STDERR_FILENO);
	assert_int_equal(parse(&settings, &first, argv), -EINVAL);
	capture_end(STDERR_FILENO);
	assert_non_null(strstr(captured, "more than 256 times"));
	argv[OPTION_LIST_MAX + 1] = NULL;
	assert_int_equal(parse(&settings, &first, argv), 0);
	options_release(&command, &settings);
}

static void test_lenient(void **state)
{
	struct settings settings;
	char text[ADDRESS_TEXT_MAX];
	int first;

	(void)state;
	assert_int_equal(PARSE(&settings, &first, "--docker-gateway-cidr=172.17.0.1/16"), 0);
	assert_string_equal(prefix_format(&settings.bridge.prefix, text), "172.17.0.0/16");
	assert_int_equal(PARSE(&settings, &first, "--docker-gateway-cidr", ""), 0);
	assert_false(settings.bridge.given);
	REFUSED("did you mean 10.0.0.0/8?", "--name=x", "--bypass", "10.1.2.3/8");
}

static void test_refusals(void **state)
{
	(void)state;
	REFUSED("unknown option --dns-enable; did you mean --dns-enabled?", "--dns-enable");
	REFUSED("did you mean --http-egress-port?", "--http-egress=1");
	REFUSED("did you mean --bypass?", "-bypas", "10.0.0.0/8");
	REFUSED("did you mean --help?", "--hlep");
	REFUSED("did you mean --version?", "--verison");
	REFUSED("unknown option --zzzzzz; 'sidestep test --help' lists all", "--zzzzzz");
	REFUSED("unknown option ----loud", "----loud");
	REFUSED("--http-egress-port: '0' is not a number from 1 to 65535; for example: "
		"--http-egress-port=39000",
		"--http-egress-port=0");
	REFUSED("'65536' is not", "--http-egress-port=65536");
	REFUSED("'18446744073709551617' is not", "--http-egress-port=18446744073709551617");
	REFUSED("'-1' is not", "--http-egress-port", "-1");
	REFUSED("'' is not", "--http-egress-port=");
	REFUSED("--http-egress-port needs a value", "--http-egress-port");
	REFUSED("'yes' is not true or false", "--dns-enabled=yes");
	REFUSED("'drop' is not one of deny, proxy, direct", "--udp", "drop");
	REFUSED("ADDRESS:PORT with a literal address", "--http-ingress-address=localhost:1");
	REFUSED("names are not looked up", "--gateway-ip=localhost");
	REFUSED("'10.0.0.0/33' is not", "--bypass=10.0.0.0/8", "--bypass=10.0.0.0/33");
	REFUSED("the value is empty", "--state-directory=");
}

static void test_required(void **state)
{
	struct option_entry entry = entries[8];
	struct options_command strict = {
		.name = "strict", .entries = &entry, .entry_count = 1, .minimum_arguments = 1};
	struct settings settings;
	int first;

	(void)state;
	strict.maximum_arguments = 1;
	entry.flags = OPTION_REQUIRED;
	capture_start(STDERR_FILENO);
	assert_int_equal(options_parse(&strict, 2, (char *[]) {(char *)"x", (char *)"y"}, &settings,
				       &first),
			 -EINVAL);
	assert_int_equal(options_parse(&strict, 2,
				       (char *[]) {(char *)"x", (char *)"--state-directory=/"},
				       &settings, &first),
			 -EINVAL);
	capture_end(STDERR_FILENO);
	assert_non_null(strstr(captured, "--state-directory is required"));
	assert_non_null(strstr(captured, "arguments are missing"));
}

static void test_help(void **state)
{
	static const char *const spellings[] = {"-h", "--h", "-help", "--help"};
	struct settings settings;
	char *line, *rest;
	size_t i;
	int first, result;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(spellings); i++) {
		capture_start(STDOUT_FILENO);
		result = PARSE(&settings, &first, "--name=x", spellings[i]);
		capture_end(STDOUT_FILENO);
		assert_int_equal(result, 1);
	}
	assert_non_null(strstr(captured, "sidestep test [OPTION]... [FILE]...\n"));
	assert_non_null(strstr(captured, "First paragraph.\n\nSecond paragraph.\n"));
	assert_non_null(strstr(captured, "\nInterception\n"));
	assert_non_null(strstr(captured, "default: 39000]"));
	assert_non_null(strstr(captured, "default: that of host.docker.internal"));
	assert_non_null(strstr(captured, "one of deny, proxy, direct"));
	assert_non_null(strstr(captured, "\n      sidestep sidecar --dns-enabled\n"));
	assert_non_null(strstr(captured, "\n    2  Bad options.\n"));
	for (i = 0; i < ARRAY_SIZE(entries); i++)
		assert_non_null(strstr(captured, entries[i].name));
	for (line = strtok_r(captured, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		assert_true(strlen(line) <= 80);
		assert_true(line[strlen(line) - 1] != ' ');
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gateway_protocol), cmocka_unit_test(test_table),
		cmocka_unit_test(test_bad_tables),	 cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_workerd),		 cmocka_unit_test(test_spellings),
		cmocka_unit_test(test_arguments),	 cmocka_unit_test(test_lists),
		cmocka_unit_test(test_lenient),		 cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_required),	 cmocka_unit_test(test_help),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
