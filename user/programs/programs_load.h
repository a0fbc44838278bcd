/* SPDX-License-Identifier: Apache-2.0 */
/* Loads the BPF programs on several processors at once, and some while the start goes on. */
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

struct programs_loading;

/* Starts to load @later, which was made likewise, on a thread of its own, with the maps of the
 * loaded @main. On success @later is the loading's. Returns 0 or a negative errno. */
int programs_load_later(const struct bpf_object *main, struct bpf_object *later,
			struct programs_loading **ret_loading);

/* Waits for the load. Returns 0 with the object in *@ret_object, which the caller closes, or a
 * negative errno. Frees @loading. */
int programs_load_join(struct programs_loading *loading, struct bpf_object **ret_object);

#endif
