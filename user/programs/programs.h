/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The BPF programs and their maps: loads them, attaches the programs, fills the maps. What is in
 * the maps, and what a namespace's number is: include/sidestep.h and docs/MAPS.md.
 * From one thread, but for programs_owner_set() and the programs_flow_ functions.
 */
#ifndef SIDESTEP_PROGRAMS_H
#define SIDESTEP_PROGRAMS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/address.h"
#include "sidestep.h"

struct programs;

enum programs_kind {
	PROGRAMS_SIDECAR, /* for one namespace */
	PROGRAMS_BRIDGE,  /* bridge mode */
	PROGRAMS_SHARED,  /* sidecar mode for any number of namespaces: Linux 6.6 */
};

/* How TC programs are attached. */
enum programs_way {
	/* clsact at first, which does not wait, then TCX where the kernel has it (Linux 6.6): each
	 * attaching by TCX waits for an RCU grace period, about 10 ms (tcx_entry_sync()). */
	PROGRAMS_WAY_AUTO,
	PROGRAMS_WAY_TCX,
	PROGRAMS_WAY_CLSACT,
};

struct programs_config {
	enum programs_kind kind;
	enum programs_way way;
	uint32_t netns;	       /* what they serve; not PROGRAMS_SHARED */
	uint32_t veth_ifindex; /* PROGRAMS_BRIDGE: the host's end */
	const char *pin;       /* directory below a bpffs for the maps, or NULL */
	bool adopt;	       /* go on with the maps that are pinned there; they are left there */
};

/*
 * Opens, configures, loads; nothing is attached yet. With @pin: makes the directory and pins the
 * maps there, in place of what a killed predecessor left unless @adopt. Needs CAP_BPF and
 * CAP_NET_ADMIN. Returns 0 or negative errno, logged but for -EPERM with @quiet: the rights for
 * own programs are missing. -EPROTO: maps of another version are pinned there (logged).
 */
int programs_load(const struct programs_config *config, bool quiet, struct programs **ret_programs);

/* Unpins unless @adopt was set, frees. What is attached stays its attachment's. NULL is allowed. */
void programs_free(struct programs *programs);

/* The cookie of the calling thread's network namespace as the maps know it. 0 or negative errno;
 * -EOVERFLOW: beyond 32 bits. Before Linux 5.14 it is always 1. */
int programs_netns(uint32_t *ret_netns);

enum programs_program {
	PROGRAM_STEER,
	PROGRAM_LO_EGRESS,
	PROGRAM_LO_INGRESS,
	PROGRAM_DEV_INGRESS,
	PROGRAM_DEV_EGRESS,
	PROGRAM_BRIDGE_INGRESS,
	PROGRAM_BRIDGE_EGRESS,
	PROGRAM_VETH_INGRESS,
	PROGRAMS,
};

/* A program on a device or in a namespace. Zero-initialised: none. */
struct attachment {
	enum {
		ATTACHMENT_NONE,
		ATTACHMENT_LINK,
		ATTACHMENT_CLSACT,
	} kind;
	int link_fd; /* ATTACHMENT_LINK: goes when it is closed and not pinned */
	uint32_t ifindex;
	bool egress;
	enum programs_program program;
};

/* `steer` in the network namespace @netns_fd. Returns 0 or negative errno, logged. */
int programs_attach_steer(const struct programs *programs, int netns_fd,
			  struct attachment *ret_attachment);

/* A TC program on a device of the calling thread's namespace. Returns 0 or negative errno, logged;
 * -ENODEV is not: the device is gone. */
int programs_attach_tc(const struct programs *programs, enum programs_program program,
		       uint32_t ifindex, struct attachment *ret_attachment);

/* Of PROGRAMS_WAY_AUTO: a link takes the filter's place, so that a kill takes it along. Both run
 * for a moment. Where the kernel has no TCX the filter stays. */
void programs_settle(const struct programs *programs, struct attachment *attachment);

/* The halves of that, for who has something to do in between: a link beside the filter, and the end
 * of a filter of ours, whichever process attached it. Both on a device of the calling thread's
 * namespace. The first returns 0 or negative errno, not logged; -EINVAL or -EOPNOTSUPP: a kernel
 * without TCX, or PROGRAMS_WAY_CLSACT. */
int programs_attach_tcx(const struct programs *programs, enum programs_program program,
			uint32_t ifindex, struct attachment *ret_attachment);
void programs_detach_filter(enum programs_program program, uint32_t ifindex);

/* Detaches; harmless when repeated. */
void attachment_release(struct attachment *attachment);

/* Has the link @link_fd, which runs an older load's @program, run this load's. 0 or negative errno.
 */
int programs_update_link(const struct programs *programs, enum programs_program program,
			 int link_fd);

/* Name of a program, as bpftool shows it, and the other way round (PROGRAMS: none). */
const char *programs_name(enum programs_program program);
enum programs_program programs_by_name(const char *name);

/* Makes a namespace known, or changes what is known of it; a new one's counters start at 0.
 * Returns 0 or negative errno. */
int programs_namespace_set(const struct programs *programs, uint32_t netns,
			   const struct sidestep_namespace *value);

/* Takes all that was set of a namespace out of the maps; what came in is left to the LRU. */
void programs_namespace_remove(const struct programs *programs, uint32_t netns);

/* The following return 0 or negative errno. */

/* The socket @fd, which stays the caller's, for a slot of `listeners`. What it accepts is known as
 * the proxy's. */
int programs_listener_set(const struct programs *programs, uint32_t netns,
			  enum sidestep_listener slot, int fd);

/* Entries of `bypass4`/`bypass6`; removing what is not there is no error. */
int programs_bypass_set(const struct programs *programs, uint32_t netns,
			const struct prefix *prefix, const struct sidestep_bypass *value);
int programs_bypass_remove(const struct programs *programs, uint32_t netns,
			   const struct prefix *prefix);

/* Entries of `route4`/`route6`; likewise. @value's gateway as in address.h. */
int programs_route_set(const struct programs *programs, uint32_t netns, const struct prefix *prefix,
		       const struct sidestep_route *value);
int programs_route_remove(const struct programs *programs, uint32_t netns,
			  const struct prefix *prefix);

int programs_inbound_add(const struct programs *programs, uint32_t netns,
			 const struct sidestep_flow_key *key);

/* Whose the socket @fd is. */
int programs_owner_set(const struct programs *programs, int fd, enum sidestep_owner owner);

/* A live flow and its counters; @start in ns, CLOCK_MONOTONIC. @key's netns is set here. */
void programs_flow_update(const struct programs *programs, uint32_t netns,
			  const struct sidestep_flow_key *key, uint64_t start, uint64_t sent,
			  uint64_t received);
void programs_flow_remove(const struct programs *programs, uint32_t netns,
			  const struct sidestep_flow_key *key);

#endif
