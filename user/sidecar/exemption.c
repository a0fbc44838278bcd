// SPDX-License-Identifier: Apache-2.0
#include "sidecar/exemption.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <linux/magic.h>

#include "lib/log.h"

/* (uid_t)-1 is nobody's. */
#define UID_MAX (UINT32_MAX - 1)

static int read_uid(const char *text, uint32_t *ret_uid)
{
	char *end;
	unsigned long long uid;

	errno = 0;
	uid = strtoull(text, &end, 10);
	if (errno || end == text || *end || text[0] == '-' || uid > UID_MAX) {
		log_error("--exempt-uid %s: give the number of a user", text);
		return -EINVAL;
	}
	if (uid == 0) {
		log_error("--exempt-uid 0: the application may be root as well; give the gateway a "
			  "user of its own, or use --exempt-cgroup");
		return -EINVAL;
	}
	*ret_uid = (uint32_t)uid;
	return 0;
}

/* The number of a control group is its folder's inode number (kernfs). */
static int read_cgroup(const char *path, uint64_t *ret_cgroup)
{
	struct statfs system;
	struct stat folder;

	if (statfs(path, &system) < 0 || stat(path, &folder) < 0)
		return log_errno(-errno, "--exempt-cgroup %s", path);
	if (system.f_type != CGROUP2_SUPER_MAGIC || !S_ISDIR(folder.st_mode)) {
		log_error("--exempt-cgroup %s: give a folder of a cgroup v2 file system", path);
		return -EINVAL;
	}
	*ret_cgroup = folder.st_ino;
	return 0;
}

int exemption_open(struct exemption *exemption, const struct sidecar_options *options)
{
	const struct option_strings *uids = &options->exempt_uids;
	const struct option_strings *cgroups = &options->exempt_cgroups;
	size_t i;
	int error = 0;

	if (!sidecar_options_exempt(options))
		return 0;
	exemption->uids = calloc(uids->count + 1, sizeof(*exemption->uids));
	exemption->cgroups = calloc(cgroups->count + 1, sizeof(*exemption->cgroups));
	if (!exemption->uids || !exemption->cgroups)
		return log_errno(-ENOMEM, "cannot keep the exempt users");
	exemption->uid_count = uids->count;
	exemption->cgroup_count = cgroups->count;
	for (i = 0; i < uids->count && error == 0; i++)
		error = read_uid(uids->values[i], &exemption->uids[i]);
	for (i = 0; i < cgroups->count && error == 0; i++)
		error = read_cgroup(cgroups->values[i], &exemption->cgroups[i]);
	if (error < 0)
		return error;
	error = socket_owners_open(&exemption->owners);
	return error < 0 ? log_errno(error, "cannot ask for the owners of sockets (sock_diag)") : 0;
}

const char *exemption_origin(const struct sidecar_options *options)
{
	if (options->exempt_cgroups.count == 0)
		return "option --exempt-uid";
	return options->exempt_uids.count == 0 ? "option --exempt-cgroup"
					       : "options --exempt-uid and --exempt-cgroup";
}

void exemption_close(struct exemption *exemption)
{
	socket_owners_close(&exemption->owners);
	free(exemption->uids);
	free(exemption->cgroups);
	*exemption = (struct exemption) {.uids = NULL};
}

bool exemption_owns(void *context, const struct flow *flow)
{
	struct exemption *exemption = context;
	struct socket_owner owner;
	size_t i;

	if (!exemption->owners.diag.socket ||
	    socket_owners_find(&exemption->owners, (const struct sockaddr *)&flow->source,
			       (const struct sockaddr *)&flow->destination, &owner) < 0)
		return false;
	for (i = 0; i < exemption->uid_count; i++) {
		if (exemption->uids[i] == owner.uid)
			return true;
	}
	for (i = 0; i < exemption->cgroup_count; i++) {
		if (exemption->cgroups[i] == owner.cgroup)
			return true;
	}
	return false;
}
