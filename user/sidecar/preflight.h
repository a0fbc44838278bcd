/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Can the gateway be reached from here, and if not: why, and what is to be done about it? Found out
 * before an application's first connection is reset.
 */
#ifndef SIDESTEP_PREFLIGHT_H
#define SIDESTEP_PREFLIGHT_H

#include "lib/socket_address.h"
#include "proxy/proxy.h"

/* How long the gateway's host has for its answer, ms. */
#define PREFLIGHT_LIMIT_MS 2000

struct preflight_config {
	unsigned int limit_ms;
	struct dial_announcer announcer; /* told of a TCP socket before it connects */
	int stop_fd; /* readable: the check ends with -ECANCELED. Negative: none */
};

struct preflight_advice {
	const char *cause;
	const char *remedy;
};

/* Connects to the gateway and closes; nothing is sent. Returns 0 or negative errno, not logged;
 * -ETIMEDOUT: no answer within the limit. */
int preflight_check(const struct preflight_config *config, const struct socket_address *gateway);

/* What an @error of preflight_check() means for that gateway. The texts are constants, but for
 * errors of unknown cause, whose text is valid in the calling thread until the next call. */
struct preflight_advice preflight_explain(const struct socket_address *gateway, int error);

/* A thread that checks in the background and logs the outcome: once, until it is another one. */
struct preflight;

/* Starts the thread; stop_fd is ignored. Returns 0 or negative errno, logged. */
int preflight_new(const struct preflight_config *config, struct preflight **ret_preflight);

/* Has @gateway checked soon. Thread safe, does not block. A request that is still waiting gives
 * way: only the newest gateway matters. */
void preflight_request(struct preflight *preflight, const struct socket_address *gateway);

/* Ends a running check and the thread. NULL is allowed. */
void preflight_free(struct preflight *preflight);

#endif
