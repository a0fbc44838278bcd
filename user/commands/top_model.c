// SPDX-License-Identifier: Apache-2.0
#include "commands/top_model.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util.h"

#define BUCKETS	     8192
#define VERDICTS_MAX 2000

struct top_table {
	struct top_row rows[TOP_ROWS_MAX];
	size_t count;
};

struct top_model {
	struct top_table tables[TOP_GROUPS];
	struct top_flow flows[TOP_FLOWS_MAX];
	size_t flow_count;
	unsigned int buckets[BUCKETS]; /* index of the first flow, plus 1 */
	struct top_verdict verdicts[VERDICTS_MAX];
	size_t verdict_count;
	const struct top_row *sorted[TOP_ROWS_MAX];
	uint64_t round, order, lost;
	uint64_t tick_ms; /* 0: none yet */
};

struct top_model *top_model_new(void)
{
	struct top_model *model = calloc(1, sizeof(*model));

	if (model)
		model->round = 1;
	return model;
}

void top_model_free(struct top_model *model)
{
	free(model);
}

static void copy(char *to, size_t size, const char *from)
{
	(void)snprintf(to, size, "%s", from);
}

/* Returns the row of that name, which is added if it is new. */
static struct top_row *row_of(struct top_model *model, enum top_group group, const char *name)
{
	struct top_table *table = &model->tables[group];
	struct top_row *oldest = &table->rows[0];
	size_t i;

	for (i = 0; i < table->count; i++) {
		struct top_row *row = &table->rows[i];

		if (strncmp(row->name, name, sizeof(row->name) - 1) == 0) {
			row->used = model->round;
			return row;
		}
		if (row->used < oldest->used)
			oldest = row;
	}
	if (table->count < TOP_ROWS_MAX)
		oldest = &table->rows[table->count++];
	*oldest = (struct top_row) {.used = model->round};
	copy(oldest->name, sizeof(oldest->name), name);
	return oldest;
}

/* FNV-1a over both endpoints (http://www.isthe.com/chongo/tech/comp/fnv/). */
static unsigned int bucket_of(const char *source, const char *destination)
{
	uint32_t hash = 2166136261u;

	for (; *source; source++)
		hash = (hash ^ (unsigned char)*source) * 16777619u;
	for (; *destination; destination++)
		hash = (hash ^ (unsigned char)*destination) * 16777619u;
	return hash % BUCKETS;
}

/* Takes a flow out of its bucket. */
static void unlink_flow(struct top_model *model, size_t index)
{
	struct top_flow *flow = &model->flows[index];
	unsigned int *link = &model->buckets[bucket_of(flow->source, flow->destination)];

	while (*link && *link != index + 1)
		link = &model->flows[*link - 1].next;
	if (*link)
		*link = flow->next;
}

/* Returns the open flow between the two, or NULL. */
static struct top_flow *find_flow(struct top_model *model, const char *source,
				  const char *destination)
{
	unsigned int at = model->buckets[bucket_of(source, destination)];

	for (; at; at = model->flows[at - 1].next) {
		struct top_flow *flow = &model->flows[at - 1];

		if (!flow->end[0] && strcmp(flow->source, source) == 0 &&
		    strcmp(flow->destination, destination) == 0)
			return flow;
	}
	return NULL;
}

/* Returns a new flow. At the limit the oldest one that has ended gives way, or else the oldest. */
static struct top_flow *add_flow(struct top_model *model, const char *source,
				 const char *destination)
{
	size_t index = model->flow_count, i;
	struct top_flow *flow;
	unsigned int *bucket;

	if (model->flow_count < TOP_FLOWS_MAX) {
		model->flow_count++;
	} else {
		for (index = 0, i = 1; i < TOP_FLOWS_MAX; i++) {
			const struct top_flow *a = &model->flows[i], *b = &model->flows[index];
			bool a_over = a->end[0], b_over = b->end[0];

			if (a_over != b_over ? a_over : a->order < b->order)
				index = i;
		}
		unlink_flow(model, index);
	}
	flow = &model->flows[index];
	*flow = (struct top_flow) {.seen = model->round, .order = ++model->order};
	copy(flow->source, sizeof(flow->source), source);
	copy(flow->destination, sizeof(flow->destination), destination);
	bucket = &model->buckets[bucket_of(flow->source, flow->destination)];
	flow->next = *bucket;
	*bucket = (unsigned int)index + 1;
	return flow;
}

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

static double number_of(const json_t *object, const char *name)
{
	return json_number_value(json_object_get(object, name));
}

/* The destination's name with its port, or its address. */
static void set_destination(struct top_flow *flow, const char *name, const char *destination)
{
	char *text = flow->group[TOP_DESTINATION];
	const char *port = strrchr(destination, ':');

	if (name[0])
		(void)snprintf(text, TOP_TEXT, "%.100s%.7s", name, port ? port : "");
	else
		copy(text, TOP_TEXT, destination);
}

static void describe(struct top_flow *flow, const json_t *event)
{
	const json_t *container = json_object_get(event, "container");
	const json_t *process = json_object_get(event, "process");
	const char *name = text_of(container, "name"), *comm = text_of(process, "comm");

	if (name[0] || !flow->from_map)
		copy(flow->group[TOP_CONTAINER], TOP_TEXT, name[0] ? name : "-");
	copy(flow->group[TOP_PROCESS], TOP_TEXT, comm[0] ? comm : "-");
	set_destination(flow, text_of(event, "name"), flow->destination);
	copy(flow->reason, sizeof(flow->reason), text_of(event, "reason"));
	copy(flow->message, sizeof(flow->message), text_of(event, "message"));
	copy(flow->verdict, sizeof(flow->verdict), text_of(event, "verdict"));
	flow->gateway_status = (int)number_of(event, "gateway_status");
	flow->from_map = false;
}

static void take_connection(struct top_model *model, const json_t *event, bool open)
{
	const char *source = text_of(event, "src"), *destination = text_of(event, "dst");
	struct top_flow *flow = find_flow(model, source, destination);
	bool fin = strcmp(text_of(event, "end"), "fin") == 0;
	int group;

	if (!flow)
		flow = add_flow(model, source, destination);
	describe(flow, event);
	if (open)
		return;
	copy(flow->end, sizeof(flow->end), text_of(event, "end"));
	flow->sent = number_of(event, "bytes_sent");
	flow->received = number_of(event, "bytes_received");
	flow->order = ++model->order;
	for (group = 0; group < TOP_GROUPS; group++) {
		struct top_row *row = row_of(model, group, flow->group[group]);

		row->value[TOP_CONNECTIONS]++;
		row->value[TOP_FAILED] += !fin;
		row->value[TOP_SENT] += flow->sent;
		row->value[TOP_RECEIVED] += flow->received;
	}
}

static void take_denied(struct top_model *model, const json_t *event)
{
	struct top_flow *flow = add_flow(model, text_of(event, "src"), text_of(event, "dst"));
	double packets = number_of(event, "packets");
	int group;

	describe(flow, event);
	copy(flow->end, sizeof(flow->end), "denied");
	for (group = 0; group < TOP_GROUPS; group++)
		row_of(model, group, flow->group[group])->value[TOP_DENIED] += packets;
}

int top_model_event(struct top_model *model, const char *line, size_t size)
{
	json_t *event = json_loadb(line, size, 0, NULL);
	const char *type = text_of(event, "type");

	if (!type[0]) {
		json_decref(event);
		return -EINVAL;
	}
	if (strcmp(type, "open") == 0)
		take_connection(model, event, true);
	else if (strcmp(type, "connection") == 0)
		take_connection(model, event, false);
	else if (strcmp(type, "denied") == 0)
		take_denied(model, event);
	else if (strcmp(type, "lost") == 0)
		model->lost += (uint64_t)number_of(event, "lost");
	json_decref(event);
	return 0;
}

void top_model_flow(struct top_model *model, const char *container, const char *source,
		    const char *destination, double sent, double received)
{
	struct top_flow *flow = find_flow(model, source, destination);

	if (!flow) {
		flow = add_flow(model, source, destination);
		flow->from_map = true;
		copy(flow->group[TOP_CONTAINER], TOP_TEXT, container[0] ? container : "-");
		copy(flow->group[TOP_PROCESS], TOP_TEXT, "-");
		set_destination(flow, "", destination);
		copy(flow->verdict, sizeof(flow->verdict), "steer_tcp");
	} else if (strcmp(flow->group[TOP_CONTAINER], "-") == 0 && container[0]) {
		copy(flow->group[TOP_CONTAINER], TOP_TEXT, container);
	}
	flow->sent = sent;
	flow->received = received;
	flow->seen = model->round;
}

void top_model_counter(struct top_model *model, const char *container, const char *verdict,
		       double total)
{
	struct top_verdict *entry = model->verdicts;
	size_t i;

	if (total <= 0)
		return;
	for (i = 0; i < model->verdict_count; i++, entry++) {
		if (strcmp(entry->container, container) != 0 ||
		    strcmp(entry->verdict, verdict) != 0)
			continue;
		/* A new instance begins at 0. */
		if (total < entry->former)
			entry->former = 0;
		entry->total = total;
		return;
	}
	if (model->verdict_count == VERDICTS_MAX)
		return;
	model->verdict_count++;
	*entry = (struct top_verdict) {.total = total, .former = total};
	copy(entry->container, sizeof(entry->container), container);
	copy(entry->verdict, sizeof(entry->verdict), verdict);
}

void top_model_forget_open(struct top_model *model)
{
	size_t i;

	for (i = 0; i < model->flow_count; i++)
		if (!model->flows[i].end[0] && !model->flows[i].from_map)
			copy(model->flows[i].end, sizeof(model->flows[i].end), "gone");
}

/* Counts the open flows in their rows. */
static void count_open(struct top_model *model)
{
	size_t i, group;

	for (group = 0; group < TOP_GROUPS; group++)
		for (i = 0; i < model->tables[group].count; i++) {
			struct top_row *row = &model->tables[group].rows[i];

			row->value[TOP_OPEN] = row->open_sent = row->open_received = 0;
		}
	for (i = 0; i < model->flow_count; i++) {
		struct top_flow *flow = &model->flows[i];

		if (flow->end[0])
			continue;
		if (flow->from_map && flow->seen < model->round) {
			copy(flow->end, sizeof(flow->end), "gone");
			continue;
		}
		for (group = 0; group < TOP_GROUPS; group++) {
			struct top_row *row = row_of(model, group, flow->group[group]);

			row->value[TOP_OPEN]++;
			row->open_sent += flow->sent;
			row->open_received += flow->received;
		}
	}
}

/* A sum may fall, because a connection's last bytes come by another way than those before. */
static double rate_of(double now, double *former, double seconds)
{
	double rate = seconds > 0 && now > *former ? (now - *former) / seconds : 0;

	*former = now;
	return rate;
}

static double bytes_of(const struct top_row *row)
{
	return row->value[TOP_SENT] + row->value[TOP_RECEIVED] + row->open_sent +
	       row->open_received;
}

void top_model_tick(struct top_model *model, uint64_t now_ms)
{
	double seconds = model->tick_ms ? (double)(now_ms - model->tick_ms) / 1000 : 0;
	size_t i, group;

	count_open(model);
	for (group = 0; group < TOP_GROUPS; group++)
		for (i = 0; i < model->tables[group].count; i++) {
			struct top_row *row = &model->tables[group].rows[i];
			double *value = row->value;

			value[TOP_RATE] = rate_of(value[TOP_CONNECTIONS] + value[TOP_OPEN],
						  &row->former_connections, seconds);
			value[TOP_BYTES_RATE] = rate_of(bytes_of(row), &row->former_bytes, seconds);
			value[TOP_DENIED_RATE] = rate_of(value[TOP_DENIED], &row->former_denied,
							 seconds);
		}
	for (i = 0; i < model->verdict_count; i++) {
		struct top_verdict *entry = &model->verdicts[i];

		entry->rate = rate_of(entry->total, &entry->former, seconds);
	}
	model->tick_ms = now_ms;
	model->round++;
}

/* qsort(3) has no argument for its order. */
static _Thread_local enum top_column sort_column;

static double sort_value(const struct top_row *row)
{
	double open = sort_column == TOP_SENT	    ? row->open_sent
		      : sort_column == TOP_RECEIVED ? row->open_received
						    : 0;

	return row->value[sort_column] + open;
}

static int compare(const void *a, const void *b)
{
	const struct top_row *one = *(const struct top_row *const *)a;
	const struct top_row *other = *(const struct top_row *const *)b;

	if (sort_column != TOP_NAME && sort_value(one) != sort_value(other))
		return sort_value(one) < sort_value(other) ? 1 : -1;
	return strcmp(one->name, other->name);
}

const struct top_row *const *top_model_rows(struct top_model *model, enum top_group group,
					    enum top_column order, size_t *ret_count)
{
	const struct top_table *table = &model->tables[group];
	size_t i;

	for (i = 0; i < table->count; i++)
		model->sorted[i] = &table->rows[i];
	sort_column = order;
	*ret_count = table->count;
	if (table->count == 0)
		return NULL;
	/* NOLINTNEXTLINE(bugprone-sizeof-expression): pointers are sorted */
	qsort(model->sorted, table->count, sizeof(*model->sorted), compare);
	return model->sorted;
}

size_t top_model_flows(const struct top_model *model, enum top_group group, const char *name,
		       const struct top_flow **ret_flows, size_t limit)
{
	size_t count = 0, i, at;

	for (i = 0; i < model->flow_count; i++) {
		const struct top_flow *flow = &model->flows[i];

		if (strcmp(flow->group[group], name) != 0)
			continue;
		/* Insertion into the list of the newest. */
		for (at = count; at > 0 && ret_flows[at - 1]->order < flow->order; at--)
			if (at < limit)
				ret_flows[at] = ret_flows[at - 1];
		if (at < limit)
			ret_flows[at] = flow;
		count += count < limit;
	}
	return count;
}

const struct top_verdict *top_model_verdicts(const struct top_model *model, size_t *ret_count)
{
	*ret_count = model->verdict_count;
	return model->verdicts;
}

uint64_t top_model_lost(const struct top_model *model)
{
	return model->lost;
}
