// SPDX-License-Identifier: Apache-2.0
#include "agent/agent_namespace.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/agent_find.h"
#include "agent/agent_pins.h"
#include "lib/log.h"
#include "lib/netns.h"
#include "lib/util.h"
#include "programs/programs_attach.h"
#include "programs/programs_maps.h"

static struct agent_pins pins_of(const struct agent_namespace *namespace)
{
	return (struct agent_pins) {.pin = namespace->pin, .netns = namespace->netns};
}

/* Fills @path with the file of @pin's filter (@filter) or link. */
static void pin_path(const struct agent_namespace *namespace, const struct agent_pin *pin,
		     bool filter, char path[AGENT_PIN_PATH_MAX])
{
	const struct agent_pin file = {.program = pin->program,
				       .ifindex = pin->ifindex,
				       .filter = filter};
	const struct agent_pins pins = pins_of(namespace);

	agent_pins_path(&pins, &file, path);
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

/* Is there a note of @pin's filter? Fills @path with its place. */
static bool has_filter(const struct agent_namespace *namespace, const struct agent_pin *pin,
		       char path[AGENT_PIN_PATH_MAX])
{
	struct stat status;

	pin_path(namespace, pin, true, path);
	return lstat(path, &status) == 0;
}

/* The thread is in the device's namespace. */
static void detach_filter(const struct agent_namespace *namespace, const struct agent_pin *pin)
{
	char path[AGENT_PIN_PATH_MAX];

	if (!has_filter(namespace, pin, path))
		return;
	programs_attach_remove_filter(pin->program, agent_pin_device(pin));
	(void)unlink(path);
}

/* Attaches a filter, after noting it, or a link if the way is PROGRAMS_WAY_TCX. */
static int attach_tc(struct agent_namespace *namespace, const struct agent_pin *pin,
		     const char *link)
{
	struct programs_attachment attachment;
	char path[AGENT_PIN_PATH_MAX];
	int error;

	pin_path(namespace, pin, true, path);
	if (symlink("clsact", path) < 0 && errno != EEXIST)
		return log_errno(-errno, "cannot note the filter %s", path);
	error = programs_attach_tc(namespace->programs, pin->program, agent_pin_device(pin),
				   &attachment);
	if (error == 0 && attachment.kind == PROGRAMS_ATTACHMENT_CLSACT) {
		namespace->unsettled = true;
		return 0; /* the file's name is the record of it */
	}
	if (error == 0)
		error = pin_attachment(&attachment, link);
	if (error == 0 || error == -ENODEV)
		detach_filter(namespace, pin);
	return error;
}

static int attach_steer(const struct agent_namespace *namespace, const char *path)
{
	struct programs_attachment attachment;
	int error = programs_attach_steer(namespace->programs, namespace->netns_fd, &attachment);

	return error < 0 ? error : pin_attachment(&attachment, path);
}

static int attach_one(struct agent_namespace *namespace, const struct agent_pin *pin)
{
	char path[AGENT_PIN_PATH_MAX];
	int error;

	pin_path(namespace, pin, false, path);
	error = update_pinned(namespace, pin->program, path);
	if (error == -ENOENT)
		return pin->program == PROGRAM_STEER ? attach_steer(namespace, path)
						     : attach_tc(namespace, pin, path);
	if (error < 0)
		return log_errno(error, "cannot replace the program of %s", path);
	/* An agent that was killed while it settled may have left the filter. */
	detach_filter(namespace, pin);
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

/* Attaches to the devices of the namespace @netns_fd. @ifindex: as in struct agent_pin. */
static int attach_all(struct agent_namespace *namespace, int netns_fd,
		      const enum programs_program *programs, size_t count, uint32_t ifindex)
{
	const struct agent_pins pins = pins_of(namespace);
	int error = agent_pins_make(&pins), back;
	size_t i;

	if (error == 0)
		error = enter(namespace, netns_fd);
	if (error < 0)
		return error;
	for (i = 0; i < count && error == 0; i++)
		error = attach_one(namespace, &(struct agent_pin) {.program = programs[i],
								   .ifindex = ifindex});
	back = come_back(namespace);
	return back < 0 ? back : error;
}

int agent_namespace_attach(struct agent_namespace *namespace)
{
	/* lo_ingress comes first, because steer reads its notes. */
	static const enum programs_program programs[] = {PROGRAM_LO_INGRESS, PROGRAM_STEER,
							 PROGRAM_LO_EGRESS};

	return attach_all(namespace, namespace->netns_fd, programs, ARRAY_SIZE(programs), 0);
}

int agent_namespace_attach_steer(struct agent_namespace *namespace)
{
	static const enum programs_program programs[] = {PROGRAM_STEER};

	return attach_all(namespace, namespace->netns_fd, programs, ARRAY_SIZE(programs), 0);
}

/* The programs of each kind. Inbound flows must be recorded before outgoing packets are judged. */
static const enum programs_program device_programs[][2] = {
	[DATAPATH_UPLINK] = {PROGRAM_DEV_INGRESS, PROGRAM_DEV_EGRESS},
	[DATAPATH_UPLINK_L3] = {PROGRAM_L3_INGRESS, PROGRAM_L3_EGRESS},
	[DATAPATH_INNER] = {PROGRAM_BRIDGE_EGRESS, PROGRAM_BRIDGE_INGRESS},
};

/* Detaches the programs of @other from a device, which has those of @kind. One filter has replaced
 * the other where they have the same hook, and so the opposite places above. */
static int forget_kind(const struct agent_namespace *namespace, uint32_t ifindex,
		       enum datapath_device kind, enum datapath_device other)
{
	char path[AGENT_PIN_PATH_MAX], note[AGENT_PIN_PATH_MAX];
	int error = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(device_programs[0]) && error == 0; i++) {
		const struct agent_pin old = {.program = device_programs[other][i],
					      .ifindex = ifindex};
		const struct agent_pin own = {.program = device_programs[kind][1 - i],
					      .ifindex = ifindex};

		pin_path(namespace, &old, false, path);
		(void)unlink(path);
		if (!has_filter(namespace, &old, note))
			continue;
		if (has_filter(namespace, &own, path)) {
			(void)unlink(note);
			continue;
		}
		error = enter(namespace, namespace->netns_fd);
		if (error == 0) {
			detach_filter(namespace, &old);
			error = come_back(namespace);
		}
	}
	return error;
}

int agent_namespace_attach_device(struct agent_namespace *namespace, uint32_t ifindex,
				  enum datapath_device kind)
{
	int error = attach_all(namespace, namespace->netns_fd, device_programs[kind],
			       ARRAY_SIZE(device_programs[kind]), ifindex);

	/* Inner devices have a link-layer header. */
	if (error < 0 || kind == DATAPATH_UPLINK_L3)
		return error;
	return forget_kind(namespace, ifindex, kind,
			   kind == DATAPATH_INNER ? DATAPATH_UPLINK : DATAPATH_INNER);
}

int agent_namespace_attach_outer(struct agent_namespace *namespace, uint32_t ifindex)
{
	static const enum programs_program programs[] = {PROGRAM_HOST_EGRESS, PROGRAM_HOST_INGRESS};

	return attach_all(namespace, namespace->home_fd, programs, ARRAY_SIZE(programs), ifindex);
}

int agent_namespace_hold(struct agent_namespace *namespace, uint32_t ifindex)
{
	static const enum programs_program programs[] = {PROGRAM_HOST_INGRESS};

	return attach_all(namespace, namespace->home_fd, programs, ARRAY_SIZE(programs), ifindex);
}

void agent_namespace_forget_outer(const struct agent_namespace *namespace, uint32_t ifindex)
{
	const struct agent_pin pin = {.program = PROGRAM_HOST_INGRESS, .ifindex = ifindex};
	char path[AGENT_PIN_PATH_MAX];

	pin_path(namespace, &pin, false, path);
	(void)unlink(path);
	pin_path(namespace, &pin, true, path);
	(void)unlink(path);
}

bool agent_namespace_has_outer(const struct agent_namespace *namespace, uint32_t ifindex)
{
	const struct agent_pin pin = {.program = PROGRAM_HOST_INGRESS, .ifindex = ifindex};
	char path[AGENT_PIN_PATH_MAX];
	struct stat status;

	pin_path(namespace, &pin, false, path);
	return lstat(path, &status) == 0 || has_filter(namespace, &pin, path);
}

/* Detaches the programs from a device of the namespace in which the thread is. */
static void detach_all(const struct agent_namespace *namespace,
		       const enum programs_program *programs, size_t count, uint32_t ifindex)
{
	char path[AGENT_PIN_PATH_MAX];
	size_t i;

	for (i = 0; i < count; i++) {
		const struct agent_pin pin = {.program = programs[i], .ifindex = ifindex};

		pin_path(namespace, &pin, false, path);
		(void)unlink(path);
		detach_filter(namespace, &pin);
	}
}

void agent_namespace_detach_device(const struct agent_namespace *namespace, uint32_t ifindex)
{
	static const enum programs_program programs[] = {
		PROGRAM_DEV_EGRESS, PROGRAM_DEV_INGRESS,    PROGRAM_L3_EGRESS,
		PROGRAM_L3_INGRESS, PROGRAM_BRIDGE_INGRESS, PROGRAM_BRIDGE_EGRESS};

	if (enter(namespace, namespace->netns_fd) < 0)
		return;
	detach_all(namespace, programs, ARRAY_SIZE(programs), ifindex);
	(void)come_back(namespace);
}

void agent_namespace_detach_outer(const struct agent_namespace *namespace, uint32_t ifindex)
{
	static const enum programs_program programs[] = {PROGRAM_HOST_INGRESS, PROGRAM_HOST_EGRESS};

	detach_all(namespace, programs, ARRAY_SIZE(programs), ifindex);
	programs_outer_remove(namespace->programs, ifindex);
}

void agent_namespace_each_outer(const struct agent_namespace *namespace,
				void (*visit)(void *context, uint32_t ifindex), void *context)
{
	const struct agent_pins pins = pins_of(namespace);

	agent_pins_each_outer(&pins, visit, context);
}

/* Returns 1 with the filter in *@context, or 0. */
static int find_filter(void *context, const struct agent_pin *pin, const char *path)
{
	(void)path;
	if (!pin->filter || pin->program == PROGRAMS)
		return 0;
	*(struct agent_pin *)context = *pin;
	return 1;
}

/* The link is pinned before the filter is detached, and the filter's note is deleted last. */
static int settle_filter(const struct agent_namespace *namespace, const struct agent_pin *filter)
{
	struct programs_attachment attachment;
	char path[AGENT_PIN_PATH_MAX];
	int error;

	pin_path(namespace, filter, false, path);
	error = update_pinned(namespace, filter->program, path);
	if (error == -ENOENT) {
		error = programs_attach_tcx(namespace->programs, filter->program,
					    agent_pin_device(filter), &attachment);
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
	const struct agent_pins pins = pins_of(namespace);
	struct agent_pin filter;
	int error = 0;

	if (agent_pins_each(&pins, find_filter, &filter) > 0) {
		error = enter(namespace, agent_pin_is_outer(&filter) ? namespace->home_fd
								     : namespace->netns_fd);
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
	namespace->unsettled = error == 0 && agent_pins_each(&pins, find_filter, &filter) > 0;
	if (error == 0 && !namespace->unsettled)
		log_debug("network namespace %u: links have taken the place of all filters",
			  namespace->netns);
}

/* The filters of the namespace's devices, or of the host's. */
struct filters {
	bool outer;
	unsigned int count;
	bool detach;
};

static int visit_filter(void *context, const struct agent_pin *pin, const char *path)
{
	struct filters *filters = context;

	(void)path;
	if (!pin->filter || pin->program == PROGRAMS || agent_pin_is_outer(pin) != filters->outer)
		return 0;
	filters->count++;
	if (filters->detach)
		programs_attach_remove_filter(pin->program, agent_pin_device(pin));
	return 0;
}

/* Detaches the filters in the namespace, while anything is left of it. Returns 0, or a negative
 * errno (logged): they stay. */
static int detach_filters(const struct agent_namespace *namespace)
{
	const struct agent_pins pins = pins_of(namespace);
	_cleanup_close_ int found = -1;
	struct filters filters = {.outer = false};
	int error;

	(void)agent_pins_each(&pins, visit_filter, &filters);
	if (filters.count == 0)
		return 0;
	if (namespace->netns_fd < 0) {
		found = agent_find_netns(namespace->netns);
		(void)come_back(namespace);
		if (found < 0)
			return agent_namespace_gone(namespace) > 0 ? 0 : found;
	}
	error = enter(namespace, found >= 0 ? found : namespace->netns_fd);
	if (error < 0)
		return error;
	filters.detach = true;
	(void)agent_pins_each(&pins, visit_filter, &filters);
	return come_back(namespace);
}

/* Deletes the record of an attachment, and with the record of a link the attachment. */
static int remove_one(void *context, const struct agent_pin *pin, const char *path)
{
	const struct agent_namespace *namespace = context;

	if (agent_pin_is_outer(pin))
		programs_outer_remove(namespace->programs, pin->ifindex);
	(void)unlink(path);
	return 0;
}

int agent_namespace_remove(struct agent_namespace *namespace)
{
	const struct agent_pins pins = pins_of(namespace);
	int error = detach_filters(namespace);

	(void)agent_pins_each(&pins, visit_filter,
			      &(struct filters) {.outer = true, .detach = true});
	(void)agent_pins_each(&pins, remove_one, namespace);
	agent_pins_remove(&pins);
	agent_outer_remove(&namespace->outer, namespace->programs, namespace->netns);
	namespace->guarded = false;
	programs_namespace_remove(namespace->programs, namespace->netns);
	return error;
}

void agent_namespace_shut(struct agent_namespace *namespace)
{
	static const enum programs_program programs[] = {PROGRAM_LO_EGRESS, PROGRAM_LO_INGRESS};

	if (enter(namespace, namespace->netns_fd) == 0) {
		detach_all(namespace, programs, ARRAY_SIZE(programs), 0);
		(void)come_back(namespace);
	}
	agent_outer_remove(&namespace->outer, namespace->programs, namespace->netns);
	programs_namespace_remove(namespace->programs, namespace->netns);
}

int agent_namespace_gone(const struct agent_namespace *namespace)
{
	_cleanup_close_ int fd = -1;
	char path[AGENT_PIN_PATH_MAX];

	pin_path(namespace, &(struct agent_pin) {.program = PROGRAM_STEER}, false, path);
	fd = bpf_obj_get(path);
	/* Without steer nothing is intercepted there, even if other programs are left. */
	if (fd < 0)
		return fd == -ENOENT ? 1 : fd;
	return link_target(fd) == 0;
}

static int adopt_one(void *context, const struct agent_pin *pin, const char *path)
{
	int error;

	if (pin->program == PROGRAMS || pin->filter)
		return 0;
	error = update_pinned(context, pin->program, path);
	if (error == -ENOENT)
		return 0;
	return error < 0 ? log_errno(error, "cannot replace the program of %s", path) : 0;
}

int agent_namespace_adopt(struct agent_namespace *namespace)
{
	const struct agent_pins pins = pins_of(namespace);

	return agent_pins_each(&pins, adopt_one, namespace);
}
