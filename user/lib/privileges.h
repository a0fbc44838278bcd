/* SPDX-License-Identifier: Apache-2.0 */
/* Capabilities of the process (capabilities(7)), which gives up most of them early. */
#ifndef SIDESTEP_PRIVILEGES_H
#define SIDESTEP_PRIVILEGES_H

#include <stdbool.h>

/*
 * Gives up all capabilities for good but CAP_NET_ADMIN (routes, transparent sockets) and, with
 * @keep_bpf, CAP_BPF. Programs that are executed later cannot get them back either. It holds for
 * the calling thread and for threads that it starts later, so call it before starting any. Returns
 * 0 or a negative errno, logged.
 */
int privileges_drop(bool keep_bpf);

/* Gives up all capabilities of the calling thread for good but those that a load of BPF programs
 * takes. Returns 0 or a negative errno, logged. */
int privileges_keep_loading(void);

/* Tells whether a capability (CAP_*) is effective. */
bool privileges_have(int capability);

/* Tells whether CAP_BPF or CAP_SYS_ADMIN, which includes it, is effective. */
bool privileges_have_bpf(void);

/* Tells whether CAP_PERFMON or CAP_SYS_ADMIN, which includes it, is effective. */
bool privileges_have_perfmon(void);

/* Tells whether CAP_NET_ADMIN is effective. */
bool privileges_have_net_admin(void);

/* Switches CAP_BPF and CAP_SYS_ADMIN, which includes it, off in the calling thread for a trial, or
 * on again. Returns 0 or a negative errno. */
int privileges_set_bpf(bool on);

#endif
