/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Has IPv6 connections fail as they begin for a while, once the gateway is found to have no IPv6
 * (proxy/ipv6_verdict.h). After the pause the next connection tries again.
 */
#ifndef SIDESTEP_IPV6_PAUSE_H
#define SIDESTEP_IPV6_PAUSE_H

#include <stdbool.h>

#include "proxy/proxy.h"
#include "steering/steering.h"

/* The length of a pause, s. */
#define IPV6_PAUSE_S 60

/* Belongs to the main thread. Zero-initialised with timer_fd = -1 it never pauses. */
struct ipv6_pause {
	struct proxy *proxy;
	struct steering *steering;
	int timer_fd; /* readable when the pause is over */
	bool paused, logged;
};

/* Returns 0 or negative errno, logged. */
int ipv6_pause_open(struct ipv6_pause *pause, struct proxy *proxy, struct steering *steering);
void ipv6_pause_close(struct ipv6_pause *pause);

/* The descriptor that is readable when the gateway is found to have no IPv6; -1: none. */
int ipv6_pause_verdict_fd(const struct ipv6_pause *pause);

/* The verdict has come, or the pause is over. A sync must follow. */
void ipv6_pause_begin(struct ipv6_pause *pause);
void ipv6_pause_end(struct ipv6_pause *pause);

/* The gateway is another one. Returns true when that has ended a pause, and a sync must follow. */
bool ipv6_pause_cancel(struct ipv6_pause *pause);

#endif
