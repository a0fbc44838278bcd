/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sidecar's gateway that has a name. It is looked up once before anything is steered, by ordinary
 * queries. A namespace that is closed then lets out no query, and the preflight tries again.
 */
#ifndef SIDESTEP_SIDECAR_GATEWAY_H
#define SIDESTEP_SIDECAR_GATEWAY_H

#include "sidecar/sidecar_state.h"

/* Takes the gateway's address from the target, or looks it up. Returns 0: without an address the
 * start goes on. */
int sidecar_gateway_find(struct sidecar *sidecar);

/* Frees what that read. */
void sidecar_gateway_forget(struct sidecar *sidecar);

/*
 * Gives the gateway another address, unless the application might get out by that. The datapath
 * bypasses it before the proxy uses it, where it has to. Runs in the preflight's thread; @context
 * is the sidecar. Returns 0 or negative errno.
 */
int sidecar_gateway_move(void *context, const struct socket_address *gateway);

/* The main thread takes that request. Returns 0: it syncs, and answers with the result. Otherwise
 * it answers with the negative errno. */
int sidecar_gateway_take(struct sidecar *sidecar);

#endif
