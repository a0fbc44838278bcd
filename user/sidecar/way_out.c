// SPDX-License-Identifier: Apache-2.0
#include "sidecar/way_out.h"

#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>

#include "lib/log.h"
#include "lib/util.h"

/*
 * A physical device leads outside, and so does a TUN or TAP, whose other end is a process. Other
 * software devices do if they stand on another namespace: a veth's peer, the parent of a macvlan,
 * the socket of a tunnel. The kernel names that namespace (rtnl_fill_link_netnsid, net/core). A
 * bridge, a dummy and the kernel's fallback tunnels have nothing of their own beneath.
 */
bool way_out_leads(const struct netlink_link *link)
{
	if (link->loopback)
		return false;
	return !link->software || link->tun || link->peer_nsid >= 0;
}

/* Docker sets a device down and renames it before it takes it away. */
static int visit(void *context, const struct netlink_link *link)
{
	struct way_out *way_out = context;

	if (!way_out_leads(link))
		return 0;
	way_out->gone = false;
	if (link->up || way_out->name[0] == '\0')
		memcpy(way_out->name, link->name, sizeof(way_out->name));
	return 0;
}

/* Begins the grace, or ends it. A timer that is set is not readable until it expires. */
static void set_grace(const struct way_out *way_out, unsigned int ms)
{
	const struct itimerspec time = {
		.it_value = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}};

	(void)timerfd_settime(way_out->timer_fd, 0, &time, NULL);
}

/* Lists the links. Returns 0 or a negative errno, after which nothing has changed. */
static int look(struct way_out *way_out)
{
	struct way_out found = *way_out;
	int error;

	found.gone = way_out->name[0] != '\0';
	error = netlink_dump_links(way_out->netlink, visit, &found);
	if (error < 0)
		return error;
	if (found.gone != way_out->gone)
		set_grace(way_out, found.gone ? WAY_OUT_GRACE_MS : 0);
	*way_out = found;
	return 0;
}

int way_out_open(struct way_out *way_out)
{
	int error;

	error = netlink_open(&way_out->netlink);
	if (error < 0)
		return log_errno(error, "cannot open a netlink socket");
	way_out->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (way_out->timer_fd < 0)
		return log_errno(-errno, "cannot make a timer for the network devices");
	way_out_look(way_out);
	return 0;
}

void way_out_close(struct way_out *way_out)
{
	netlink_close(way_out->netlink);
	way_out->netlink = NULL;
	way_out->timer_fd = safe_close(way_out->timer_fd);
}

/* A change interrupts a list (EINTR). It is also the next reason to look. */
void way_out_look(struct way_out *way_out)
{
	if (way_out->netlink)
		(void)look(way_out);
}

bool way_out_lost(struct way_out *way_out)
{
	if (look(way_out) < 0)
		set_grace(way_out, WAY_OUT_GRACE_MS);
	else if (way_out->gone)
		return true;
	return false;
}
