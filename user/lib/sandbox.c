// SPDX-License-Identifier: Apache-2.0
/* The system calls of a sandbox, by seccomp(2). */
#include "lib/sandbox.h"

#include <errno.h>
#include <seccomp.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <linux/bpf.h>

#include "lib/log.h"
#include "lib/sandbox_trap.h"
#include "lib/util.h"

static void release_filter(scmp_filter_ctx *filter)
{
	seccomp_release(*filter);
}

#define _cleanup_filter_ _cleanup_(release_filter)

/* Calls that other architectures lack, or have in place of others, are skipped there. */
static const int common_calls[] = {
	/* sockets */
	SCMP_SYS(close),
	SCMP_SYS(getsockopt),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(read),
	SCMP_SYS(recvfrom),
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendmsg),
	SCMP_SYS(sendto),
	SCMP_SYS(shutdown),
	SCMP_SYS(write),
	/* the log and stdio(3) */
	SCMP_SYS(fstat),
	SCMP_SYS(lseek),
	SCMP_SYS(newfstatat),
	SCMP_SYS(pwritev2),
	/* memory */
	SCMP_SYS(brk),
	SCMP_SYS(madvise),
	SCMP_SYS(mremap),
	SCMP_SYS(munmap),
	SCMP_SYS(sched_getaffinity), /* malloc(3) counts the processors */
	SCMP_SYS(sysinfo),	     /* qsort(3) asks how much there is */
	/* threads that the process has already, their locks, and their beginning and end */
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	SCMP_SYS(futex),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(rseq),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(set_robust_list),
	/* time, where the vDSO has no clock, and chance */
	SCMP_SYS(clock_gettime),
	SCMP_SYS(getrandom),
	SCMP_SYS(gettimeofday),
};

static const int relay_calls[] = {
	SCMP_SYS(accept4),
	SCMP_SYS(bind),
	SCMP_SYS(connect),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(eventfd2), /* the reserve descriptor of an acceptor */
	SCMP_SYS(fcntl),    /* the size of a pipe */
	SCMP_SYS(getpeername),
	SCMP_SYS(getsockname),
	SCMP_SYS(memfd_create), /* the answer to an operator */
	SCMP_SYS(pipe2),
	SCMP_SYS(recvmmsg),
	SCMP_SYS(sendmmsg),
	SCMP_SYS(setsockopt),
	SCMP_SYS(splice),
	SCMP_SYS(timerfd_settime),
	/* the removal of sockets and pinned maps */
	SCMP_SYS(rmdir),
	SCMP_SYS(unlink),
	SCMP_SYS(unlinkat),
};

/* The rotation of a log. Landlock says where. */
static const int log_calls[] = {
	SCMP_SYS(ftruncate),
	SCMP_SYS(rename),
	SCMP_SYS(renameat),
	SCMP_SYS(renameat2),
};

/* Landlock says which files. */
static const int open_calls[] = {
	SCMP_SYS(open),
	SCMP_SYS(openat),
};

/* The C library blocks all signals while it starts a process or a thread, and the kernel would end
 * this one at a trap. So these calls fail without a line. */
static const int quiet_calls[] = {
	SCMP_SYS(clone),
	SCMP_SYS(clone3),
	SCMP_SYS(fork),
	SCMP_SYS(vfork),
};

/* For an exporter of metrics. */
static const int exporter_calls[] = {
	SCMP_SYS(accept4),     SCMP_SYS(connect),
	SCMP_SYS(epoll_ctl),   SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_wait),  SCMP_SYS(eventfd2), /* the reserve descriptor of an acceptor */
	SCMP_SYS(fcntl),			   /* stdio(3) asks how a descriptor was opened */
	SCMP_SYS(getpeername), SCMP_SYS(getsockname),
	SCMP_SYS(setsockopt),  SCMP_SYS(timerfd_settime),
};

/* All but the loading of programs and the making of maps. */
static const unsigned int bpf_commands[] = {
	BPF_MAP_LOOKUP_ELEM, BPF_MAP_UPDATE_ELEM,    BPF_MAP_DELETE_ELEM,  BPF_MAP_GET_NEXT_KEY,
	BPF_LINK_CREATE,     BPF_OBJ_GET_INFO_BY_FD, BPF_MAP_LOOKUP_BATCH,
};

static int add_rules(scmp_filter_ctx filter, uint32_t action, const int *calls, size_t count)
{
	int error = 0;
	size_t i;

	for (i = 0; i < count && error == 0; i++)
		error = seccomp_rule_add(filter, action, calls[i], 0);
	return error;
}

static int allow(scmp_filter_ctx filter, const int *calls, size_t count)
{
	return add_rules(filter, SCMP_ACT_ALLOW, calls, count);
}

/* Allows @call where its argument @index is one of @values. */
static int allow_values(scmp_filter_ctx filter, int call, unsigned int index,
			const unsigned int *values, size_t count)
{
	int error = 0;
	size_t i;

	for (i = 0; i < count && error == 0; i++)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1,
					 SCMP_CMP(index, SCMP_CMP_MASKED_EQ, UINT32_MAX,
						  values[i]));
	return error;
}

/* Memory never becomes executable. The handler asks for a thread's name, and abort(3) ends the
 * process by a signal. */
static int allow_common(scmp_filter_ctx filter)
{
	static const unsigned int prctls[] = {PR_GET_NAME};
	const unsigned int self[] = {(unsigned int)getpid()};
	const struct scmp_arg_cmp not_executable = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
	int error = allow(filter, common_calls, ARRAY_SIZE(common_calls));

	if (error == 0)
		error = add_rules(filter, SCMP_ACT_ERRNO(ENOSYS), quiet_calls,
				  ARRAY_SIZE(quiet_calls));
	if (error == 0)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, not_executable);
	if (error == 0)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
					 not_executable);
	if (error == 0)
		error = allow_values(filter, SCMP_SYS(prctl), 0, prctls, ARRAY_SIZE(prctls));
	if (error == 0)
		error = allow_values(filter, SCMP_SYS(tgkill), 0, self, ARRAY_SIZE(self));
	return error;
}

static int allow_sidecar(scmp_filter_ctx filter, const struct sandbox *sandbox)
{
	static const unsigned int families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};
	static const unsigned int pairs[] = {AF_UNIX}; /* one end goes to the host's agent */
	static const unsigned int names[] = {SIOCGIFNAME, SIOCGIFINDEX};
	int error = allow(filter, relay_calls, ARRAY_SIZE(relay_calls));

	if (error == 0)
		error = allow(filter, open_calls, ARRAY_SIZE(open_calls));
	if (error == 0)
		error = allow_values(filter, SCMP_SYS(socket), 0, families, ARRAY_SIZE(families));
	if (error == 0)
		error = allow_values(filter, SCMP_SYS(socketpair), 0, pairs, ARRAY_SIZE(pairs));
	if (error == 0)
		error = allow_values(filter, SCMP_SYS(ioctl), 1, names, ARRAY_SIZE(names));
	if (error == 0 && sandbox->log)
		error = allow(filter, log_calls, ARRAY_SIZE(log_calls));
	if (error == 0 && sandbox->own_programs)
		error = allow_values(filter, SCMP_SYS(bpf), 0, bpf_commands,
				     ARRAY_SIZE(bpf_commands));
	return error;
}

static int allow_gateway(scmp_filter_ctx filter)
{
	static const unsigned int families[] = {AF_INET, AF_INET6};
	static const unsigned int terminal[] = {TCGETS}; /* stdio(3) asks for it */
	int error = allow(filter, relay_calls, ARRAY_SIZE(relay_calls));

	if (error == 0)
		error = allow_values(filter, SCMP_SYS(socket), 0, families, ARRAY_SIZE(families));
	if (error == 0)
		error = allow_values(filter, SCMP_SYS(ioctl), 1, terminal, ARRAY_SIZE(terminal));
	return error;
}

/* For a process without files. malloc(3) looks for /proc/sys/vm/overcommit_memory, and does
 * without.
 */
static int refuse_files(scmp_filter_ctx filter)
{
	return add_rules(filter, SCMP_ACT_ERRNO(EACCES), open_calls, ARRAY_SIZE(open_calls));
}

static int allow_docker(scmp_filter_ctx filter)
{
	static const int calls[] = {SCMP_SYS(eventfd2)};
	int error = allow(filter, calls, ARRAY_SIZE(calls));

	return error == 0 ? refuse_files(filter) : error;
}

static int allow_exporter(scmp_filter_ctx filter)
{
	static const unsigned int families[] = {AF_INET, AF_INET6};
	int error = allow(filter, exporter_calls, ARRAY_SIZE(exporter_calls));

	if (error == 0)
		error = allow_values(filter, SCMP_SYS(socket), 0, families, ARRAY_SIZE(families));
	return error == 0 ? refuse_files(filter) : error;
}

static int allow_role(scmp_filter_ctx filter, const struct sandbox *sandbox)
{
	int error = allow_common(filter);

	if (error < 0)
		return error;
	switch (sandbox->role) {
	case SANDBOX_SIDECAR:
		return allow_sidecar(filter, sandbox);
	case SANDBOX_GATEWAY:
		return allow_gateway(filter);
	case SANDBOX_DOCKER:
		return allow_docker(filter);
	case SANDBOX_EXPORTER:
		return allow_exporter(filter);
	}
	return -EINVAL;
}

/*
 * A call by the numbers of another architecture (32 bits, x32) is refused like any other. Before
 * Linux 5.16 seccomp turns on the mitigation of speculative store bypass. It would slow the relay,
 * and is for processes that run code of others.
 */
static int set_attributes(scmp_filter_ctx filter)
{
	int error = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_TRAP);

	if (error == 0)
		error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (error == 0)
		error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
	/* A binary tree: before Linux 5.11 every call runs through the filter. */
	if (error == 0)
		error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	return error;
}

void sandbox_calls(const struct sandbox *sandbox)
{
	_cleanup_filter_ scmp_filter_ctx filter = seccomp_init(SCMP_ACT_TRAP);
	int error = filter ? set_attributes(filter) : -ENOMEM;

	if (error == 0)
		error = allow_role(filter, sandbox);
	if (error == 0)
		error = sandbox_trap_open();
	if (error == 0)
		error = seccomp_load(filter);
	if (error < 0)
		log_warning("sandbox: cannot restrict the system calls: %s", strerror(-error));
}
