/* SPDX-License-Identifier: Apache-2.0 */
/* Answers what an operator asks of a running sidecar (operator/operator_wire.h). */
#ifndef SIDESTEP_SIDECAR_OPERATOR_H
#define SIDESTEP_SIDECAR_OPERATOR_H

struct sidecar;

/* Opens the operator's socket. Without a place for it the sidecar does without. Returns 0. */
int sidecar_operator_open(struct sidecar *sidecar);
void sidecar_operator_close(struct sidecar *sidecar);

#endif
