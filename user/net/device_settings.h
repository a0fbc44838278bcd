/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings of a namespace's devices that steering wants changed, and their way back. All go over
 * netlink, as /proc/sys is read-only in a container. Belongs to one thread.
 */
#ifndef SIDESTEP_DEVICE_SETTINGS_H
#define SIDESTEP_DEVICE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "net/netlink.h"

/* Devices whose settings are put back at the end; more keep ours. */
#define DEVICE_SETTINGS_MAX 64

/* What was there before us. All zero is empty. */
struct device_settings {
	struct {
		uint32_t ifindex;
		uint32_t accept_local;
		uint32_t rp_filter;
	} validation[DEVICE_SETTINGS_MAX];
	unsigned int count;
	uint32_t loopback_ifindex; /* whose packet size was the usual one; 0: untouched */
};

/*
 * The kernel validates the source of what comes in by routing the answer, which our rules bring to
 * the proxy: a local route, and not by that device (__fib_validate_source, net/ipv4). Hence
 * accept_local, and rp_filter no stricter than loose, which wins over the namespace's value for all
 * devices. What accept_local would let in, dev_ingress drops.
 *
 * @inherited: a killed predecessor may have set @link so already, and what was there before is not
 * known any more. 0 or negative errno.
 */
int device_settings_relax(struct device_settings *settings, struct netlink *netlink,
			  const struct netlink_link *link, bool inherited);

/*
 * Lets lo carry TCP in packets of up to 512 KiB instead of 64 ("BIG TCP": IPv6 since Linux 5.19,
 * IPv4 since 6.3): what is steered goes to the proxy in a third of the packets. Replies of inbound
 * connections and the proxy's own have lo's route as well, but leave by another device, in software
 * segments if they are larger than that takes. So the number of segments in a packet is limited
 * too: with the segment size of such a device it is below 64 KiB as before, with lo's own it does
 * not matter. Does nothing where a device's segments are too large for that, where the kernel
 * cannot, and where somebody else has changed lo.
 */
void device_settings_enlarge_loopback(struct device_settings *settings, struct netlink *netlink,
				      const struct netlink_link *links, size_t count,
				      bool inherited);

/* Puts back what was. */
void device_settings_restore(struct device_settings *settings, struct netlink *netlink);

#endif
