// SPDX-License-Identifier: Apache-2.0
#include "sidecar/sidecar_options.h"

#include <errno.h>
#include <string.h>
#include <sys/un.h>

#include "commands.h"
#include "lib/hosts_file.h"
#include "lib/log.h"
#include "lib/option_entries.h"
#include "lib/socket_address.h"
#include "lib/util.h"
#include "metrics/metrics_hosts.h"

#define FIELD(member) .offset = offsetof(struct sidecar_options, member)

static const char *const udp_choices[] = {"deny", "pass", "drop", NULL};
static const char *const inner_choices[] = {"auto", "off", NULL};
static const char *const protocol_choices[] = {"auto", "workerd", "connect", NULL};
static const char *const exit_choices[] = {"open", "closed", NULL};
static const char *const datapath_choices[] = {"auto", "bpf", "nft", "nft-redirect", NULL};

static const struct option_entry entries[] = {
	SIDECAR_GATEWAY_ENTRIES,
	{.section = "Control",
	 .name = "http-ingress-address",
	 .argument = "IP:PORT",
	 .type = OPTION_ENDPOINT,
	 FIELD(ingress_address),
	 .default_note = "none",
	 .example = "0.0.0.0:39001",
	 .help = "The address of the control API, which opens once interception is live: PUT "
		 "/egress, GET /ca, CONNECT into this network namespace. It refuses requests from "
		 "inside the namespace and of neighbours on the network."},
	{.name = "control-allow",
	 .argument = "CIDR",
	 .type = OPTION_PREFIXES,
	 FIELD(control_allow),
	 .help = "A further client of the control API. The host (the default route's gateway) may "
		 "always ask, and so may clients that come through it."},
	{.section = "Bypassed subnets",
	 .name = "docker-gateway-cidr",
	 .argument = "CIDR",
	 .type = OPTION_PREFIX,
	 .flags = OPTION_LENIENT,
	 FIELD(docker_gateway_cidr),
	 .help = "The subnet of the Docker bridge. Connected subnets are bypassed anyway."},
	{.name = "bypass",
	 .argument = "CIDR",
	 .type = OPTION_PREFIXES,
	 FIELD(bypass),
	 .help = "A further subnet to leave alone."},
	{OPTION_ENTRY_DOCKER_SOCKET(struct sidecar_options, docker_socket),
	 .help = "Docker's API socket. The subnets of Docker's bridge networks are bypassed, and "
		 "their changes followed."},
	{.section = "Interception",
	 .name = "bridge",
	 .argument = "NAME",
	 .type = OPTION_STRINGS,
	 FIELD(bridges),
	 .help = "Bridge mode, in the host's network namespace: intercept all containers of this "
		 "bridge. NAME is an interface (docker0). With --docker-socket it may be a Docker "
		 "network. The default is to intercept this network namespace."},
	{.name = "host",
	 .type = OPTION_BOOL,
	 FIELD(host),
	 .help = "Intercept the whole machine. Without it the sidecar refuses to run in the "
		 "machine's own network namespace, except with --bridge."},
	{.name = "inner",
	 .argument = "auto|off",
	 .type = OPTION_CHOICE,
	 .choices = inner_choices,
	 FIELD(inner),
	 .default_text = "auto",
	 .help = "Containers and virtual machines inside the intercepted container, behind its "
		 "bridges. auto: their connections are intercepted too, and their published ports "
		 "answer. off: they reach nothing outside."},
	{.name = "udp",
	 .argument = "deny|pass|drop",
	 .type = OPTION_CHOICE,
	 .choices = udp_choices,
	 FIELD(udp),
	 .default_text = "deny",
	 .help = "UDP to ports other than 53 (DNS), outside the bypassed subnets. With deny the "
		 "sender gets an error at once, with drop it hears nothing."},
	{.name = "dns-enabled",
	 .type = OPTION_BOOL,
	 FIELD(dns),
	 .default_text = "true",
	 .help = "Relay DNS (UDP port 53) to the resolver that the application asked. When false, "
		 "DNS is refused."},
	{.name = "made-up",
	 .argument = "GLOB",
	 .type = OPTION_STRINGS,
	 FIELD(made_up),
	 .default_note = "* with --http-ingress-address, or else none",
	 .example = "*.test",
	 .help = "Names that get a made-up address if the resolver does not know them or fails. "
		 "The gateway then sees the connection. PUT /egress replaces them."},
	{.name = "sni-hint",
	 .type = OPTION_BOOL,
	 FIELD(sni_hint),
	 .help = "Tell the gateway the TLS server name (X-Tls-Sni) if the client opens with a "
		 "ClientHello."},
	{.name = "tls-intercept",
	 .type = OPTION_BOOL,
	 FIELD(tls_intercept),
	 .help = "Terminate TLS if the gateway takes plaintext, with certificates of an ephemeral "
		 "CA (--ca-dir, GET /ca). Implies --sni-hint."},
	{.name = "gateway-protocol",
	 .argument = "auto|workerd|connect",
	 .type = OPTION_CHOICE,
	 .choices = protocol_choices,
	 FIELD(gateway_protocol),
	 .default_text = "auto",
	 .help = "The answers for which --tls-intercept terminates TLS. workerd: 200. connect: 200 "
		 "with X-Tls-Plaintext: accept. auto: workerd with --http-ingress-address, or else "
		 "connect."},
	{.name = "ca-dir",
	 .argument = "DIR",
	 .type = OPTION_STRING,
	 FIELD(ca_directory),
	 .default_text = "/ca",
	 .help = "The directory in which --tls-intercept writes ca.crt and ca.key. A root of your "
		 "own that is there signs instead, and is never overwritten. With - it writes "
		 "nothing, and GET /ca alone gives the certificate."},
	{.name = "disable-ipv6",
	 .type = OPTION_BOOL,
	 FIELD(disable_ipv6),
	 .help = "Answer IPv6 connections to the outside with an error, without interception."},
	{.name = "guard-first",
	 .type = OPTION_BOOL,
	 FIELD(guard_first),
	 .help = "Close the network namespace before all else, and leave it closed if the start "
		 "fails. Where a sidecar was killed, failed or ended closed, this is always so."},
	{.name = "on-exit",
	 .argument = "open|closed",
	 .type = OPTION_CHOICE,
	 .choices = exit_choices,
	 FIELD(exit_closed),
	 .default_text = "open",
	 .help = "The network namespace after SIGTERM. open: as without sidestep. closed: nothing "
		 "gets out until sidestep runs again."},
	{.name = "exempt-uid",
	 .argument = "UID",
	 .type = OPTION_STRINGS,
	 FIELD(exempt_uids),
	 .help = "Carry connections of this user straight to their destination, for a gateway that "
		 "runs in the application's network namespace. The application must not have the "
		 "user, nor CAP_SETUID."},
	{.name = "exempt-cgroup",
	 .argument = "DIR",
	 .type = OPTION_STRINGS,
	 FIELD(exempt_cgroups),
	 .help = "The same for the processes of this control group (cgroup v2), without the groups "
		 "below it."},
	{.name = "ipv6-fallback",
	 .type = OPTION_BOOL,
	 FIELD(ipv6_fallback),
	 .default_text = "true",
	 .help = "Let IPv6 connections fail at once while the gateway is known to refuse IPv6, so "
		 "that applications take IPv4."},
	{.section = "Limits",
	 .name = "threads",
	 .argument = "N",
	 .type = OPTION_UNSIGNED,
	 FIELD(threads),
	 .minimum = 0,
	 .maximum = 64,
	 .default_text = "0",
	 .default_note = "one for each core, at most 8",
	 .help = "The number of event loops. Cores are those that the affinity and the control "
		 "group leave. With few file descriptors there are fewer."},
	{.name = "max-connections",
	 .argument = "N",
	 .type = OPTION_UNSIGNED,
	 FIELD(max_connections),
	 .minimum = 1,
	 .maximum = 1000000,
	 .default_text = "16384",
	 .help = "At this limit new connections are reset and counted. Running ones continue."},
	{.name = "peek-timeout",
	 .argument = "MS",
	 .type = OPTION_UNSIGNED,
	 FIELD(peek_ms),
	 .minimum = 1,
	 .maximum = 10000,
	 .default_text = "50",
	 .help = "The wait for a client's first bytes. After it the gateway is asked without "
		 "hints."},
	{.name = "client-first-timeout",
	 .argument = "MS",
	 .type = OPTION_UNSIGNED,
	 FIELD(client_first_ms),
	 .minimum = 1,
	 .maximum = 60000,
	 .default_text = "5000",
	 .help = "The same wait on ports where clients speak first (443, 80, ...), unless there is "
		 "a control API. Also the wait for the rest of a ClientHello that has begun."},
	{.name = "connect-timeout",
	 .argument = "MS",
	 .type = OPTION_UNSIGNED,
	 FIELD(connect_ms),
	 .minimum = 1,
	 .maximum = 600000,
	 .default_text = "10000",
	 .help = "The limit for connecting to the gateway."},
	{.name = "answer-timeout",
	 .argument = "MS",
	 .type = OPTION_UNSIGNED,
	 FIELD(answer_ms),
	 .minimum = 0,
	 .maximum = 600000,
	 .default_text = "0",
	 .default_note = "none",
	 .help = "The limit for the gateway's answer to CONNECT."},
	{.name = "peer-timeout",
	 .argument = "MS",
	 .type = OPTION_UNSIGNED,
	 FIELD(peer_ms),
	 .minimum = 0,
	 .maximum = 86400000,
	 .default_text = "120000",
	 .help = "The time without a sign of life after which the other end of a connection counts "
		 "as vanished. Silent connections are probed (TCP keepalive). At least 4000, or 0: "
		 "never."},
	{.name = "drain",
	 .argument = "MS",
	 .type = OPTION_UNSIGNED,
	 FIELD(drain_ms),
	 .minimum = 0,
	 .maximum = 600000,
	 .default_text = "5000",
	 .help = "The time that running connections have left after SIGTERM."},
	{.section = "Operation",
	 OPTION_ENTRY_PIN(struct sidecar_options, pin),
	 .example = "/sys/fs/bpf/sidestep/app",
	 .help = "Pin the maps in this directory of a bpffs, for bpftool and \"sidestep "
		 "status\"."},
	{.name = "event-log",
	 .argument = "PATH|-|journal",
	 .type = OPTION_STRING,
	 FIELD(event_log),
	 .default_note = "none",
	 .example = "/var/log/sidestep/events.json",
	 .help = "Write one line of JSON for each connection to this file, which is rotated (4 "
		 "files of 64 MiB), to standard output (-), or to journald."},
	{.name = "event-memory",
	 .argument = "KIB",
	 .type = OPTION_UNSIGNED,
	 FIELD(event_memory),
	 .minimum = 0,
	 .maximum = 1048576,
	 .default_text = "1024",
	 .help = "The memory for the latest events, at least 256, some 4 for each KiB. Readers "
		 "get them at /run/sidestep/NETNS.events. 0: there is no such socket."},
	{.name = "datapath",
	 .argument = "auto|bpf|nft|nft-redirect",
	 .type = OPTION_CHOICE,
	 .choices = datapath_choices,
	 FIELD(datapath),
	 .default_text = "auto",
	 .help = "The mechanism that steers. bpf: own programs, or those of the host's agent "
		 "where the rights for own ones are missing. nft: an nftables table. nft-redirect: "
		 "the same without tproxy, which nft does where the kernel has none. auto: own "
		 "programs, or else a table until the host's agent comes."},
	{.name = "agent-wait",
	 .argument = "MS",
	 .type = OPTION_UNSIGNED,
	 FIELD(agent_wait_ms),
	 .minimum = 0,
	 .maximum = 60000,
	 .default_text = "300",
	 .help = "The wait for the host's agent with --datapath bpf, where nftables cannot be "
		 "used, or after a start that failed. Otherwise an nftables table steers at once, "
		 "and an agent takes over when it comes."},
	{OPTION_ENTRY_METRICS_LISTEN(struct sidecar_options, metrics_listen),
	 .help = "Serve metrics for Prometheus at this address, over HTTP: IP:PORT, [IPv6]:PORT or "
		 "unix:/PATH. It refuses requests from inside the network namespace and of "
		 "neighbours on the network."},
	{OPTION_ENTRY_METRICS_ALLOW(struct sidecar_options, metrics_allow)},
	{OPTION_ENTRY_METRICS_HOSTS(struct sidecar_options, metrics_hosts),
	 .maximum = METRICS_HOSTS_MAX},
	{OPTION_ENTRY_OTLP(struct sidecar_options, otlp.url)},
	{OPTION_ENTRY_OTLP_HEADER(struct sidecar_options, otlp.headers)},
	{OPTION_ENTRY_OTLP_CA(struct sidecar_options, otlp.ca)},
	{OPTION_ENTRY_OTLP_INTERVAL(struct sidecar_options, otlp.interval_s)},
	{OPTION_ENTRY_ATTACH(struct sidecar_options, attach)},
	{OPTION_ENTRY_LOG_LEVEL(struct sidecar_options, log_level)},
	{OPTION_ENTRY_LOG_FORMAT(struct sidecar_options, log_format)},
};

static const struct option_example examples[] = {
	{"Intercept an application's connections, which then starts in this network namespace:",
	 "docker run -d --name app-net --privileged IMAGE sidecar --gateway 172.17.0.1:8080"},
	{"Intercept every container of the default bridge, on the host:",
	 "sidestep sidecar --bridge docker0 --gateway 127.0.0.1:8080"},
	{"Follow all Docker networks, and pin the maps:",
	 "sidestep sidecar --gateway unix:/run/gw.sock --docker-socket /var/run/docker.sock --pin "
	 "/sys/fs/bpf/sidestep/app"},
};

static const struct option_status statuses[] = {
	{STATUS_OK, "ended by SIGTERM or SIGINT, as --on-exit says"},
	{STATUS_FAILED, "could not start or keep running; the log has the reason"},
	{STATUS_USAGE, "wrong command line"},
	{STATUS_BUSY, "another instance is running in this network namespace"},
	{STATUS_NOBODY, "the last device that leads outside is gone: nobody is left to serve"},
};

const struct options_command sidecar_options_command = {
	.name = "sidestep sidecar",
	.summary = "Intercepts outbound connections and hands them to an HTTP CONNECT gateway.",
	.description =
		"Every TCP connection to outside the bypassed subnets arrives at the gateway as "
		"CONNECT IP:PORT, whatever its port. Traffic on the containers' own bridges is "
		"never touched, nor are replies to connections from outside.\n"
		"With CAP_BPF and CAP_NET_ADMIN it steers with BPF programs of its own (Linux "
		"5.10). Bridge mode also needs CAP_SYS_ADMIN at start. With CAP_NET_ADMIN alone the "
		"programs of the host's agent (sidestep agent) steer or, until it comes, an "
		"nftables table. It drops capabilities that it no longer needs.\n"
		"If it is killed, the application's connections to the outside fail at once until "
		"it runs again. In bridge mode nothing of it stays on the host, and containers "
		"then reach the outside directly.",
	.entries = entries,
	.entry_count = ARRAY_SIZE(entries),
	.examples = examples,
	.example_count = ARRAY_SIZE(examples),
	.statuses = statuses,
	.status_count = ARRAY_SIZE(statuses),
};

static int unix_gateway(const char *path, struct socket_address *ret_gateway)
{
	int error = socket_address_unix(path, ret_gateway);

	if (error < 0)
		log_error("--gateway unix:%s: give an absolute path of at most %zu characters",
			  path, sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
	return error;
}

/* Docker writes the name to that file (--add-host host.docker.internal:host-gateway). */
static int gateway_of_hosts(in_port_t port, struct gateway_target *ret_target)
{
	uint8_t address[1][16];

	if (hosts_file_find(HOSTS_FILE_PATH, SIDECAR_GATEWAY_NAME, address, 1) == 0) {
		log_error("no gateway address: %s has no address for %s; give --gateway-ip, or "
			  "start the container with --add-host %s:host-gateway",
			  HOSTS_FILE_PATH, SIDECAR_GATEWAY_NAME, SIDECAR_GATEWAY_NAME);
		return -EINVAL;
	}
	socket_address_unknown(port, &ret_target->address);
	(void)strcpy(ret_target->host, SIDECAR_GATEWAY_NAME);
	ret_target->hosts_only = true;
	return 0;
}

/* Puts the gateway together from --gateway-ip and --http-egress-port. */
static int gateway_of_parts(const struct sidecar_options *options,
			    struct gateway_target *ret_target)
{
	in_port_t port = htons((uint16_t)options->egress_port);

	if (!options->egress_port) {
		log_error("no gateway: give --gateway IP:PORT, NAME:PORT or unix:/PATH, or "
			  "--http-egress-port PORT");
		return -EINVAL;
	}
	if (!options->gateway_ip.given)
		return gateway_of_hosts(port, ret_target);
	socket_address_inet(options->gateway_ip.address, port, &ret_target->address);
	return 0;
}

int sidecar_options_gateway(const struct sidecar_options *options,
			    struct gateway_target *ret_target)
{
	memset(ret_target, 0, sizeof(*ret_target));
	if (!options->gateway)
		return gateway_of_parts(options, ret_target);
	if (strncmp(options->gateway, "unix:", 5) == 0)
		return unix_gateway(options->gateway + 5, &ret_target->address);
	if (gateway_target_parse(options->gateway, ret_target) < 0) {
		log_error("--gateway %s: give IP:PORT, [IPv6]:PORT, NAME:PORT or unix:/PATH",
			  options->gateway);
		return -EINVAL;
	}
	return 0;
}

bool sidecar_options_controlled(const struct sidecar_options *options)
{
	return options->ingress_address.address.ss_family != AF_UNSPEC;
}

bool sidecar_options_exempt(const struct sidecar_options *options)
{
	return options->exempt_uids.count + options->exempt_cgroups.count > 0;
}

bool sidecar_options_nft(const struct sidecar_options *options)
{
	return options->datapath == SIDECAR_MECHANISM_NFT ||
	       options->datapath == SIDECAR_MECHANISM_NFT_REDIRECT;
}

bool sidecar_options_openers(const struct sidecar_options *options)
{
	return options->event_log || options->event_memory > 0 ||
	       otlp_options_given(&options->otlp);
}

enum tunnel_protocol sidecar_options_protocol(const struct sidecar_options *options)
{
	if (options->gateway_protocol == SIDECAR_PROTOCOL_WORKERD)
		return TUNNEL_PROTOCOL_WORKERD;
	if (options->gateway_protocol == SIDECAR_PROTOCOL_CONNECT)
		return TUNNEL_PROTOCOL_CONNECT;
	return sidecar_options_controlled(options) ? TUNNEL_PROTOCOL_WORKERD
						   : TUNNEL_PROTOCOL_CONNECT;
}
