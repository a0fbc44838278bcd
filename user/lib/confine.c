// SPDX-License-Identifier: Apache-2.0
#include "lib/confine.h"

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <sys/capability.h>
#include <sys/mount.h>
#include <sys/prctl.h>

#include "lib/log.h"
#include "lib/process.h"
#include "lib/util.h"

/* The overflow user and group, which own nothing (/proc/sys/kernel/overflowuid). */
#define NOBODY 65534

/* The mount is in no namespace, so nobody else sees it and no mount of the host is kept. */
static int empty_root(void)
{
	_cleanup_close_ int context = fsopen("tmpfs", FSOPEN_CLOEXEC), root = -1;

	if (context < 0 || fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	root = fsmount(context, FSMOUNT_CLOEXEC,
		       MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
			       MOUNT_ATTR_NOEXEC);
	if (root < 0 || fchdir(root) < 0 || chroot(".") < 0)
		return -errno;
	return 0;
}

static int drop_capabilities(void)
{
	cap_t none;
	int capability, error;

	/* The kernel's last capability is the first one that it refuses. */
	for (capability = 0; prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0;)
		capability++;
	if (errno != EINVAL || capability == 0)
		return -errno;
	if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
	    setresuid(NOBODY, NOBODY, NOBODY) < 0)
		return -errno;
	/* The inheritable ones are left, and the ambient ones end with them. */
	none = cap_init();
	error = !none || cap_set_proc(none) < 0 ? -errno : 0;
	(void)cap_free(none);
	return error;
}

int confine_process(void)
{
	int error = empty_root();

	if (error < 0)
		return log_errno(error, "cannot make an empty root directory");
	error = drop_capabilities();
	if (error < 0)
		return log_errno(error, "cannot give up rights");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return log_errno(-errno, "cannot set no_new_privs");
	/* The change of the user has reset both (commit_creds(), kernel/cred.c). */
	process_hide_memory();
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return log_errno(-errno, "cannot end with the parent");
	return 0;
}
