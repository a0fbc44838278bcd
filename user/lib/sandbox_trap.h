/* SPDX-License-Identifier: Apache-2.0 */
/* Reports the system calls that a seccomp filter refuses. */
#ifndef SIDESTEP_SANDBOX_TRAP_H
#define SIDESTEP_SANDBOX_TRAP_H

/* Handles the SIGSYS of SECCOMP_RET_TRAP: logs a line for each kind of call, and lets the call fail
 * with ENOSYS. Returns 0 or a negative errno. */
int sandbox_trap_open(void);

#endif
