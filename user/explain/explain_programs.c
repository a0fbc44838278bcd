// SPDX-License-Identifier: Apache-2.0
/* Asks the attached BPF programs, each where the packet would meet it. */
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <linux/rtnetlink.h>

#include "explain/explain.h"
#include "lib/log.h"
#include "lib/netns.h"
#include "lib/util.h"
#include "net/netlink_link.h"
#include "net/netlink_lookup.h"
#include "programs/counters.h"

/* The counter that a program has raised. */
static const char *counted_as(const struct probe_result *result)
{
	return result->verdict < 0 ? "nothing" : counter_names[result->verdict];
}

/* The programs of ours on one hook, with their maps. */
struct hook {
	uint32_t ifindex;
	int count;
	struct programs_seen seen[PROGRAMS_SEEN_MAX];
	struct programs_view *views[PROGRAMS_SEEN_MAX];
};

static void hook_close(struct hook *hook)
{
	int i;

	for (i = 0; i < hook->count; i++) {
		programs_seen_close(&hook->seen[i]);
		programs_view_free(hook->views[i]);
	}
	hook->count = 0;
}

#define _cleanup_hook_ _cleanup_(hook_close)

/* Opens them. Returns 0, also without any, or a negative errno. */
static int hook_open(const struct explain *explain, uint32_t ifindex, bool egress,
		     struct hook *ret_hook)
{
	int i, error = 0;

	*ret_hook = (struct hook) {.ifindex = ifindex};
	i = programs_seen_tc(ifindex, egress, ret_hook->seen);
	if (i < 0)
		return i;
	ret_hook->count = i;
	for (i = 0; i < ret_hook->count && error == 0; i++)
		error = programs_view_new(&ret_hook->seen[i], explain->netns, &ret_hook->views[i]);
	if (error < 0)
		hook_close(ret_hook);
	return error;
}

/* Tells what became of a packet that does not pass @seen. Returns false if it does. */
static bool tell_end(struct explain *explain, const struct programs_seen *seen,
		     const struct probe_result *result)
{
	const char *name = programs_name(seen->program), *counted = counted_as(result);

	switch (result->fate) {
	case PROBE_RESET:
		explain_step(explain, name, "answers with an RST, counts %s", counted);
		explain->outcome = EXPLAIN_REFUSED;
		return true;
	case PROBE_REFUSED:
		explain_step(explain, name, "answers with an ICMP error, counts %s", counted);
		explain->outcome = EXPLAIN_REFUSED;
		return true;
	case PROBE_DROPPED:
		explain_step(explain, name, "drops it, counts %s", counted);
		explain->outcome = EXPLAIN_DROPPED;
		return true;
	default:
		return false;
	}
}

/* Runs a program and takes over what it counted. Returns 0 or a negative errno, logged. */
static int run(struct explain *explain, const struct programs_view *view,
	       const struct programs_seen *seen, uint32_t ifindex, struct probe_result *ret)
{
	int error = probe_frame(view, seen, &explain->packet, ifindex, ret);
	int i;

	if (error < 0)
		return log_errno(error, "cannot run the BPF program %s on a made-up packet",
				 programs_name(seen->program));
	/* The outer guard has counters of its own. */
	for (i = 0; i < SIDESTEP_COUNTERS && seen->program != PROGRAM_HOST_INGRESS; i++)
		explain->counted[i] += ret->counted[i];
	if (ret->verdict >= 0 && (explain->verdict < 0 || ret->fate != PROBE_NEXT))
		explain->verdict = ret->verdict;
	return 0;
}

/* Runs the programs of a hook until one does not let the packet pass. Returns its place, or that of
 * the last one, or a negative errno, logged. */
static int run_hook(struct explain *explain, const struct hook *hook, struct probe_result *ret)
{
	int i, error = 0;

	*ret = (struct probe_result) {.fate = PROBE_NEXT, .verdict = -1};
	for (i = 0; i < hook->count; i++) {
		error = run(explain, hook->views[i], &hook->seen[i], hook->ifindex, ret);
		if (error < 0 || ret->fate != PROBE_NEXT)
			break;
	}
	return error < 0 ? error : i < hook->count ? i : hook->count - 1;
}

/* Runs one of the `steer` of the namespace. The kernel runs all, and one that has chosen a socket
 * has the last word (include/linux/filter.h, BPF_PROG_SK_LOOKUP_RUN_ARRAY). */
static int ask_steer(struct explain *explain, const struct programs_seen *steer,
		     enum probe_fate *fate)
{
	_cleanup_hook_ struct hook lo_ingress = {.count = 0};
	_cleanup_view_ struct programs_view *view = NULL;
	struct probe_result result = {.fate = PROBE_NEXT, .verdict = -1};
	int error = programs_view_new(steer, explain->netns, &view), i;
	bool notes;

	if (error == 0)
		error = hook_open(explain, LOOPBACK_IFINDEX, false, &lo_ingress);
	notes = error == 0 && programs_view_is_shared(view) && lo_ingress.count &&
		lo_ingress.seen[0].program == PROGRAM_LO_INGRESS;
	if (error == 0)
		error = probe_lookup(view, steer, notes ? &lo_ingress.seen[0] : NULL,
				     &explain->packet, &result);
	if (error < 0)
		return log_errno(error, "cannot run the BPF program steer on a made-up lookup "
					"(Linux 5.13)");
	for (i = 0; i < SIDESTEP_COUNTERS; i++)
		explain->counted[i] += result.counted[i];
	explain_step(explain, "steer", "%s, counts %s",
		     result.fate == PROBE_ASSIGNED ? "hands it to the proxy's listener"
		     : result.fate == PROBE_NEXT   ? "leaves it to the sockets here"
						   : "drops it",
		     counted_as(&result));
	if (*fate != PROBE_ASSIGNED && result.fate != PROBE_NEXT) {
		*fate = result.fate;
		explain->verdict = result.verdict;
	} else if (explain->verdict < 0) {
		explain->verdict = result.verdict;
	}
	return 0;
}

/* The packet stays on lo, and the kernel looks for its socket. */
static int ask_lookup(struct explain *explain, const struct programs_view *view)
{
	struct programs_seen steers[PROGRAMS_SEEN_MAX] = {{.id = 0}};
	int count = programs_seen_steer(explain->netns_fd, steers), error = 0, i;
	enum probe_fate fate = PROBE_NEXT;

	if (count < 0)
		return log_errno(count, "cannot find the BPF program steer");
	/* In bridge mode it stands in the namespace of the proxy's listeners. */
	if (count == 0)
		count = programs_view_steer(view, &steers[0]);
	if (count == 0) {
		explain->outcome = EXPLAIN_DROPPED;
		explain_step(explain, "steer", "is not attached: nobody takes it");
	}
	for (i = 0; i < count; i++) {
		if (error == 0)
			error = ask_steer(explain, &steers[i], &fate);
		programs_seen_close(&steers[i]);
	}
	if (error < 0 || count == 0)
		return error;
	explain->outcome = fate == PROBE_ASSIGNED ? EXPLAIN_INTERCEPTED
			   : fate == PROBE_NEXT	  ? EXPLAIN_LOCAL
						  : EXPLAIN_DROPPED;
	if (fate == PROBE_NEXT)
		explain_socket(explain, explain->packet.destination,
			       explain->packet.destination_port);
	return 0;
}

static int note_link(void *context, const struct netlink_link *link)
{
	struct netlink_link *wanted = context;

	if (link->ifindex == wanted->ifindex)
		*wanted = *link;
	return 0;
}

/* Runs the outer guard at the host's device @host. Another device may have that index there. */
static int run_outer_guard(struct explain *explain, uint32_t ifindex, uint32_t host)
{
	_cleanup_hook_ struct hook hook = {.count = 0};
	struct probe_result result;
	uint32_t known = 0;
	int error;

	if (hook_open(explain, host, false, &hook) < 0 || hook.count == 0 ||
	    hook.seen[0].program != PROGRAM_HOST_INGRESS ||
	    programs_view_outer(hook.views[0], ifindex, &known) < 0 || known != host)
		return 0;
	error = run(explain, hook.views[0], &hook.seen[0], host, &result);
	if (error == 0 && !tell_end(explain, &hook.seen[0], &result))
		explain_step(explain, "host_ingress", "lets it pass (the outer guard)");
	return error;
}

/* Asks the outer guard, at the other end of the device, in the namespace where the command was
 * started. There may be none. */
static int ask_outer_guard(struct explain *explain, uint32_t ifindex)
{
	struct netlink_link link = {.ifindex = ifindex};
	int error, back;

	if (explain->home_fd < 0 || netlink_dump_links(explain->netlink, note_link, &link) < 0 ||
	    !link.veth || netns_enter(explain->home_fd) < 0)
		return 0;
	error = run_outer_guard(explain, ifindex, link.peer);
	back = netns_enter(explain->netns_fd);
	return back < 0 ? log_errno(back, "cannot enter the network namespace again") : error;
}

/* The packet leaves by a device, whose guard looks at it. */
static int ask_guard(struct explain *explain, uint32_t ifindex)
{
	_cleanup_hook_ struct hook hook = {.count = 0};
	int error = hook_open(explain, ifindex, true, &hook), which;
	char name[IF_NAMESIZE] = "?";
	struct probe_result result;

	(void)if_indextoname(ifindex, name);
	if (error < 0)
		return log_errno(error, "cannot find the BPF programs on %s", name);
	explain->outcome = EXPLAIN_DIRECT;
	if (hook.count == 0) {
		explain_step(explain, "guard", "no program of ours stands on %s", name);
		return ask_outer_guard(explain, ifindex);
	}
	/* A test run takes Ethernet frames only (eth_type_trans(), net/bpf/test_run.c). */
	if (hook.seen[0].program == PROGRAM_L3_EGRESS) {
		explain_step(explain, "l3_egress",
			     "guards %s; the kernel cannot run it for a made-up packet", name);
		return 0;
	}
	which = run_hook(explain, &hook, &result);
	if (which < 0 || tell_end(explain, &hook.seen[which], &result))
		return which < 0 ? which : 0;
	explain_step(explain, programs_name(hook.seen[which].program),
		     "lets it leave by %s, counts %s", name, counted_as(&result));
	return ask_outer_guard(explain, ifindex);
}

/* lo_egress sends the packet out by the route that it would have without Sidestep. */
static int ask_way_out(struct explain *explain, const struct programs_view *view)
{
	struct sidestep_route route = {.ifindex = 0};
	char name[IF_NAMESIZE] = "?", text[ADDRESS_TEXT_MAX];
	uint8_t gateway[16];

	explain->outcome = EXPLAIN_DIRECT;
	if (programs_view_route(view, explain->packet.source, explain->packet.destination, &route) <
	    0)
		return 0;
	(void)if_indextoname(route.ifindex, name);
	address_from_bytes(address_is_ipv4(explain->packet.destination) ? AF_INET : AF_INET6,
			   route.gateway, gateway);
	explain_step(explain, "route map", "by %s%s%s", name, route.has_gateway ? " via " : "",
		     route.has_gateway ? address_format(gateway, text) : "");
	return ask_guard(explain, route.ifindex);
}

/* Asks the programs of lo's egress, where the application's packet comes by its route. Or it asks
 * those of the ingress of a device, behind which the sender is. */
static int ask_steering(struct explain *explain, const struct hook *hook)
{
	struct probe_result result;
	int which = run_hook(explain, hook, &result);
	const char *name;

	if (which < 0 || tell_end(explain, &hook->seen[which], &result))
		return which < 0 ? which : 0;
	name = programs_name(hook->seen[which].program);
	if (hook->seen[which].program == PROGRAM_BRIDGE_INGRESS) {
		if (result.fate == PROBE_REDIRECTED) {
			explain_step(explain, name, "takes it to the proxy");
			return ask_lookup(explain, hook->views[which]);
		}
		explain->outcome = EXPLAIN_DIRECT;
		explain_step(explain, name, "lets it pass, counts %s", counted_as(&result));
		return 0;
	}
	if (result.fate == PROBE_REDIRECTED) {
		explain_step(explain, name, "lets it out, counts %s", counted_as(&result));
		return ask_way_out(explain, hook->views[which]);
	}
	explain_step(explain, name, "keeps it in this network namespace");
	return ask_lookup(explain, hook->views[which]);
}

static void note_entry(const struct programs_view *view, const uint8_t address[16],
		       struct explain_entry *entry)
{
	struct sidestep_bypass value;

	entry->known = true;
	entry->found = programs_view_bypass(view, address, &entry->prefix, &value) == 0;
	if (entry->found)
		entry->sources = value.sources;
}

/* Tells what the maps say of the packet's ends and of the gateway. */
static void tell_maps(struct explain *explain, const struct programs_view *view)
{
	struct sidestep_namespace namespace;

	note_entry(view, explain->packet.destination, &explain->destination);
	note_entry(view, explain->packet.source, &explain->source);
	if (programs_view_namespace(view, &namespace) == 0) {
		(void)snprintf(explain->gateway, sizeof(explain->gateway), "%s", namespace.gateway);
		if (namespace.mode == SIDESTEP_MODE_BRIDGE)
			explain->datapath = "bridge mode";
	}
}

/* Finds the device behind which the source is, if it is not an address of this namespace. Returns
 * 0 if it is one. */
static uint32_t device_of_source(const struct explain *explain)
{
	struct netlink_packet packet = {.ip_protocol = explain->packet.protocol};
	struct netlink_way way;

	memcpy(packet.destination, explain->packet.source, sizeof(packet.destination));
	return explain->has_source && netlink_lookup(explain->netlink, &packet, &way) == 0 &&
			       way.type == RTN_UNICAST
		       ? way.ifindex
		       : 0;
}

/* Opens a socket that keeps the packet's port, so that no flow of the application has its ends.
 * Returns a descriptor, the caller's, or a negative errno. */
static int reserve_port(struct probe_packet *packet)
{
	_cleanup_close_ int fd =
		socket(address_is_ipv4(packet->destination) ? AF_INET : AF_INET6,
		       (packet->protocol == IPPROTO_TCP ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC,
		       0);
	int error = fd < 0 ? -errno : explain_take_port(fd, NULL, packet);

	return error < 0 ? error : TAKE_FD(fd);
}

static int answer(struct explain *explain, const struct hook *hook)
{
	const struct programs_view *view = hook->views[0];
	bool bridge = hook->seen[0].program == PROGRAM_BRIDGE_INGRESS;
	_cleanup_close_ int port = reserve_port(&explain->packet);
	struct netlink_way way;
	int error = 0;

	if (port < 0)
		return log_errno(port, "cannot take a port");
	explain->datapath = programs_view_is_shared(view) ? "the host's agent" : "own programs";
	if (bridge)
		error = ask_steering(explain, hook);
	else if (explain_way(explain, &way) == 0)
		error = way.ifindex == LOOPBACK_IFINDEX ? ask_steering(explain, hook)
							: ask_guard(explain, way.ifindex);
	if (error < 0)
		return error;
	tell_maps(explain, view);
	explain_ask_origins(explain);
	if (explain->outcome == EXPLAIN_INTERCEPTED)
		explain_gateway(explain, bridge || programs_view_is_shared(view) ? NULL : view);
	return 0;
}

int explain_programs(struct explain *explain)
{
	_cleanup_hook_ struct hook hook = {.count = 0};
	uint32_t behind = device_of_source(explain);
	int error = behind ? hook_open(explain, behind, false, &hook) : 0;

	if (error == 0 && hook.count && hook.seen[0].program == PROGRAM_BRIDGE_INGRESS)
		return answer(explain, &hook);
	hook_close(&hook);
	error = hook_open(explain, LOOPBACK_IFINDEX, true, &hook);
	if (error < 0)
		return error;
	return hook.count ? answer(explain, &hook) : -ENOENT;
}
