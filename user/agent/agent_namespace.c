// SPDX-License-Identifier: Apache-2.0
#include "agent/agent_namespace.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/log.h"
#include "lib/netns.h"
#include "lib/util.h"
#include "programs/programs_attach.h"
#include "programs/programs_maps.h"

/* The meaning of a file name in a namespace's directory. */
struct pinned {
	enum programs_program program; /* PROGRAMS: the name is not one of ours */
	uint32_t ifindex;	       /* 0: attached once in each namespace */
	bool filter;
};

static void cleanup_closedir(DIR **directory)
{
	if (*directory)
		(void)closedir(*directory);
}

static void directory_path(const struct agent_namespace *namespace, char path[4096])
{
	(void)snprintf(path, 4096, "%s/links/%u", namespace->pin, namespace->netns);
}

/* @ifindex: as in struct pinned. */
static void link_path(const struct agent_namespace *namespace, enum programs_program program,
		      uint32_t ifindex, char path[4096])
{
	char directory[4096];
	int used;

	directory_path(namespace, directory);
	used = snprintf(path, 4096, "%.3900s/%s", directory, programs_name(program));
	if (ifindex)
		(void)snprintf(path + used, 4096 - (size_t)used, "-%u", ifindex);
}

static void filter_path(const struct agent_namespace *namespace, const struct pinned *pinned,
			char path[4096])
{
	link_path(namespace, pinned->program, pinned->ifindex, path);
	(void)strncat(path, AGENT_FILTER_SUFFIX, 4095 - strlen(path));
}

static struct pinned parse_name(const char *name)
{
	size_t length = strcspn(name, "-");
	struct pinned pinned = {.program = PROGRAMS};
	char plain[64], *end;

	(void)snprintf(plain, sizeof(plain), "%.*s", (int)length, name);
	name += length;
	if (name[0] == '-' && name[1] >= '1' && name[1] <= '9') {
		pinned.ifindex = (uint32_t)strtoul(name + 1, &end, 10);
		name = end;
	}
	pinned.filter = strcmp(name, AGENT_FILTER_SUFFIX) == 0;
	if (pinned.filter || *name == '\0')
		pinned.program = programs_by_name(plain);
	return pinned;
}

static uint32_t device_of(const struct pinned *pinned)
{
	return pinned->ifindex ? pinned->ifindex : LOOPBACK_IFINDEX;
}

static int make_directories(const struct agent_namespace *namespace)
{
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s/links", namespace->pin);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return log_errno(-errno, "cannot make the directory %s", path);
	directory_path(namespace, path);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return log_errno(-errno, "cannot make the directory %s", path);
	return 0;
}

/* Returns the target of a link: a device's index or a namespace's inode; 0: it is detached,
 * UINT32_MAX: unknown. Both are the first field of their kind in struct bpf_link_info
 * (linux/bpf.h). */
static uint32_t link_target(int link_fd)
{
	struct bpf_link_info info;
	uint32_t size = sizeof(info);

	memset(&info, 0, sizeof(info));
	if (bpf_obj_get_info_by_fd(link_fd, &info, &size) < 0)
		return UINT32_MAX;
	return info.netns.netns_ino;
}

/* Makes the link pinned at @path run this load's program. -ENOENT: there is none, or there was a
 * detached one, which is removed. */
static int update_pinned(const struct agent_namespace *namespace, enum programs_program program,
			 const char *path)
{
	_cleanup_close_ int fd = bpf_obj_get(path);

	if (fd < 0)
		return fd;
	if (link_target(fd) == 0) {
		(void)unlink(path);
		return -ENOENT;
	}
	return programs_attach_update_link(namespace->programs, program, fd);
}

static int pin_attachment(struct programs_attachment *attachment, const char *path)
{
	int error;

	(void)unlink(path);
	error = bpf_obj_pin(attachment->link_fd, path);
	programs_attach_release(attachment);
	return error < 0 ? log_errno(error, "cannot pin %s", path) : 0;
}

/* The thread is in the namespace. */
static void detach_filter(const struct agent_namespace *namespace, const struct pinned *pinned)
{
	char path[4096];
	struct stat status;

	filter_path(namespace, pinned, path);
	if (lstat(path, &status) < 0)
		return;
	programs_attach_remove_filter(pinned->program, device_of(pinned));
	(void)unlink(path);
}

/* Attaches a filter, after noting it, or a link if the way is PROGRAMS_WAY_TCX. */
static int attach_tc(struct agent_namespace *namespace, const struct pinned *pinned,
		     const char *link)
{
	struct programs_attachment attachment;
	char path[4096];
	int error;

	filter_path(namespace, pinned, path);
	if (symlink("clsact", path) < 0 && errno != EEXIST)
		return log_errno(-errno, "cannot note the filter %s", path);
	error = programs_attach_tc(namespace->programs, pinned->program, device_of(pinned),
				   &attachment);
	if (error == 0 && attachment.kind == PROGRAMS_ATTACHMENT_CLSACT) {
		namespace->unsettled = true;
		return 0; /* the file's name is the record of it */
	}
	if (error == 0)
		error = pin_attachment(&attachment, link);
	if (error == 0 || error == -ENODEV)
		detach_filter(namespace, pinned);
	return error;
}

static int attach_steer(const struct agent_namespace *namespace, const char *path)
{
	struct programs_attachment attachment;
	int error = programs_attach_steer(namespace->programs, namespace->netns_fd, &attachment);

	return error < 0 ? error : pin_attachment(&attachment, path);
}

static int attach_one(struct agent_namespace *namespace, const struct pinned *pinned)
{
	char path[4096];
	int error;

	link_path(namespace, pinned->program, pinned->ifindex, path);
	error = update_pinned(namespace, pinned->program, path);
	if (error == -ENOENT)
		return pinned->program == PROGRAM_STEER ? attach_steer(namespace, path)
							: attach_tc(namespace, pinned, path);
	if (error < 0)
		return log_errno(error, "cannot replace the program of %s", path);
	/* An agent that was killed while it settled may have left the filter. */
	detach_filter(namespace, pinned);
	return 0;
}

/* An index of a device is valid in its namespace only, so the thread enters it. */
static int enter(const struct agent_namespace *namespace, int netns_fd)
{
	int error = netns_enter(netns_fd);

	return error < 0 ? log_errno(error, "cannot enter network namespace %u", namespace->netns)
			 : 0;
}

static int come_back(const struct agent_namespace *namespace)
{
	int error = netns_enter(namespace->home_fd);

	return error < 0 ? log_errno(error, "cannot come back to the host's network namespace") : 0;
}

/* @ifindex: as in struct pinned. */
static int attach_all(struct agent_namespace *namespace, const enum programs_program *programs,
		      size_t count, uint32_t ifindex)
{
	int error = make_directories(namespace), back;
	size_t i;

	if (error == 0)
		error = enter(namespace, namespace->netns_fd);
	if (error < 0)
		return error;
	for (i = 0; i < count && error == 0; i++)
		error = attach_one(namespace,
				   &(struct pinned) {.program = programs[i], .ifindex = ifindex});
	back = come_back(namespace);
	return back < 0 ? back : error;
}

int agent_namespace_attach(struct agent_namespace *namespace)
{
	/* lo_ingress comes first, because steer reads its notes. */
	static const enum programs_program programs[] = {PROGRAM_LO_INGRESS, PROGRAM_STEER,
							 PROGRAM_LO_EGRESS};

	return attach_all(namespace, programs, ARRAY_SIZE(programs), 0);
}

int agent_namespace_attach_device(struct agent_namespace *namespace, uint32_t ifindex)
{
	/* Inbound flows must be recorded before outgoing packets are judged. */
	static const enum programs_program programs[] = {PROGRAM_DEV_INGRESS, PROGRAM_DEV_EGRESS};

	return attach_all(namespace, programs, ARRAY_SIZE(programs), ifindex);
}

void agent_namespace_detach_device(const struct agent_namespace *namespace, uint32_t ifindex)
{
	static const enum programs_program programs[] = {PROGRAM_DEV_EGRESS, PROGRAM_DEV_INGRESS};
	char path[4096];
	size_t i;

	if (enter(namespace, namespace->netns_fd) < 0)
		return;
	for (i = 0; i < ARRAY_SIZE(programs); i++) {
		const struct pinned pinned = {.program = programs[i], .ifindex = ifindex};

		link_path(namespace, programs[i], ifindex, path);
		(void)unlink(path);
		detach_filter(namespace, &pinned);
	}
	(void)come_back(namespace);
}

/* Calls @visit with each file of the namespace, as long as it returns 0. */
static int each_file(const struct agent_namespace *namespace,
		     int (*visit)(const struct agent_namespace *namespace,
				  const struct pinned *pinned, const char *path, void *context),
		     void *context)
{
	_cleanup_(cleanup_closedir) DIR *directory = NULL;
	const struct dirent *entry;
	char path[4096], file[4096];
	int error = 0;

	directory_path(namespace, path);
	directory = opendir(path);
	if (!directory)
		return errno == ENOENT ? 0 : -errno;
	while (error == 0 && (entry = readdir(directory))) {
		struct pinned pinned = parse_name(entry->d_name);

		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(file, sizeof(file), "%.3800s/%s", path, entry->d_name);
		error = visit(namespace, &pinned, file, context);
	}
	return error;
}

/* Returns 1 with the filter in *@context, or 0. */
static int find_filter(const struct agent_namespace *namespace, const struct pinned *pinned,
		       const char *path, void *context)
{
	(void)namespace;
	(void)path;
	if (!pinned->filter || pinned->program == PROGRAMS)
		return 0;
	*(struct pinned *)context = *pinned;
	return 1;
}

/* The link is pinned before the filter is detached, and the filter's note is deleted last. */
static int settle_filter(const struct agent_namespace *namespace, const struct pinned *filter)
{
	struct programs_attachment attachment;
	char path[4096];
	int error;

	link_path(namespace, filter->program, filter->ifindex, path);
	error = update_pinned(namespace, filter->program, path);
	if (error == -ENOENT) {
		error = programs_attach_tcx(namespace->programs, filter->program, device_of(filter),
					    &attachment);
		if (error == 0)
			error = pin_attachment(&attachment, path);
	}
	/* -ENODEV: the device is gone, together with its attachments. */
	if (error == 0 || error == -ENODEV)
		detach_filter(namespace, filter);
	return error == -ENODEV ? 0 : error;
}

void agent_namespace_settle(struct agent_namespace *namespace)
{
	struct pinned filter;
	int error = 0;

	if (each_file(namespace, find_filter, &filter) > 0) {
		error = enter(namespace, namespace->netns_fd);
		if (error == 0) {
			error = settle_filter(namespace, &filter);
			(void)come_back(namespace);
		}
		if (error == -EINVAL || error == -EOPNOTSUPP)
			log_debug("network namespace %u: no TCX here, its filters stay",
				  namespace->netns);
		else if (error < 0)
			(void)log_errno(error,
					"network namespace %u: its filters stay, as %s "
					"cannot be attached by TCX",
					namespace->netns, programs_name(filter.program));
	}
	namespace->unsettled = error == 0 && each_file(namespace, find_filter, &filter) > 0;
	if (error == 0 && !namespace->unsettled)
		log_debug("network namespace %u: links have taken the place of all filters",
			  namespace->netns);
}

/* Finds a process in the namespace. Returns a descriptor of the namespace, which the caller owns,
 * or -ESRCH. */
static int find_namespace(const struct agent_namespace *namespace)
{
	_cleanup_(cleanup_closedir) DIR *proc = opendir("/proc");
	const struct dirent *entry;
	int found = -ESRCH;

	if (!proc)
		return -errno;
	while (found < 0 && (entry = readdir(proc))) {
		_cleanup_close_ int fd = -1;
		uint32_t netns;

		if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
			continue;
		fd = netns_open_of((pid_t)strtol(entry->d_name, NULL, 10));
		if (fd >= 0 && netns_enter(fd) == 0 && programs_netns(&netns) == 0 &&
		    netns == namespace->netns)
			found = TAKE_FD(fd);
	}
	(void)come_back(namespace);
	return found;
}

static int detach_if_filter(const struct agent_namespace *namespace, const struct pinned *pinned,
			    const char *path, void *context)
{
	(void)namespace;
	(void)path;
	(void)context;
	if (pinned->filter && pinned->program != PROGRAMS)
		programs_attach_remove_filter(pinned->program, device_of(pinned));
	return 0;
}

static void detach_filters(const struct agent_namespace *namespace)
{
	_cleanup_close_ int found = -1;
	struct pinned filter;

	if (each_file(namespace, find_filter, &filter) <= 0)
		return;
	if (namespace->netns_fd < 0) {
		found = find_namespace(namespace);
		if (found < 0)
			return; /* it is gone, or no process is in it */
	}
	if (enter(namespace, found >= 0 ? found : namespace->netns_fd) < 0)
		return;
	(void)each_file(namespace, detach_if_filter, NULL);
	(void)come_back(namespace);
}

static int unlink_one(const struct agent_namespace *namespace, const struct pinned *pinned,
		      const char *path, void *context)
{
	(void)namespace;
	(void)pinned;
	(void)context;
	(void)unlink(path);
	return 0;
}

void agent_namespace_remove(const struct agent_namespace *namespace)
{
	char path[4096];

	detach_filters(namespace);
	(void)each_file(namespace, unlink_one, NULL);
	directory_path(namespace, path);
	(void)rmdir(path);
	programs_namespace_remove(namespace->programs, namespace->netns);
}

int agent_namespace_gone(const struct agent_namespace *namespace)
{
	_cleanup_close_ int fd = -1;
	char path[4096];

	link_path(namespace, PROGRAM_STEER, 0, path);
	fd = bpf_obj_get(path);
	/* Without steer nothing is intercepted there, even if other programs are left. */
	if (fd < 0)
		return fd == -ENOENT ? 1 : fd;
	return link_target(fd) == 0;
}

static int adopt_one(const struct agent_namespace *namespace, const struct pinned *pinned,
		     const char *path, void *context)
{
	int error;

	(void)context;
	if (pinned->program == PROGRAMS || pinned->filter)
		return 0;
	error = update_pinned(namespace, pinned->program, path);
	if (error == -ENOENT)
		return 0;
	return error < 0 ? log_errno(error, "cannot replace the program of %s", path) : 0;
}

int agent_namespace_adopt(const struct agent_namespace *namespace)
{
	return each_file(namespace, adopt_one, NULL);
}

int agent_namespace_list(const char *pin, void (*visit)(void *context, uint32_t netns),
			 void *context)
{
	_cleanup_(cleanup_closedir) DIR *directory = NULL;
	const struct dirent *entry;
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s/links", pin);
	directory = opendir(path);
	if (!directory)
		return errno == ENOENT ? 0 : -errno;
	while ((entry = readdir(directory))) {
		unsigned long netns = strtoul(entry->d_name, NULL, 10);

		if (netns > 0 && netns <= UINT32_MAX)
			visit(context, (uint32_t)netns);
	}
	return 0;
}
