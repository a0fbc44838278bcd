/* SPDX-License-Identifier: Apache-2.0 */
/* Loads the BPF programs on two processors at once. */
#ifndef SIDESTEP_PROGRAMS_LOAD_H
#define SIDESTEP_PROGRAMS_LOAD_H

struct bpf_object;

/*
 * Loads two objects, which programs_open() made of the same configuration, with maps in common. The
 * caller divides the programs between them with bpf_program__set_autoload(). All threads that it
 * starts have ended when it returns. Returns 0 or a negative errno.
 */
int programs_load_both(struct bpf_object *main, struct bpf_object *second);

#endif
