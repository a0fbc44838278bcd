// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * The programs of sidestep.bpf.c for the host's agent: one load serves any number of namespaces.
 * Compiled apart, not switched by a constant: the verifier would walk both ways of each switch for
 * a loader without CAP_PERFMON.
 */
#define SIDESTEP_SHARED
#include "sidestep.bpf.c"
