// SPDX-License-Identifier: Apache-2.0
#include "datapath/datapath_nft_bypass.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int compare(const struct prefix *a, const struct prefix *b)
{
	int order = memcmp(a->address, b->address, sizeof(a->address));

	return order ? order : (int)a->length - (int)b->length;
}

/* The index of @prefix, or the one at which it belongs. */
static size_t position(const struct nft_bypass_list *list, const struct prefix *prefix)
{
	size_t low = 0, high = list->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare(&list->items[middle].prefix, prefix) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int nft_bypass_set(struct nft_bypass_list *list, const struct prefix *prefix, uint32_t sources)
{
	size_t at = position(list, prefix);

	if (at < list->count && prefix_equal(&list->items[at].prefix, prefix)) {
		list->items[at].sources = sources;
		return 0;
	}
	if (list->count == (size_t)2 * SIDESTEP_MAX_BYPASS)
		return -ENOSPC;
	if (list->count == list->room) {
		size_t room = list->room ? 2 * list->room : 64;
		void *items = reallocarray(list->items, room, sizeof(*list->items));

		if (!items)
			return -ENOMEM;
		list->items = items;
		list->room = room;
	}
	memmove(&list->items[at + 1], &list->items[at], (list->count - at) * sizeof(*list->items));
	list->items[at] = (struct nft_bypass) {.prefix = *prefix, .sources = sources};
	list->count++;
	return 0;
}

void nft_bypass_remove(struct nft_bypass_list *list, const struct prefix *prefix)
{
	size_t at = position(list, prefix);

	if (at == list->count || !prefix_equal(&list->items[at].prefix, prefix))
		return;
	list->count--;
	memmove(&list->items[at], &list->items[at + 1], (list->count - at) * sizeof(*list->items));
}

bool nft_bypass_has(const struct nft_bypass_list *list, const uint8_t address[16])
{
	size_t i;

	for (i = 0; i < list->count; i++)
		if (prefix_contains(&list->items[i].prefix, address))
			return true;
	return false;
}

const struct prefix *nft_bypass_next(const struct nft_bypass_list *list, bool ipv4,
				     uint32_t sources, const struct prefix *previous, size_t *index)
{
	while (*index < list->count) {
		const struct nft_bypass *item = &list->items[(*index)++];

		if (!(item->sources & sources) || address_is_ipv4(item->prefix.address) != ipv4)
			continue;
		/* Sorted, and prefixes overlap only where one contains the other. */
		if (!previous || !prefix_contains(previous, item->prefix.address))
			return &item->prefix;
	}
	return NULL;
}
