// SPDX-License-Identifier: Apache-2.0
#include "agent_namespace.h"

#include "cleanup.h"
#include "log.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>

#define LOOPBACK_IFINDEX 1

static void cleanup_closedir(DIR **directory)
{
	if (*directory)
		(void)closedir(*directory);
}

int agent_namespace_enter(int netns_fd)
{
	return setns(netns_fd, CLONE_NEWNET) < 0 ? -errno : 0;
}

static void directory_path(const struct agent_namespace *namespace, char path[4096])
{
	(void)snprintf(path, 4096, "%s/links/%u", namespace->pin, namespace->netns);
}

/* @ifindex 0: a program that is attached once for each namespace. */
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

/* What a link is attached to: a device's index or a namespace's inode; 0: to nothing any more. Both
 * stand first in what a kind of link tells of itself (struct bpf_link_info, linux/bpf.h). */
static uint32_t link_target(int link_fd)
{
	struct bpf_link_info info;
	uint32_t size = sizeof(info);

	memset(&info, 0, sizeof(info));
	if (bpf_obj_get_info_by_fd(link_fd, &info, &size) < 0)
		return 0;
	return info.netns.netns_ino;
}

/* The link pinned at @path runs this load's program from here on. -ENOENT: there is none, or one
 * that is attached to nothing any more, which is then removed. */
static int update_pinned(const struct agent_namespace *namespace, enum programs_program program,
			 const char *path)
{
	_cleanup_close_ int fd = bpf_obj_get(path);

	if (fd < 0)
		return -ENOENT;
	if (link_target(fd) == 0) {
		(void)unlink(path);
		return -ENOENT;
	}
	return programs_update_link(namespace->programs, program, fd);
}

static int pin_attachment(struct attachment *attachment, const char *path)
{
	int error;

	(void)unlink(path);
	error = bpf_obj_pin(attachment->link_fd, path);
	attachment_release(attachment);
	return error < 0 ? log_errno(error, "cannot pin %s", path) : 0;
}

static int attach_one(const struct agent_namespace *namespace, enum programs_program program,
		      uint32_t ifindex)
{
	struct attachment attachment;
	char path[4096];
	int error;

	link_path(namespace, program,
		  program == PROGRAM_DEV_INGRESS || program == PROGRAM_DEV_EGRESS ? ifindex : 0,
		  path);
	error = update_pinned(namespace, program, path);
	if (error != -ENOENT)
		return error < 0 ? log_errno(error, "cannot replace the program of %s", path) : 0;
	error = program == PROGRAM_STEER
			? programs_attach_steer(namespace->programs, namespace->netns_fd,
						&attachment)
			: programs_attach_tc(namespace->programs, program, ifindex, &attachment);
	return error < 0 ? error : pin_attachment(&attachment, path);
}

/* In the namespace: devices go by their index there. */
static int attach_all(const struct agent_namespace *namespace,
		      const enum programs_program *programs, size_t count, uint32_t ifindex,
		      int home_fd)
{
	int error = make_directories(namespace), back;
	size_t i;

	if (error < 0)
		return error;
	error = agent_namespace_enter(namespace->netns_fd);
	if (error < 0)
		return log_errno(error, "cannot enter network namespace %u", namespace->netns);
	for (i = 0; i < count && error == 0; i++)
		error = attach_one(namespace, programs[i], ifindex);
	back = agent_namespace_enter(home_fd);
	if (back < 0)
		return log_errno(back, "cannot come back to the host's network namespace");
	return error;
}

int agent_namespace_attach(const struct agent_namespace *namespace, int home_fd)
{
	/* lo_ingress first: steer asks what it has noted. */
	static const enum programs_program programs[] = {PROGRAM_LO_INGRESS, PROGRAM_STEER,
							 PROGRAM_LO_EGRESS};

	return attach_all(namespace, programs, ARRAY_SIZE(programs), LOOPBACK_IFINDEX, home_fd);
}

int agent_namespace_attach_device(const struct agent_namespace *namespace, uint32_t ifindex,
				  int home_fd)
{
	/* What comes in is remembered before anything that goes out is judged. */
	static const enum programs_program programs[] = {PROGRAM_DEV_INGRESS, PROGRAM_DEV_EGRESS};

	return attach_all(namespace, programs, ARRAY_SIZE(programs), ifindex, home_fd);
}

void agent_namespace_detach_device(const struct agent_namespace *namespace, uint32_t ifindex)
{
	char path[4096];

	link_path(namespace, PROGRAM_DEV_EGRESS, ifindex, path);
	(void)unlink(path);
	link_path(namespace, PROGRAM_DEV_INGRESS, ifindex, path);
	(void)unlink(path);
}

/* Calls @visit with each link of the namespace; goes on while that returns 0. */
static int each_link(const struct agent_namespace *namespace,
		     int (*visit)(const struct agent_namespace *namespace, const char *name,
				  const char *path))
{
	_cleanup_(cleanup_closedir) DIR *directory = NULL;
	const struct dirent *entry;
	char path[4096], link[4096];
	int error = 0;

	directory_path(namespace, path);
	directory = opendir(path);
	if (!directory)
		return errno == ENOENT ? 0 : -errno;
	while (error == 0 && (entry = readdir(directory))) {
		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(link, sizeof(link), "%.3800s/%s", path, entry->d_name);
		error = visit(namespace, entry->d_name, link);
	}
	return error;
}

static int unlink_one(const struct agent_namespace *namespace, const char *name, const char *path)
{
	(void)namespace;
	(void)name;
	(void)unlink(path);
	return 0;
}

void agent_namespace_remove(const struct agent_namespace *namespace)
{
	char path[4096];

	(void)each_link(namespace, unlink_one);
	directory_path(namespace, path);
	(void)rmdir(path);
	programs_namespace_remove(namespace->programs, namespace->netns);
}

bool agent_namespace_gone(const struct agent_namespace *namespace)
{
	_cleanup_close_ int fd = -1;
	char path[4096];

	link_path(namespace, PROGRAM_STEER, 0, path);
	fd = bpf_obj_get(path);
	/* Without it nothing is intercepted there, whatever else is left. */
	return fd < 0 || link_target(fd) == 0;
}

static int adopt_one(const struct agent_namespace *namespace, const char *name, const char *path)
{
	size_t length = strcspn(name, "-");
	enum programs_program program;
	char plain[64];
	int error;

	(void)snprintf(plain, sizeof(plain), "%.*s", (int)length, name);
	program = programs_by_name(plain);
	if (program == PROGRAMS)
		return 0;
	error = update_pinned(namespace, program, path);
	if (error == -ENOENT)
		return 0;
	return error < 0 ? log_errno(error, "cannot replace the program of %s", path) : 0;
}

int agent_namespace_adopt(const struct agent_namespace *namespace)
{
	return each_link(namespace, adopt_one);
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
