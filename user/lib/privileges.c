// SPDX-License-Identifier: Apache-2.0
#include "lib/privileges.h"

#include <errno.h>
#include <sys/capability.h>
#include <sys/prctl.h>

#include "lib/log.h"
#include "lib/util.h"

static void free_capabilities(cap_t *capabilities)
{
	if (*capabilities)
		(void)cap_free(*capabilities);
}

#define _cleanup_cap_ __attribute__((cleanup(free_capabilities)))

static bool is_permitted(cap_t capabilities, cap_value_t capability)
{
	cap_flag_value_t have = CAP_CLEAR;

	return cap_get_flag(capabilities, capability, CAP_PERMITTED, &have) == 0 && have == CAP_SET;
}

bool privileges_have(int capability)
{
	_cleanup_cap_ cap_t now = cap_get_proc();
	cap_flag_value_t have = CAP_CLEAR;

	return now && cap_get_flag(now, capability, CAP_EFFECTIVE, &have) == 0 && have == CAP_SET;
}

bool privileges_have_bpf(void)
{
	return privileges_have(CAP_BPF) || privileges_have(CAP_SYS_ADMIN);
}

bool privileges_have_perfmon(void)
{
	return privileges_have(CAP_PERFMON) || privileges_have(CAP_SYS_ADMIN);
}

bool privileges_have_net_admin(void)
{
	return privileges_have(CAP_NET_ADMIN);
}

int privileges_set_bpf(bool on)
{
	/* The kernel takes either for CAP_BPF (bpf_capable(), include/linux/capability.h). */
	static const cap_value_t either[] = {CAP_BPF, CAP_SYS_ADMIN};
	_cleanup_cap_ cap_t capabilities = cap_get_proc();
	size_t i;

	if (!capabilities)
		return -errno;
	/* A capability that is not permitted is off, and cannot be switched on. */
	for (i = 0; i < ARRAY_SIZE(either); i++)
		if (is_permitted(capabilities, either[i]) &&
		    cap_set_flag(capabilities, CAP_EFFECTIVE, 1, &either[i],
				 on ? CAP_SET : CAP_CLEAR) < 0)
			return -errno;
	return cap_set_proc(capabilities) < 0 ? -errno : 0;
}

/* Keeps those of @wanted that are permitted, and makes them effective. */
static int keep(cap_t now, const cap_value_t *wanted, size_t count)
{
	_cleanup_cap_ cap_t kept = cap_init();
	size_t i;

	if (!now || !kept)
		return log_errno(-errno, "cannot read the capabilities");
	for (i = 0; i < count; i++)
		if (is_permitted(now, wanted[i]) &&
		    (cap_set_flag(kept, CAP_PERMITTED, 1, &wanted[i], CAP_SET) < 0 ||
		     cap_set_flag(kept, CAP_EFFECTIVE, 1, &wanted[i], CAP_SET) < 0))
			return log_errno(-errno, "cannot choose the capabilities to keep");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return log_errno(-errno, "cannot set no_new_privs");
	if (cap_set_proc(kept) < 0)
		return log_errno(-errno, "cannot give up capabilities");
	return 0;
}

int privileges_drop(bool keep_bpf)
{
	static const cap_value_t wanted[] = {CAP_NET_ADMIN, CAP_BPF};
	_cleanup_cap_ cap_t now = cap_get_proc();

	return keep(now, wanted, keep_bpf ? 2 : 1);
}

int privileges_keep_loading(void)
{
	static const cap_value_t wanted[] = {CAP_NET_ADMIN, CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN};
	_cleanup_cap_ cap_t now = cap_get_proc();
	/* CAP_SYS_ADMIN stands for those that are missing. */
	bool all = now && is_permitted(now, CAP_BPF) && is_permitted(now, CAP_PERFMON);

	return keep(now, wanted, all ? 3 : 4);
}
