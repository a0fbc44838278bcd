// SPDX-License-Identifier: Apache-2.0
/* The command line of `sidestep explain`. */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "commands.h"
#include "explain/chosen_netns.h"
#include "explain/explain.h"
#include "lib/log.h"
#include "lib/options.h"
#include "lib/util.h"
#include "net/netlink.h"
#include "operator/operator_client.h"

/* The destination's, if none is given. */
#define USUAL_PORT 443

struct explain_options {
	bool udp;
	bool json;
	const char *device;
	struct chosen_netns chosen;
	bool ask_gateway;
};

static const struct option_entry entries[] = {
	{.section = "The connection",
	 .name = "udp",
	 .type = OPTION_BOOL,
	 .offset = offsetof(struct explain_options, udp),
	 .help = "A UDP datagram instead of a TCP connection."},
	{.name = "device",
	 .argument = "NAME",
	 .type = OPTION_STRING,
	 .offset = offsetof(struct explain_options, device),
	 .example = "eth0",
	 .help = "Its socket is bound to this device (SO_BINDTODEVICE)."},
	CHOSEN_NETNS_ENTRIES(offsetof(struct explain_options, chosen)),
	{OPTION_ENTRY_DOCKER_SOCKET(struct explain_options, chosen.docker_socket),
	 .default_text = DOCKER_SOCKET_DEFAULT, .help = "Docker's API socket, for --container."},
	{.section = "The answer",
	 .name = "ask-gateway",
	 .type = OPTION_BOOL,
	 .offset = offsetof(struct explain_options, ask_gateway),
	 .default_text = "true",
	 .help = "Connect to the gateway of an intercepted connection, and close."},
	{.name = "json",
	 .type = OPTION_BOOL,
	 .offset = offsetof(struct explain_options, json),
	 .help = "Print one JSON document."},
};

static const struct option_example examples[] = {
	{"Ask about a connection of this container:", "sidestep explain 203.0.113.9:443"},
	{"Ask on the host about a DNS query of another one:",
	 "sidestep explain --container app --udp 8.8.8.8:53"},
	{"Ask in bridge mode, where the container's address counts:",
	 "sidestep explain 172.17.0.5 203.0.113.9:443"},
};

static const struct option_status statuses[] = {
	{STATUS_OK, "the question is answered"},
	{STATUS_FAILED, "it is not; one line on standard error tells why"},
	{STATUS_USAGE, "wrong command line"},
	{STATUS_GATEWAY, "the connection would be intercepted, and the gateway cannot be reached"},
};

const struct options_command explain_options_command = {
	.name = "sidestep explain",
	.summary = "Tells what would happen to a connection, and why.",
	.arguments = "[SRC] DST[:PORT]",
	.description =
		"Asks the kernel for the route, and runs the attached BPF programs on a made-up "
		"packet. Of nftables rules the kernel traces a packet that goes nowhere. The "
		"application's own connections do not notice, but counters count the made-up "
		"packets. The port is 443 unless given. SRC is what the kernel would choose. Needs "
		"root, on the host or in the sidecar.",
	.entries = entries,
	.entry_count = ARRAY_SIZE(entries),
	.examples = examples,
	.example_count = ARRAY_SIZE(examples),
	.statuses = statuses,
	.status_count = ARRAY_SIZE(statuses),
	.minimum_arguments = 1,
	.maximum_arguments = 2,
};

/* Reads "ADDRESS", "[IPv6]", "IPv4:PORT" or "[IPv6]:PORT". Returns 0 or -EINVAL. */
static int parse_destination(const char *text, struct probe_packet *packet)
{
	char bare[ADDRESS_TEXT_MAX];
	size_t length = strlen(text);
	struct endpoint endpoint;

	packet->destination_port = USUAL_PORT;
	if (length > 2 && length < sizeof(bare) && text[0] == '[' && text[length - 1] == ']') {
		(void)snprintf(bare, sizeof(bare), "%.*s", (int)length - 2, text + 1);
		text = bare;
	}
	if (address_parse(text, packet->destination) == 0)
		return 0;
	if (endpoint_parse(text, &endpoint) < 0)
		return -EINVAL;
	address_from_sockaddr((const struct sockaddr *)&endpoint.address, packet->destination);
	/* The port is at the same place in both families. */
	packet->destination_port = ntohs(((const struct sockaddr_in *)&endpoint.address)->sin_port);
	return 0;
}

/* connect(2) takes an address of zeros for loopback or, with IPv4, for the bound source
 * (ip_route_output_key_hash_rcu() and tcp_v6_connect() in the kernel). */
static void replace_unspecified(struct probe_packet *packet, bool has_source)
{
	struct prefix any = prefix_default(AF_INET6);

	if (memcmp(packet->destination, any.address, sizeof(any.address)) == 0)
		packet->destination[15] = 1;
	any = prefix_default(AF_INET);
	if (memcmp(packet->destination, any.address, sizeof(any.address)) != 0)
		return;
	if (has_source)
		memcpy(packet->destination, packet->source, sizeof(packet->destination));
	else
		(void)address_parse("127.0.0.1", packet->destination);
}

static int parse_arguments(char **arguments, int count, struct explain *explain)
{
	const char *destination = arguments[count - 1];
	struct probe_packet *packet = &explain->packet;

	explain->has_source = count == 2;
	if (parse_destination(destination, packet) < 0) {
		log_error("'%.80s' is no IP address, with or without a port; for example: "
			  "203.0.113.9:443 or [2001:db8::9]:443. Of a name ask about an address",
			  destination);
		return -EINVAL;
	}
	if (explain->has_source &&
	    (address_parse(arguments[0], packet->source) < 0 ||
	     address_is_ipv4(packet->source) != address_is_ipv4(packet->destination))) {
		log_error("'%.80s' is no source address of the destination's family, which has no "
			  "port",
			  arguments[0]);
		return -EINVAL;
	}
	replace_unspecified(packet, explain->has_source);
	return 0;
}

static int enter(struct explain *explain, const struct explain_options *options)
{
	int error;

	explain->netns_fd = chosen_netns_enter(&options->chosen, &explain->home_fd);
	if (explain->netns_fd < 0)
		return explain->netns_fd;
	if (options->device) {
		explain->device = if_nametoindex(options->device);
		if (!explain->device)
			return log_errno(-errno, "no device %.80s", options->device);
	}
	error = programs_netns(&explain->netns);
	if (error == 0)
		error = netlink_open(&explain->netlink);
	return error < 0 ? log_errno(error, "cannot look at the network namespace") : 0;
}

/* Has the sidecar open its own programs and maps, where the kernel does not do so for this process.
 */
static int open_by_sidecar(void *context, bool map, uint32_t id)
{
	const struct explain *explain = context;
	json_t *request = json_pack("{s:s, s:I}", "open", map ? "map" : "program", "id",
				    (json_int_t)id);
	json_t *reply = NULL;
	int fd = -1,
	    error = request ? operator_ask(request, explain->home_fd >= 0, &reply, &fd) : -ENOMEM;

	json_decref(request);
	json_decref(reply);
	return error < 0 || fd < 0 ? -EPERM : fd;
}

static int answer(struct explain *explain)
{
	int programs, error;

	programs_seen_set_opener(open_by_sidecar, explain);
	programs = explain_programs(explain);
	error = programs == -ENOENT || programs == -EPERM ? explain_table(explain) : programs;

	if (error == -ENOENT && programs == -ENOENT)
		log_error("Sidestep does not steer in this network namespace. Connections take "
			  "their ordinary way");
	else if (error == -ENOENT || error == -EPERM)
		log_error("cannot see who steers in this network namespace. BPF programs take "
			  "CAP_SYS_ADMIN, and nftables takes CAP_NET_ADMIN. Ask on the host: "
			  "sidestep explain --container NAME");
	return error;
}

static int print(const struct explain *explain, bool json)
{
	json_t *report;

	if (!json) {
		explain_print(explain);
		return 0;
	}
	report = explain_report(explain);
	if (!report)
		return log_errno(-ENOMEM, "cannot print the answer");
	(void)json_dumpf(report, stdout, JSON_INDENT(2));
	(void)printf("\n");
	json_decref(report);
	return 0;
}

int command_explain(int argc, char **argv)
{
	struct explain explain = {.home_fd = -1, .netns_fd = -1, .verdict = -1};
	struct explain_options options = {0};
	int first, error = options_parse(&explain_options_command, argc, argv, &options, &first);

	if (error != 0)
		return error < 0 ? STATUS_USAGE : STATUS_OK;
	explain.ask_gateway = options.ask_gateway;
	explain.packet.protocol = options.udp ? IPPROTO_UDP : IPPROTO_TCP;
	if (parse_arguments(argv + first, argc - first, &explain) < 0)
		return STATUS_USAGE;
	programs_silence();
	explain.steps = json_array();
	error = enter(&explain, &options);
	if (error == 0)
		error = answer(&explain);
	if (error == 0)
		error = print(&explain, options.json);
	json_decref(explain.steps);
	netlink_close(explain.netlink);
	(void)safe_close(explain.netns_fd);
	(void)safe_close(explain.home_fd);
	if (error < 0)
		return STATUS_FAILED;
	return explain.gateway_failed ? STATUS_GATEWAY : STATUS_OK;
}
