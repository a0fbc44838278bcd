/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lets the programs call helpers that this kernel, or these rights, may lack. Only information for
 * people is missing then.
 */
#ifndef SIDESTEP_PROGRAMS_HELPERS_H
#define SIDESTEP_PROGRAMS_HELPERS_H

/*
 * From here on, libbpf loads TC programs without the calls of helpers that the kernel refuses. Call
 * it before the programs are opened, with the rights for the load. It finds out at the first call.
 * A branch around the call would not suffice, because without CAP_PERFMON the verifier follows
 * both ways.
 */
void programs_helpers_prepare(void);

#endif
