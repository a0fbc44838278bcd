/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the programs that are attached in a network namespace, whichever process attached them, and
 * reads their maps. The kernel opens them by their numbers for CAP_SYS_ADMIN alone
 * (bpf_prog_get_fd_by_id(), kernel/bpf/syscall.c). Without it another process may open them.
 */
#ifndef SIDESTEP_PROGRAMS_SEEN_H
#define SIDESTEP_PROGRAMS_SEEN_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/address.h"
#include "programs/programs.h"
#include "sidestep.h"

/* A program of ours. Zero-initialised it is not open; .fd is valid if .id is not 0. */
struct programs_seen {
	uint32_t id;
	int fd;
	enum programs_program program;
};

/* Has a program or a map (@map) opened by another process. Returns a descriptor, the caller's, or a
 * negative errno. */
typedef int programs_opener(void *context, bool map, uint32_t id);

/* Sets the process that is asked from now on, where the kernel refuses. */
void programs_seen_set_opener(programs_opener *opener, void *context);

/* A killed predecessor may have left programs as well. */
#define PROGRAMS_SEEN_MAX 4

/* Find the programs of ours on a device of the calling thread's namespace, and each `steer` of the
 * namespace @netns_fd. Return their number, 0 if none is there, or a negative errno. They are in
 * the order in which they run. */
int programs_seen_tc(uint32_t ifindex, bool egress, struct programs_seen ret[PROGRAMS_SEEN_MAX]);
int programs_seen_steer(int netns_fd, struct programs_seen ret[PROGRAMS_SEEN_MAX]);

void programs_seen_close(struct programs_seen *seen);

#define _cleanup_seen_ __attribute__((cleanup(programs_seen_close)))

/* The maps of a program, as namespace @netns uses them. */
struct programs_view;

/* Opens the maps of @seen. Returns 0 or a negative errno. */
int programs_view_new(const struct programs_seen *seen, uint32_t netns,
		      struct programs_view **ret_view);
void programs_view_free(struct programs_view *view);

static inline void programs_view_freep(struct programs_view **view)
{
	programs_view_free(*view);
}
#define _cleanup_view_ __attribute__((cleanup(programs_view_freep)))

/* Finds `steer` with the same listeners in whichever namespace, as bridge mode has it. Returns
 * whether there is one. */
bool programs_view_steer(const struct programs_view *view, struct programs_seen *ret_seen);

/* Returns whether the agent loaded the program, which serves several namespaces. */
bool programs_view_is_shared(const struct programs_view *view);

/* Read entries. Each returns 0 or a negative errno; -ENOENT: there is none. The prefix is the
 * longest one that contains the address. */
int programs_view_namespace(const struct programs_view *view, struct sidestep_namespace *ret_value);
int programs_view_bypass(const struct programs_view *view, const uint8_t address[16],
			 struct prefix *ret_prefix, struct sidestep_bypass *ret_value);
int programs_view_route(const struct programs_view *view, const uint8_t source[16],
			const uint8_t destination[16], struct sidestep_route *ret_route);

/* Finds the host's device that leads to the device @ifindex of the namespace. */
int programs_view_outer(const struct programs_view *view, uint32_t ifindex, uint32_t *ret_host);

/* Marks the socket @fd as the proxy's, so that the programs let it out. Returns 0 or a negative
 * errno. */
int programs_view_own_socket(const struct programs_view *view, int fd);

/* Returns the descriptor of the program or the map of this load that has that number, or -ENOENT.
 * It stays @programs' own. */
int programs_find(const struct programs *programs, bool map, uint32_t id);

#endif
