/* SPDX-License-Identifier: Apache-2.0 */
/* The running kernel's version, for the few things that cannot be tried. */
#ifndef SIDESTEP_KERNEL_H
#define SIDESTEP_KERNEL_H

#include <stdbool.h>

/* Whether it is Linux @major.@minor or newer. */
bool kernel_is(unsigned int major, unsigned int minor);

#endif
