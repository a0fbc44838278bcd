// SPDX-License-Identifier: Apache-2.0
/* Asks the kernel for the packet's route, and for the rule that led to it. */
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include "explain/explain.h"
#include "net/netlink_lookup.h"
#include "net/netlink_route.h"

/* The kernel tells the route's table, and not the rule that led there. */
struct rule_search {
	uint32_t table;
	char text[64]; /* "rule 103", "rules 103, 104", or "" */
};

static int note_rule(void *context, const struct netlink_rule *rule)
{
	struct rule_search *search = context;
	size_t used = strlen(search->text);

	if (rule->action != FR_ACT_TO_TBL || rule->table != search->table)
		return 0;
	(void)snprintf(search->text + used, sizeof(search->text) - used, "%s%u",
		       used ? " or " : "rule ", rule->priority);
	return 0;
}

static const char *type_name(uint8_t type)
{
	return type == RTN_LOCAL       ? "local"
	       : type == RTN_BROADCAST ? "broadcast"
	       : type == RTN_MULTICAST ? "multicast"
				       : "unicast";
}

static void tell_way(struct explain *explain, const struct netlink_way *way)
{
	bool ipv4 = address_is_ipv4(explain->packet.destination);
	struct rule_search search = {.table = way->table};
	char source[ADDRESS_TEXT_MAX], gateway[ADDRESS_TEXT_MAX], name[IF_NAMESIZE] = "?";

	(void)netlink_dump_rules(explain->netlink, ipv4 ? AF_INET : AF_INET6, note_rule, &search);
	(void)if_indextoname(way->ifindex, name);
	explain_step(explain, "route", "%s by %s%s%s, table %u%s%s%s, source %s",
		     type_name(way->type), name, way->has_gateway ? " via " : "",
		     way->has_gateway ? address_format(way->gateway, gateway) : "", way->table,
		     *search.text ? " (" : "", search.text, *search.text ? ")" : "",
		     address_format(way->source, source));
}

/* TCP has no connections to many (tcp_v4_connect() and tcp_v6_connect() in the kernel). */
static bool is_to_many(const struct explain *explain, const struct netlink_way *way)
{
	return explain->packet.protocol == IPPROTO_TCP &&
	       (way->type == RTN_MULTICAST || way->type == RTN_BROADCAST ||
		explain->packet.destination[0] == 0xff);
}

int explain_way(struct explain *explain, struct netlink_way *ret_way)
{
	struct netlink_packet packet = {
		.has_source = explain->has_source,
		.device = explain->device,
		.ip_protocol = explain->packet.protocol,
		.port = explain->packet.destination_port,
	};
	int error;

	memcpy(packet.destination, explain->packet.destination, sizeof(packet.destination));
	memcpy(packet.source, explain->packet.source, sizeof(packet.source));
	error = netlink_lookup(explain->netlink, &packet, ret_way);
	if (error < 0) {
		explain->outcome = EXPLAIN_UNREACHABLE;
		explain_step(explain, "route", "none: %s", strerror(-error));
		return error;
	}
	memcpy(explain->packet.source, ret_way->source, sizeof(explain->packet.source));
	tell_way(explain, ret_way);
	if (!is_to_many(explain, ret_way))
		return 0;
	explain->outcome = EXPLAIN_UNREACHABLE;
	explain_step(explain, "sender", "is told: %s, because TCP has no connections to many",
		     strerror(ENETUNREACH));
	return -ENETUNREACH;
}
