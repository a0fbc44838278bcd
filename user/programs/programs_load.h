/* SPDX-License-Identifier: Apache-2.0 */
/* Loads the BPF programs on several processors at once, and some behind the start. */
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

/*
 * Makes a thread that loads another object, with the maps of the loaded @main, once
 * programs_load_join() asks for it. The thread keeps the rights that a load takes, whatever the
 * caller gives up meanwhile. @open makes the object, in that thread; NULL with errno set: it
 * cannot. On success @main is the loading's. Returns 0 or a negative errno.
 */
int programs_load_later(struct bpf_object *main, struct bpf_object *(*open)(const void *context),
			const void *context, struct programs_loading **ret_loading);

/* Has the thread load, and waits for it. Returns 0 with the object in *@ret_object, which the
 * caller closes, or a negative errno. Frees @loading. */
int programs_load_join(struct programs_loading *loading, struct bpf_object **ret_object);

/* Ends the thread without a load, and frees @loading. */
void programs_load_cancel(struct programs_loading *loading);

#endif
