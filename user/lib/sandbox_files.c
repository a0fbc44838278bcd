// SPDX-License-Identifier: Apache-2.0
/* The files of a sandbox, by Landlock (https://docs.kernel.org/userspace-api/landlock.html). */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <linux/landlock.h>

#include "lib/hosts_file.h"
#include "lib/log.h"
#include "lib/resolv_conf.h"
#include "lib/sandbox.h"
#include "lib/util.h"

#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14) /* include/uapi/linux/landlock.h, Linux 6.2 */
#endif

/* How many rights the versions 1 to 5 know: 2 adds REFER, 3 TRUNCATE and 5 IOCTL_DEV. Rights that a
 * version does not know cannot be taken away. */
static const unsigned int right_counts[] = {13, 14, 15, 15, 16};

/* @ret_handled: the rights that it takes away. */
static int make_ruleset(uint64_t *ret_handled)
{
	struct landlock_ruleset_attr attributes = {0};
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0,
			       LANDLOCK_CREATE_RULESET_VERSION);
	int fd;

	if (version <= 0)
		return -errno;
	if (version > (long)ARRAY_SIZE(right_counts))
		version = ARRAY_SIZE(right_counts);
	attributes.handled_access_fs = (1ULL << right_counts[version - 1]) - 1;
	*ret_handled = attributes.handled_access_fs;
	fd = (int)syscall(SYS_landlock_create_ruleset, &attributes,
			  sizeof(attributes.handled_access_fs), 0);
	return fd < 0 ? -errno : fd;
}

/* Leaves @rights to a file, or to what is below a folder. A missing one needs none. */
static int leave(int ruleset, const char *path, uint64_t rights)
{
	struct landlock_path_beneath_attr rule = {.allowed_access = rights};
	_cleanup_close_ int fd = open(path, O_PATH | O_CLOEXEC);

	rule.parent_fd = fd;
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0
		       ? -errno
		       : 0;
}

/* Does so for the folder that contains @path. */
static int leave_parent(int ruleset, const char *path, uint64_t rights)
{
	_cleanup_free_ char *copy = strdup(path);

	return copy ? leave(ruleset, dirname(copy), rights) : -ENOMEM;
}

/* The rights to write a file, and to rename it within its folder. */
static const uint64_t log_rights = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG |
				   LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE;

static int add_rules(int ruleset, uint64_t handled, const struct sandbox *sandbox)
{
	int error = 0, i;

	/* Settings of devices, and what the C library reads when it returns memory. */
	if (sandbox->role == SANDBOX_SIDECAR)
		error = leave(ruleset, "/proc/sys/net",
			      LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE);
	if (error == 0 && sandbox->role == SANDBOX_SIDECAR)
		error = leave(ruleset, "/proc/sys/vm/overcommit_memory",
			      LANDLOCK_ACCESS_FS_READ_FILE);
	if (error == 0 && sandbox->names)
		error = leave(ruleset, HOSTS_FILE_PATH, LANDLOCK_ACCESS_FS_READ_FILE);
	if (error == 0 && sandbox->names)
		error = leave(ruleset, RESOLV_CONF_PATH, LANDLOCK_ACCESS_FS_READ_FILE);
	if (error == 0 && sandbox->folder)
		error = leave(ruleset, sandbox->folder, LANDLOCK_ACCESS_FS_REMOVE_FILE);
	if (error == 0 && sandbox->folder)
		error = leave_parent(ruleset, sandbox->folder, LANDLOCK_ACCESS_FS_REMOVE_DIR);
	for (i = 0; i < SANDBOX_SOCKETS && error == 0; i++)
		if (sandbox->sockets[i])
			error = leave_parent(ruleset, sandbox->sockets[i],
					     LANDLOCK_ACCESS_FS_REMOVE_FILE);
	if (error == 0 && sandbox->log)
		error = leave_parent(ruleset, sandbox->log, log_rights & handled);
	return error;
}

void sandbox_files(const struct sandbox *sandbox)
{
	uint64_t handled = 0;
	_cleanup_close_ int ruleset = make_ruleset(&handled);
	int error;

	/* The kernel lacks it, it is turned off, or a container's seccomp profile refuses it. */
	if (ruleset < 0) {
		log_debug("sandbox: files are not restricted, there is no Landlock (%s)",
			  strerror(-ruleset));
		return;
	}
	error = add_rules(ruleset, handled, sandbox);
	if (error == 0 && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
			   syscall(SYS_landlock_restrict_self, ruleset, 0) < 0))
		error = -errno;
	if (error < 0)
		log_warning("sandbox: cannot restrict the files: %s", strerror(-error));
}
