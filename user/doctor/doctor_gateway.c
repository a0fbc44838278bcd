// SPDX-License-Identifier: Apache-2.0
/* The doctor's checks of the gateway, and of the way there. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <linux/tcp.h>

#include "doctor/doctor.h"
#include "lib/util.h"
#include "net/instance_lock.h"
#include "net/netlink_link.h"
#include "sidecar/gateway_echo.h"
#include "sidecar/preflight.h"

/* lo's MTU and more. A running sidecar takes the connection there. */
#define MTU_OF_LO 65535

/* Bytes of a remedy. */
#define REMEDY_MAX 512

/* Tells of one address of the gateway, and whether it is the @last one. Returns whether it accepts.
 */
static bool check_address(struct doctor *doctor, const struct socket_address *gateway, bool last)
{
	const struct preflight_config config = {.limit_ms = PREFLIGHT_LIMIT_MS, .stop_fd = -1};
	struct preflight_advice advice;
	char text[SOCKET_ADDRESS_TEXT_MAX];

	doctor->error = preflight_check(&config, gateway);
	doctor->gateway = *gateway;
	(void)socket_address_format(gateway, text);
	if (doctor->error < 0) {
		advice = preflight_explain(gateway, doctor->error);
		doctor_advise(doctor, last ? FINDING_GATEWAY_UNREACHABLE : FINDING_GATEWAY_ADDRESS,
			      advice.remedy, "%s cannot be reached: %s", text, advice.cause);
	} else if (gateway->address.ss_family != AF_UNIX && instance_holder() >= 0) {
		doctor_tell(doctor, FINDING_GATEWAY,
			    "%s accepts; where its subnet is not bypassed that was the running "
			    "sidecar: see \"preflight\" in its log",
			    text);
	} else {
		doctor_tell(doctor, FINDING_GATEWAY, "%s accepts connections", text);
	}
	return doctor->error == 0;
}

/* As the sidecar would, takes the first address of the name that accepts. */
static bool check_name(struct doctor *doctor, const struct gateway_target *target)
{
	struct gateway_finder finder = {.target = target, .lookup.stop_fd = -1};
	struct socket_address found[NAME_LOOKUP_MAX];
	int count = gateway_finder_find(&finder, &target->address, found), i;
	const char *cause, *remedy;
	bool accepts = false;

	gateway_finder_clear(&finder);
	if (count < 0) {
		gateway_target_explain(count, &cause, &remedy);
		doctor_advise(doctor, FINDING_GATEWAY_NAME, remedy,
			      "the name %s has no address: %s", target->host, cause);
	}
	for (i = 0; i < count && !accepts; i++)
		accepts = check_address(doctor, &found[i], i == count - 1);
	return accepts;
}

int doctor_check_gateway(struct doctor *doctor)
{
	const struct sidecar_options *options = &doctor->options->sidecar;
	struct gateway_target target;
	int error;

	if (!options->gateway && !options->gateway_ip.given && !options->egress_port) {
		doctor_tell(doctor, FINDING_GATEWAY_UNCHECKED, "not checked");
		return 0;
	}
	error = sidecar_options_gateway(options, &target);
	if (error < 0)
		return error;
	doctor->reached = target.host[0] ? check_name(doctor, &target)
					 : check_address(doctor, &target.address, true);
	doctor->gateway_failed |= !doctor->reached;
	if (!doctor->reached)
		doctor_explain_gateway(doctor);
	return 0;
}

/* Connects to the gateway. Returns a socket, which the caller owns, or a negative errno. */
static int connect_gateway(const struct socket_address *gateway)
{
	const struct timeval limit = {.tv_sec = PREFLIGHT_LIMIT_MS / 1000};
	_cleanup_close_ int fd = socket(gateway->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0 ||
	    connect(fd, (const struct sockaddr *)&gateway->address, gateway->size) < 0)
		return -errno;
	return TAKE_FD(fd);
}

/* The MTU of the route from a connected socket, and the MTU that its segments have. The latter is
 * less if the peer takes smaller segments, or if a router has said so. */
static int read_mtus(int fd, sa_family_t family, unsigned int *ret_route, unsigned int *ret_used)
{
	unsigned int headers = family == AF_INET ? 40 : 60;
	struct tcp_info info = {.tcpi_state = 0};
	socklen_t size = sizeof(info), int_size = sizeof(int);
	int route;

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0 ||
	    (family == AF_INET ? getsockopt(fd, IPPROTO_IP, IP_MTU, &route, &int_size)
			       : getsockopt(fd, IPPROTO_IPV6, IPV6_MTU, &route, &int_size)) < 0)
		return -errno;
	if (info.tcpi_options & TCPI_OPT_TIMESTAMPS)
		headers += 12;
	*ret_route = (unsigned int)route;
	*ret_used = info.tcpi_snd_mss + headers;
	return 0;
}

void doctor_check_mtu(struct doctor *doctor)
{
	sa_family_t family = doctor->gateway.address.ss_family;
	_cleanup_close_ int fd = -1;
	unsigned int route = 0, used = 0;
	char remedy[REMEDY_MAX];

	if (!doctor->reached || family == AF_UNIX)
		return;
	fd = connect_gateway(&doctor->gateway);
	if (fd < 0 || read_mtus(fd, family, &route, &used) < 0 || route >= MTU_OF_LO)
		return;
	if (used >= route) {
		doctor_tell(doctor, FINDING_MTU, "%u bytes on the way to the gateway", route);
		return;
	}
	(void)snprintf(remedy, sizeof(remedy),
		       "give both ends one MTU (docker network create --opt "
		       "com.docker.network.driver.mtu=%u)",
		       used);
	doctor_advise(doctor, FINDING_MTU_GATEWAY, remedy,
		      "the gateway takes packets of %u bytes, the device here sends %u", used,
		      route);
}

/* The end outside of a device that a container has. */
static const struct netlink_link *other_end(const struct doctor *doctor,
					    const struct netlink_link *link)
{
	const struct netlink_link *outside = doctor->outside.items;
	size_t i;

	for (i = 0; i < doctor->outside.count; i++)
		if (outside[i].veth && outside[i].ifindex == link->peer &&
		    outside[i].peer == link->ifindex)
			return &outside[i];
	return NULL;
}

/* A frame that is larger than the other end's MTU is dropped there. */
void doctor_check_veths(struct doctor *doctor)
{
	struct array links = {.size = sizeof(struct netlink_link)};
	const struct netlink_link *link, *other;
	char remedy[REMEDY_MAX];
	size_t i;

	if (doctor->outside.count == 0 || doctor_read_links(&links) < 0)
		return;
	link = links.items;
	for (i = 0; i < links.count; i++) {
		other = link[i].veth ? other_end(doctor, &link[i]) : NULL;
		if (!other || other->mtu == link[i].mtu)
			continue;
		(void)snprintf(remedy, sizeof(remedy), "ip link set %s mtu %u", other->name,
			       link[i].mtu);
		doctor_advise(doctor, FINDING_MTU_VETH, remedy,
			      "%s has %u bytes, and its end on the host, %s, %u", link[i].name,
			      link[i].mtu, other->name, other->mtu);
	}
	free(links.items);
}

void doctor_check_loop(struct doctor *doctor)
{
	if (doctor->reached && gateway_is_near(&doctor->gateway, doctor->kind == PROGRAMS_BRIDGE))
		doctor_tell(doctor, FINDING_GATEWAY_LOOP, "it is in this network namespace%s",
			    doctor->kind == PROGRAMS_BRIDGE ? ", or on one of its bridges" : "");
}
