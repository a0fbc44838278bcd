/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sidecar's end of captures: hands what interception opens to those that run `sidestep
 * capture`. A reader must be root in the sidecar's own mount namespace, where the
 * application has no file. A reader that is too slow loses messages, and nobody waits for it.
 */
#ifndef SIDESTEP_CAPTURE_SOURCE_H
#define SIDESTEP_CAPTURE_SOURCE_H

#include <stdint.h>

#include "tls/tls_tap.h"

struct capture_source;

/* Listens for readers in the calling thread's network namespace. Returns 0, or negative errno,
 * logged as a warning: then there are no captures. */
int capture_source_new(struct capture_source **ret_source);

/* Becomes readable when a reader comes or goes; then capture_source_event() is due. */
int capture_source_fd(const struct capture_source *source);
void capture_source_event(struct capture_source *source);

/* The tap is the source's, and works without readers, too. */
const struct tls_tap *capture_source_tap(struct capture_source *source);

/* The path of the socket. */
const char *capture_source_path(const struct capture_source *source);

/* Nobody uses the tap any more. NULL is allowed. */
void capture_source_free(struct capture_source *source);

#endif
