/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a set of metrics in binary form, for another process of the same version. */
#ifndef SIDESTEP_METRICS_PACK_H
#define SIDESTEP_METRICS_PACK_H

#include <stdbool.h>
#include <stdio.h>

#include "metrics/metrics_set.h"

/* Writes a set that is not finished. */
void metrics_pack(FILE *stream, const struct metrics_set *set);

/* Reads it into an empty set. False: it is malformed, or there is no memory. The caller clears the
 * set in both cases. */
bool metrics_unpack(FILE *stream, struct metrics_set *set);

#endif
