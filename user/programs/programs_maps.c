// SPDX-License-Identifier: Apache-2.0
#include "programs/programs_maps.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "programs/counters.h"
#include "programs/programs_private.h"

/* A key of an LPM map, for either family. */
union lpm_key {
	struct sidestep_prefix4 prefix4;
	struct sidestep_prefix6 prefix6;
	struct sidestep_source_prefix4 source4;
	struct sidestep_source_prefix6 source6;
};

/* Fills @key. Returns the descriptor of the map for the prefix's family. */
static int lpm_key(const struct programs *programs, uint32_t netns, const struct prefix *prefix,
		   enum programs_map map4, enum programs_map map6, union lpm_key *key)
{
	if (address_is_ipv4(prefix->address) && prefix->length >= 96) {
		key->prefix4.prefix_length = SIDESTEP_NETNS_BITS + prefix->length - 96u;
		key->prefix4.netns = netns;
		memcpy(key->prefix4.address, prefix->address + 12, 4);
		return programs->maps[map4];
	}
	key->prefix6.prefix_length = SIDESTEP_NETNS_BITS + prefix->length;
	key->prefix6.netns = netns;
	memcpy(key->prefix6.address, prefix->address, 16);
	return programs->maps[map6];
}

static int lpm_set(const struct programs *programs, uint32_t netns, const struct prefix *prefix,
		   enum programs_map map4, enum programs_map map6, const void *value)
{
	union lpm_key key;
	int fd = lpm_key(programs, netns, prefix, map4, map6, &key);

	return bpf_map_update_elem(fd, &key, value, BPF_ANY);
}

static int lpm_remove(const struct programs *programs, uint32_t netns, const struct prefix *prefix,
		      enum programs_map map4, enum programs_map map6)
{
	union lpm_key key;
	int fd = lpm_key(programs, netns, prefix, map4, map6, &key);
	int error = bpf_map_delete_elem(fd, &key);

	return error == -ENOENT ? 0 : error;
}

int programs_namespace_set(const struct programs *programs, uint32_t netns,
			   const struct sidestep_namespace *value)
{
	int error = counters_prepare(programs->maps[MAP_COUNTERS], netns);

	if (error < 0)
		return error;
	return bpf_map_update_elem(programs->maps[MAP_NAMESPACES], &netns, value, BPF_ANY);
}

/*
 * Deletes a namespace's entries from an LPM map, whose keys have @key_size bytes and the namespace
 * at
 * @offset. A walk of the map visits longer prefixes before the prefix that contains them, and 0
 * before 1 (trie_get_next_key(), kernel/bpf/lpm_trie.c). So @first, the namespace's lowest address
 * at full length, comes right before its other entries, and the walk skips all other namespaces.
 * The walk must not continue from a deleted key.
 */
static void remove_entries(int fd, const void *first, size_t key_size, size_t offset)
{
	static const union {
		struct sidestep_bypass bypass;
		struct sidestep_route route;
	} value;
	uint8_t kept[sizeof(union lpm_key)], next[sizeof(union lpm_key)];
	/* If the map is full, the walk visits all of it. */
	bool anchored = bpf_map_update_elem(fd, first, &value, BPF_ANY) == 0;
	const void *previous = anchored ? first : NULL;

	while (bpf_map_get_next_key(fd, previous, next) == 0) {
		bool own = memcmp(next + offset, (const uint8_t *)first + offset,
				  sizeof(uint32_t)) == 0;

		if (own && bpf_map_delete_elem(fd, next) == 0)
			continue;
		if (anchored)
			break;
		memcpy(kept, next, key_size);
		previous = kept;
	}
	if (anchored)
		(void)bpf_map_delete_elem(fd, first);
}

/* Deletes a namespace's flows. A hash has no order, so this visits the whole map. */
static void remove_flows(int fd, uint32_t netns)
{
	struct sidestep_flow_key kept, next, *previous = NULL;

	while (bpf_map_get_next_key(fd, previous, &next) == 0) {
		if (next.netns == netns && bpf_map_delete_elem(fd, &next) == 0)
			continue;
		kept = next;
		previous = &kept;
	}
}

void programs_namespace_remove(const struct programs *programs, uint32_t netns)
{
	static const enum programs_map maps4[] = {MAP_BYPASS4, MAP_ROUTE4};
	static const enum programs_map maps6[] = {MAP_BYPASS6, MAP_ROUTE6};
	const struct sidestep_prefix4 first4 = {SIDESTEP_NETNS_BITS + 32, netns, {0}};
	const struct sidestep_prefix6 first6 = {SIDESTEP_NETNS_BITS + 128, netns, {0}};
	const struct sidestep_source_prefix4 source4 = {
		SIDESTEP_SOURCE4_BITS + 32, netns, {0}, {0}};
	const struct sidestep_source_prefix6 source6 = {
		SIDESTEP_SOURCE6_BITS + 128, netns, {0}, {0}};
	struct sidestep_listener_key listener = {.netns = netns};
	size_t i;

	for (listener.listener = 0; listener.listener < SIDESTEP_LISTENERS; listener.listener++)
		(void)bpf_map_delete_elem(programs->maps[MAP_LISTENERS], &listener);
	for (i = 0; i < 2; i++) {
		remove_entries(programs->maps[maps4[i]], &first4, sizeof(first4),
			       offsetof(struct sidestep_prefix4, netns));
		remove_entries(programs->maps[maps6[i]], &first6, sizeof(first6),
			       offsetof(struct sidestep_prefix6, netns));
	}
	remove_entries(programs->maps[MAP_SOURCE_ROUTE4], &source4, sizeof(source4),
		       offsetof(struct sidestep_source_prefix4, netns));
	remove_entries(programs->maps[MAP_SOURCE_ROUTE6], &source6, sizeof(source6),
		       offsetof(struct sidestep_source_prefix6, netns));
	programs_bypass_changed(programs);
	remove_flows(programs->maps[MAP_FLOWS], netns);
	(void)bpf_map_delete_elem(programs->maps[MAP_NAMESPACES], &netns);
	counters_remove(programs->maps[MAP_COUNTERS], netns);
}

int programs_outer_set(const struct programs *programs, uint32_t ifindex,
		       const struct sidestep_outer *value)
{
	return bpf_map_update_elem(programs->maps[MAP_OUTER], &ifindex, value, BPF_ANY);
}

void programs_outer_remove(const struct programs *programs, uint32_t ifindex)
{
	(void)bpf_map_delete_elem(programs->maps[MAP_OUTER], &ifindex);
}

int programs_listener_set(const struct programs *programs, uint32_t netns,
			  enum sidestep_listener slot, int fd)
{
	struct sidestep_listener_key key = {.netns = netns, .listener = slot};
	uint64_t value = (uint64_t)fd;

	return bpf_map_update_elem(programs->maps[MAP_LISTENERS], &key, &value, BPF_ANY);
}

int programs_bypass_set(const struct programs *programs, uint32_t netns,
			const struct prefix *prefix, const struct sidestep_bypass *value)
{
	int error = lpm_set(programs, netns, prefix, MAP_BYPASS4, MAP_BYPASS6, value);

	programs_bypass_changed(programs);
	return error;
}

int programs_bypass_remove(const struct programs *programs, uint32_t netns,
			   const struct prefix *prefix)
{
	int error = lpm_remove(programs, netns, prefix, MAP_BYPASS4, MAP_BYPASS6);

	programs_bypass_changed(programs);
	return error;
}

static struct prefix prefix_of_key(const union lpm_key *key, bool ipv4)
{
	struct prefix prefix = {.address = {[10] = 0xff, [11] = 0xff}};

	if (ipv4) {
		prefix.length = (uint8_t)(key->prefix4.prefix_length - SIDESTEP_NETNS_BITS + 96);
		memcpy(prefix.address + 12, key->prefix4.address, sizeof(key->prefix4.address));
	} else {
		prefix.length = (uint8_t)(key->prefix6.prefix_length - SIDESTEP_NETNS_BITS);
		memcpy(prefix.address, key->prefix6.address, sizeof(key->prefix6.address));
	}
	return prefix;
}

void programs_bypass_each(const struct programs *programs, uint32_t netns,
			  void (*visit)(void *context, const struct prefix *prefix,
					const struct sidestep_bypass *value),
			  void *context)
{
	/* The lowest address of each family, as in remove_entries(). */
	const union lpm_key first[] = {
		{.prefix4 = {SIDESTEP_NETNS_BITS + 32, netns, {0}}},
		{.prefix6 = {SIDESTEP_NETNS_BITS + 128, netns, {0}}},
	};
	static const struct sidestep_bypass nothing;
	int i;

	for (i = 0; i < 2; i++) {
		int fd = programs->maps[i == 0 ? MAP_BYPASS4 : MAP_BYPASS6];
		bool anchored = bpf_map_update_elem(fd, &first[i], &nothing, BPF_NOEXIST) == 0;
		union lpm_key key = first[i], next;
		struct sidestep_bypass value;

		do {
			struct prefix prefix = prefix_of_key(&key, i == 0);

			if (bpf_map_lookup_elem(fd, &key, &value) == 0 && value.sources)
				visit(context, &prefix, &value);
			/* The namespace is at the same place in both keys. */
			if (bpf_map_get_next_key(fd, &key, &next) < 0 ||
			    next.prefix4.netns != netns)
				break;
			key = next;
		} while (true);
		if (anchored)
			(void)bpf_map_delete_elem(fd, &first[i]);
	}
}

/* Fills the key of a route for packets from @source. Returns the descriptor of the map. */
static int source_key(const struct programs *programs, uint32_t netns, const uint8_t source[16],
		      const struct prefix *prefix, union lpm_key *key)
{
	if (address_is_ipv4(prefix->address) && prefix->length >= 96) {
		key->source4.prefix_length = SIDESTEP_SOURCE4_BITS + prefix->length - 96u;
		key->source4.netns = netns;
		memcpy(key->source4.source, source + 12, 4);
		memcpy(key->source4.address, prefix->address + 12, 4);
		return programs->maps[MAP_SOURCE_ROUTE4];
	}
	key->source6.prefix_length = SIDESTEP_SOURCE6_BITS + prefix->length;
	key->source6.netns = netns;
	memcpy(key->source6.source, source, 16);
	memcpy(key->source6.address, prefix->address, 16);
	return programs->maps[MAP_SOURCE_ROUTE6];
}

static int route_key(const struct programs *programs, uint32_t netns, const uint8_t source[16],
		     const struct prefix *prefix, union lpm_key *key)
{
	static const uint8_t any[16];

	return memcmp(source, any, sizeof(any)) == 0
		       ? lpm_key(programs, netns, prefix, MAP_ROUTE4, MAP_ROUTE6, key)
		       : source_key(programs, netns, source, prefix, key);
}

int programs_route_set(const struct programs *programs, uint32_t netns, const uint8_t source[16],
		       const struct prefix *prefix, const struct sidestep_route *value)
{
	struct sidestep_route route = *value;
	union lpm_key key;
	int fd = route_key(programs, netns, source, prefix, &key);

	/* The programs read an IPv4 gateway from the first 4 bytes. */
	if (route.has_gateway && address_is_ipv4(value->gateway)) {
		memset(route.gateway, 0, sizeof(route.gateway));
		memcpy(route.gateway, value->gateway + 12, 4);
	}
	return bpf_map_update_elem(fd, &key, &route, BPF_ANY);
}

int programs_route_remove(const struct programs *programs, uint32_t netns, const uint8_t source[16],
			  const struct prefix *prefix)
{
	union lpm_key key;
	int fd = route_key(programs, netns, source, prefix, &key);
	int error = bpf_map_delete_elem(fd, &key);

	return error == -ENOENT ? 0 : error;
}

int programs_route_get(const struct programs *programs, uint32_t netns, const uint8_t *source,
		       const uint8_t destination[16], struct sidestep_route *ret_route)
{
	struct prefix prefix = {.length = 128};
	union lpm_key key;
	int fd;

	memcpy(prefix.address, destination, sizeof(prefix.address));
	fd = source ? source_key(programs, netns, source, &prefix, &key)
		    : lpm_key(programs, netns, &prefix, MAP_ROUTE4, MAP_ROUTE6, &key);
	return bpf_map_lookup_elem(fd, &key, ret_route);
}

int programs_inbound_add(const struct programs *programs, uint32_t netns,
			 const struct sidestep_flow_key *key)
{
	struct sidestep_flow_key own = *key;
	struct sidestep_inbound value = {0};

	own.netns = netns;
	return bpf_map_update_elem(programs->maps[MAP_INBOUND], &own, &value, BPF_ANY);
}

/* IPv6 sockets have IPv4's options too. Others, such as Unix sockets, have neither. */
static bool is_transparent(int fd)
{
	int transparent = 0;
	socklen_t size = sizeof(transparent);

	return getsockopt(fd, IPPROTO_IP, IP_TRANSPARENT, &transparent, &size) == 0 && transparent;
}

int programs_own_socket(const struct programs *programs, int fd, bool dials)
{
	const struct sidestep_owner_value value = {
		.owner = !dials && is_transparent(fd) ? SIDESTEP_OWNER_ANSWERS
						      : SIDESTEP_OWNER_PROXY,
	};

	return bpf_map_update_elem(programs->maps[MAP_OWNERS], &fd, &value, BPF_ANY);
}

void programs_flow_update(const struct programs *programs, uint32_t netns,
			  const struct sidestep_flow_key *key, const struct sidestep_flow *value)
{
	struct sidestep_flow_key own = *key;

	own.netns = netns;
	/* If the map is full, the flow is not listed. */
	(void)bpf_map_update_elem(programs->maps[MAP_FLOWS], &own, value, BPF_ANY);
}

void programs_flow_remove(const struct programs *programs, uint32_t netns,
			  const struct sidestep_flow_key *key)
{
	struct sidestep_flow_key own = *key;

	own.netns = netns;
	(void)bpf_map_delete_elem(programs->maps[MAP_FLOWS], &own);
}

/* Programs write the slot at any time, so only a whole copy of it counts. */
static int read_slot(const struct sidestep_opener *slot, const struct sidestep_flow_key *key,
		     struct sidestep_process *ret_opener)
{
	struct sidestep_opener copy = *slot;

	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (copy.check != sidestep_opener_check(&copy.process, &copy.flow) ||
	    memcmp(&copy.flow, key, sizeof(*key)) != 0)
		return -ENOENT;
	*ret_opener = copy.process;
	return 0;
}

int programs_opener_find(const struct programs *programs, uint32_t netns,
			 const struct sidestep_flow_key *key, struct sidestep_process *ret_opener)
{
	struct sidestep_flow_key own = *key;

	own.netns = netns;
	if (programs->openers)
		return read_slot(&programs->openers[sidestep_opener_slot(own.local_port)], &own,
				 ret_opener);
	return bpf_map_lookup_elem(programs->maps[MAP_OPENERS], &own, ret_opener);
}
