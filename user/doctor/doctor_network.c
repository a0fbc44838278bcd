// SPDX-License-Identifier: Apache-2.0
/* The doctor's checks of the network namespace, beside those of rights and the kernel. */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "doctor/doctor.h"
#include "lib/netns.h"
#include "lib/util.h"
#include "net/bare_devices.h"
#include "net/instance_lock.h"
#include "net/netlink_link.h"
#include "net/other_rules.h"
#include "sidecar/inner_check.h"
#include "sidecar/way_out.h"

/* Fewer free ports than this are soon used up: a connection keeps its own for a minute. */
#define PORTS_FEW 4096

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
	const char *name = doctor->options->container;
	char remedy[128];

	if (netlink_open(&netlink) < 0 || netlink_dump_links(netlink, find_way_out, &found) < 0)
		return;
	(void)snprintf(remedy, sizeof(remedy), "docker restart %.64s", name ? name : "SIDECAR");
	if (found.ifindex)
		doctor_tell(doctor, FINDING_WAY_OUT, "by %s", found.name);
	else
		doctor_advise(doctor, FINDING_WAY_OUT_NONE, remedy, "no device leads outside");
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
		doctor_tell(visit->doctor, FINDING_RULES_FIRST,
			    "%s comes before those of a sidecar (%d to %d)", text,
			    NETLINK_RULES_FIRST, NETLINK_RULES_LAST);
	else
		doctor_tell(visit->doctor, FINDING_RULES_SPECIAL,
			    "%s selects by more than addresses", text);
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
		doctor_tell(doctor, FINDING_RULES, "none that a sidecar could not follow");
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
	if (found.direct[0])
		doctor_tell(doctor, FINDING_INNER_DIRECT, "%s lead%s to other network namespaces",
			    found.direct, strchr(found.direct, ' ') ? "" : "s");
	if (runs && found.others[0])
		doctor_tell(doctor, FINDING_INNER_UNSTEERED, "%s are not steered", found.others);
	if (found.steered[0] || (!runs && found.others[0]))
		doctor_tell(doctor, FINDING_INNER,
			    runs ? "%s: what containers behind them send is steered"
				 : "%s: a sidecar steers what containers behind them send, without "
				   "--inner off",
			    runs ? found.steered : found.others);
	else if (!found.others[0] && !found.direct[0])
		doctor_tell(doctor, FINDING_INNER, "none");
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
		doctor_tell(doctor, FINDING_PORTS, "%d, %d sockets", count, used);
	else
		doctor_tell(doctor, FINDING_PORTS_FEW, "%d, and %d sockets are there", count, used);
}

/* Docker notes the resolvers that its own one asks (moby, libnetwork/internal/resolvconf). "host("
 * stands before one that it asks from the host's network namespace. */
void doctor_check_resolver(struct doctor *doctor)
{
	_cleanup_fclose_ FILE *file = doctor_open_file(doctor, RESOLVER_FILE);
	bool embedded = false, from_host = false;
	char line[512];

	while (file && fgets(line, sizeof(line), file)) {
		embedded |= strncmp(line, "nameserver 127.0.0.11", 21) == 0;
		from_host |= strncmp(line, "# ExtServers:", 13) == 0 && strstr(line, "host(");
	}
	if (!embedded)
		doctor_tell(doctor, FINDING_INTERNET_OFF, "no resolver of the engine's here");
	else if (!from_host)
		doctor_tell(doctor, FINDING_INTERNET_OFF,
			    "the engine's resolver asks from here, as far as it says; the control "
			    "API tries it");
	else
		doctor_tell(doctor, FINDING_INTERNET_OFF_RESOLVER,
			    "the engine's resolver asks from the host's network namespace");
}

void doctor_check_settings(struct doctor *doctor)
{
	if (doctor_read_setting("ipv6/conf/all/disable_ipv6") == 0)
		doctor_tell(doctor, FINDING_IPV6, "on");
	else
		doctor_tell(doctor, FINDING_IPV6_OFF, "off");
	doctor_tell(doctor, FINDING_SOURCE_VALIDATION,
		    "rp_filter %d, src_valid_mark %d (any will do)",
		    doctor_read_setting("ipv4/conf/all/rp_filter"),
		    doctor_read_setting("ipv4/conf/all/src_valid_mark"));
}

void doctor_check_instance(struct doctor *doctor)
{
	int holder = instance_holder();
	char who[48] = "a process of another container";

	/* The kernel tells 0 of a process in another PID namespace. */
	if (holder > 0)
		(void)snprintf(who, sizeof(who), "process %d", holder);
	/* From the host a sidecar that runs in the container is what somebody looks at. */
	if (holder < 0)
		doctor_tell(doctor, FINDING_INSTANCE, "none in this network namespace");
	else if (doctor->process)
		doctor_tell(doctor, FINDING_INSTANCE, "%s intercepts there", who);
	else
		doctor_tell(doctor, FINDING_INSTANCE_OTHER,
			    "%s intercepts in this network namespace", who);
}

void doctor_check_namespace(struct doctor *doctor)
{
	if (netns_is_initial()) {
		doctor_tell(doctor, FINDING_NETNS_HOST, "the machine's own");
		return;
	}
	doctor_tell(doctor, FINDING_NETNS, "a container's");
	if (devices_are_bare())
		doctor_tell(doctor, FINDING_NETNS_GVISOR, "no device here has an address");
}
