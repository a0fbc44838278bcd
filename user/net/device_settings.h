/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes settings of the namespace's devices for steering, and restores them. Steering depends
 * only on those that netlink changes, because /proc/sys is read-only in most containers. Belongs to
 * one thread.
 */
#ifndef SIDESTEP_DEVICE_SETTINGS_H
#define SIDESTEP_DEVICE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "net/netlink_link.h"

/* So many devices get their settings back at the end. Further ones keep ours. */
#define DEVICE_SETTINGS_MAX 64
/* Three for each device, and one for all of them. */
#define DEVICE_SETTINGS_IGNORED (3 * DEVICE_SETTINGS_MAX + 1)

/* The settings from before our changes. All zero: nothing was changed. */
struct device_settings {
	struct {
		uint32_t ifindex;
		uint32_t accept_local;
		uint32_t rp_filter;
	} validation[DEVICE_SETTINGS_MAX];
	unsigned int count;
	struct {
		uint32_t ifindex; /* 0: of all devices */
		char device[IFNAMSIZ];
		unsigned int setting; /* enum ignorable (device_settings.c) */
		uint32_t value;
	} ignored[DEVICE_SETTINGS_IGNORED];
	unsigned int ignored_count;
	uint32_t loopback_ifindex; /* lo had the usual packet size; 0: lo is unchanged */
};

/*
 * Sets accept_local, and rp_filter to loose. The kernel validates an incoming packet's source: it
 * routes the reply (__fib_validate_source, net/ipv4). Our rules lead that reply to the proxy, over
 * a local route by another device, so stricter settings would drop the packet. The device's loose
 * rp_filter wins over the namespace's value for all devices. The dev_ingress program drops the
 * packets that only accept_local lets in.
 *
 * Doing it again is harmless. @inherited: a killed predecessor may have set @link already, so its
 * original settings are unknown. Returns 0 or negative errno.
 */
int device_settings_relax(struct device_settings *settings, struct netlink *netlink,
			  const struct netlink_link *link, bool inherited);

/*
 * Makes the kernel ignore redirects on a device, and with @routers also router advertisements.
 * Netlink has no means for that. Where /proc/sys is read-only nothing changes. IPv4 has a setting
 * for all devices as well, which a device's own cannot take back (IN_DEV_RX_REDIRECTS,
 * include/linux/inetdevice.h). Does each device once, so that the operator may change it again.
 *
 * @inherited: a killed predecessor may have done so already.
 */
void device_settings_ignore(struct device_settings *settings, const struct netlink_link *link,
			    bool routers, bool inherited);

/*
 * Lets lo carry TCP packets of up to 512 KiB instead of 64 ("BIG TCP": IPv6 since Linux 5.19, IPv4
 * since 6.3). Steered flows then reach the proxy in a third of the packets.
 *
 * Replies of inbound connections and the proxy's own packets have lo's route, too, but leave by
 * another device. The kernel cuts a packet that is too large for that device in software. Therefore
 * the number of segments per packet is limited as well. With that device's segment size a packet
 * stays below 64 KiB, as before; with lo's segment size the limit does not matter.
 *
 * Does nothing where a device's segments are too large, where the kernel lacks the feature, and
 * where somebody else has changed lo.
 */
void device_settings_enlarge_loopback(struct device_settings *settings, struct netlink *netlink,
				      const struct netlink_link *links, size_t count,
				      bool inherited);

/* Restores the settings from before. */
void device_settings_restore(struct device_settings *settings, struct netlink *netlink);

#endif
