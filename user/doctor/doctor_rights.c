// SPDX-License-Identifier: Apache-2.0
/* The doctor's checks of rights: capabilities, system calls and limits. */
#include <bpf/bpf.h>
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <linux/seccomp.h>

#include "doctor/doctor.h"
#include "lib/kernel.h"
#include "lib/privileges.h"
#include "lib/processors.h"
#include "lib/util.h"
#include "sidecar/sidecar_threads.h"

/* A connection takes two, so this is a thousand connections beside the rest. */
#define FILES_FEW 4096

/* Bytes of a list of names. */
#define NAMES_MAX 256

/* PROC_USER_INIT_INO of include/linux/proc_ns.h, since Linux 3.8. */
#define INITIAL_USER_INODE 0xEFFFFFFDu

void doctor_check_rights(struct doctor *doctor)
{
	if (privileges_have_net_admin())
		doctor_tell(doctor, FINDING_NET_ADMIN, "held");
	else
		doctor_tell(doctor, FINDING_NET_ADMIN_MISSING, "missing");
	if (doctor->kind != PROGRAMS_SIDECAR && !privileges_have(CAP_SYS_ADMIN))
		doctor_tell(doctor, FINDING_SYS_ADMIN_MISSING, "missing");
	if (doctor->kind == PROGRAMS_SHARED && !privileges_have(CAP_SYS_PTRACE))
		doctor_tell(doctor, FINDING_PTRACE_MISSING, "missing");
}

/* Whether the process is in another user namespace than the first one. */
static bool in_user_namespace(void)
{
	struct stat status;

	return stat("/proc/thread-self/ns/user", &status) == 0 &&
	       status.st_ino != INITIAL_USER_INODE;
}

/* Whether a seccomp filter is on the process. prctl(2) fails only in a strict one, which would end
 * the process. */
static bool has_filter(void)
{
	return prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == SECCOMP_MODE_FILTER;
}

/* The kernel, a filter, or the lack of a right in the first user namespace may refuse. */
static enum finding_id judge_refusal(int error)
{
	if (in_user_namespace())
		return FINDING_BPF_USER_NAMESPACE;
	if (has_filter() && (error == EPERM || error == ENOSYS || error == EACCES))
		return FINDING_BPF_SECCOMP;
	return FINDING_BPF_REFUSED;
}

void doctor_check_bpf(struct doctor *doctor)
{
	_cleanup_close_ int fd = -1;

	if (!privileges_have_bpf()) {
		doctor_tell(doctor, FINDING_BPF_MISSING, "not held");
		return;
	}
	doctor_tell(doctor, FINDING_BPF, "held");
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "doctor", sizeof(int), sizeof(int), 1, NULL);
	if (fd < 0) {
		doctor_tell(doctor, judge_refusal(errno), "refused: %s", strerror(errno));
		return;
	}
	doctor_tell(doctor, FINDING_BPF_CALL, "allowed");
	doctor->bpf = true;
	if (!privileges_have_perfmon() && !kernel_is(6, 1))
		doctor_tell(doctor, FINDING_BPF_PERFMON, "missing");
}

#define FOR_ALL	   (1U << PROGRAMS_SIDECAR | FOR_OTHERS)
#define FOR_OTHERS (1U << PROGRAMS_BRIDGE | 1U << PROGRAMS_SHARED)

/* System calls that profiles of container engines refuse, with arguments that change nothing. The
 * kernel refuses them in another way. */
static const struct {
	const char *name;
	long number;
	long arguments[2];
	unsigned int kinds; /* bits, 1 << enum programs_kind: those that use it */
} calls[] = {
	{"setns", SYS_setns, {-1, 0}, FOR_OTHERS},
	{"unshare", SYS_unshare, {0, 0}, FOR_OTHERS},
	{"pidfd_open", SYS_pidfd_open, {-1, 0}, 1U << PROGRAMS_SHARED},
	{"splice", SYS_splice, {-1, 0}, FOR_ALL},
	{"seccomp", SYS_seccomp, {SECCOMP_GET_ACTION_AVAIL, -1}, FOR_ALL},
};

static void add_name(char list[NAMES_MAX], const char *name)
{
	size_t used = strlen(list);

	(void)snprintf(list + used, NAMES_MAX - used, "%s%s", used ? ", " : "", name);
}

/* A filter answers with the errno that its profile names, mostly EPERM or ENOSYS. */
void doctor_check_calls(struct doctor *doctor)
{
	char refused[NAMES_MAX] = "";
	size_t i;

	for (i = 0; i < ARRAY_SIZE(calls); i++)
		if (calls[i].kinds & 1U << doctor->kind &&
		    syscall(calls[i].number, calls[i].arguments[0], calls[i].arguments[1], 0, 0, 0,
			    0) < 0 &&
		    (errno == EPERM || (errno == ENOSYS && has_filter())))
			add_name(refused, calls[i].name);
	if (refused[0])
		doctor_tell(doctor, FINDING_SYSTEM_CALLS_REFUSED, "%s refused", refused);
	else
		doctor_tell(doctor, FINDING_SYSTEM_CALLS, "none is refused");
}

/* The sidecar raises its limit to the hard one. */
void doctor_check_files(struct doctor *doctor)
{
	unsigned int processors = processors_usable(), threads, wanted;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	threads = sidecar_threads_choose(0, processors, limit.rlim_max);
	wanted = sidecar_threads_choose(0, processors, ULONG_MAX);
	if (threads == wanted && limit.rlim_max >= FILES_FEW)
		doctor_tell(doctor, FINDING_FILES, "%lu, for %u proxy threads",
			    (unsigned long)limit.rlim_max, threads);
	else
		doctor_tell(doctor, FINDING_FILES_FEW,
			    "%lu; %u proxy threads run, and %u would without the limit",
			    (unsigned long)limit.rlim_max, threads, wanted);
}
