// SPDX-License-Identifier: Apache-2.0
#include "commands/status_read.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent_pins.h"
#include "datapath/bypass_origin.h"
#include "lib/address.h"
#include "lib/clock.h"
#include "lib/escape.h"
#include "lib/log.h"
#include "lib/run_socket.h"
#include "lib/util.h"
#include "operator/operator_client.h"
#include "programs/counters.h"
#include "sidestep.h"

static const char *verdict_name(uint32_t verdict)
{
	return verdict < SIDESTEP_VERDICTS ? counter_names[verdict] : "unknown";
}

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

/* The namespace to pick, and the list that its entries are added to. */
struct walk {
	uint32_t netns;
	json_t *list;
};

/* Calls @visit for each entry of the namespace, whose number stands in the key at @offset. Entries
 * that come or go meanwhile may be missed. */
static int walk_map(const char *directory, const char *name, size_t key_size, size_t offset,
		    void (*visit)(const struct walk *walk, const void *key, const void *value),
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
			visit(walk, key, value);
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
		{SIDESTEP_FROM_OPTION, "option"},    {SIDESTEP_FROM_CONNECTED, "connected"},
		{SIDESTEP_FROM_DOCKER, "docker"},    {SIDESTEP_FROM_LOCAL, "local"},
		{SIDESTEP_FROM_BUILTIN, "builtin"},  {SIDESTEP_FROM_GATEWAY, "gateway"},
		{SIDESTEP_EXCEPT_DNS, "except dns"}, {SIDESTEP_FROM_HOST, "host"},
	};
	const struct bypass_origin origin = {.sources = bypass->sources};
	json_t *names = json_array();
	char text[ADDRESS_TEXT_MAX], words[BYPASS_ORIGIN_MAX];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sources); i++)
		if (bypass->sources & sources[i].bit)
			(void)json_array_append_new(names, json_string(sources[i].name));
	(void)json_array_append_new(list, json_pack("{s:s, s:o, s:s, s:i}", "prefix",
						    prefix_format(prefix, text), "sources", names,
						    "origin", bypass_origin(&origin, words),
						    "ifindex", (int)bypass->ifindex));
}

static void visit_bypass4(const struct walk *walk, const void *key, const void *value)
{
	const struct sidestep_prefix4 *from = key;
	struct prefix prefix = {.address = {[10] = 0xff, [11] = 0xff},
				.length =
					(uint8_t)(96 + from->prefix_length - SIDESTEP_NETNS_BITS)};

	memcpy(prefix.address + 12, from->address, sizeof(from->address));
	add_bypass(walk->list, &prefix, value);
}

static void visit_bypass6(const struct walk *walk, const void *key, const void *value)
{
	const struct sidestep_prefix6 *from = key;
	struct prefix prefix = {.length = (uint8_t)(from->prefix_length - SIDESTEP_NETNS_BITS)};

	memcpy(prefix.address, from->address, sizeof(from->address));
	add_bypass(walk->list, &prefix, value);
}

/* Takes over the origins that the sidecar tells, with the names of networks and interfaces. A
 * sidecar with files of its own is not asked. */
static void name_origins(uint64_t netns, json_t *bypass)
{
	json_t *request = json_pack("{s:s}", "bypass", "list"), *answer = NULL, *entry, *told;
	size_t i, j;

	if (request && operator_ask_here(netns, request, &answer) == 0) {
		json_array_foreach (bypass, i, entry)
			json_array_foreach (json_object_get(answer, "entries"), j, told)
				if (json_equal(json_object_get(entry, "prefix"),
					       json_object_get(told, "prefix")))
					(void)json_object_set(entry, "origin",
							      json_object_get(told, "origin"));
		json_decref(answer);
	}
	json_decref(request);
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

/* The process's name is the application's choice, and may hold any bytes. */
static json_t *opener_json(const struct sidestep_process *opener)
{
	char comm[4 * sizeof(opener->comm) + 1], text[sizeof(opener->comm) + 1];

	if (opener->cookie == 0)
		return json_null();
	(void)snprintf(text, sizeof(text), "%.*s", (int)sizeof(opener->comm), opener->comm);
	return json_pack("{s:i, s:s, s:i, s:I}", "pid", (int)opener->pid, "comm",
			 escape_text(comm, sizeof(comm), text), "uid", (int)opener->uid,
			 "cgroup_id", (json_int_t)opener->cgroup);
}

static void visit_flow(const struct walk *walk, const void *key, const void *value)
{
	const struct sidestep_flow *flow = value;
	json_t *json = flow_json(key, flow->start);

	(void)json_object_set_new(json, "verdict", json_string(verdict_name(flow->verdict)));
	(void)json_object_set_new(json, "bytes_sent", json_integer((json_int_t)flow->bytes_sent));
	(void)json_object_set_new(json, "bytes_received",
				  json_integer((json_int_t)flow->bytes_received));
	(void)json_object_set_new(json, "process", opener_json(&flow->opener));
	(void)json_array_append_new(walk->list, json);
}

static void visit_inbound(const struct walk *walk, const void *key, const void *value)
{
	const struct sidestep_inbound *inbound = value;

	(void)json_array_append_new(walk->list, flow_json(key, inbound->start));
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

/* Adds the agent's attachments to a namespace. A sidecar's own programs are not pinned. */
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

/* Adds the pairs of devices where the outer guard of the namespace stands. */
static int read_outer(const char *directory, uint32_t netns, json_t *instance)
{
	_cleanup_close_ int fd = open_map(directory, "outer");
	json_t *devices = json_array();
	uint32_t key, next, *previous = NULL;
	struct sidestep_outer end;

	while (fd >= 0 && bpf_map_get_next_key(fd, previous, &next) == 0) {
		key = next;
		previous = &key;
		if (bpf_map_lookup_elem(fd, &key, &end) == 0 && end.netns == netns)
			(void)json_array_append_new(devices, json_pack("{s:i, s:i}", "host_ifindex",
								       (int)key, "ifindex",
								       (int)end.ifindex));
	}
	(void)json_object_set_new(instance, "devices", devices);
	return fd < 0 ? fd : 0;
}

/* The kernel takes a socket out of the map when its process ends. It shows no other trace of that,
 * because the process's number may be another namespace's. */
static bool has_process(const char *directory, uint32_t netns)
{
	_cleanup_close_ int fd = open_map(directory, "listeners");
	const struct sidestep_listener_key key = {.netns = netns & ~SIDESTEP_OUTER,
						  .listener = SIDESTEP_LISTENER_TCP4};
	uint64_t cookie;

	return fd >= 0 && bpf_map_lookup_elem(fd, &key, &cookie) == 0;
}

static const char *mode_name(uint32_t mode)
{
	return mode == SIDESTEP_MODE_BRIDGE  ? "bridge"
	       : mode == SIDESTEP_MODE_OUTER ? "outer guard"
					     : "sidecar";
}

/* Returns a new object (the caller's) for a namespace, or NULL, logged. */
static json_t *read_namespace(const char *directory, const struct sidestep_info *info,
			      uint32_t netns, const struct sidestep_namespace *namespace)
{
	json_t *bypass = json_array(), *flows = json_array(), *inbound = json_array();
	json_t *counters = json_object();
	_cleanup_json_ json_t *instance = json_pack(
		"{s:s, s:s, s:s, s:I, s:s, s:I, s:b, s:s, s:f, s:o, s:o, s:o, s:o}", "pin",
		directory, "version", info->version, "mode", mode_name(namespace->mode), "netns",
		(json_int_t)(netns & ~SIDESTEP_OUTER), "name", namespace->name, "pid",
		(json_int_t) namespace->pid, "running", has_process(directory, netns), "gateway",
		namespace->gateway, "age_seconds", age_seconds(namespace->start), "bypass", bypass,
		"flows", flows, "inbound", inbound, "counters", counters);

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
	if (namespace->mode == SIDESTEP_MODE_OUTER) {
		if (read_outer(directory, netns, instance) < 0)
			return NULL;
	} else {
		read_attached(directory, netns, instance);
		name_origins(run_socket_netns_of((pid_t) namespace->pid, netns), bypass);
	}
	return TAKE_PTR(instance);
}

int status_read_directory(const char *directory, json_t *instances)
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

int status_read_all(json_t *instances)
{
	DIR *directory = opendir(STATUS_PIN_ROOT);
	const struct dirent *entry;
	int error = 0;

	if (!directory)
		return errno == ENOENT ? 0 : log_errno(-errno, "cannot list %s", STATUS_PIN_ROOT);
	while ((entry = readdir(directory))) {
		char path[4096];

		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", STATUS_PIN_ROOT, entry->d_name);
		if (status_read_directory(path, instances) < 0)
			error = -EIO;
	}
	(void)closedir(directory);
	return error;
}
