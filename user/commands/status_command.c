// SPDX-License-Identifier: Apache-2.0
/* `sidestep status`: reads pinned maps and nothing else, so it needs no running instance. */
#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent_namespace.h"
#include "commands.h"
#include "lib/address.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/option_entries.h"
#include "lib/options.h"
#include "lib/util.h"
#include "programs/counters.h"
#include "sidestep.h"

#define DEFAULT_PIN_ROOT "/sys/fs/bpf/sidestep"
/* Of flows and inbound connections for people; programs (--json) get all. */
#define SHOWN_FLOWS 20

struct status_options {
	bool json;
	const char *pin;
};

static const struct option_entry entries[] = {
	{.section = "Options",
	 .name = "json",
	 .type = OPTION_BOOL,
	 .offset = offsetof(struct status_options, json),
	 .help = "Print one JSON document with everything instead of text."},
	{OPTION_ENTRY_PIN(struct status_options, pin),
	 .default_note = "every directory below " DEFAULT_PIN_ROOT,
	 .help = "Look at the maps of one instance, which was started with the same --pin."},
};

static const struct option_example examples[] = {
	{"What is intercepted on this machine?", "sidestep status"},
	{"The same for a program:", "sidestep status --json"},
	{"The raw maps:", "bpftool map dump pinned " DEFAULT_PIN_ROOT "/NAME/bypass4"},
};

static const struct option_status statuses[] = {
	{STATUS_OK, "printed; also when nothing is running"},
	{STATUS_FAILED, "an instance's maps could not be read"},
	{STATUS_USAGE, "wrong command line"},
};

static const struct options_command command = {
	.name = "sidestep status",
	.summary = "Shows what instances with pinned maps intercept, bypass and count.",
	.description =
		"Reads the maps that \"sidestep sidecar --pin DIR\" pins, whether or not that "
		"instance still runs. Needs CAP_BPF (root).",
	.entries = entries,
	.entry_count = ARRAY_SIZE(entries),
	.examples = examples,
	.example_count = ARRAY_SIZE(examples),
	.statuses = statuses,
	.status_count = ARRAY_SIZE(statuses),
};

static const char *verdict_name(uint32_t verdict)
{
	return verdict < SIDESTEP_VERDICTS ? counter_names[verdict] : "unknown";
}

static void release_json(json_t **json)
{
	json_decref(*json);
}

#define _cleanup_json_ __attribute__((cleanup(release_json)))

static int open_map(const char *directory, const char *name)
{
	char path[4096];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", directory, name);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return log_errno(-errno, "cannot open the pinned map %s", path);
	return fd;
}

/* A namespace whose entries are wanted, and what they are added to. */
struct walk {
	uint32_t netns;
	json_t *list;
};

/* Calls @visit with each key of the namespace, which has its number at @offset, and its value.
 * Entries that come or go meanwhile may be missed. */
static int walk_map(const char *directory, const char *name, size_t key_size, size_t offset,
		    void (*visit)(json_t *list, const void *key, const void *value),
		    const struct walk *walk)
{
	char key[sizeof(struct sidestep_flow_key)], next[sizeof(struct sidestep_flow_key)];
	char value[sizeof(struct sidestep_flow)];
	_cleanup_close_ int fd = open_map(directory, name);
	void *previous = NULL;
	uint32_t netns;

	if (fd < 0)
		return fd;
	while (bpf_map_get_next_key(fd, previous, next) == 0) {
		memcpy(key, next, key_size);
		previous = key;
		memcpy(&netns, key + offset, sizeof(netns));
		if (netns == walk->netns && bpf_map_lookup_elem(fd, key, value) == 0)
			visit(walk->list, key, value);
	}
	return 0;
}

static void add_bypass(json_t *list, const struct prefix *prefix,
		       const struct sidestep_bypass *bypass)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} sources[] = {
		{SIDESTEP_FROM_OPTION, "option"},   {SIDESTEP_FROM_CONNECTED, "connected"},
		{SIDESTEP_FROM_DOCKER, "docker"},   {SIDESTEP_FROM_LOCAL, "local"},
		{SIDESTEP_FROM_BUILTIN, "builtin"}, {SIDESTEP_FROM_GATEWAY, "gateway"},
	};
	json_t *names = json_array();
	char text[ADDRESS_TEXT_MAX];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sources); i++)
		if (bypass->sources & sources[i].bit)
			(void)json_array_append_new(names, json_string(sources[i].name));
	(void)json_array_append_new(list, json_pack("{s:s, s:o, s:i}", "prefix",
						    prefix_format(prefix, text), "sources", names,
						    "ifindex", (int)bypass->ifindex));
}

static void visit_bypass4(json_t *list, const void *key, const void *value)
{
	const struct sidestep_prefix4 *from = key;
	struct prefix prefix = {.address = {[10] = 0xff, [11] = 0xff},
				.length =
					(uint8_t)(96 + from->prefix_length - SIDESTEP_NETNS_BITS)};

	memcpy(prefix.address + 12, from->address, sizeof(from->address));
	add_bypass(list, &prefix, value);
}

static void visit_bypass6(json_t *list, const void *key, const void *value)
{
	const struct sidestep_prefix6 *from = key;
	struct prefix prefix = {.length = (uint8_t)(from->prefix_length - SIDESTEP_NETNS_BITS)};

	memcpy(prefix.address, from->address, sizeof(from->address));
	add_bypass(list, &prefix, value);
}

static double age_seconds(uint64_t start)
{
	return start == 0 ? 0 : (double)(clock_ns() - start) / 1e9;
}

static json_t *flow_json(const struct sidestep_flow_key *key, uint64_t start)
{
	const char *protocol = key->protocol == IPPROTO_TCP   ? "tcp"
			       : key->protocol == IPPROTO_UDP ? "udp"
							      : "icmp";
	char local[ADDRESS_TEXT_MAX], remote[ADDRESS_TEXT_MAX];

	return json_pack("{s:s, s:s, s:i, s:s, s:i, s:f}", "protocol", protocol, "local",
			 address_format(key->local_address, local), "local_port", key->local_port,
			 "remote", address_format(key->remote_address, remote), "remote_port",
			 key->remote_port, "age_seconds", age_seconds(start));
}

static void visit_flow(json_t *list, const void *key, const void *value)
{
	const struct sidestep_flow *flow = value;
	json_t *json = flow_json(key, flow->start);

	(void)json_object_set_new(json, "verdict", json_string(verdict_name(flow->verdict)));
	(void)json_object_set_new(json, "bytes_sent", json_integer((json_int_t)flow->bytes_sent));
	(void)json_object_set_new(json, "bytes_received",
				  json_integer((json_int_t)flow->bytes_received));
	(void)json_array_append_new(list, json);
}

static void visit_inbound(json_t *list, const void *key, const void *value)
{
	const struct sidestep_inbound *inbound = value;

	(void)json_array_append_new(list, flow_json(key, inbound->start));
}

static int read_counters(const char *directory, uint32_t netns, json_t *counters)
{
	_cleanup_close_ int fd = open_map(directory, "counters");
	uint64_t sums[SIDESTEP_COUNTERS];
	int error, i;

	if (fd < 0)
		return fd;
	error = counters_read(fd, netns, sums);
	if (error < 0)
		return log_errno(error, "cannot read the counters in %s", directory);
	for (i = 0; i < SIDESTEP_COUNTERS; i++)
		(void)json_object_set_new(counters, counter_names[i],
					  json_integer((json_int_t)sums[i]));
	return 0;
}

static int read_info(const char *directory, struct sidestep_info *ret_info)
{
	_cleanup_close_ int fd = open_map(directory, "info");
	uint32_t zero = 0;

	if (fd < 0)
		return fd;
	if (bpf_map_lookup_elem(fd, &zero, ret_info) < 0)
		return log_errno(-errno, "cannot read the map info in %s", directory);
	if (ret_info->abi_version != SIDESTEP_ABI_VERSION) {
		log_error("the maps in %s have version %u, this sidestep reads version %d: use the "
			  "sidestep that made them",
			  directory, ret_info->abi_version, SIDESTEP_ABI_VERSION);
		return -EPROTO;
	}
	return 0;
}

/* What the agent has attached to a namespace. Own programs are not pinned: nothing is added. */
static void read_attached(const char *directory, uint32_t netns, json_t *instance)
{
	json_t *links = json_array(), *filters = json_array();
	struct dirent **names;
	char path[4096];
	int count, i;

	(void)snprintf(path, sizeof(path), "%s/links/%u", directory, netns);
	count = scandir(path, &names, NULL, alphasort);
	for (i = 0; i < count; i++) {
		const char *name = names[i]->d_name, *suffix = strstr(name, AGENT_FILTER_SUFFIX);

		if (suffix)
			(void)json_array_append_new(filters,
						    json_stringn(name, (size_t)(suffix - name)));
		else if (name[0] != '.')
			(void)json_array_append_new(links, json_string(name));
		free(names[i]);
	}
	if (count >= 0) {
		free(names);
		(void)json_object_set(instance, "links", links);
		(void)json_object_set(instance, "filters", filters);
	}
	json_decref(links);
	json_decref(filters);
}

/* A namespace that is intercepted: a new object (the caller's) or NULL, logged. */
static json_t *read_namespace(const char *directory, const struct sidestep_info *info,
			      uint32_t netns, const struct sidestep_namespace *namespace)
{
	json_t *bypass = json_array(), *flows = json_array(), *inbound = json_array();
	json_t *counters = json_object();
	_cleanup_json_ json_t *instance =
		json_pack("{s:s, s:s, s:s, s:I, s:s, s:I, s:s, s:f, s:o, s:o, s:o, s:o}", "pin",
			  directory, "version", info->version, "mode",
			  namespace->mode == SIDESTEP_MODE_BRIDGE ? "bridge" : "sidecar", "netns",
			  (json_int_t)netns, "name", namespace->name, "pid",
			  (json_int_t) namespace->pid, "gateway", namespace->gateway, "age_seconds",
			  age_seconds(namespace->start), "bypass", bypass, "flows", flows,
			  "inbound", inbound, "counters", counters);

	if (!instance || read_counters(directory, netns, counters) < 0 ||
	    walk_map(directory, "bypass4", sizeof(struct sidestep_prefix4),
		     offsetof(struct sidestep_prefix4, netns), visit_bypass4,
		     &(struct walk) {netns, bypass}) < 0 ||
	    walk_map(directory, "bypass6", sizeof(struct sidestep_prefix6),
		     offsetof(struct sidestep_prefix6, netns), visit_bypass6,
		     &(struct walk) {netns, bypass}) < 0 ||
	    walk_map(directory, "flows", sizeof(struct sidestep_flow_key),
		     offsetof(struct sidestep_flow_key, netns), visit_flow,
		     &(struct walk) {netns, flows}) < 0 ||
	    walk_map(directory, "inbound", sizeof(struct sidestep_flow_key),
		     offsetof(struct sidestep_flow_key, netns), visit_inbound,
		     &(struct walk) {netns, inbound}) < 0)
		return NULL;
	read_attached(directory, netns, instance);
	return TAKE_PTR(instance);
}

/* Adds all namespaces that the maps in a directory serve. 0 or negative errno, logged. */
static int read_directory(const char *directory, json_t *instances)
{
	_cleanup_close_ int fd = -1;
	struct sidestep_namespace namespace;
	struct sidestep_info info;
	uint32_t netns, next, *previous = NULL;
	int error = read_info(directory, &info);

	if (error < 0)
		return error;
	fd = open_map(directory, "namespaces");
	if (fd < 0)
		return fd;
	while (bpf_map_get_next_key(fd, previous, &next) == 0) {
		json_t *instance;

		netns = next;
		previous = &netns;
		if (bpf_map_lookup_elem(fd, &netns, &namespace) < 0)
			continue;
		instance = read_namespace(directory, &info, netns, &namespace);
		if (instance)
			(void)json_array_append_new(instances, instance);
		else
			error = -EIO;
	}
	return error;
}

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "?";
}

static long long number_of(const json_t *object, const char *name)
{
	return (long long)json_integer_value(json_object_get(object, name));
}

static void print_flow(const json_t *flow)
{
	(void)printf("    %-4s %s:%lld -> %s:%lld", text_of(flow, "protocol"),
		     text_of(flow, "local"), number_of(flow, "local_port"), text_of(flow, "remote"),
		     number_of(flow, "remote_port"));
	if (json_object_get(flow, "verdict"))
		(void)printf("  %s  %lld sent, %lld received", text_of(flow, "verdict"),
			     number_of(flow, "bytes_sent"), number_of(flow, "bytes_received"));
	(void)printf("\n");
}

static void print_flows(const char *title, const json_t *flows)
{
	size_t i, count = json_array_size(flows);

	(void)printf("  %s: %zu\n", title, count);
	for (i = 0; i < count && i < SHOWN_FLOWS; i++)
		print_flow(json_array_get(flows, i));
	if (count > SHOWN_FLOWS)
		(void)printf("    ... and %zu more (--json lists all)\n", count - SHOWN_FLOWS);
}

/* @names: NULL or of what the agent has attached. */
static void print_attached(const char *way, const json_t *names)
{
	const json_t *name;
	size_t i;

	if (json_array_size(names) == 0)
		return;
	(void)printf("  attached by %s:", way);
	json_array_foreach (names, i, name)
		(void)printf(" %s", json_string_value(name));
	(void)printf("\n");
}

static void print_instance(const json_t *instance)
{
	const json_t *bypass = json_object_get(instance, "bypass");
	json_t *counters = json_object_get(instance, "counters");
	const char *name;
	json_t *value, *entry;
	size_t i, j;

	name = text_of(instance, "name");
	(void)printf("%s: %s%s%s, sidestep %s, process %lld, gateway %s\n",
		     text_of(instance, "pin"), text_of(instance, "mode"), name[0] ? " " : "", name,
		     text_of(instance, "version"), number_of(instance, "pid"),
		     text_of(instance, "gateway"));
	(void)printf("  bypassed:\n");
	json_array_foreach (bypass, i, entry) {
		const json_t *sources = json_object_get(entry, "sources");

		(void)printf("    %-24s", text_of(entry, "prefix"));
		json_array_foreach (sources, j, value)
			(void)printf(" %s", json_string_value(value));
		(void)printf("\n");
	}
	print_attached("links", json_object_get(instance, "links"));
	print_attached("clsact filters", json_object_get(instance, "filters"));
	print_flows("steered connections", json_object_get(instance, "flows"));
	print_flows("connections from outside", json_object_get(instance, "inbound"));
	(void)printf("  counters:");
	json_object_foreach (counters, name, value) {
		if (json_integer_value(value) > 0)
			(void)printf(" %s=%lld", name, (long long)json_integer_value(value));
	}
	(void)printf("\n");
}

/* Adds every instance below the default directory. */
static int read_all(json_t *instances)
{
	DIR *directory = opendir(DEFAULT_PIN_ROOT);
	const struct dirent *entry;
	int error = 0;

	if (!directory)
		return errno == ENOENT ? 0 : log_errno(-errno, "cannot list %s", DEFAULT_PIN_ROOT);
	while ((entry = readdir(directory))) {
		char path[4096];
		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", DEFAULT_PIN_ROOT, entry->d_name);
		if (read_directory(path, instances) < 0)
			error = -EIO;
	}
	(void)closedir(directory);
	return error;
}

int command_status(int argc, char **argv)
{
	_cleanup_json_ json_t *instances = json_array();
	struct status_options options = {0};
	json_t *instance;
	int first, error;
	size_t i;

	error = options_parse(&command, argc, argv, &options, &first);
	if (error != 0)
		return error < 0 ? STATUS_USAGE : STATUS_OK;
	if (options.pin) {
		error = read_directory(options.pin, instances);
	} else {
		error = read_all(instances);
	}
	if (options.json) {
		(void)json_dumpf(instances, stdout, JSON_INDENT(2));
		(void)printf("\n");
	} else if (json_array_size(instances) == 0 && error == 0) {
		(void)printf("No instance has maps pinned below %s. (\"sidestep sidecar --pin "
			     "DIR\" pins them.)\n",
			     DEFAULT_PIN_ROOT);
	} else {
		json_array_foreach (instances, i, instance)
			print_instance(instance);
	}
	return error < 0 ? STATUS_FAILED : STATUS_OK;
}
