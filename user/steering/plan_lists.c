// SPDX-License-Identifier: Apache-2.0
#include "steering/plan_lists.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <linux/fib_rules.h>

#include "net/netlink_link.h"
#include "net/netlink_route.h"

static int compare_numbers(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int compare_prefixes(const struct prefix *a, const struct prefix *b)
{
	int order = memcmp(a->address, b->address, sizeof(a->address));

	return order ? order : compare_numbers(a->length, b->length);
}

static int compare_bypass_key(const void *a, const void *b)
{
	const struct plan_bypass *left = a, *right = b;

	return compare_prefixes(&left->prefix, &right->prefix);
}

static int compare_bypass(const void *a, const void *b)
{
	const struct plan_bypass *left = a, *right = b;
	int order = compare_bypass_key(a, b);

	if (order == 0)
		order = compare_numbers(left->value.sources, right->value.sources);
	return order ? order : compare_numbers(left->value.ifindex, right->value.ifindex);
}

static int compare_egress_key(const void *a, const void *b)
{
	const struct plan_route *left = a, *right = b;

	int order = memcmp(left->source, right->source, sizeof(left->source));

	return order ? order : compare_prefixes(&left->prefix, &right->prefix);
}

static int compare_egress(const void *a, const void *b)
{
	const struct plan_route *left = a, *right = b;
	int order = compare_egress_key(a, b);

	return order ? order : memcmp(&left->value, &right->value, sizeof(left->value));
}

static int compare_route_key(const void *a, const void *b)
{
	const struct netlink_route *left = a, *right = b;
	int order = compare_numbers(left->table, right->table);

	if (order == 0)
		order = compare_prefixes(&left->destination, &right->destination);
	return order ? order : compare_numbers(left->metric, right->metric);
}

static int compare_route(const void *a, const void *b)
{
	const struct netlink_route *left = a, *right = b;
	int order = compare_route_key(a, b);

	if (order == 0)
		order = compare_numbers(left->ifindex, right->ifindex);
	if (order == 0)
		order = compare_numbers(left->type, right->type);
	if (order == 0)
		order = compare_numbers(left->mtu, right->mtu);
	if (order == 0)
		order = compare_numbers(left->has_source, right->has_source);
	return order ? order : memcmp(left->source, right->source, sizeof(left->source));
}

static int compare_rule(const void *a, const void *b)
{
	const struct netlink_rule *left = a, *right = b;
	int order = compare_numbers((uint64_t)left->family, (uint64_t)right->family);

	/* A rule must be there before another one goes to it. */
	if (order == 0)
		order = compare_numbers(left->action != FR_ACT_NOP, right->action != FR_ACT_NOP);
	if (order == 0)
		order = compare_numbers(left->priority, right->priority);
	if (order == 0)
		order = compare_numbers(left->action, right->action);
	if (order == 0)
		order = compare_numbers(left->target, right->target);
	if (order == 0)
		order = compare_prefixes(&left->destination, &right->destination);
	if (order == 0)
		order = compare_numbers(left->has_destination, right->has_destination);
	if (order == 0)
		order = strcmp(left->output_name, right->output_name);
	if (order == 0)
		order = strcmp(left->input_name, right->input_name);
	if (order == 0)
		order = compare_numbers(left->least_bits, right->least_bits);
	if (order == 0)
		order = compare_numbers(left->mark, right->mark);
	if (order == 0)
		order = compare_numbers(left->ip_protocol, right->ip_protocol);
	if (order == 0)
		order = compare_numbers(left->port, right->port);
	return order ? order : compare_numbers(left->table, right->table);
}

static int compare_device_key(const void *a, const void *b)
{
	const struct plan_device *left = a, *right = b;

	return compare_numbers(left->ifindex, right->ifindex);
}

static int compare_device(const void *a, const void *b)
{
	const struct plan_device *left = a, *right = b;
	int order = compare_device_key(a, b);

	return order ? order : compare_numbers(left->kind, right->kind);
}

/* Each order sorts by the key first, so that a sorted list can be searched by key, too. */
static const struct {
	size_t size; /* of an item, bytes */
	int (*compare)(const void *, const void *);
	int (*compare_key)(const void *, const void *);
} layers[PLAN_LAYERS] = {
	[PLAN_BYPASS] = {sizeof(struct plan_bypass), compare_bypass, compare_bypass_key},
	[PLAN_EGRESS] = {sizeof(struct plan_route), compare_egress, compare_egress_key},
	[PLAN_DEVICE] = {sizeof(struct plan_device), compare_device, compare_device_key},
	[PLAN_ROUTE] = {sizeof(struct netlink_route), compare_route, compare_route_key},
	[PLAN_RULE] = {sizeof(struct netlink_rule), compare_rule, compare_rule},
};

int plan_reserve(struct plan *plan, enum plan_layer layer, size_t count)
{
	plan_release_layer(plan, layer);
	plan->lists[layer].items = calloc(count + 1, layers[layer].size);
	return plan->lists[layer].items ? 0 : -ENOMEM;
}

void *plan_append(struct plan *plan, enum plan_layer layer)
{
	struct plan_list *list = &plan->lists[layer];

	return (char *)list->items + list->count++ * layers[layer].size;
}

void plan_tidy(struct plan *plan, enum plan_layer layer)
{
	struct plan_list *list = &plan->lists[layer];
	size_t size = layers[layer].size, i;
	char *last = list->items;

	if (list->count == 0)
		return;
	qsort(list->items, list->count, size, layers[layer].compare);
	for (i = 1; i < list->count; i++) {
		const char *item = (const char *)list->items + i * size;

		if (layers[layer].compare(last, item) == 0)
			continue;
		last += size;
		if (last != item)
			memcpy(last, item, size);
	}
	list->count = (size_t)(last - (const char *)list->items) / size + 1;
}

int plan_merge(struct plan *plan, const struct plan *from, enum plan_layer layer)
{
	const struct plan_list *more = &from->lists[layer];
	struct plan_list *list = &plan->lists[layer];
	size_t size = layers[layer].size;
	void *items;

	if (more->count == 0)
		return 0;
	items = reallocarray(list->items, list->count + more->count, size);
	if (!items)
		return -ENOMEM;
	memcpy((char *)items + list->count * size, more->items, more->count * size);
	list->items = items;
	list->count += more->count;
	plan_tidy(plan, layer);
	return 0;
}

void plan_keep_since(struct plan *plan, const struct plan *from, uint64_t now)
{
	const struct plan_list *list = &plan->lists[PLAN_BYPASS];
	const struct plan_list *before = from ? &from->lists[PLAN_BYPASS] : NULL;
	struct plan_bypass *items = list->items;
	size_t i;

	for (i = 0; i < list->count; i++) {
		const struct plan_bypass *old = before && before->count
							? bsearch(&items[i], before->items,
								  before->count, sizeof(*old),
								  compare_bypass_key)
							: NULL;

		if (items[i].since == 0)
			items[i].since = old ? old->since : from ? 0 : now;
	}
}

void plan_release_layer(struct plan *plan, enum plan_layer layer)
{
	free(plan->lists[layer].items);
	plan->lists[layer] = (struct plan_list) {0};
}

void plan_release(struct plan *plan)
{
	int layer;

	for (layer = 0; layer < PLAN_LAYERS; layer++)
		plan_release_layer(plan, layer);
}

static struct plan_difference difference(const struct plan_list *in, const struct plan_list *not_in,
					 enum plan_layer layer,
					 int (*compare)(const void *, const void *))
{
	return (struct plan_difference) {
		.item = in->items,
		.left = in->count,
		.other = not_in->items,
		.other_left = not_in->count,
		.size = layers[layer].size,
		.compare = compare,
	};
}

struct plan_difference plan_added(const struct plan *wanted, const struct plan *applied,
				  enum plan_layer layer)
{
	return difference(&wanted->lists[layer], &applied->lists[layer], layer,
			  layers[layer].compare);
}

struct plan_difference plan_removed(const struct plan *applied, const struct plan *wanted,
				    enum plan_layer layer)
{
	return difference(&applied->lists[layer], &wanted->lists[layer], layer,
			  layers[layer].compare_key);
}

const void *plan_next(struct plan_difference *difference)
{
	while (difference->left > 0) {
		int order = difference->other_left > 0
				    ? difference->compare(difference->item, difference->other)
				    : -1;
		const void *item = difference->item;

		if (order > 0) {
			difference->other += difference->size;
			difference->other_left--;
			continue;
		}
		difference->item += difference->size;
		difference->left--;
		if (order < 0)
			return item;
	}
	return NULL;
}
