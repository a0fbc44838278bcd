/* SPDX-License-Identifier: Apache-2.0 */
/* Capabilities (capabilities(7)) of the process: fewer as soon as possible. */
#ifndef SIDESTEP_PRIVILEGES_H
#define SIDESTEP_PRIVILEGES_H

#include <stdbool.h>

/*
 * Keeps CAP_NET_ADMIN (routes, transparent sockets) and, where @keep_bpf, CAP_BPF; gives up all
 * others for good, also for programs executed later. For the calling thread and those it starts:
 * call it before any is started. Returns 0 or negative errno, logged.
 */
int privileges_drop(bool keep_bpf);

/* Is CAP_BPF (or CAP_SYS_ADMIN, which includes it) in effect? */
bool privileges_have_bpf(void);

/* Is CAP_PERFMON (or CAP_SYS_ADMIN, which includes it) in effect? */
bool privileges_have_perfmon(void);

/* Is CAP_NET_ADMIN in effect? */
bool privileges_have_net_admin(void);

/* Switches CAP_BPF off (or on again) in the calling thread, as a trial. 0 or negative errno. */
int privileges_set_bpf(bool on);

#endif
