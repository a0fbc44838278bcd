/* SPDX-License-Identifier: Apache-2.0 */
/* A Docker network, with its subnets and containers, as the engine describes it. */
#ifndef SIDESTEP_DOCKER_NETWORK_H
#define SIDESTEP_DOCKER_NETWORK_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/address.h"

/* IPAM.Config of a network. */
struct docker_subnet {
	struct prefix prefix;
	bool has_gateway;
	uint8_t gateway[16]; /* as in lib/address.h */
};

/* A running container on a network. A container that shares the network namespace of another one
 * (--network container:...) is on no network itself. */
struct docker_container {
	char *id; /* 64 hexadecimal digits */
	char *name;
	bool has_ipv4, has_ipv6;
	uint8_t ipv4[16]; /* as in lib/address.h */
	uint8_t ipv6[16];
};

/* A network of scope "local". One of another driver than "bridge" has neither interface nor
 * subnets here. */
struct docker_network {
	char *id;
	char *name;
	char *driver;
	char interface[IF_NAMESIZE]; /* the bridge's name on a host with Docker; "": no bridge */
	struct docker_subnet *subnets;
	size_t subnet_count;
	struct docker_container *containers;
	size_t container_count;
};

#endif
