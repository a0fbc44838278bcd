/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the known name that a mistyped one most likely stands for. */
#ifndef SIDESTEP_NEAREST_H
#define SIDESTEP_NEAREST_H

/* Zero-initialised but for @name. */
struct nearest {
	const char *name;      /* as typed */
	const char *best;      /* the nearest of the known names so far, or NULL: none is near */
	unsigned int distance; /* of @best */
};

/* Compares a known name. @known has to outlive @nearest. */
void nearest_consider(struct nearest *nearest, const char *known);

#endif
