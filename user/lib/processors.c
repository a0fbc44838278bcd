// SPDX-License-Identifier: Apache-2.0
#include "lib/processors.h"

#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lib/util.h"

/* Times 1024 processors: more than any kernel supports (CONFIG_NR_CPUS). */
#define AFFINITY_SETS 16

/* A version of control groups. In version 2 one hierarchy has all controllers. */
struct hierarchy {
	const char *type; /* of the file system */
	bool unified;
};

static const struct hierarchy hierarchies[] = {
	{"cgroup2", true},
	{"cgroup", false},
};

static unsigned int affinity_count(void)
{
	cpu_set_t sets[AFFINITY_SETS];
	int count = 0;

	if (sched_getaffinity(0, sizeof(sets), sets) == 0)
		count = CPU_COUNT_S(sizeof(sets), sets);
	return count < 1 ? 1 : (unsigned int)count;
}

/* Tells whether a list with commas has @word. */
static bool list_has(const char *list, const char *word)
{
	size_t length = strlen(word);
	const char *item;

	for (item = list; item; item = strchr(item, ',')) {
		item += *item == ',';
		if (strncmp(item, word, length) == 0 &&
		    (item[length] == '\0' || item[length] == ','))
			return true;
	}
	return false;
}

/* Reads one or two numbers (microseconds) from @directory/@name. Returns how many. */
static int read_numbers(const char *directory, const char *name, long long *ret_first,
			long long *ret_second)
{
	_cleanup_fclose_ FILE *file = NULL;
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/%s", directory, name) >= (int)sizeof(path))
		return 0;
	file = fopen(path, "re");
	return file ? fscanf(file, "%lld %lld", ret_first, ret_second) : 0;
}

unsigned int processors_quota(const char *directory)
{
	long long quota = -1, period = -1, unused;
	bool known = read_numbers(directory, "cpu.max", &quota, &period) == 2 ||
		     (read_numbers(directory, "cpu.cfs_quota_us", &quota, &unused) == 1 &&
		      read_numbers(directory, "cpu.cfs_period_us", &period, &unused) == 1);

	if (!known || quota <= 0 || period <= 0 || (quota - 1) / period + 1 > UINT_MAX)
		return UINT_MAX;
	return (unsigned int)((quota - 1) / period + 1);
}

/* Finds this process's group (cgroups(7), /proc/PID/cgroup). False: there is none. */
static bool find_group(const struct hierarchy *hierarchy, char ret_path[PATH_MAX])
{
	_cleanup_fclose_ FILE *file = fopen("/proc/self/cgroup", "re");
	char line[PATH_MAX + 256];

	while (file && fgets(line, sizeof(line), file)) {
		char *controllers = strchr(line, ':');
		char *path = controllers ? strchr(controllers + 1, ':') : NULL;

		if (!path)
			continue;
		*controllers++ = '\0';
		*path++ = '\0';
		path[strcspn(path, "\n")] = '\0';
		if (hierarchy->unified ? *controllers != '\0' : !list_has(controllers, "cpu"))
			continue;
		return snprintf(ret_path, PATH_MAX, "%s", path) < PATH_MAX;
	}
	return false;
}

/* Returns the part of @path below @root. In a container the root may be unrelated (the group of a
 * parent namespace), and only the mount itself can be looked at. */
static const char *path_below(const char *path, const char *root)
{
	size_t length = strcmp(root, "/") == 0 ? 0 : strlen(root);

	if (strncmp(path, root, length) != 0 || (path[length] != '/' && path[length] != '\0') ||
	    strstr(path, "/.."))
		return "";
	return path + length;
}

/* Returns the least quota of @group and of those above it, as far as this mount shows them. */
static unsigned int mount_quota(const char *mount, const char *group)
{
	unsigned int least = UINT_MAX, quota;
	size_t top = strlen(mount);
	char directory[PATH_MAX];
	char *end;

	if (snprintf(directory, sizeof(directory), "%s%s", mount, group) >= (int)sizeof(directory))
		return UINT_MAX;
	for (;;) {
		quota = processors_quota(directory);
		if (quota < least)
			least = quota;
		end = strrchr(directory, '/');
		if (!end || (size_t)(end - directory) < top)
			return least;
		*end = '\0';
	}
}

/* Reads a line of mountinfo (proc_pid_mountinfo(5)). False: no mount of the hierarchy. */
static bool read_mount(const struct hierarchy *hierarchy, char *line, char **ret_root,
		       char **ret_mount)
{
	char *rest = strstr(line, " - "), *save = NULL;
	const char *type, *options;
	int i;

	if (!rest)
		return false;
	*rest = '\0';
	type = strtok_r(rest + 3, " \n", &save);
	(void)strtok_r(NULL, " \n", &save); /* the source */
	options = strtok_r(NULL, " \n", &save);
	if (!type || !options || strcmp(type, hierarchy->type) != 0 ||
	    (!hierarchy->unified && !list_has(options, "cpu")))
		return false;
	/* Numbers of the mount, its parent and its device stand in front. */
	*ret_root = strtok_r(line, " ", &save);
	for (i = 0; i < 3 && *ret_root; i++)
		*ret_root = strtok_r(NULL, " ", &save);
	*ret_mount = *ret_root ? strtok_r(NULL, " ", &save) : NULL;
	return *ret_mount != NULL;
}

static unsigned int hierarchy_quota(const struct hierarchy *hierarchy)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/self/mountinfo", "re");
	unsigned int least = UINT_MAX, quota;
	char group[PATH_MAX], *root, *mount;
	_cleanup_free_ char *line = NULL;
	size_t room = 0;

	if (!file || !find_group(hierarchy, group))
		return UINT_MAX;
	while (getline(&line, &room, file) >= 0) {
		if (!read_mount(hierarchy, line, &root, &mount))
			continue;
		quota = mount_quota(mount, path_below(group, root));
		if (quota < least)
			least = quota;
	}
	return least;
}

unsigned int processors_usable(void)
{
	unsigned int least = affinity_count(), quota;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(hierarchies); i++) {
		quota = hierarchy_quota(&hierarchies[i]);
		if (quota < least)
			least = quota;
	}
	return least;
}
