/* SPDX-License-Identifier: Apache-2.0 */
/* Loads the BPF programs on several processors at once. */
#ifndef SIDESTEP_PROGRAMS_LOAD_H
#define SIDESTEP_PROGRAMS_LOAD_H

struct bpf_object;

#define PROGRAMS_SHARES_MAX 3

/*
 * Loads 1 to PROGRAMS_SHARES_MAX objects, which programs_open() made of the same configuration,
 * with maps in common. The caller divides the programs between them with
 * bpf_program__set_autoload(). All threads that it starts have ended when it returns. Returns 0 or
 * a negative errno.
 */
int programs_load_shares(struct bpf_object **objects, int count);

#endif
