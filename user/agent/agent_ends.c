// SPDX-License-Identifier: Apache-2.0
#include "agent/agent_ends.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "agent/agent_doubts.h"
#include "lib/address.h"
#include "lib/array.h"
#include "lib/log.h"
#include "lib/util.h"
#include "net/netlink.h"
#include "net/netlink_link.h"
#include "programs/programs_maps.h"

/* An application can change its end of a veth as often as it likes, and the host is told each time.
 */
#define PACE_MS 20

/* The pause after a failure. */
#define AGAIN_MS 1000

/* The kernel's tables may change while they are read. */
#define DUMP_TRIES 5

/* The host's devices and addresses. */
struct view {
	struct array links;	/* struct netlink_link */
	struct array addresses; /* struct netlink_address */
};

struct agent_ends {
	struct loop *loop;
	struct agent_namespaces *namespaces;
	struct netlink *netlink;
	struct view view;
	bool stale; /* the view */
	struct loop_handler monitor;
	struct loop_timer_class pace_class, again_class;
	struct loop_timer pace; /* runs from a notice to the work that it causes */
	struct agent_doubts doubts;
};

static void view_release(struct view *view)
{
	free(view->links.items);
	free(view->addresses.items);
}

static int add_link(void *context, const struct netlink_link *link)
{
	return array_append(&((struct view *)context)->links, link);
}

static int add_address(void *context, const struct netlink_address *address)
{
	return array_append(&((struct view *)context)->addresses, address);
}

static int view_take(struct netlink *netlink, struct view *view)
{
	int error = -EINTR, i;

	for (i = 0; i < DUMP_TRIES && error == -EINTR; i++) {
		view_release(view);
		*view = (struct view) {
			.links = {.size = sizeof(struct netlink_link)},
			.addresses = {.size = sizeof(struct netlink_address)},
		};
		error = netlink_dump_links(netlink, add_link, view);
		if (error == 0)
			error = netlink_dump_addresses(netlink, add_address, view);
	}
	return error;
}

/* Notes what the monitor has told. The namespaces have their turn after a pause. */
static void take_notice(struct agent_ends *ends)
{
	if (!netlink_monitor_drain(ends->monitor.fd))
		return;
	ends->stale = true;
	if (!loop_timer_running(&ends->pace))
		loop_timer_start(ends->loop, &ends->pace_class, &ends->pace);
}

/* Takes the view anew if anything has changed: with many containers it takes milliseconds. Returns
 * 0 or a negative errno, logged. */
static int refresh(struct agent_ends *ends)
{
	int error;

	take_notice(ends);
	if (!ends->stale)
		return 0;
	error = view_take(ends->netlink, &ends->view);
	if (error < 0)
		return log_errno(error, "cannot list the host's devices and addresses");
	ends->stale = false;
	return 0;
}

static const struct netlink_link *view_link(const struct view *view, uint32_t ifindex)
{
	const struct netlink_link *links = view->links.items;
	size_t i;

	for (i = 0; i < view->links.count; i++)
		if (links[i].ifindex == ifindex)
			return &links[i];
	return NULL;
}

/* Adds the host's addresses on a device, and the subnets of its configured ones. */
static int add_subnets(const struct view *view, uint32_t ifindex, struct array *entries)
{
	const struct netlink_address *addresses = view->addresses.items;
	int error = 0;
	size_t i;

	for (i = 0; i < view->addresses.count && error == 0; i++) {
		struct agent_outer_prefix entry = {.prefix = {.length = 128},
						   .sources = SIDESTEP_FROM_HOST};

		if (addresses[i].ifindex != ifindex)
			continue;
		memcpy(entry.prefix.address, addresses[i].address, sizeof(entry.prefix.address));
		error = array_append(entries, &entry);
		/* A container can have advertised those that nobody configured. Link scope is
		 * bypassed anyway. */
		if (error < 0 || addresses[i].link_local || !addresses[i].configured)
			continue;
		entry = (struct agent_outer_prefix) {.prefix = addresses[i].subnet,
						     .sources = SIDESTEP_FROM_CONNECTED};
		(void)prefix_clear_host_bits(&entry.prefix);
		error = array_append(entries, &entry);
	}
	return error;
}

/* A walk of the guarded ends. */
struct gone {
	const struct view *view;
	const struct agent_namespace *namespace;
};

/* Removes what is recorded of an end that no longer exists. An end that leads elsewhere keeps its
 * guard: an application with rights can move the other one. */
static void forget_gone(void *context, uint32_t ifindex)
{
	const struct gone *gone = context;

	if (!view_link(gone->view, ifindex))
		agent_namespace_detach_outer(gone->namespace, ifindex);
}

/* Guards one end. -ENODEV: it is gone. */
static int guard_end(struct agent_namespace *namespace, const struct netlink_link *link)
{
	const struct sidestep_outer value = {.netns = namespace->netns | SIDESTEP_OUTER,
					     .ifindex = link->peer};
	int error = programs_outer_set(namespace->programs, link->ifindex, &value);

	return error < 0 ? error : agent_namespace_attach_outer(namespace, link->ifindex);
}

/* Guards the ends that lead into the namespace, whose number on the host is @nsid. */
static int guard(struct agent_namespace *namespace, int nsid, const struct view *view)
{
	const struct netlink_link *links = view->links.items;
	struct array entries = {.size = sizeof(struct agent_outer_prefix)};
	int error = 0;
	size_t i;

	/* The subnets come first: without them the guard would drop traffic that may pass. */
	for (i = 0; i < view->links.count && error == 0; i++) {
		if (!links[i].veth || links[i].peer_nsid != nsid)
			continue;
		error = add_subnets(view, links[i].ifindex, &entries);
		if (error == 0 && links[i].master)
			error = add_subnets(view, links[i].master, &entries);
	}
	if (error == 0)
		error = agent_outer_host(&namespace->outer, namespace->programs, namespace->netns,
					 entries.items, entries.count);
	free(entries.items);
	for (i = 0; i < view->links.count && error == 0; i++) {
		if (links[i].veth && links[i].peer_nsid == nsid)
			error = guard_end(namespace, &links[i]);
		if (error == -ENODEV)
			error = 0;
	}
	return error;
}

/* Finds the namespace's number on the host. Without a session it is the last one: a number is used
 * again only when its namespace is gone. -ENOENT: no end leads there. */
static int find_nsid(const struct agent_ends *ends, struct agent_namespace *namespace)
{
	int gone;

	if (namespace->netns_fd >= 0) {
		namespace->nsid = netlink_nsid(ends->netlink, namespace->netns_fd);
		return namespace->nsid;
	}
	gone = agent_namespace_gone(namespace);
	return gone < 0 ? gone : gone ? -ENOENT : namespace->nsid;
}

static int guard_namespace(const struct agent_ends *ends, struct agent_namespace *namespace)
{
	struct gone gone = {.view = &ends->view, .namespace = namespace};
	int nsid = find_nsid(ends, namespace), error;

	agent_namespace_each_outer(namespace, forget_gone, &gone);
	error = nsid == -ENOENT ? 0 : nsid < 0 ? nsid : guard(namespace, nsid, &ends->view);
	if (error < 0)
		return log_errno(error,
				 "cannot guard the host's devices that lead into network "
				 "namespace %u",
				 namespace->netns);
	return 0;
}

/* Does an end in @view lead to the device @ifindex of the namespace @nsid? */
static bool has_end(const struct view *view, int nsid, uint32_t ifindex)
{
	const struct netlink_link *links = view->links.items;
	size_t i;

	for (i = 0; i < view->links.count; i++)
		if (links[i].veth && links[i].peer_nsid == nsid && links[i].peer == ifindex)
			return true;
	return false;
}

int agent_ends_guard(struct agent_ends *ends, struct agent_namespace *namespace, uint32_t ifindex,
		     const char *name)
{
	int error = refresh(ends);

	namespace->guarded = true;
	if (error == 0)
		error = guard_namespace(ends, namespace);
	if (error < 0 || ifindex == 0)
		return error;
	if (namespace->nsid < 0 || !has_end(&ends->view, namespace->nsid, ifindex))
		agent_doubts_add(&ends->doubts, namespace->netns, ifindex, name);
	return 0;
}

void agent_ends_settle(struct agent_ends *ends, const struct agent_namespace *namespace,
		       uint32_t ifindex)
{
	agent_doubts_settle(&ends->doubts, namespace->netns, ifindex);
}

/* Guards all namespaces. Returns false if something failed, which is logged. */
static bool guard_all(struct agent_ends *ends)
{
	struct agent_namespace *namespace;
	bool done = refresh(ends) == 0;

	for (namespace = ends->namespaces->first; namespace && !ends->stale;
	     namespace = namespace->next)
		if (namespace->guarded && guard_namespace(ends, namespace) < 0)
			done = false;
	return done;
}

static void pace_expired(struct loop_timer *timer)
{
	struct agent_ends *ends = container_of(timer, struct agent_ends, pace);

	/* A shortage of descriptors, memory or room in a map may be over then. */
	if (!guard_all(ends))
		loop_timer_start(ends->loop, &ends->again_class, &ends->pace);
	/* An application that makes notices must not put off the links of all others. */
	if (!loop_timer_running(&ends->namespaces->settle))
		agent_namespaces_settle(ends->namespaces);
}

struct adoption {
	const struct view *view;
	struct agent_namespace *namespace;
};

static void adopt_end(void *context, uint32_t ifindex)
{
	const struct adoption *adoption = context;
	const struct netlink_link *link = view_link(adoption->view, ifindex);

	if (!link || link->peer_nsid < 0)
		return;
	adoption->namespace->guarded = true;
	adoption->namespace->nsid = link->peer_nsid;
}

int agent_ends_adopt(struct agent_ends *ends)
{
	struct agent_namespace *namespace;
	int error = refresh(ends);

	if (error < 0)
		return error;
	for (namespace = ends->namespaces->first; namespace; namespace = namespace->next)
		agent_namespace_each_outer(namespace, adopt_end,
					   &(struct adoption) {&ends->view, namespace});
	loop_timer_start(ends->loop, &ends->pace_class, &ends->pace);
	return 0;
}

static void noticed(struct loop_handler *handler, uint32_t events)
{
	(void)events;
	take_notice(container_of(handler, struct agent_ends, monitor));
}

int agent_ends_new(struct loop *loop, struct agent_namespaces *namespaces,
		   struct agent_ends **ret_ends)
{
	struct agent_ends *ends = calloc(1, sizeof(*ends));
	int error = -ENOMEM, fd = -1;

	if (ends) {
		ends->loop = loop;
		ends->namespaces = namespaces;
		ends->monitor = (struct loop_handler) {.ready = noticed, .fd = -1};
		ends->pace.expired = pace_expired;
		ends->stale = true;
		agent_doubts_init(&ends->doubts, loop);
		loop_timer_class_init(loop, &ends->pace_class, PACE_MS);
		loop_timer_class_init(loop, &ends->again_class, AGAIN_MS);
		error = netlink_open(&ends->netlink);
	}
	if (error == 0)
		error = fd = netlink_monitor_open(false);
	if (error >= 0)
		error = loop_add(loop, &ends->monitor, fd, EPOLLIN);
	if (error < 0) {
		(void)safe_close(fd);
		agent_ends_free(ends);
		return log_errno(error, "cannot watch the host's devices");
	}
	*ret_ends = ends;
	return 0;
}

void agent_ends_free(struct agent_ends *ends)
{
	if (!ends)
		return;
	agent_doubts_release(&ends->doubts);
	loop_timer_stop(&ends->pace);
	loop_close(&ends->monitor);
	netlink_close(ends->netlink);
	view_release(&ends->view);
	free(ends);
}
