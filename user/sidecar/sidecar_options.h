/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of `sidestep sidecar`. */
#ifndef SIDESTEP_SIDECAR_OPTIONS_H
#define SIDESTEP_SIDECAR_OPTIONS_H

#include "datapath/datapath_bpf.h"
#include "lib/options.h"
#include "lib/socket_address.h"

/* --datapath */
enum sidecar_datapath {
	SIDECAR_DATAPATH_AUTO, /* own programs where the rights are there, else agent, else nft */
	SIDECAR_DATAPATH_BPF,  /* own programs, else the agent's */
	SIDECAR_DATAPATH_NFT,
};

struct sidecar_options {
	const char *gateway;
	struct option_address gateway_ip;
	unsigned int egress_port;
	struct option_prefix docker_gateway_cidr;
	struct option_prefixes bypass;
	const char *docker_socket;
	struct option_strings bridges;
	unsigned int udp; /* 0: deny, 1: pass */
	bool dns;
	bool sni_hint;
	struct endpoint ingress_address; /* family AF_UNSPEC: no control API */
	bool tls_intercept;
	const char *ca_directory;
	unsigned int datapath; /* enum sidecar_datapath */
	unsigned int agent_wait_ms;
	bool disable_ipv6;
	unsigned int threads;
	unsigned int max_connections;
	unsigned int peek_ms;
	unsigned int connect_ms;
	unsigned int answer_ms;
	unsigned int drain_ms;
	const char *pin;
	unsigned int attach;	/* enum programs_way */
	unsigned int log_level; /* enum log_level */
};

extern const struct options_command sidecar_command;

/* The gateway that the options name, or host.docker.internal's address from /etc/hosts. @text, at
 * least 128 bytes, gets it for people. Returns 0 or -EINVAL, logged. */
int sidecar_gateway(const struct sidecar_options *options, struct socket_address *ret_gateway,
		    char text[128]);

#endif
