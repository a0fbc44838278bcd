/* SPDX-License-Identifier: Apache-2.0 */
/* Lets `sidestep capture` look into the connections whose TLS ends here. */
#ifndef SIDESTEP_SIDECAR_CAPTURES_H
#define SIDESTEP_SIDECAR_CAPTURES_H

#include "sidecar/sidecar_state.h"
#include "tls/tls_tap.h"

/* A step of the start. Without --tls-intercept there is nothing to look into. The sidecar goes on
 * without captures if they are not possible, which is logged. Returns 0. */
int sidecar_captures_start(struct sidecar *sidecar);
void sidecar_captures_stop(struct sidecar *sidecar);

/* NULL: there are no captures. */
const struct tls_tap *sidecar_captures_tap(const struct sidecar *sidecar);

/* The path of the socket, or NULL. */
const char *sidecar_captures_path(const struct sidecar *sidecar);

#endif
