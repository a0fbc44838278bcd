/* SPDX-License-Identifier: Apache-2.0 */
/* Attaches the BPF programs to devices and network namespaces, and detaches them. */
#ifndef SIDESTEP_PROGRAMS_ATTACH_H
#define SIDESTEP_PROGRAMS_ATTACH_H

#include <stdbool.h>
#include <stdint.h>

#include "programs/programs.h"

/* These are of Linux 6.6, newer than the headers of the oldest systems that this builds on. */
#define ATTACH_TYPE_TCX_INGRESS ((enum bpf_attach_type)46)
#define ATTACH_TYPE_TCX_EGRESS	((enum bpf_attach_type)47)

/* A program that is attached to a device or a namespace. Zero-initialised: none. */
struct programs_attachment {
	enum {
		PROGRAMS_ATTACHMENT_NONE,
		PROGRAMS_ATTACHMENT_LINK,
		PROGRAMS_ATTACHMENT_CLSACT,
	} kind;
	int link_fd; /* PROGRAMS_ATTACHMENT_LINK: detaches when it is closed, unless pinned */
	uint32_t ifindex;
	bool egress;
	enum programs_program program;
};

/* Attaches `steer` to the network namespace @netns_fd. Returns 0 or a negative errno, logged. */
int programs_attach_steer(const struct programs *programs, int netns_fd,
			  struct programs_attachment *ret_attachment);

/* Attaches a TC program to a device of the calling thread's namespace. Returns 0 or a negative
 * errno, logged except -ENODEV: the device is gone. */
int programs_attach_tc(const struct programs *programs, enum programs_program program,
		       uint32_t ifindex, struct programs_attachment *ret_attachment);

/* Does likewise by a clsact filter, which outlives the process, whatever the way is. Where a qdisc
 * `ingress` keeps clsact out, by a TCX link. */
int programs_attach_filter(const struct programs *programs, enum programs_program program,
			   uint32_t ifindex, struct programs_attachment *ret_attachment);

/* Attaches the program that drops all packets, by a filter, where @instead would be attached.
 * Returns as programs_attach_tc(). */
int programs_attach_shut(const struct programs *programs, enum programs_program instead,
			 uint32_t ifindex, struct programs_attachment *ret_attachment);

/* PROGRAMS_WAY_AUTO: replaces the filter by a link, which does not survive a kill. Both run for a
 * moment. Where the kernel has no TCX, the filter stays. */
void programs_attach_settle(const struct programs *programs,
			    struct programs_attachment *attachment);

/* Attaches by TCX next to a filter: the first half of programs_attach_settle(). Works on a device
 * of the calling thread's namespace. Returns 0 or a negative errno, not logged; -EINVAL or
 * -EOPNOTSUPP: the kernel has no TCX, or the way is PROGRAMS_WAY_CLSACT. */
int programs_attach_tcx(const struct programs *programs, enum programs_program program,
			uint32_t ifindex, struct programs_attachment *ret_attachment);

/* Removes our filter, whichever process attached it: the second half. */
void programs_attach_remove_filter(enum programs_program program, uint32_t ifindex);

/* Replaces a link by a filter, which outlives the process, and forgets the attachment. Returns 0 or
 * a negative errno, logged: then nothing stays attached. */
int programs_attach_leave(const struct programs *programs, struct programs_attachment *attachment);

/* Detaches. Repeating it is harmless. */
void programs_attach_release(struct programs_attachment *attachment);

/* Finds the program of our filter, whichever process attached it. Returns 0, -ENOENT, or another
 * negative errno. */
int programs_attach_query_filter(uint32_t ifindex, bool egress, uint32_t *ret_id);

/* Makes the link @link_fd, which runs an older load's @program, run this load's. Returns 0 or a
 * negative errno. */
int programs_attach_update_link(const struct programs *programs, enum programs_program program,
				int link_fd);

#endif
