/* SPDX-License-Identifier: Apache-2.0 */
/* Says why Sidestep steps aside for a subnet, in the same words everywhere. */
#ifndef SIDESTEP_BYPASS_ORIGIN_H
#define SIDESTEP_BYPASS_ORIGIN_H

#include <net/if.h>
#include <stdint.h>

#include "sidestep.h"

/* Room for the names below and the words around them, with the NUL. */
#define BYPASS_ORIGIN_MAX 256

/* Room for a network's name, which is cut if need be, with its NUL. */
#define BYPASS_NETWORK_MAX 64

/* The ways to give a prefix (SIDESTEP_FROM_OPTION). */
enum bypass_option {
	BYPASS_OPTION_UNKNOWN,
	BYPASS_OPTION_BYPASS, /* --bypass */
	BYPASS_OPTION_DOCKER, /* --docker-gateway-cidr */
	BYPASS_OPTION_ADDED,  /* `sidestep bypass add` */
};

struct bypass_origin {
	uint32_t sources; /* enum sidestep_bypass_source */
	enum bypass_option option;
	char device[IFNAMSIZ];		  /* SIDESTEP_FROM_CONNECTED; "": not known */
	char network[BYPASS_NETWORK_MAX]; /* SIDESTEP_FROM_DOCKER; "": not known */
};

/* Prints "docker network NAME, interface eth0", "option --bypass" and the like. Returns @text. */
const char *bypass_origin(const struct bypass_origin *origin, char text[BYPASS_ORIGIN_MAX]);

#endif
