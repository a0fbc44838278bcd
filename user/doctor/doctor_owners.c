// SPDX-License-Identifier: Apache-2.0
/* The doctor's checks of others in a network namespace: TC, TCX and nftables, a second interceptor,
 * and what an earlier instance left. */
#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include "commands/status_read.h"
#include "doctor/doctor.h"
#include "doctor/doctor_nft.h"
#include "lib/netlink_socket.h"
#include "lib/netns.h"
#include "lib/util.h"
#include "net/instance_lock.h"
#include "net/netlink_link.h"
#include "net/netlink_route.h"

/* Linux 6.6; libbpf 1.1 does not name them. */
#define ATTACH_TCX_INGRESS 46
#define ATTACH_TCX_EGRESS  47

/* Programs at one place that are looked at. */
#define PROGRAMS_AT_ONE_MAX 64

/* Bytes of a list of names. */
#define NAMES_MAX 256

/* The programs at one place of one device, or of a namespace. */
struct place {
	char others[NAMES_MAX];	      /* names of those that are not ours */
	char twice[32];		      /* one of ours that is there twice; "": none */
	char own[32];		      /* one of ours; "": none */
	unsigned int count[PROGRAMS]; /* of ours */
};

/* The agent's guards on the host's devices are nobody's leftovers. */
static bool is_outer(enum programs_program program)
{
	return program == PROGRAM_HOST_INGRESS || program == PROGRAM_HOST_EGRESS;
}

static void add_program(struct place *place, const char *name)
{
	enum programs_program program = programs_by_name(name);
	size_t used = strlen(place->others);

	if (program == PROGRAMS) {
		if (used + strlen(name) + 3 < sizeof(place->others))
			(void)snprintf(place->others + used, sizeof(place->others) - used, "%s%s",
				       used ? ", " : "", name);
		return;
	}
	if (is_outer(program))
		return;
	(void)snprintf(place->own, sizeof(place->own), "%s", name);
	if (++place->count[program] == 2)
		(void)snprintf(place->twice, sizeof(place->twice), "%s", name);
}

static void add_number(struct place *place, uint32_t id)
{
	_cleanup_close_ int fd = bpf_prog_get_fd_by_id(id);
	struct bpf_prog_info info = {.id = 0};
	char text[NAMES_MAX];
	uint32_t size = sizeof(info);

	if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &size) == 0 && info.name[0])
		(void)snprintf(text, sizeof(text), "%.15s", info.name);
	else
		(void)snprintf(text, sizeof(text), "program %u", id);
	add_program(place, text);
}

/* Adds the programs that BPF_PROG_QUERY knows: of TCX, or of a namespace. */
static void query(struct place *place, int target, int type)
{
	uint32_t ids[PROGRAMS_AT_ONE_MAX], count = ARRAY_SIZE(ids), i;

	if (bpf_prog_query(target, (enum bpf_attach_type)type, 0, NULL, ids, &count) < 0)
		return;
	for (i = 0; i < count; i++)
		add_number(place, ids[i]);
}

static int visit_option(const struct nlattr *attribute, void *data)
{
	const char **name = data;

	if (mnl_attr_get_type(attribute) == TCA_BPF_NAME &&
	    mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) == 0)
		*name = mnl_attr_get_str(attribute);
	return MNL_CB_OK;
}

struct filter {
	const char *kind, *name;
};

static int visit_attribute(const struct nlattr *attribute, void *data)
{
	struct filter *filter = data;

	if (mnl_attr_get_type(attribute) == TCA_KIND &&
	    mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) == 0)
		filter->kind = mnl_attr_get_str(attribute);
	if (mnl_attr_get_type(attribute) == TCA_OPTIONS)
		(void)mnl_attr_parse_nested(attribute, visit_option, &filter->name);
	return MNL_CB_OK;
}

/* A filter has one message for its chain, without a handle, and one for itself. The name of a BPF
 * filter is "PROGRAM:[ID]" if libbpf or tc gave it. */
static int visit_filter(const struct nlmsghdr *header, void *data)
{
	const struct tcmsg *message = mnl_nlmsg_get_payload(header);
	struct filter filter = {.kind = NULL};
	char text[64];

	(void)mnl_attr_parse(header, sizeof(*message), visit_attribute, &filter);
	if (!filter.kind || message->tcm_handle == 0)
		return MNL_CB_OK;
	if (filter.name)
		(void)snprintf(text, sizeof(text), "%.*s", (int)strcspn(filter.name, ":"),
			       filter.name);
	else
		(void)snprintf(text, sizeof(text), "filter %.32s", filter.kind);
	add_program(data, text);
	return MNL_CB_OK;
}

static void dump_filters(struct netlink_socket *socket, struct place *place, uint32_t ifindex,
			 uint32_t parent)
{
	char buffer[256];
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
	struct tcmsg *message;

	header->nlmsg_type = RTM_GETTFILTER;
	header->nlmsg_flags = NLM_F_DUMP;
	message = mnl_nlmsg_put_extra_header(header, sizeof(*message));
	message->tcm_ifindex = (int)ifindex;
	message->tcm_parent = parent;
	(void)netlink_socket_talk(socket, header, visit_filter, place);
}

struct owners {
	struct doctor *doctor;
	bool runs; /* a sidecar runs here */
	bool others, left;
};

static void tell_place(struct owners *owners, const struct place *place, const char *device,
		       const char *direction)
{
	if (place->others[0]) {
		owners->others = true;
		doctor_tell(owners->doctor, FINDING_OWNERS_TC, "%s %s has %s", device, direction,
			    place->others);
	}
	if (place->twice[0] || (place->own[0] && !owners->runs)) {
		owners->left = true;
		doctor_tell(owners->doctor, FINDING_LEFTOVERS_PROGRAMS, "%s %s has %s%s", device,
			    direction, place->own,
			    place->twice[0] ? " twice" : ", and no sidecar runs here");
	}
}

static void check_device(struct owners *owners, struct netlink_socket *socket,
			 const struct netlink_link *link)
{
	static const struct {
		const char *name;
		uint32_t parent;
		int type;
	} directions[] = {
		{"ingress", TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS), ATTACH_TCX_INGRESS},
		{"egress", TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS), ATTACH_TCX_EGRESS},
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(directions); i++) {
		struct place place = {.others = ""};

		dump_filters(socket, &place, link->ifindex, directions[i].parent);
		query(&place, (int)link->ifindex, directions[i].type);
		tell_place(owners, &place, link->name, directions[i].name);
	}
}

static void check_devices(struct owners *owners)
{
	struct array links = {.size = sizeof(struct netlink_link)};
	struct netlink_socket socket = {.socket = NULL};
	const struct netlink_link *link;
	size_t i;

	if (doctor_read_links(&links) == 0 && netlink_socket_open(&socket, NETLINK_ROUTE) == 0) {
		link = links.items;
		for (i = 0; i < links.count; i++)
			check_device(owners, &socket, &link[i]);
	}
	netlink_socket_close(&socket);
	free(links.items);
}

static void check_tables(struct owners *owners)
{
	struct doctor *doctor = owners->doctor;
	_cleanup_close_ int netns = netns_open_own();
	struct place lookup = {.others = ""};
	struct doctor_nft nft;

	doctor_nft_read(&nft);
	if (nft.tables[0]) {
		owners->others = true;
		doctor_tell(doctor, FINDING_OWNERS_NFT, "the tables %s", nft.tables);
	}
	if (nft.own && !owners->runs) {
		owners->left = true;
		doctor_tell(doctor, FINDING_LEFTOVERS_TABLE,
			    "the table sidestep is there, and no sidecar runs here");
	}
	query(&lookup, netns, BPF_SK_LOOKUP);
	if (nft.interceptors[0])
		doctor_tell(doctor, FINDING_INTERCEPTOR_NFT, "the tables %s take connections",
			    nft.interceptors);
	if (lookup.others[0])
		doctor_tell(doctor, FINDING_INTERCEPTOR_LOOKUP, "the sk_lookup program %s is here",
			    lookup.others);
	if (!nft.interceptors[0] && !lookup.others[0])
		doctor_tell(doctor, FINDING_INTERCEPTOR, "none but Sidestep");
}

static int visit_own_rule(void *context, const struct netlink_rule *rule)
{
	*(bool *)context |= rule->protocol == NETLINK_PROTOCOL_SIDESTEP;
	return 0;
}

static void check_own_rules(struct owners *owners)
{
	_cleanup_netlink_ struct netlink *netlink = NULL;
	bool found = false;

	if (owners->runs || netlink_open(&netlink) < 0 ||
	    netlink_dump_rules(netlink, AF_INET, visit_own_rule, &found) < 0 || !found)
		return;
	owners->left = true;
	doctor_tell(owners->doctor, FINDING_LEFTOVERS_ROUTES,
		    "routing rules of protocol %d are there, and no sidecar runs here",
		    NETLINK_PROTOCOL_SIDESTEP);
}

void doctor_check_owners(struct doctor *doctor)
{
	struct owners owners = {.doctor = doctor, .runs = instance_holder() >= 0};

	check_devices(&owners);
	check_tables(&owners);
	check_own_rules(&owners);
	if (!owners.others)
		doctor_tell(doctor, FINDING_OWNERS, "none");
	if (!owners.left)
		doctor_tell(doctor, FINDING_LEFTOVERS, "none");
}

static void check_pin(struct doctor *doctor, const char *path)
{
	_cleanup_json_ json_t *instances = json_array();
	const json_t *instance;
	char remedy[NAMES_MAX];
	size_t i;

	(void)status_read_directory(path, instances);
	(void)snprintf(remedy, sizeof(remedy), "rm -r %.200s, or start it again", path);
	json_array_foreach (instances, i, instance)
		if (json_is_false(json_object_get(instance, "running")) &&
		    strcmp(json_string_value(json_object_get(instance, "mode")), "outer guard") !=
			    0)
			doctor_advise(doctor, FINDING_LEFTOVERS_PINS, remedy,
				      "%.128s has the maps of a sidecar that has ended", path);
}

/* Looks beside the agent's directory, which has a check of its own. */
void doctor_check_pins(struct doctor *doctor)
{
	const char *agent = doctor->options->sidecar.pin;
	_cleanup_free_ char *copy = strdup(agent);
	_cleanup_closedir_ DIR *directory = NULL;
	const struct dirent *entry;
	char path[4096];

	directory = copy ? opendir(dirname(copy)) : NULL;
	while (directory && (entry = readdir(directory))) {
		(void)snprintf(path, sizeof(path), "%.2000s/%s", copy, entry->d_name);
		if (entry->d_name[0] != '.' && strcmp(path, agent) != 0)
			check_pin(doctor, path);
	}
}
