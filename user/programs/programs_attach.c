// SPDX-License-Identifier: Apache-2.0
#include "programs/programs_attach.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if.h>

#include "lib/log.h"
#include "lib/util.h"
#include "programs/programs_private.h"

/* They identify our clsact filters, so that the next process can replace them after a SIGKILL. */
#define CLSACT_PRIORITY 9300
#define CLSACT_HANDLE	93

static bool is_egress(enum programs_program program)
{
	return program == PROGRAM_LO_EGRESS || program == PROGRAM_DEV_EGRESS ||
	       program == PROGRAM_L3_EGRESS || program == PROGRAM_BRIDGE_EGRESS ||
	       program == PROGRAM_HOST_EGRESS;
}

static enum bpf_tc_attach_point attach_point(const struct programs_attachment *attachment)
{
	return attachment->egress ? BPF_TC_EGRESS : BPF_TC_INGRESS;
}

static void clsact_detach(const struct programs_attachment *attachment)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)attachment->ifindex,
		    .attach_point = attach_point(attachment));
	LIBBPF_OPTS(bpf_tc_opts, options, .handle = CLSACT_HANDLE, .priority = CLSACT_PRIORITY);

	/* The qdisc stays, because other filters may be on it by now. */
	(void)bpf_tc_detach(&hook, &options);
}

/* The qdisc `ingress` stands where clsact would. It takes filters for egress too, and runs them on
 * ingress (ingress_find(), net/sched/sch_ingress.c). */
static bool is_both_ways(const struct programs_attachment *attachment, uint32_t program_id)
{
	LIBBPF_OPTS(bpf_tc_hook, opposite, .ifindex = (int)attachment->ifindex,
		    .attach_point = attachment->egress ? BPF_TC_INGRESS : BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, found, .handle = CLSACT_HANDLE, .priority = CLSACT_PRIORITY);

	return bpf_tc_query(&opposite, &found) == 0 && found.prog_id == program_id;
}

/* Returns 0 or a negative errno; -EEXIST: there is a qdisc `ingress`. */
static int clsact_attach(const struct programs_attachment *attachment, int program_fd)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)attachment->ifindex,
		    .attach_point = attach_point(attachment));
	LIBBPF_OPTS(bpf_tc_opts, options, .handle = CLSACT_HANDLE, .priority = CLSACT_PRIORITY,
		    .prog_fd = program_fd, .flags = BPF_TC_F_REPLACE);
	int error;

	error = bpf_tc_hook_create(&hook);
	if (error < 0 && error != -EEXIST)
		return error;
	error = bpf_tc_attach(&hook, &options);
	if (error < 0 || !is_both_ways(attachment, options.prog_id))
		return error;
	clsact_detach(attachment);
	return -EEXIST;
}

int programs_attach_query_filter(uint32_t ifindex, bool egress, uint32_t *ret_id)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex,
		    .attach_point = egress ? BPF_TC_EGRESS : BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, found, .handle = CLSACT_HANDLE, .priority = CLSACT_PRIORITY);
	int error = bpf_tc_query(&hook, &found);

	/* Without the qdisc the kernel says -EINVAL. */
	if (error < 0)
		return error == -EINVAL ? -ENOENT : error;
	*ret_id = found.prog_id;
	return 0;
}

int programs_attach_steer(const struct programs *programs, int netns_fd,
			  struct programs_attachment *ret_attachment)
{
	int fd = bpf_link_create(programs->programs[PROGRAM_STEER], netns_fd, BPF_SK_LOOKUP, NULL);

	if (fd < 0)
		return log_errno(fd, "cannot attach the BPF program steer (sk_lookup) to the "
				     "network namespace");
	*ret_attachment = (struct programs_attachment) {.kind = PROGRAMS_ATTACHMENT_LINK,
							.link_fd = fd};
	return 0;
}

/* Makes a link. A kernel without TCX does not know the attach type: -EINVAL or -EOPNOTSUPP. */
static int tcx_create(struct programs_attachment *attachment, int program_fd)
{
	int fd = bpf_link_create(program_fd, (int)attachment->ifindex,
				 attachment->egress ? ATTACH_TYPE_TCX_EGRESS
						    : ATTACH_TYPE_TCX_INGRESS,
				 NULL);

	if (fd < 0)
		return fd;
	attachment->kind = PROGRAMS_ATTACHMENT_LINK;
	attachment->link_fd = fd;
	return 0;
}

static int tcx_attach(struct programs_attachment *attachment, int program_fd)
{
	int error = tcx_create(attachment, program_fd);

	/* This process or a killed predecessor may have attached a filter for the same program. */
	if (error == 0)
		clsact_detach(attachment);
	return error;
}

static int attach_tc(const struct programs *programs, enum programs_program program, bool egress,
		     uint32_t ifindex, enum programs_way way,
		     struct programs_attachment *ret_attachment)
{
	struct programs_attachment result = {
		.kind = PROGRAMS_ATTACHMENT_CLSACT,
		.ifindex = ifindex,
		.egress = egress,
		.program = program,
	};
	int fd = programs->programs[program], error;
	char name[IF_NAMESIZE] = "?";

	error = way == PROGRAMS_WAY_TCX ? tcx_attach(&result, fd) : clsact_attach(&result, fd);
	if (error == -EEXIST && way == PROGRAMS_WAY_AUTO && tcx_attach(&result, fd) == 0)
		error = 0;
	(void)if_indextoname(ifindex, name);
	if (error == -ENODEV)
		return error;
	if (error < 0)
		return log_errno(error, "cannot attach the BPF program %s to %s%s",
				 programs_name(program), name,
				 error == -EEXIST
					 ? ", whose qdisc ingress is in the place of clsact"
					 : "");
	log_debug("%s attached to %s (%s)", programs_name(program), name,
		  result.kind == PROGRAMS_ATTACHMENT_LINK ? "TCX" : "clsact");
	*ret_attachment = result;
	return 0;
}

int programs_attach_tc(const struct programs *programs, enum programs_program program,
		       uint32_t ifindex, struct programs_attachment *ret_attachment)
{
	return attach_tc(programs, program, is_egress(program), ifindex, programs->config.way,
			 ret_attachment);
}

int programs_attach_filter(const struct programs *programs, enum programs_program program,
			   uint32_t ifindex, struct programs_attachment *ret_attachment)
{
	return attach_tc(programs, program, is_egress(program), ifindex, PROGRAMS_WAY_AUTO,
			 ret_attachment);
}

int programs_attach_shut(const struct programs *programs, enum programs_program instead,
			 uint32_t ifindex, struct programs_attachment *ret_attachment)
{
	return attach_tc(programs, PROGRAM_SHUT, is_egress(instead), ifindex, PROGRAMS_WAY_AUTO,
			 ret_attachment);
}

void programs_attach_settle(const struct programs *programs, struct programs_attachment *attachment)
{
	if (programs->config.way == PROGRAMS_WAY_AUTO &&
	    attachment->kind == PROGRAMS_ATTACHMENT_CLSACT)
		(void)tcx_attach(attachment, programs->programs[attachment->program]);
}

int programs_attach_tcx(const struct programs *programs, enum programs_program program,
			uint32_t ifindex, struct programs_attachment *ret_attachment)
{
	struct programs_attachment result = {
		.ifindex = ifindex,
		.egress = is_egress(program),
		.program = program,
	};
	int error = programs->config.way == PROGRAMS_WAY_CLSACT
			    ? -EOPNOTSUPP
			    : tcx_create(&result, programs->programs[program]);

	if (error == 0)
		*ret_attachment = result;
	return error;
}

void programs_attach_remove_filter(enum programs_program program, uint32_t ifindex)
{
	clsact_detach(
		&(struct programs_attachment) {.ifindex = ifindex, .egress = is_egress(program)});
}

void programs_attach_release(struct programs_attachment *attachment)
{
	if (attachment->kind == PROGRAMS_ATTACHMENT_LINK)
		(void)safe_close(attachment->link_fd);
	else if (attachment->kind == PROGRAMS_ATTACHMENT_CLSACT)
		clsact_detach(attachment);
	*attachment = (struct programs_attachment) {.kind = PROGRAMS_ATTACHMENT_NONE};
}

int programs_attach_leave(const struct programs *programs, struct programs_attachment *attachment)
{
	enum programs_program program = attachment->program;
	int error = 0;

	if (attachment->kind == PROGRAMS_ATTACHMENT_LINK) {
		error = clsact_attach(attachment, programs->programs[program]);
		(void)safe_close(attachment->link_fd);
	}
	*attachment = (struct programs_attachment) {.kind = PROGRAMS_ATTACHMENT_NONE};
	if (error < 0 && error != -ENODEV)
		return log_errno(error, "cannot leave the BPF program %s attached",
				 programs_name(program));
	return 0;
}

int programs_attach_update_link(const struct programs *programs, enum programs_program program,
				int link_fd)
{
	return bpf_link_update(link_fd, programs->programs[program], NULL);
}
