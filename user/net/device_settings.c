// SPDX-License-Identifier: Apache-2.0
#include "net/device_settings.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "lib/log.h"
#include "lib/util.h"

/* Loose reverse path filtering, RFC 3704 section 2.4. */
#define RP_FILTER_LOOSE 2

/* include/linux/netdevice.h: GSO_LEGACY_MAX_SIZE, GSO_MAX_SEGS. */
#define GSO_SIZE     65536
#define GSO_SEGMENTS 65535

/* A new device's limits. */
static const struct netlink_gso usual_gso = {GSO_SIZE, GSO_SIZE, GSO_SEGMENTS};

/* The most TCP payload in one packet for a device: its size without the longest headers. */
#define PAYLOAD_MAX (GSO_SIZE - 128)
/* IPv4 and TCP without options. Options only make segments smaller. */
#define HEADERS_MIN 40
/* With fewer segments per packet, flows with small segments would get too small packets. This limit
 * admits Ethernet's 1500 bytes, but no jumbo frames. */
#define SEGMENTS_MIN 40

/* Settings by which a device learns from its neighbours. */
enum ignorable {
	REDIRECTS4,
	REDIRECTS6,
	ADVERTISEMENTS
};

static const struct {
	const char *family, *name;
} ignorables[] = {
	[REDIRECTS4] = {"ipv4", "accept_redirects"},
	[REDIRECTS6] = {"ipv6", "accept_redirects"},
	[ADVERTISEMENTS] = {"ipv6", "accept_ra"},
};

#define PATH_SIZE 128

static const char *setting_path(const char *family, const char *device, const char *name,
				char path[PATH_SIZE])
{
	(void)snprintf(path, PATH_SIZE, "/proc/sys/net/%s/conf/%s/%s", family, device, name);
	return path;
}

/* Returns a device's setting in this namespace, or 0 where it cannot be read. "default" stands for
 * a new device. */
static uint32_t setting_read(const char *family, const char *device, const char *name)
{
	char path[PATH_SIZE];
	_cleanup_fclose_ FILE *file = NULL;
	unsigned int value = 0;

	file = fopen(setting_path(family, device, name, path), "re");
	if (!file || fscanf(file, "%u", &value) != 1)
		return 0;
	return value;
}

static void setting_write(const char *family, const char *device, const char *name, uint32_t value)
{
	_cleanup_close_ int fd = -1;
	char path[PATH_SIZE];

	fd = open(setting_path(family, device, name, path), O_WRONLY | O_CLOEXEC);
	if (fd < 0 || dprintf(fd, "%u", value) < 0)
		log_debug("%s keeps its value: %s", path, strerror(errno));
}

static uint32_t default_setting(const char *name)
{
	return setting_read("ipv4", "default", name);
}

static bool is_recorded(const struct device_settings *settings, uint32_t ifindex)
{
	unsigned int i;

	for (i = 0; i < settings->count; i++)
		if (settings->validation[i].ifindex == ifindex)
			return true;
	return false;
}

int device_settings_relax(struct device_settings *settings, struct netlink *netlink,
			  const struct netlink_link *link, bool inherited)
{
	/* A killed predecessor took the device's original settings with it. */
	bool ours = inherited && link->accept_local;

	/* Each datapath that takes over has the device attached anew. */
	if (settings->count < DEVICE_SETTINGS_MAX && !is_recorded(settings, link->ifindex)) {
		settings->validation[settings->count].ifindex = link->ifindex;
		settings->validation[settings->count].accept_local =
			ours ? default_setting("accept_local") : link->accept_local;
		settings->validation[settings->count].rp_filter =
			ours ? default_setting("rp_filter") : link->rp_filter;
		settings->count++;
	}
	return netlink_link_set_ipv4(netlink, link->ifindex, 1, RP_FILTER_LOOSE);
}

static void ignore(struct device_settings *settings, uint32_t ifindex, const char *device,
		   enum ignorable setting, bool inherited)
{
	const char *family = ignorables[setting].family, *name = ignorables[setting].name;
	unsigned int i;
	uint32_t value;

	for (i = 0; i < settings->ignored_count; i++)
		if (settings->ignored[i].ifindex == ifindex &&
		    settings->ignored[i].setting == setting)
			return;
	value = setting_read(family, device, name);
	if (settings->ignored_count < DEVICE_SETTINGS_IGNORED) {
		settings->ignored[i].ifindex = ifindex;
		(void)snprintf(settings->ignored[i].device, IFNAMSIZ, "%s", device);
		settings->ignored[i].setting = setting;
		settings->ignored[i].value = inherited && value == 0
						     ? setting_read(family, "default", name)
						     : value;
		settings->ignored_count++;
	}
	if (value)
		setting_write(family, device, name, 0);
}

void device_settings_ignore(struct device_settings *settings, const struct netlink_link *link,
			    bool routers, bool inherited)
{
	ignore(settings, 0, "all", REDIRECTS4, inherited);
	ignore(settings, link->ifindex, link->name, REDIRECTS4, inherited);
	ignore(settings, link->ifindex, link->name, REDIRECTS6, inherited);
	if (routers)
		ignore(settings, link->ifindex, link->name, ADVERTISEMENTS, inherited);
}

/* Returns how many segments a packet may have that leaves by any device; 0: too few. */
static uint32_t segments_wanted(const struct netlink_link *links, size_t count)
{
	uint32_t mtu = 0, segments;
	size_t i;

	for (i = 0; i < count; i++)
		if (!links[i].loopback && links[i].mtu > mtu)
			mtu = links[i].mtu;
	if (mtu <= HEADERS_MIN)
		return 0;
	segments = PAYLOAD_MAX / (mtu - HEADERS_MIN);
	if (segments < SEGMENTS_MIN)
		return 0;
	return segments < GSO_SEGMENTS ? segments : GSO_SEGMENTS;
}

static bool gso_equal(const struct netlink_gso *a, const struct netlink_gso *b)
{
	return a->size == b->size && a->size_ipv4 == b->size_ipv4 && a->segments == b->segments;
}

void device_settings_enlarge_loopback(struct device_settings *settings, struct netlink *netlink,
				      const struct netlink_link *links, size_t count,
				      bool inherited)
{
	struct netlink_gso wanted = usual_gso;
	const struct netlink_link *link;
	uint32_t segments;
	bool ours;
	size_t i;
	int error;

	for (i = 0; i < count && !links[i].loopback; i++)
		;
	if (i == count || links[i].gso.size_ipv4 == 0 || links[i].gso_limit <= GSO_SIZE)
		return;
	link = &links[i];
	ours = settings->loopback_ifindex != 0 || (inherited && link->gso.size == link->gso_limit &&
						   link->gso.segments < GSO_SEGMENTS);
	if (!ours && !gso_equal(&link->gso, &usual_gso))
		return;
	segments = segments_wanted(links, count);
	if (segments > 0)
		wanted = (struct netlink_gso) {link->gso_limit, link->gso_limit, segments};
	settings->loopback_ifindex = link->ifindex;
	if (gso_equal(&link->gso, &wanted))
		return;
	error = netlink_link_set_gso(netlink, link->ifindex, &wanted);
	if (error < 0)
		log_debug("lo keeps its packet size: %s", strerror(-error));
	else
		log_debug("lo: packets of up to %u bytes, %u segments", wanted.size,
			  wanted.segments);
}

static void unignore(const struct device_settings *settings, unsigned int i)
{
	const char *device = settings->ignored[i].device;
	enum ignorable setting = settings->ignored[i].setting;

	/* The name may belong to another device by now. */
	if (settings->ignored[i].value && (settings->ignored[i].ifindex == 0 ||
					   settings->ignored[i].ifindex == if_nametoindex(device)))
		setting_write(ignorables[setting].family, device, ignorables[setting].name,
			      settings->ignored[i].value);
}

void device_settings_restore(struct device_settings *settings, struct netlink *netlink)
{
	unsigned int i;

	for (i = 0; i < settings->count; i++)
		(void)netlink_link_set_ipv4(netlink, settings->validation[i].ifindex,
					    settings->validation[i].accept_local,
					    settings->validation[i].rp_filter);
	settings->count = 0;
	for (i = 0; i < settings->ignored_count; i++)
		unignore(settings, i);
	settings->ignored_count = 0;
	if (settings->loopback_ifindex)
		(void)netlink_link_set_gso(netlink, settings->loopback_ifindex, &usual_gso);
	settings->loopback_ifindex = 0;
}
