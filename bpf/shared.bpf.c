// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Compiles the programs of sidestep.bpf.c for the agent, where one load serves any number of
 * namespaces. A constant does not switch between the two: without CAP_PERFMON the verifier would
 * follow both branches.
 */
#define SIDESTEP_SHARED
#include "sidestep.bpf.c"
