/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of `sidestep sidecar`. */
#ifndef SIDESTEP_SIDECAR_OPTIONS_H
#define SIDESTEP_SIDECAR_OPTIONS_H

#include "lib/hosts_file.h"
#include "lib/options.h"
#include "metrics/otlp_options.h"
#include "proto/tunnel.h"
#include "sidecar/gateway_target.h"

/* The values of --datapath. */
enum sidecar_mechanism {
	SIDECAR_MECHANISM_AUTO, /* own programs, or else nftables until the agent comes */
	SIDECAR_MECHANISM_BPF,	/* own programs, or else the agent's */
	SIDECAR_MECHANISM_NFT,
	SIDECAR_MECHANISM_NFT_REDIRECT, /* as nft where the kernel has no tproxy */
};

/* The values of --gateway-protocol. */
enum sidecar_protocol {
	SIDECAR_PROTOCOL_AUTO, /* workerd's with a control API, which sets the gateway's port */
	SIDECAR_PROTOCOL_WORKERD,
	SIDECAR_PROTOCOL_CONNECT,
};

/* The values of --inner. */
enum sidecar_inner {
	SIDECAR_INNER_AUTO,
	SIDECAR_INNER_OFF,
};

struct sidecar_options {
	const char *gateway;
	struct option_address gateway_ip;
	unsigned int egress_port;
	struct option_prefix docker_gateway_cidr;
	struct option_prefixes bypass;
	const char *docker_socket;
	struct option_strings bridges;	 /* none: sidecar mode */
	unsigned int inner;		 /* enum sidecar_inner */
	unsigned int udp;		 /* enum sidestep_udp */
	struct option_strings made_up;	 /* globs */
	struct endpoint ingress_address; /* family AF_UNSPEC: no control API */
	struct option_prefixes control_allow;
	unsigned int gateway_protocol; /* enum sidecar_protocol */
	const char *ca_directory;
	unsigned int datapath; /* enum sidecar_mechanism */
	unsigned int agent_wait_ms;
	struct option_strings exempt_uids;
	struct option_strings exempt_cgroups;
	unsigned int exit_closed; /* 0: open, 1: closed */
	unsigned int threads;
	unsigned int max_connections;
	unsigned int peek_ms;
	unsigned int client_first_ms;
	unsigned int connect_ms;
	unsigned int answer_ms;
	unsigned int peer_ms;
	unsigned int drain_ms;
	const char *metrics_listen;
	struct option_prefixes metrics_allow;
	unsigned int metrics_hosts;
	struct otlp_options otlp;
	const char *pin;
	const char *event_log;
	unsigned int event_memory; /* KiB, 0: no socket */
	unsigned int attach;	   /* enum programs_way */
	unsigned int log_level;	   /* enum log_level */
	unsigned int log_format;   /* enum log_format */
	bool host;		   /* the machine's own namespace is meant */
	bool dns;
	bool sni_hint;
	bool tls_intercept;
	bool disable_ipv6;
	bool ipv6_fallback;
	bool guard_first;
};

#define SIDECAR_GATEWAY_NAME "host.docker.internal"

/* Three entries of the table, the gateway's, which other commands have as well. They are for a
 * target that begins with struct sidecar_options. */
#define SIDECAR_GATEWAY_ENTRIES                                                                     \
	{.section = "Gateway",                                                                      \
	 .name = "gateway",                                                                         \
	 .argument = "ADDRESS",                                                                     \
	 .type = OPTION_STRING,                                                                     \
	 .offset = offsetof(struct sidecar_options, gateway),                                       \
	 .default_note = "--gateway-ip with --http-egress-port",                                    \
	 .example = "172.17.0.1:8080",                                                              \
	 .help = "The HTTP CONNECT gateway: IP:PORT, [IPv6]:PORT, NAME:PORT or unix:/PATH. A name " \
		 "is looked up at the start, and again when the gateway cannot be reached."},       \
		{.name = "gateway-ip",                                                              \
		 .argument = "IP",                                                                  \
		 .type = OPTION_ADDRESS,                                                            \
		 .offset = offsetof(struct sidecar_options, gateway_ip),                            \
		 .default_note = "the address of " SIDECAR_GATEWAY_NAME " in " HOSTS_FILE_PATH,     \
		 .help = "The gateway's address alone."},                                           \
	{                                                                                           \
		.name = "http-egress-port", .argument = "PORT", .type = OPTION_UNSIGNED,            \
		.offset = offsetof(struct sidecar_options, egress_port), .minimum = 1,              \
		.maximum = 65535, .default_note = "none", .example = "8080",                        \
		.help = "The gateway's port."                                                       \
	}

/* Reads the gateway that the options name. Without an address or a name it is host.docker.internal,
 * which must be in /etc/hosts. Returns 0 or -EINVAL, logged. */
int sidecar_options_gateway(const struct sidecar_options *options,
			    struct gateway_target *ret_target);

/* Tells whether there is a control API. */
bool sidecar_options_controlled(const struct sidecar_options *options);

/* Tells whether somebody's connections do not go to the gateway. */
bool sidecar_options_exempt(const struct sidecar_options *options);

/* Tells whether --datapath asks for an nftables table. */
bool sidecar_options_nft(const struct sidecar_options *options);

/* Tells whether something that was asked for names the processes of connections. */
bool sidecar_options_openers(const struct sidecar_options *options);

/* Returns the protocol that the options name or imply. */
enum tunnel_protocol sidecar_options_protocol(const struct sidecar_options *options);

#endif
