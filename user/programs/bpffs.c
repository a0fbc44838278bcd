// SPDX-License-Identifier: Apache-2.0
#include "programs/bpffs.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <linux/magic.h>

#include "lib/log.h"
#include "lib/util.h"

bool bpffs_is(const char *path)
{
	struct statfs filesystem;

	return statfs(path, &filesystem) == 0 && filesystem.f_type == BPF_FS_MAGIC;
}

/* Is this process in the mount namespace of process 1? A mount in another one would end with it. */
static bool mounts_for_all(void)
{
	struct stat own, first;

	return stat("/proc/self/ns/mnt", &own) == 0 && stat("/proc/1/ns/mnt", &first) == 0 &&
	       own.st_dev == first.st_dev && own.st_ino == first.st_ino;
}

int bpffs_mount(void)
{
	if (!mounts_for_all())
		return -EXDEV;
	if (mount("bpf", BPFFS_USUAL_PLACE, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") <
	    0)
		return -errno;
	return 0;
}

static int refuse(const char *path)
{
	return log_errno(-EMEDIUMTYPE,
			 "cannot pin maps in %s, which is not on a bpffs (mount -t bpf bpf "
			 "/sys/fs/bpf, and for a container: -v /sys/fs/bpf:/sys/fs/bpf)",
			 path);
}

int bpffs_make_directory(const char *path)
{
	_cleanup_free_ char *parent = strdup(path);
	bool usual = strncmp(path, BPFFS_USUAL_PLACE "/", sizeof(BPFFS_USUAL_PLACE)) == 0;
	char *slash;

	if (!parent)
		return -ENOMEM;
	slash = strrchr(parent, '/');
	if (!slash || slash == parent)
		return log_errno(-EINVAL,
				 "cannot pin maps in \"%s\": give a directory below a "
				 "mounted bpffs, such as /sys/fs/bpf/sidestep/NAME",
				 path);
	*slash = '\0';
	if (usual && !bpffs_is(BPFFS_USUAL_PLACE) && bpffs_mount() == 0)
		log_info("mounted a bpffs at " BPFFS_USUAL_PLACE);
	/* sysfs, which is below, has no directories to make. */
	if (usual && !bpffs_is(BPFFS_USUAL_PLACE))
		return refuse(path);
	if ((mkdir(parent, 0755) < 0 && errno != EEXIST) ||
	    (mkdir(path, 0755) < 0 && errno != EEXIST))
		return log_errno(-errno, "cannot make the directory %s to pin maps in", path);
	if (bpffs_is(path))
		return 0;
	(void)rmdir(path);
	return refuse(path);
}
