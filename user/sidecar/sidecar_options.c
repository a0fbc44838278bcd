// SPDX-License-Identifier: Apache-2.0
#include "sidecar/sidecar_options.h"

#include <errno.h>
#include <string.h>
#include <sys/un.h>

#include "commands.h"
#include "lib/log.h"
#include "lib/socket_address.h"
#include "lib/util.h"

#define HOSTS_PATH   "/etc/hosts"
#define GATEWAY_NAME "host.docker.internal"

#define FIELD(member) .offset = offsetof(struct sidecar_options, member)

static const char *const udp_choices[] = {"deny", "pass", NULL};
static const char *const datapath_choices[] = {"auto", "bpf", "nft", NULL};
static const char *const attach_choices[] = {"auto", "tcx", "clsact", NULL};
static const char *const log_choices[] = {"error", "warning", "info", "debug", NULL};

static const struct option_entry entries[] = {
	{.section = "Gateway",
	 .name = "gateway",
	 .argument = "ADDRESS",
	 .type = OPTION_STRING,
	 FIELD(gateway),
	 .default_note = "--gateway-ip with --http-egress-port",
	 .example = "172.17.0.1:8080",
	 .help = "Where intercepted connections go: IP:PORT, [IPv6]:PORT or unix:/PATH of an HTTP "
		 "CONNECT gateway."},
	{.name = "gateway-ip",
	 .argument = "IP",
	 .type = OPTION_ADDRESS,
	 FIELD(gateway_ip),
	 .default_note = "the address of " GATEWAY_NAME " in " HOSTS_PATH,
	 .help = "The gateway's address alone."},
	{.name = "http-egress-port",
	 .argument = "PORT",
	 .type = OPTION_UNSIGNED,
	 FIELD(egress_port),
	 .minimum = 1,
	 .maximum = 65535,
	 .default_note = "none",
	 .example = "8080",
	 .help = "The gateway's port."},
	{.section = "Control",
	 .name = "http-ingress-address",
	 .argument = "IP:PORT",
	 .type = OPTION_ENDPOINT,
	 FIELD(ingress_address),
	 .default_note = "none",
	 .example = "0.0.0.0:39001",
	 .help = "Where the control API listens once interception is live: PUT /egress, GET /ca, "
		 "CONNECT into this network namespace. Requests from inside it are refused."},
	{.section = "What to step aside for",
	 .name = "docker-gateway-cidr",
	 .argument = "CIDR",
	 .type = OPTION_PREFIX,
	 .flags = OPTION_LENIENT,
	 FIELD(docker_gateway_cidr),
	 .help = "Subnet of the Docker bridge. Connected subnets are bypassed anyway."},
	{.name = "bypass",
	 .argument = "CIDR",
	 .type = OPTION_PREFIXES,
	 FIELD(bypass),
	 .help = "A further subnet to leave alone. May be repeated."},
	{.name = "docker-socket",
	 .argument = "PATH",
	 .type = OPTION_STRING,
	 FIELD(docker_socket),
	 .example = "/var/run/docker.sock",
	 .help = "Docker's API socket. The subnets of its bridge networks are then bypassed, and "
		 "kept up to date."},
	{.section = "What to intercept",
	 .name = "bridge",
	 .argument = "NAME",
	 .type = OPTION_STRINGS,
	 FIELD(bridges),
	 .help = "Bridge mode, in the host's network namespace: intercept all containers of this "
		 "bridge. An interface (docker0) or, with --docker-socket, a Docker network's "
		 "name. May be repeated. Without it: what is sent in this network namespace."},
	{.name = "udp",
	 .argument = "deny|pass",
	 .type = OPTION_CHOICE,
	 .choices = udp_choices,
	 FIELD(udp),
	 .default_text = "deny",
	 .help = "UDP to other ports than 53 (DNS), to outside the bypassed subnets."},
	{.name = "dns-enabled",
	 .type = OPTION_BOOL,
	 FIELD(dns),
	 .default_text = "true",
	 .help = "Relay DNS (UDP port 53) to the resolver that was asked. When false it is "
		 "refused."},
	{.name = "sni-hint",
	 .type = OPTION_BOOL,
	 FIELD(sni_hint),
	 .help = "Tell the gateway the TLS server name (X-Tls-Sni) where the client opens with a "
		 "ClientHello."},
	{.name = "tls-intercept",
	 .type = OPTION_BOOL,
	 FIELD(tls_intercept),
	 .help = "Terminate TLS where the gateway answers 200, with certificates of an ephemeral "
		 "CA (--ca-dir, GET /ca), and relay what is inside. Implies --sni-hint."},
	{.name = "ca-dir",
	 .argument = "DIR",
	 .type = OPTION_STRING,
	 FIELD(ca_directory),
	 .default_text = "/ca",
	 .help = "Where --tls-intercept writes ca.crt and ca.key."},
	{.name = "disable-ipv6",
	 .type = OPTION_BOOL,
	 FIELD(disable_ipv6),
	 .help = "Answer IPv6 connections to the outside with an error instead of intercepting "
		 "them."},
	{.section = "Limits",
	 .name = "threads",
	 .argument = "N",
	 .type = OPTION_UNSIGNED,
	 FIELD(threads),
	 .minimum = 0,
	 .maximum = 64,
	 .default_text = "0",
	 .default_note = "one for each core",
	 .help = "Event loops."},
	{.name = "max-connections",
	 .argument = "N",
	 .type = OPTION_UNSIGNED,
	 FIELD(max_connections),
	 .minimum = 1,
	 .maximum = 1000000,
	 .default_text = "16384",
	 .help = "At the limit new connections are reset and counted; running ones are kept."},
	{.name = "peek-timeout",
	 .argument = "MS",
	 .type = OPTION_UNSIGNED,
	 FIELD(peek_ms),
	 .minimum = 1,
	 .maximum = 10000,
	 .default_text = "50",
	 .help = "How long to wait for a client's first bytes before asking the gateway without "
		 "hints."},
	{.name = "connect-timeout",
	 .argument = "MS",
	 .type = OPTION_UNSIGNED,
	 FIELD(connect_ms),
	 .minimum = 1,
	 .maximum = 600000,
	 .default_text = "10000",
	 .help = "Limit for connecting to the gateway."},
	{.name = "answer-timeout",
	 .argument = "MS",
	 .type = OPTION_UNSIGNED,
	 FIELD(answer_ms),
	 .minimum = 0,
	 .maximum = 600000,
	 .default_text = "0",
	 .default_note = "none",
	 .help = "Limit for the gateway's answer to CONNECT."},
	{.name = "drain",
	 .argument = "MS",
	 .type = OPTION_UNSIGNED,
	 FIELD(drain_ms),
	 .minimum = 0,
	 .maximum = 600000,
	 .default_text = "5000",
	 .help = "After SIGTERM: how long running connections may go on."},
	{.section = "Running",
	 .name = "pin",
	 .argument = "DIR",
	 .type = OPTION_STRING,
	 FIELD(pin),
	 .example = "/sys/fs/bpf/sidestep/app",
	 .help = "Pin the maps in this directory below a bpffs, for bpftool and \"sidestep "
		 "status\"."},
	{.name = "datapath",
	 .argument = "auto|bpf|nft",
	 .type = OPTION_CHOICE,
	 .choices = datapath_choices,
	 FIELD(datapath),
	 .default_text = "auto",
	 .help = "What steers. bpf: own programs, or those of the host's agent where the rights "
		 "for own ones are missing. nft: an nftables table. auto: bpf, else nft."},
	{.name = "agent-wait",
	 .argument = "MS",
	 .type = OPTION_UNSIGNED,
	 FIELD(agent_wait_ms),
	 .minimum = 0,
	 .maximum = 60000,
	 .default_text = "300",
	 .help = "How long the host's agent is waited for with --datapath bpf, or where nftables "
		 "cannot be used. Else an nftables table steers at once, and an agent takes over "
		 "whenever it comes."},
	{.name = "attach",
	 .argument = "auto|tcx|clsact",
	 .type = OPTION_CHOICE,
	 .choices = attach_choices,
	 FIELD(attach),
	 .default_text = "auto",
	 .help = "How the TC programs are attached. auto: by clsact, then by TCX where the kernel "
		 "has it (Linux 6.6)."},
	{.name = "log-level",
	 .argument = "LEVEL",
	 .type = OPTION_CHOICE,
	 .choices = log_choices,
	 FIELD(log_level),
	 .default_text = "info",
	 .help = "error, warning, info or debug."},
};

static const struct option_example examples[] = {
	{"Intercept an application container's connections:",
	 "docker run --network container:app --privileged IMAGE sidecar --gateway 172.17.0.1:8080"},
	{"Intercept every container of the default bridge, on the host:",
	 "sidestep sidecar --bridge docker0 --gateway 127.0.0.1:8080"},
	{"Keep up with all Docker networks, and show the maps:",
	 "sidestep sidecar --gateway unix:/run/gw.sock --docker-socket /var/run/docker.sock --pin "
	 "/sys/fs/bpf/sidestep/app"},
};

static const struct option_status statuses[] = {
	{STATUS_OK, "ended by SIGTERM or SIGINT, nothing left behind"},
	{STATUS_FAILED, "could not start or keep running; the log says why"},
	{STATUS_USAGE, "wrong command line"},
	{STATUS_BUSY, "another instance is running in this network namespace"},
};

const struct options_command sidecar_command = {
	.name = "sidestep sidecar",
	.summary = "Intercepts outbound connections and hands them to an HTTP CONNECT gateway.",
	.description =
		"Every TCP connection that is opened to outside the bypassed subnets arrives at the "
		"gateway as CONNECT IP:PORT, whatever its port. Traffic on the containers' own "
		"bridges, and replies to connections that came from outside, are never touched.\n"
		"With CAP_BPF and CAP_NET_ADMIN it steers by BPF programs of its own (Linux 5.10; "
		"bridge mode: also CAP_SYS_ADMIN at start), with CAP_NET_ADMIN alone by those of "
		"the host's agent (sidestep agent) or, until that comes, by an nftables table. Gives "
		"up what it no longer needs.\n"
		"When it is killed, the application's connections to the outside fail at once "
		"until it runs again; in bridge mode nothing of it stays on the host, and "
		"containers reach the outside as without it.",
	.entries = entries,
	.entry_count = ARRAY_SIZE(entries),
	.examples = examples,
	.example_count = ARRAY_SIZE(examples),
	.statuses = statuses,
	.status_count = ARRAY_SIZE(statuses),
};

/* Docker writes the name there (--add-host host.docker.internal:host-gateway). */
static int address_from_hosts(uint8_t ret_address[16])
{
	_cleanup_fclose_ FILE *file = fopen(HOSTS_PATH, "re");
	char line[1024];

	while (file && fgets(line, sizeof(line), file)) {
		char *position, *word = strtok_r(line, " \t\n", &position);
		uint8_t address[16];

		if (!word || address_parse(word, address) < 0 || !address_is_ipv4(address))
			continue;
		while ((word = strtok_r(NULL, " \t\n", &position)) && word[0] != '#') {
			if (strcasecmp(word, GATEWAY_NAME) != 0)
				continue;
			memcpy(ret_address, address, sizeof(address));
			return 0;
		}
	}
	return -ENOENT;
}

static int unix_gateway(const char *path, struct socket_address *ret_gateway)
{
	int error = socket_address_unix(path, ret_gateway);

	if (error < 0)
		log_error("--gateway unix:%s: give an absolute path of at most %zu characters",
			  path, sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
	return error;
}

static int inet_gateway(const uint8_t address[16], unsigned int port, struct endpoint *ret_endpoint)
{
	char host[ADDRESS_TEXT_MAX], text[2 * ADDRESS_TEXT_MAX];

	address_format(address, host);
	(void)snprintf(text, sizeof(text), address_is_ipv4(address) ? "%s:%u" : "[%s]:%u", host,
		       port);
	return endpoint_parse(text, ret_endpoint);
}

int sidecar_gateway(const struct sidecar_options *options, struct socket_address *ret_gateway,
		    char text[128])
{
	struct socket_address gateway = {.size = 0};
	struct endpoint endpoint = {.address = {.ss_family = AF_UNSPEC}};
	uint8_t address[16];

	if (options->gateway && strncmp(options->gateway, "unix:", 5) == 0) {
		if (unix_gateway(options->gateway + 5, &gateway) < 0)
			return -EINVAL;
		(void)snprintf(text, 128, "%s", options->gateway);
		*ret_gateway = gateway;
		return 0;
	}
	if (options->gateway) {
		if (endpoint_parse(options->gateway, &endpoint) < 0) {
			log_error("--gateway %s: give IP:PORT, [IPv6]:PORT or unix:/PATH",
				  options->gateway);
			return -EINVAL;
		}
	} else {
		if (!options->egress_port) {
			log_error("no gateway: give --gateway IP:PORT or unix:/PATH, or "
				  "--http-egress-port PORT");
			return -EINVAL;
		}
		if (options->gateway_ip.given) {
			memcpy(address, options->gateway_ip.address, sizeof(address));
		} else if (address_from_hosts(address) < 0) {
			log_error("no gateway address: %s has no IPv4 address for %s; give "
				  "--gateway-ip, or start the container with --add-host "
				  "%s:host-gateway",
				  HOSTS_PATH, GATEWAY_NAME, GATEWAY_NAME);
			return -EINVAL;
		}
		if (inet_gateway(address, options->egress_port, &endpoint) < 0)
			return -EINVAL;
	}
	gateway.address = endpoint.address;
	gateway.size = endpoint_size(&endpoint);
	(void)endpoint_format((struct sockaddr *)&gateway.address, text);
	*ret_gateway = gateway;
	return 0;
}
