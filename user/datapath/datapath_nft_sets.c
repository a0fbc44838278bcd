// SPDX-License-Identifier: Apache-2.0
#include "datapath/datapath_nft_sets.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <linux/netfilter/nf_tables.h>

#include "lib/util.h"

/* Offset of an IPv4 address in an address of 16 bytes (lib/address.h), bytes. */
#define IPV4_AT 12

/* Two elements for each prefix, and two more. */
#define BYPASS_SIZE (2 * SIDESTEP_MAX_BYPASS + 2)

#define INBOUND_COMMENT "TCP from outside, older than this table: own end, far end"

static const struct nft_set inbound_sets[] = {
	{.name = "inbound4",
	 .comment = INBOUND_COMMENT,
	 .type = NFT_KEY_CONCAT(NFT_KEY_CONCAT(NFT_KEY_CONCAT(NFT_KEY_IPV4, NFT_KEY_PORT),
					       NFT_KEY_IPV4),
				NFT_KEY_PORT),
	 .length = 16,
	 .size = SIDESTEP_MAX_INBOUND},
	{.name = "inbound6",
	 .comment = INBOUND_COMMENT,
	 .type = NFT_KEY_CONCAT(NFT_KEY_CONCAT(NFT_KEY_CONCAT(NFT_KEY_IPV6, NFT_KEY_PORT),
					       NFT_KEY_IPV6),
				NFT_KEY_PORT),
	 .length = 40,
	 .size = SIDESTEP_MAX_INBOUND},
};

static const struct nft_set own_set = {
	.name = "own",
	.comment = "ports that the proxy holds",
	.type = NFT_KEY_CONCAT(NFT_KEY_PROTOCOL, NFT_KEY_PORT),
	.length = 8,
	.flags = NFT_SET_TIMEOUT,
	.size = NFT_OWN_MAX,
};

static const struct nft_set inner_set = {
	.name = "inner",
	.comment = "devices that lead to containers inside",
	.type = NFT_KEY_DEVICE,
	.length = 4,
	.order = NFT_ORDER_HOST,
	.size = NFT_DEVICES_MAX,
};

/* The bypass sets. Each has the prefixes with one of its sources. */
static const struct {
	const char *names[2]; /* IPv6, IPv4 */
	const char *comment;
	uint32_t sources;
} bypass_sets[] = {
	{{"local6", "local4"}, "addresses of this namespace", SIDESTEP_FROM_LOCAL},
	{{"link6", "link4"}, "never leaves the link", SIDESTEP_FROM_BUILTIN},
	{{"bypass6", "bypass4"}, "subnets to step aside for", UINT32_MAX},
	{{"except6", "except4"},
	 "of them, those with DNS steered all the same",
	 SIDESTEP_EXCEPT_DNS},
};

void nft_sets_add_bypass(const struct nft_table *table)
{
	size_t i;
	int ipv4;

	for (i = 0; i < ARRAY_SIZE(bypass_sets); i++)
		for (ipv4 = 1; ipv4 >= 0; ipv4--)
			nft_set_add(table, &(const struct nft_set) {
						   .name = bypass_sets[i].names[ipv4],
						   .comment = bypass_sets[i].comment,
						   .type = ipv4 ? NFT_KEY_IPV4 : NFT_KEY_IPV6,
						   .length = ipv4 ? 4 : 16,
						   .order = NFT_ORDER_NETWORK,
						   .flags = NFT_SET_INTERVAL,
						   .size = BYPASS_SIZE,
					   });
}

void nft_sets_add_connections(const struct nft_table *table)
{
	nft_set_add(table, &inbound_sets[0]);
	nft_set_add(table, &inbound_sets[1]);
	nft_set_add(table, &own_set);
}

void nft_sets_add_inner(const struct nft_table *table)
{
	nft_set_add(table, &inner_set);
}

void nft_sets_put_inner(const struct nft_table *table, const struct nft_devices *devices,
			bool flush)
{
	struct nft_elements elements = {
		.table = table,
		.set = inner_set.name,
		.type = NFT_MSG_NEWSETELEM,
	};
	size_t i;

	if (flush)
		nft_set_flush(table, inner_set.name);
	for (i = 0; i < devices->count; i++) {
		const struct nft_device *device = &devices->items[i];

		if (device->inner)
			nft_elements_put(&elements,
					 &(const struct nft_element) {
						 .key = (const uint8_t *)&device->ifindex,
						 .length = sizeof(device->ifindex)});
	}
	nft_elements_end(&elements);
}

/* Computes the first address behind the prefix. Returns false where there is none. */
static bool address_behind(const struct prefix *prefix, uint8_t ret_address[16])
{
	int first = address_is_ipv4(prefix->address) ? IPV4_AT : 0, at;
	unsigned int carry;

	memcpy(ret_address, prefix->address, 16);
	if (prefix->length <= (unsigned int)first * 8)
		return false; /* all addresses */
	at = (prefix->length - 1) / 8;
	carry = 1u << (7 - (prefix->length - 1) % 8);
	for (; at >= first && carry; at--) {
		carry += ret_address[at];
		ret_address[at] = (uint8_t)carry;
		carry >>= 8;
	}
	return carry == 0;
}

static void put_prefix(struct nft_elements *elements, const struct prefix *prefix)
{
	int at = address_is_ipv4(prefix->address) ? IPV4_AT : 0;
	struct nft_element element = {.key = prefix->address + at, .length = 16 - (uint32_t)at};
	uint8_t behind[16];

	element.interval_open = !address_behind(prefix, behind);
	nft_elements_put(elements, &element);
	if (element.interval_open)
		return;
	element.key = behind + at;
	element.interval_end = true;
	nft_elements_put(elements, &element);
}

static void put_prefixes(const struct nft_table *table, const struct nft_bypass_list *list,
			 const char *name, bool ipv4, uint32_t sources)
{
	struct nft_elements elements = {
		.table = table,
		.set = name,
		.type = NFT_MSG_NEWSETELEM,
	};
	const struct prefix *prefix = NULL;
	size_t index = 0;

	for (;;) {
		prefix = nft_bypass_next(list, ipv4, sources, prefix, &index);
		if (!prefix)
			break;
		put_prefix(&elements, prefix);
	}
	nft_elements_end(&elements);
}

void nft_sets_put_bypass(const struct nft_table *table, const struct nft_bypass_list *list,
			 bool flush)
{
	size_t i;
	int ipv4;

	for (i = 0; i < ARRAY_SIZE(bypass_sets); i++)
		for (ipv4 = 0; ipv4 < 2; ipv4++) {
			const char *name = bypass_sets[i].names[ipv4];

			if (flush)
				nft_set_flush(table, name);
			put_prefixes(table, list, name, ipv4, bypass_sets[i].sources);
		}
}

/* Appends a port to a key: two bytes in network byte order, and two of padding. */
static uint8_t *put_port(uint8_t *key, uint16_t port)
{
	key[0] = (uint8_t)(port >> 8);
	key[1] = (uint8_t)port;
	key[2] = key[3] = 0;
	return key + 4;
}

static uint8_t *put_address(uint8_t *key, const uint8_t address[16], bool ipv4)
{
	size_t length = ipv4 ? 4 : 16;

	memcpy(key, address + 16 - length, length);
	return key + length;
}

static void put_inbound(struct nft_elements *elements, const struct sidestep_flow_key *key,
			bool ipv4)
{
	uint8_t data[40], *end = data;

	end = put_address(end, key->local_address, ipv4);
	end = put_port(end, key->local_port);
	end = put_address(end, key->remote_address, ipv4);
	end = put_port(end, key->remote_port);
	nft_elements_put(elements, &(const struct nft_element) {
					   .key = data,
					   .length = (uint32_t)(end - data),
				   });
}

void nft_sets_put_inbound(const struct nft_table *table, const struct sidestep_flow_key *keys,
			  size_t first, size_t end)
{
	int ipv4;
	size_t i;

	for (ipv4 = 0; ipv4 < 2; ipv4++) {
		struct nft_elements elements = {
			.table = table,
			.set = inbound_sets[!ipv4].name,
			.type = NFT_MSG_NEWSETELEM,
		};

		for (i = first; i < end; i++)
			if (address_is_ipv4(keys[i].local_address) == ipv4)
				put_inbound(&elements, &keys[i], ipv4);
		nft_elements_end(&elements);
	}
}

/* Adds or deletes ports, in one message if they fit. */
static void put_own(const struct nft_table *table, uint16_t type, const struct nft_own *own,
		    size_t count, unsigned int timeout_s)
{
	struct nft_elements elements = {.table = table, .set = own_set.name, .type = type};
	size_t i;

	for (i = 0; i < count; i++) {
		uint8_t key[8] = {own[i].protocol};

		(void)put_port(key + 4, own[i].port);
		nft_elements_put(&elements, &(const struct nft_element) {
						    .key = key,
						    .length = sizeof(key),
						    .timeout_ms = 1000ull * timeout_s,
					    });
	}
	nft_elements_end(&elements);
}

void nft_sets_put_own(const struct nft_table *table, const struct nft_own *own, size_t count)
{
	put_own(table, NFT_MSG_NEWSETELEM, own, count, 0);
}

void nft_sets_renew_own(const struct nft_table *table, const struct nft_own *own,
			unsigned int timeout_s)
{
	/* Adding an element again does not renew its timeout, and deleting a missing one fails. */
	put_own(table, NFT_MSG_NEWSETELEM, own, 1, 0);
	put_own(table, NFT_MSG_DELSETELEM, own, 1, 0);
	put_own(table, NFT_MSG_NEWSETELEM, own, 1, timeout_s);
}
