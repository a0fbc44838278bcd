/* SPDX-License-Identifier: Apache-2.0 */
/* The program's version, and what it was built from. */
#ifndef SIDESTEP_VERSION_H
#define SIDESTEP_VERSION_H

#include <stdio.h>

/* Prints the version with its commit, the libraries and the features, one a line. */
void version_print(FILE *stream);

#endif
