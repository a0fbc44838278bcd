// SPDX-License-Identifier: Apache-2.0
#include "agent/agent_holds.h"

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "agent/agent_residents.h"
#include "lib/array.h"
#include "lib/log.h"
#include "lib/util.h"
#include "net/netlink.h"
#include "net/netlink_link.h"

/* The pauses between looks at an end that nobody has claimed, before and after it is reported. */
#define LOOK_MS	      100
#define LOOK_AGAIN_MS 1000
#define UNCLAIMED_MS  10000

/* The kernel's tables may change while they are read. */
#define DUMP_TRIES 5

/* Docker's name for a network's bridge is this and the first digits of the network's id. */
#define BRIDGE_PREFIX "br-"
#define BRIDGE_DIGITS 12

/* The host's end of a veth on one of Docker's bridges. */
struct device {
	uint32_t ifindex;
	int32_t nsid;	   /* of the namespace that it leads to; -1: the host's */
	bool held;	   /* nothing that comes out of it passes */
	bool reported;	   /* as unclaimed */
	uint64_t since_ms; /* when it was held */
};

struct agent_holds {
	struct loop *loop;
	const struct agent_namespaces *namespaces;
	struct agent_namespace records; /* number 0, which no namespace has: the filters' files */
	struct netlink *netlink;
	struct loop_handler monitor;
	uint32_t newest;      /* the newest device when the agent started */
	struct array devices; /* struct device */
	bool changed;	      /* one of them has come, or leads elsewhere */
	const struct agent_wards *wards;
	const struct agent_seen *seen;
	size_t seen_count;
	struct loop_timer_class look_class, again_class;
	struct loop_timer look;
};

static struct agent_namespace records_of(const struct agent_namespaces *namespaces)
{
	return (struct agent_namespace) {
		.programs = namespaces->programs,
		.pin = namespaces->pin,
		.home_fd = namespaces->home_fd,
		.netns_fd = -1,
		.outer = AGENT_OUTER_EMPTY,
	};
}

static struct device *device_at(const struct agent_holds *holds, size_t i)
{
	return (struct device *)holds->devices.items + i;
}

static struct device *device_find(const struct agent_holds *holds, uint32_t ifindex)
{
	size_t i;

	for (i = 0; i < holds->devices.count; i++)
		if (device_at(holds, i)->ifindex == ifindex)
			return device_at(holds, i);
	return NULL;
}

static bool is_of_docker(uint32_t bridge)
{
	char name[IF_NAMESIZE];

	if (!if_indextoname(bridge, name))
		return false;
	return strcmp(name, "docker0") == 0 ||
	       (strncmp(name, BRIDGE_PREFIX, strlen(BRIDGE_PREFIX)) == 0 &&
		strspn(name + strlen(BRIDGE_PREFIX), "0123456789abcdef") == BRIDGE_DIGITS);
}

static void hold(struct agent_holds *holds, const struct netlink_link *link)
{
	struct device device = {
		.ifindex = link->ifindex,
		.nsid = link->peer_nsid,
		.held = true,
		.since_ms = loop_now(holds->loop),
	};

	/* After a failure the device's next notice has it tried again. */
	if (agent_namespace_hold(&holds->records, link->ifindex) < 0)
		return;
	holds->changed = true;
	if (array_append(&holds->devices, &device) < 0)
		log_error("no memory to remember the device %s: it stays closed", link->name);
}

/* A device has come or changed. */
static int link_changed(void *context, const struct netlink_link *link)
{
	struct agent_holds *holds = context;
	struct device *device = device_find(holds, link->ifindex);

	if (device) {
		holds->changed |= device->nsid != link->peer_nsid;
		device->nsid = link->peer_nsid;
		return 0;
	}
	if (link->ifindex > holds->newest && link->veth && link->master &&
	    is_of_docker(link->master))
		hold(holds, link);
	return 0;
}

static void link_gone(void *context, uint32_t ifindex)
{
	struct agent_holds *holds = context;
	struct device *device = device_find(holds, ifindex);

	if (!device)
		return;
	if (device->held)
		agent_namespace_forget_outer(&holds->records, ifindex);
	*device = *device_at(holds, --holds->devices.count);
}

/* Is the end guarded as one of a served or closed namespace? */
static bool has_guard(const struct agent_holds *holds, uint32_t ifindex)
{
	const struct agent_namespace *namespace;

	for (namespace = holds->namespaces->first; namespace; namespace = namespace->next)
		if (namespace->guarded && agent_namespace_has_outer(namespace, ifindex))
			return true;
	return false;
}

/* The judgement on the processes in a namespace. */
struct judgement {
	const struct agent_holds *holds;
	bool found; /* a process is there */
	bool open;  /* none of them may be of a guarded container */
};

static bool docker_knows(const struct agent_holds *holds, const char *id)
{
	size_t i;

	for (i = 0; i < holds->seen_count; i++)
		if (strcmp(holds->seen[i].id, id) == 0)
			return true;
	return false;
}

/* Judges a process. It is of no container if no id is in @cgroups. If Docker knows none of the ids,
 * it has not told of the container yet. */
static void judge_process(void *context, const char *cgroups)
{
	struct judgement *judgement = context;
	bool any = false, known = false;
	char id[65];

	judgement->found = true;
	while ((cgroups = agent_residents_id(cgroups, id))) {
		any = true;
		known |= docker_knows(judgement->holds, id);
		judgement->open &= !agent_wards_has(judgement->holds->wards, id);
	}
	judgement->open &= !any || known;
}

/* Is a process at the other end, and is none there of a container that may be guarded? */
static bool is_free(const struct agent_holds *holds, const struct device *device)
{
	struct judgement judgement = {.holds = holds, .open = true};

	if (device->nsid < 0 ||
	    agent_residents_each(holds->netlink, device->nsid, judge_process, &judgement) < 0)
		return false;
	return judgement.found && judgement.open;
}

static void report(const struct agent_holds *holds, struct device *device)
{
	char name[IF_NAMESIZE] = "?";

	if (device->reported || loop_now(holds->loop) - device->since_ms < UNCLAIMED_MS)
		return;
	device->reported = true;
	(void)if_indextoname(device->ifindex, name);
	log_warning("%s: Docker has named no container behind this device, so it stays closed "
		    "(--guard)",
		    name);
}

/* Decides on an end that is held. */
static void look(struct agent_holds *holds, struct device *device)
{
	if (has_guard(holds, device->ifindex)) {
		agent_namespace_forget_outer(&holds->records, device->ifindex);
		device->held = false;
	} else if (is_free(holds, device)) {
		agent_namespace_detach_outer(&holds->records, device->ifindex);
		device->held = false;
	} else {
		report(holds, device);
	}
}

/* Decides on all ends that are held, and looks at the others again after a pause. */
static void look_at_all(struct agent_holds *holds)
{
	bool waiting = false, soon = false;
	size_t i;

	holds->changed = false;
	for (i = 0; i < holds->devices.count; i++) {
		struct device *device = device_at(holds, i);

		if (device->held)
			look(holds, device);
		waiting |= device->held;
		soon |= device->held && !device->reported;
	}
	if (waiting)
		loop_timer_start(holds->loop, soon ? &holds->look_class : &holds->again_class,
				 &holds->look);
}

static void look_expired(struct loop_timer *timer)
{
	look_at_all(container_of(timer, struct agent_holds, look));
}

/* Notes a device that exists. */
static int note_newest(void *context, const struct netlink_link *link)
{
	struct agent_holds *holds = context;

	if (link->ifindex > holds->newest)
		holds->newest = link->ifindex;
	if (agent_namespace_has_outer(&holds->records, link->ifindex)) {
		const struct device device = {
			.ifindex = link->ifindex,
			.nsid = link->peer_nsid,
			.held = true,
			.since_ms = loop_now(holds->loop),
		};

		return array_append(&holds->devices, &device);
	}
	return 0;
}

/* Reads all devices, after the kernel has dropped notices. Returns 0 or a negative errno. */
static int read_all(struct agent_holds *holds)
{
	int error = -EINTR, tries;
	char name[IF_NAMESIZE];
	size_t i;

	for (i = holds->devices.count; i > 0; i--) {
		uint32_t ifindex = device_at(holds, i - 1)->ifindex;

		if (!if_indextoname(ifindex, name))
			link_gone(holds, ifindex);
	}
	for (tries = 0; tries < DUMP_TRIES && error == -EINTR; tries++)
		error = netlink_dump_links(holds->netlink, link_changed, holds);
	return error;
}

static void noticed(struct loop_handler *handler, uint32_t events)
{
	struct agent_holds *holds = container_of(handler, struct agent_holds, monitor);
	int error = netlink_monitor_links(handler->fd, link_changed, link_gone, holds);

	(void)events;
	if (error == -ENOBUFS)
		error = read_all(holds);
	if (error < 0)
		(void)log_errno(error, "cannot follow the host's devices");
	if (holds->changed)
		look_at_all(holds);
}

int agent_holds_new(struct loop *loop, const struct agent_namespaces *namespaces,
		    const struct agent_wards *wards, struct agent_holds **ret_holds)
{
	struct agent_holds *holds = calloc(1, sizeof(*holds));
	int error = -ENOMEM, fd = -1;

	if (holds) {
		holds->loop = loop;
		holds->namespaces = namespaces;
		holds->wards = wards;
		holds->records = records_of(namespaces);
		holds->devices.size = sizeof(struct device);
		holds->monitor = (struct loop_handler) {.ready = noticed, .fd = -1};
		holds->look.expired = look_expired;
		loop_timer_class_init(loop, &holds->look_class, LOOK_MS);
		loop_timer_class_init(loop, &holds->again_class, LOOK_AGAIN_MS);
		error = netlink_open(&holds->netlink);
	}
	if (error == 0)
		error = fd = netlink_monitor_open(false);
	if (error >= 0)
		error = netlink_dump_links(holds->netlink, note_newest, holds);
	if (error == 0)
		error = loop_add(loop, &holds->monitor, fd, EPOLLIN);
	if (error < 0) {
		(void)safe_close(fd);
		agent_holds_free(holds);
		return log_errno(error, "cannot watch the host's devices");
	}
	look_at_all(holds);
	*ret_holds = holds;
	return 0;
}

void agent_holds_update(struct agent_holds *holds, const struct agent_seen *seen, size_t count)
{
	holds->seen = seen;
	holds->seen_count = count;
	look_at_all(holds);
}

void agent_holds_free(struct agent_holds *holds)
{
	if (!holds)
		return;
	loop_timer_stop(&holds->look);
	loop_close(&holds->monitor);
	netlink_close(holds->netlink);
	free(holds->devices.items);
	free(holds);
}

void agent_holds_drop(const struct agent_namespaces *namespaces)
{
	struct agent_namespace records = records_of(namespaces);

	(void)agent_namespace_remove(&records);
}
