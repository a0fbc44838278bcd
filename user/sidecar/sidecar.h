/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a sidecar: starts its parts, keeps them in step, and stops them. */
#ifndef SIDESTEP_SIDECAR_H
#define SIDESTEP_SIDECAR_H

#include "sidecar/sidecar_options.h"

/*
 * Runs until SIGTERM or SIGINT, and returns 0 then. Returns -ENONET, logged, when nobody is left to
 * serve, and -EUNATCH, logged, when no network of Docker's that is asked for has a bridge. When the
 * start failed, it returns another negative errno, logged; -EADDRINUSE: another instance is running
 * in this network namespace. @target may be NULL: the start closes the network namespace if it is
 * told to, and fails with -EDESTADDRREQ.
 */
int sidecar_run(const struct sidecar_options *options, const struct gateway_target *target);

#endif
