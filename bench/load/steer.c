// SPDX-License-Identifier: Apache-2.0
/* Steers as user/sidecar/sidecar.c does, without its proxy; see sink.h. */
#include <fcntl.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "datapath/datapath_bpf.h"
#include "datapath/datapath_nft.h"
#include "lib/log.h"
#include "load.h"
#include "net/netlink.h"
#include "sink.h"
#include "steering/bridge_netns.h"
#include "steering/steering.h"

struct steer {
	const char *bridge_name; /* NULL: sidecar mode */
	struct bridge_netns bridge;
	struct datapath *datapath;
	struct steering *steering;
	int monitor_fd;
};

struct steer *steer_new(const char *how, const char *pin)
{
	struct steer *steer = calloc(1, sizeof(*steer));
	struct datapath_bpf_config config = {.pin = pin};
	bool nft = strcmp(how, "nft") == 0;

	if (!steer)
		die("out of memory");
	log_set_level(LOG_WARNING);
	steer->monitor_fd = netlink_monitor_open(true);
	if (steer->monitor_fd < 0)
		die("cannot watch the network namespace");
	if (strncmp(how, "bridge:", 7) == 0) {
		steer->bridge_name = how + 7;
		if (bridge_netns_open(&steer->bridge) < 0)
			die("cannot make the private namespace");
		config.mode = SIDESTEP_MODE_BRIDGE;
		config.veth_ifindex = steer->bridge.veth_ifindex;
		config.netns_fd = steer->bridge.netns_fd;
	} else if (strcmp(how, "bpf") == 0 || nft) {
		config.mode = SIDESTEP_MODE_SIDECAR;
		config.netns_fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	} else {
		die("no such datapath: %s", how);
	}
	if (nft ? datapath_nft_new(&(struct datapath_nft_config) {}, &steer->datapath) < 0
		: datapath_bpf_new(&config, &steer->datapath) < 0)
		die("cannot load the datapath");
	return steer;
}

void steer_enter(struct steer *steer)
{
	if (steer->bridge_name && bridge_netns_enter(&steer->bridge) < 0)
		die("cannot enter the private namespace");
}

void steer_leave(struct steer *steer)
{
	if (steer->bridge_name && bridge_netns_leave(&steer->bridge) < 0)
		die("cannot leave the private namespace");
}

void steer_start(struct steer *steer, int listener, int lo_listener, const char *const *prefixes,
		 unsigned int prefix_count)
{
	struct plan_given *bypass = calloc(prefix_count + 1, sizeof(*bypass));
	struct steering_config config = {
		.mode = steer->bridge_name ? SIDESTEP_MODE_BRIDGE : SIDESTEP_MODE_SIDECAR,
		.options = bypass,
		.option_count = prefix_count,
	};
	const struct steering_way way = {.out_mark = steer->datapath->ops->out_mark};
	unsigned int i;

	if (!bypass)
		die("out of memory");
	for (i = 0; i < prefix_count; i++)
		if (prefix_parse(prefixes[i], &bypass[i].prefix) < 0)
			die("not a subnet: %s", prefixes[i]);
	if (datapath_set_listener(steer->datapath, SIDESTEP_LISTENER_TCP4, listener) < 0 ||
	    datapath_set_listener(steer->datapath, SIDESTEP_LISTENER_TCP4_LO, lo_listener) < 0 ||
	    datapath_set_gateway(steer->datapath, "none") < 0 ||
	    steering_new(&config, &steer->steering) < 0)
		die("cannot set up the steering");
	steering_set_datapath(steer->steering, steer->datapath, &way);
	if (steer->bridge_name &&
	    (steering_set_bridges(steer->steering, &steer->bridge_name, 1) < 0 ||
	     datapath_attach(steer->datapath) < 0))
		die("cannot steer %s", steer->bridge_name);
	if (steering_prepare(steer->steering) < 0 ||
	    (!steer->bridge_name && datapath_attach(steer->datapath) < 0) ||
	    steering_sync(steer->steering) < 0)
		die("cannot steer");
	datapath_settle(steer->datapath);
	free(bypass);
}

int steer_fd(const struct steer *steer)
{
	return steer->monitor_fd;
}

void steer_sync(struct steer *steer)
{
	if (netlink_monitor_drain(steer->monitor_fd))
		(void)steering_sync(steer->steering);
}

void steer_stop(struct steer *steer)
{
	if (!steer->bridge_name)
		steering_clear(steer->steering);
	steering_free(steer->steering);
	datapath_free(steer->datapath);
	if (steer->bridge_name)
		bridge_netns_close(&steer->bridge);
}
