// SPDX-License-Identifier: Apache-2.0
/* Prints the answer, for people and for programs. */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "explain/explain.h"
#include "lib/util.h"
#include "programs/counters.h"

/* Of the JSON document. */
#define SCHEMA 1

static const char *const outcomes[] = {
	[EXPLAIN_UNKNOWN] = "unknown",	       [EXPLAIN_INTERCEPTED] = "intercepted",
	[EXPLAIN_DIRECT] = "direct",	       [EXPLAIN_LOCAL] = "local",
	[EXPLAIN_REFUSED] = "refused",	       [EXPLAIN_DROPPED] = "dropped",
	[EXPLAIN_UNREACHABLE] = "unreachable",
};

void explain_step(struct explain *explain, const char *name, const char *format, ...)
{
	va_list arguments;
	char text[512];

	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	(void)json_array_append_new(explain->steps,
				    json_pack("{s:s, s:s}", "step", name, "says", text));
}

const char *explain_end(const uint8_t address[16], uint16_t port, char text[ADDRESS_TEXT_MAX])
{
	char plain[ADDRESS_TEXT_MAX];

	(void)snprintf(text, ADDRESS_TEXT_MAX, address_is_ipv4(address) ? "%s:%u" : "[%s]:%u",
		       address_format(address, plain), port);
	return text;
}

static json_t *entry_json(const struct explain *explain, const struct explain_entry *entry)
{
	char prefix[ADDRESS_TEXT_MAX], text[BYPASS_ORIGIN_MAX];

	if (!entry->found)
		return json_null();
	return json_pack("{s:s, s:s}", "entry", prefix_format(&entry->prefix, prefix), "origin",
			 explain_origin(explain, entry, text));
}

static json_t *counted_json(const struct explain *explain)
{
	json_t *counted = json_object();
	int i;

	for (i = 0; i < SIDESTEP_COUNTERS; i++)
		if (explain->counted[i])
			(void)json_object_set_new(counted, counter_names[i],
						  json_integer((json_int_t)explain->counted[i]));
	return counted;
}

static json_t *text_or_null(const char *text)
{
	return text && *text ? json_string(text) : json_null();
}

json_t *explain_report(const struct explain *explain)
{
	const struct probe_packet *packet = &explain->packet;
	char source[ADDRESS_TEXT_MAX], destination[ADDRESS_TEXT_MAX];

	return json_pack(
		"{s:i, s:s, s:s, s:s, s:I, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:O, s:o}", "schema",
		SCHEMA, "protocol", packet->protocol == IPPROTO_TCP ? "tcp" : "udp", "src",
		explain_end(packet->source, packet->source_port, source), "dst",
		explain_end(packet->destination, packet->destination_port, destination), "netns",
		(json_int_t)explain->netns, "datapath", explain->datapath, "outcome",
		outcomes[explain->outcome], "verdict",
		text_or_null(explain->verdict < 0 ? NULL : counter_names[explain->verdict]), "rule",
		entry_json(explain, &explain->destination), "source_rule",
		entry_json(explain, &explain->source), "gateway", text_or_null(explain->gateway),
		"gateway_reachable",
		explain->outcome == EXPLAIN_INTERCEPTED && explain->ask_gateway &&
				packet->protocol == IPPROTO_TCP
			? json_boolean(!explain->gateway_failed)
			: json_null(),
		"steps", explain->steps, "counted", counted_json(explain));
}

static void print_entry(const struct explain *explain, const char *name, const uint8_t address[16],
			const struct explain_entry *entry)
{
	char prefix[ADDRESS_TEXT_MAX], text[BYPASS_ORIGIN_MAX], plain[ADDRESS_TEXT_MAX];

	(void)address_format(address, plain);
	if (!entry->known)
		return;
	if (!entry->found) {
		(void)printf("  %-13s %s is in no bypassed subnet\n", name, plain);
		return;
	}
	(void)printf("  %-13s %s is in %s: %s\n", name, plain,
		     prefix_format(&entry->prefix, prefix), explain_origin(explain, entry, text));
}

void explain_print(const struct explain *explain)
{
	const struct probe_packet *packet = &explain->packet;
	char source[ADDRESS_TEXT_MAX], destination[ADDRESS_TEXT_MAX];
	const json_t *step;
	size_t i;

	(void)printf("%s %s -> %s, steered by %s\n",
		     packet->protocol == IPPROTO_TCP ? "tcp" : "udp",
		     address_format(packet->source, source),
		     explain_end(packet->destination, packet->destination_port, destination),
		     explain->datapath);
	json_array_foreach (explain->steps, i, step)
		(void)printf("  %-13s %s\n", json_string_value(json_object_get(step, "step")),
			     json_string_value(json_object_get(step, "says")));
	print_entry(explain, "destination", packet->destination, &explain->destination);
	print_entry(explain, "source", packet->source, &explain->source);
	(void)printf("%s%s%s%s\n", outcomes[explain->outcome], explain->verdict < 0 ? "" : " (",
		     explain->verdict < 0 ? "" : counter_names[explain->verdict],
		     explain->verdict < 0 ? "" : ")");
}
