/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a sidecar: starts its parts, keeps them in step, and stops them. */
#ifndef SIDESTEP_SIDECAR_H
#define SIDESTEP_SIDECAR_H

#include "lib/socket_address.h"
#include "sidecar/sidecar_options.h"

/* Runs until SIGTERM or SIGINT. Returns 0 then, or negative errno, logged, when the start failed;
 * -EADDRINUSE: another instance is running in this network namespace. @gateway may be NULL: the
 * start closes the network namespace if it is told to, and fails with -EDESTADDRREQ. */
int sidecar_run(const struct sidecar_options *options, const struct socket_address *gateway);

#endif
