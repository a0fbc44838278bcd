// SPDX-License-Identifier: Apache-2.0
/* The doctor's checks of the network namespace, beside those of rights and the kernel. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <linux/tcp.h>

#include "commands/doctor.h"
#include "lib/util.h"
#include "net/instance_lock.h"
#include "net/netlink_link.h"
#include "net/other_rules.h"
#include "sidecar/gateway_echo.h"
#include "sidecar/inner_check.h"
#include "sidecar/preflight.h"
#include "sidecar/way_out.h"

/* Fewer free ports than this are soon used up: a connection keeps its own for a minute. */
#define PORTS_FEW 4096

/* lo's MTU and more. A running sidecar takes the connection there. */
#define MTU_OF_LO 65535

#define RESOLVER_FILE "/etc/resolv.conf"

static int find_way_out(void *context, const struct netlink_link *link)
{
	struct netlink_link *found = context;

	if (link->up && way_out_leads(link))
		*found = *link;
	return 0;
}

void doctor_check_way_out(struct doctor *doctor)
{
	_cleanup_netlink_ struct netlink *netlink = NULL;
	struct netlink_link found = {.ifindex = 0};

	if (netlink_open(&netlink) < 0 || netlink_dump_links(netlink, find_way_out, &found) < 0)
		return;
	if (found.ifindex)
		doctor_tell(doctor, DOCTOR_OK, "way out", "by %s", found.name);
	else
		doctor_tell(doctor, DOCTOR_FAILED, "way out",
			    "no device leads outside: the container whose network this is has "
			    "ended, or runs in another network namespace now; start the sidecar "
			    "again (docker restart)");
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

	if (!doctor->reached || family == AF_UNIX)
		return;
	fd = connect_gateway(&doctor->gateway);
	if (fd < 0 || read_mtus(fd, family, &route, &used) < 0 || route >= MTU_OF_LO)
		return;
	if (used >= route)
		doctor_tell(doctor, DOCTOR_OK, "MTU", "%u bytes on the way to the gateway", route);
	else
		doctor_tell(doctor, DOCTOR_WARNING, "MTU",
			    "the gateway takes packets of %u bytes, the device here sends %u. "
			    "Larger datagrams are lost; give both ends one MTU (docker network "
			    "create --opt com.docker.network.driver.mtu=%u)",
			    used, route, used);
}

struct rules_visit {
	struct doctor *doctor;
	bool warned;
};

static int check_rule(void *context, const struct netlink_rule *rule)
{
	struct rules_visit *visit = context;
	enum other_rule judged = other_rule_judge(rule);
	char text[OTHER_RULE_TEXT_MAX];

	if (rule->protocol == NETLINK_PROTOCOL_SIDESTEP || judged == OTHER_RULE_FOLLOWED)
		return 0;
	visit->warned = true;
	(void)other_rule_format(rule, text);
	if (judged == OTHER_RULE_FIRST)
		doctor_tell(visit->doctor, DOCTOR_WARNING, "routing rules",
			    "%s comes before those of a sidecar (%d to %d): connections that it "
			    "routes are dropped, not steered; give it a higher number",
			    text, NETLINK_RULES_FIRST, NETLINK_RULES_LAST);
	else
		doctor_tell(visit->doctor, DOCTOR_WARNING, "routing rules",
			    "%s selects by more than addresses: replies, and other packets that a "
			    "sidecar lets out, may not follow it; select by addresses (from, to)",
			    text);
	return 0;
}

void doctor_check_rules(struct doctor *doctor)
{
	static const int families[] = {AF_INET, AF_INET6};
	_cleanup_netlink_ struct netlink *netlink = NULL;
	struct rules_visit visit = {.doctor = doctor};
	size_t i;

	if (netlink_open(&netlink) < 0)
		return;
	for (i = 0; i < ARRAY_SIZE(families); i++)
		(void)netlink_dump_rules(netlink, families[i], check_rule, &visit);
	if (!visit.warned)
		doctor_tell(doctor, DOCTOR_OK, "routing rules",
			    "none that a sidecar could not follow");
}

void doctor_check_loop(struct doctor *doctor)
{
	if (!doctor->reached || !gateway_is_near(&doctor->gateway, false))
		return;
	doctor_tell(doctor, DOCTOR_WARNING, "gateway loop",
		    "it is in this network namespace, so its own connections would come back to "
		    "it; give the sidecar --exempt-uid or --exempt-cgroup, or run it elsewhere");
}

/* Adds the sockets that a line of /proc/net/sockstat counts, "PROTOCOL: inuse N orphan N tw N". */
static int count_sockets(const char *path, const char *protocol)
{
	_cleanup_fclose_ FILE *file = fopen(path, "re");
	size_t length = strlen(protocol);
	char line[256];
	int used = 0, waiting = 0;

	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, protocol, length) == 0)
			(void)sscanf(line + length, " inuse %d orphan %*d tw %d", &used, &waiting);
	return used + waiting;
}

/* A sidecar that runs must have rules for them. */
void doctor_check_inner(struct doctor *doctor)
{
	bool runs = instance_holder() >= 0;
	struct inner_check found;

	if (inner_check(&found) < 0)
		return;
	if (runs && found.others[0])
		doctor_tell(
			doctor, DOCTOR_WARNING, "inner devices",
			"%s: containers behind them reach nothing outside, nor do their published "
			"ports answer; run the sidecar without --inner off, where the kernel has "
			"nft_tproxy",
			found.others);
	if (found.steered[0] || (!runs && found.others[0]))
		doctor_tell(doctor, DOCTOR_OK, "inner devices",
			    runs ? "%s: what containers behind them send is steered"
				 : "%s: a sidecar steers what containers behind them send, without "
				   "--inner off",
			    runs ? found.steered : found.others);
	else if (!found.others[0])
		doctor_tell(doctor, DOCTOR_OK, "inner devices", "none");
}

void doctor_check_ports(struct doctor *doctor)
{
	int first, last, count, used;

	doctor_read_settings("ipv4/ip_local_port_range", &first, &last);
	if (first < 0 || last < first)
		return;
	count = last - first + 1;
	used = count_sockets("/proc/net/sockstat", "TCP:") +
	       count_sockets("/proc/net/sockstat6", "TCP6:");
	if (count - used >= PORTS_FEW)
		doctor_tell(doctor, DOCTOR_OK, "local ports", "%d, %d sockets", count, used);
	else
		doctor_tell(doctor, DOCTOR_WARNING, "local ports",
			    "%d, and %d sockets are there. A connection to the gateway takes one, "
			    "often for a minute after its end; docker run --sysctl "
			    "net.ipv4.ip_local_port_range=\"32768 60999\"",
			    count, used);
}

/* Docker notes the resolvers that its own one asks (moby, libnetwork/internal/resolvconf). "host("
 * stands before one that it asks from the host's network namespace. */
void doctor_check_resolver(struct doctor *doctor)
{
	_cleanup_fclose_ FILE *file = fopen(RESOLVER_FILE, "re");
	bool embedded = false, from_host = false;
	char line[512];

	while (file && fgets(line, sizeof(line), file)) {
		embedded |= strncmp(line, "nameserver 127.0.0.11", 21) == 0;
		from_host |= strncmp(line, "# ExtServers:", 13) == 0 && strstr(line, "host(");
	}
	if (!embedded)
		doctor_tell(doctor, DOCTOR_OK, "internet off", "no resolver of the engine's here");
	else if (!from_host)
		doctor_tell(doctor, DOCTOR_OK, "internet off",
			    "the engine's resolver asks from here, as far as it says; the control "
			    "API tries it");
	else
		doctor_tell(doctor, DOCTOR_WARNING, "internet off",
			    "the engine's resolver asks from the host's network namespace, so the "
			    "control API refuses to turn the internet off; docker run --dns IP");
}
