/* SPDX-License-Identifier: Apache-2.0 */
/* Reads tables of iptables of the old kind, which nftables does not know. */
#ifndef SIDESTEP_DOCTOR_LEGACY_H
#define SIDESTEP_DOCTOR_LEGACY_H

#include <stdbool.h>
#include <sys/socket.h>

struct doctor_legacy {
	bool takes;	  /* a rule has the target TPROXY or REDIRECT */
	bool ufw;	  /* a chain of ufw is there */
	bool docker_user; /* DOCKER-USER has rules */
	bool drops; /* INPUT may drop: a rule of it, a chain that it jumps to, or its policy */
};

/* Reads the table @name of AF_INET or AF_INET6 in this network namespace, which takes
 * CAP_NET_ADMIN. Returns 0 or a negative errno, and adds to @found. */
int doctor_legacy_read(sa_family_t family, const char *name, struct doctor_legacy *found);

#endif
