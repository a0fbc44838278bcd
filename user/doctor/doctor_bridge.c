// SPDX-License-Identifier: Apache-2.0
/* The doctor's checks for bridge mode. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "docker/docker_about.h"
#include "doctor/doctor.h"
#include "lib/util.h"
#include "steering/bridge_uplinks.h"

/* Bytes of a remedy. */
#define REMEDY_MAX 256

static const struct netlink_link *find(const struct array *links, const char *name)
{
	const struct netlink_link *link = links->items;
	size_t i;

	for (i = 0; i < links->count; i++)
		if (link[i].bridge && strcmp(link[i].name, name) == 0)
			return &link[i];
	return NULL;
}

/* The bridge of that name, or that of the Docker network of that name. */
static const struct netlink_link *find_bridge(const struct doctor *doctor,
					      const struct array *links, const char *name)
{
	const struct netlink_link *link = find(links, name);
	char reason[DOCKER_REASON_MAX], interface[IFNAMSIZ];
	struct docker_engine engine;

	if (!link && docker_engine_init(&engine, doctor->options->sidecar.docker_socket) == 0 &&
	    docker_about_bridge(&engine, name, interface, reason) == 0)
		link = find(links, interface);
	return link;
}

static void check_port(struct doctor *doctor, const struct netlink_link *bridge,
		       const struct netlink_link *port, const struct array *links)
{
	char remedy[REMEDY_MAX];

	if (bridge_uplink_of(port, links->items, links->count) == bridge) {
		(void)snprintf(remedy, sizeof(remedy),
			       "ip link set %s nomaster, or give the containers a bridge of their "
			       "own",
			       port->name);
		doctor_advise(doctor, FINDING_BRIDGE_UPLINK, remedy,
			      "the port %s of %s leads out of the host", port->name, bridge->name);
	}
	if (port->mtu < bridge->mtu) {
		(void)snprintf(remedy, sizeof(remedy), "ip link set %s mtu %u", port->name,
			       bridge->mtu);
		doctor_advise(doctor, FINDING_MTU_BRIDGE, remedy,
			      "%s sends frames of %u bytes, and its port %s takes %u", bridge->name,
			      bridge->mtu, port->name, port->mtu);
	}
}

static void check_bridge(struct doctor *doctor, const char *name, const struct array *links)
{
	const struct netlink_link *bridge = find_bridge(doctor, links, name);
	const struct netlink_link *link = links->items;
	unsigned int ports = 0;
	size_t i;

	if (!bridge) {
		doctor_tell(doctor, FINDING_BRIDGE_MISSING, "no bridge is called %.64s", name);
		return;
	}
	for (i = 0; i < links->count; i++) {
		if (link[i].master != bridge->ifindex)
			continue;
		ports++;
		check_port(doctor, bridge, &link[i], links);
	}
	doctor_tell(doctor, FINDING_BRIDGE, "%s has %u ports", bridge->name, ports);
}

void doctor_check_bridges(struct doctor *doctor)
{
	const struct option_strings *names = &doctor->options->sidecar.bridges;
	struct array links = {.size = sizeof(struct netlink_link)};
	size_t i;

	if (doctor_read_links(&links) == 0)
		for (i = 0; i < names->count; i++)
			check_bridge(doctor, names->values[i], &links);
	free(links.items);
	if (doctor_read_setting("bridge/bridge-nf-call-iptables") == 1)
		doctor_tell(doctor, FINDING_BRIDGE_NETFILTER,
			    "net.bridge.bridge-nf-call-iptables is 1");
}
