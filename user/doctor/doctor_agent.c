// SPDX-License-Identifier: Apache-2.0
/* The doctor's checks for the host's agent, and of the network namespaces that it serves. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent_find.h"
#include "commands/status_read.h"
#include "doctor/doctor.h"
#include "lib/netns.h"
#include "lib/util.h"
#include "sidecar/way_out.h"

static bool has(const json_t *instance, const char *list, const char *name)
{
	const json_t *entry, *entries = json_object_get(instance, list);
	size_t i;

	json_array_foreach (entries, i, entry)
		if (strcmp(json_string_value(entry), name) == 0)
			return true;
	return false;
}

/* A device has dev_egress, or l3_egress if its frames have no header. */
static bool is_guarded(const json_t *instance, const struct netlink_link *link)
{
	enum programs_program program = link->l3 ? PROGRAM_L3_EGRESS : PROGRAM_DEV_EGRESS;
	char name[64];

	(void)snprintf(name, sizeof(name), "%s-%u", programs_name(program), link->ifindex);
	return has(instance, "links", name) || has(instance, "filters", name);
}

static void check_devices(struct doctor *doctor, const json_t *instance)
{
	struct array links = {.size = sizeof(struct netlink_link)};
	const struct netlink_link *link;
	size_t i;

	if (doctor_read_links(&links) < 0)
		return;
	link = links.items;
	for (i = 0; i < links.count; i++)
		if (link[i].up && way_out_leads(&link[i]) && (link[i].ethernet || link[i].l3) &&
		    !is_guarded(instance, &link[i]))
			doctor_tell(doctor, FINDING_AGENT_UNGUARDED,
				    "%s has no program of the agent", link[i].name);
	free(links.items);
}

/* Looks at a namespace from inside. If nothing leads into it, nobody is there to serve. */
static void check_namespace(struct doctor *doctor, const json_t *instance)
{
	uint32_t netns = (uint32_t)json_integer_value(json_object_get(instance, "netns"));
	const char *name = json_string_value(json_object_get(instance, "name"));
	_cleanup_close_ int fd = -1;

	(void)snprintf(doctor->place, sizeof(doctor->place), "network namespace %u%s%.32s", netns,
		       name && *name ? " of " : "", name ? name : "");
	if (json_is_false(json_object_get(instance, "running")))
		doctor_tell(doctor, FINDING_AGENT_GONE, "no sidecar runs there");
	fd = agent_find_netns(netns);
	if (fd < 0)
		return;
	check_devices(doctor, instance);
	doctor_check_way_out(doctor);
	doctor_check_rules(doctor);
	doctor_check_inner(doctor);
	doctor_check_ports(doctor);
}

void doctor_check_agent(struct doctor *doctor)
{
	const char *pin = doctor->options->sidecar.pin;
	_cleanup_json_ json_t *instances = json_array();
	_cleanup_close_ int own = netns_open_own();
	const json_t *instance;
	size_t i, served = 0;

	if (own < 0 || access(pin, F_OK) < 0) {
		doctor_tell(doctor, FINDING_AGENT_NONE, "none has pinned maps in %.128s", pin);
		return;
	}
	(void)status_read_directory(pin, instances);
	json_array_foreach (instances, i, instance) {
		if (strcmp(json_string_value(json_object_get(instance, "mode")), "sidecar") != 0)
			continue;
		served++;
		check_namespace(doctor, instance);
		(void)netns_enter(own);
	}
	doctor->place[0] = '\0';
	(void)netns_enter(own);
	doctor_tell(doctor, FINDING_AGENT, "it serves %zu network namespaces", served);
}
