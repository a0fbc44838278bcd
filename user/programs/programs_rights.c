// SPDX-License-Identifier: Apache-2.0
#include "programs/programs_rights.h"

#include <errno.h>
#include <sys/resource.h>

#include "lib/kernel.h"
#include "lib/log.h"
#include "lib/privileges.h"

void programs_rights_raise(void)
{
	struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};

	(void)setrlimit(RLIMIT_MEMLOCK, &limit);
}

static bool lacks_memlock(void)
{
	struct rlimit limit;

	return !kernel_is(5, 11) && getrlimit(RLIMIT_MEMLOCK, &limit) == 0 &&
	       limit.rlim_cur != RLIM_INFINITY;
}

int programs_rights_complain(int error, const char *version, bool quiet)
{
	/* Older verifiers compare no packet pointers without it, for example. */
	bool wants_perfmon = error == -EACCES && !privileges_have_perfmon();

	if (wants_perfmon) {
		log_warning("cannot load the BPF programs: this kernel's verifier takes them only "
			    "from a process with CAP_PERFMON (docker run --cap-add PERFMON). Linux "
			    "6.1 does not require it");
		return -EPERM;
	}
	if (error == -EPERM && privileges_have_bpf() && lacks_memlock()) {
		log_warning("cannot load the BPF programs: before Linux 5.11 their maps count as "
			    "locked memory, which is limited here (docker run --ulimit memlock=-1, "
			    "or --cap-add SYS_RESOURCE)");
		return error;
	}
	if (error == -EPERM && quiet)
		return error;
	if (error == -EPERM)
		return log_errno(error, "cannot load the BPF programs: CAP_BPF and CAP_NET_ADMIN "
					"are needed, and a seccomp profile that allows bpf(2) "
					"(docker run --privileged, or --cap-add BPF --cap-add "
					"NET_ADMIN)");
	return log_errno(error,
			 "cannot load the BPF programs (Linux %s or newer is needed; "
			 "--log-level debug shows what the kernel's verifier says)",
			 version);
}
