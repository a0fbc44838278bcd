/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks whether the gateway can be reached from here, and explains a failure, before an
 * application's first connection is reset. Finds out whether the gateway's own connections are
 * intercepted (sidecar/gateway_echo.h).
 */
#ifndef SIDESTEP_PREFLIGHT_H
#define SIDESTEP_PREFLIGHT_H

#include "lib/socket_address.h"
#include "proxy/proxy.h"
#include "sidecar/gateway_target.h"

/* The time that the gateway's host has for its answer, ms. */
#define PREFLIGHT_LIMIT_MS 2000

struct preflight_config {
	unsigned int limit_ms;
	struct dial_announcer announcer; /* told of a TCP socket before it connects */
	int stop_fd;	     /* becomes readable to end the check with -ECANCELED; negative: none */
	struct proxy *proxy; /* learns of a loop; NULL: nobody does */
	bool bridge_mode;
	struct gateway_finder *finder; /* the thread's from the start on; NULL: there is no name */
	/* Makes @gateway the proxy's, by its address. Called in the preflight's thread, which waits
	 * for it. Returns 0, or negative errno if the gateway stays what it was. */
	int (*move)(void *context, const struct socket_address *gateway);
	void *context;
};

struct preflight_advice {
	const char *cause;
	const char *remedy;
};

/* Connects to the gateway and closes, without sending anything. Returns 0 or negative errno, not
 * logged. -ETIMEDOUT: no answer within the limit. */
int preflight_check(const struct preflight_config *config, const struct socket_address *gateway);

/* Explains an @error of preflight_check() for that gateway. The texts are constants, except for an
 * unknown cause, whose text is valid in the calling thread until the next call. */
struct preflight_advice preflight_explain(const struct socket_address *gateway, int error);

/*
 * A thread that checks in the background. It logs each outcome that differs from the last one. If
 * the gateway's own connections come back, the proxy refuses all connections. A gateway that is
 * near may start again at any time. So its check is repeated while it cannot be used, and if
 * connections fail. The same is done for a gateway that has a name. If it cannot be reached, the
 * name is looked up, and the first other address that accepts a connection takes its place.
 */
struct preflight;

/* Starts the thread. Ignores stop_fd. Returns 0 or negative errno, logged. */
int preflight_new(const struct preflight_config *config, struct preflight **ret_preflight);

/* Requests a check of @gateway, in place of a request that still waits. Thread safe; does not
 * block. */
void preflight_request(struct preflight *preflight, const struct socket_address *gateway);

/* Ends a running check and the thread. NULL is allowed. */
void preflight_free(struct preflight *preflight);

#endif
