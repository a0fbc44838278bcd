// SPDX-License-Identifier: Apache-2.0
/* Finds out why the subnets of the packet's ends are bypassed. */
#include <net/if.h>
#include <string.h>
#include <linux/rtnetlink.h>

#include "explain/explain.h"
#include "net/netlink_route.h"
#include "operator/operator_client.h"

/* Takes over an entry of the sidecar's list, if it contains the address and none that is longer is
 * known. */
static void take_entry(const json_t *json, const uint8_t address[16], struct explain_entry *entry)
{
	const char *text = json_string_value(json_object_get(json, "prefix"));
	const char *origin = json_string_value(json_object_get(json, "origin"));
	struct prefix prefix;

	if (!text || !origin || prefix_parse(text, &prefix) < 0 ||
	    !prefix_contains(&prefix, address) ||
	    (entry->found && prefix.length < entry->prefix.length))
		return;
	entry->found = true;
	entry->prefix = prefix;
	(void)snprintf(entry->origin, sizeof(entry->origin), "%s", origin);
}

void explain_ask_origins(struct explain *explain)
{
	json_t *request = json_pack("{s:s}", "bypass", "list"), *answer = NULL;
	const json_t *list, *entry;
	size_t i;

	if (request && operator_ask(request, explain->home_fd >= 0, &answer, NULL) == 0) {
		list = json_object_get(answer, "entries");
		explain->destination.known = explain->source.known |= json_is_array(list);
		json_array_foreach (list, i, entry) {
			take_entry(entry, explain->packet.destination, &explain->destination);
			take_entry(entry, explain->packet.source, &explain->source);
		}
		json_decref(answer);
	}
	json_decref(request);
}

struct device_search {
	const struct prefix *prefix;
	char *name;
};

static int note_device(void *context, const struct netlink_route *route)
{
	struct device_search *search = context;

	if (route->table == RT_TABLE_MAIN && !route->has_gateway &&
	    prefix_equal(&route->destination, search->prefix))
		(void)if_indextoname(route->ifindex, search->name);
	return 0;
}

const char *explain_origin(const struct explain *explain, const struct explain_entry *entry,
			   char text[BYPASS_ORIGIN_MAX])
{
	struct bypass_origin origin = {.sources = entry->sources};
	struct device_search search = {.prefix = &entry->prefix, .name = origin.device};
	bool ipv4 = address_is_ipv4(entry->prefix.address);

	if (*entry->origin) {
		memcpy(text, entry->origin, sizeof(entry->origin));
		return text;
	}
	if (entry->sources & SIDESTEP_FROM_CONNECTED)
		(void)netlink_dump_routes(explain->netlink, ipv4 ? AF_INET : AF_INET6, note_device,
					  &search);
	return bypass_origin(&origin, text);
}
