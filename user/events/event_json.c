// SPDX-License-Identifier: Apache-2.0
#include "events/event_json.h"

#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "lib/address.h"
#include "lib/decimal.h"
#include "lib/json_text.h"
#include "lib/time_text.h"
#include "lib/util.h"
#include "programs/counters.h"

/* The line so far ends at @at. It always has room (EVENT_JSON_MAX). */
struct writer {
	char *at;
};

static void put_bytes(struct writer *writer, const char *bytes, size_t size)
{
	memcpy(writer->at, bytes, size);
	writer->at += size;
}

#define put_literal(writer, literal) put_bytes(writer, literal, sizeof(literal) - 1)

static void put_text(struct writer *writer, const char *text)
{
	put_bytes(writer, text, strlen(text));
}

static void put_number(struct writer *writer, uint64_t number)
{
	writer->at = decimal_write(writer->at, number);
}

static void put_string(struct writer *writer, const char *text)
{
	writer->at += json_text_write(text, writer->at);
}

static void put_string_or_null(struct writer *writer, const char *text)
{
	if (text)
		put_string(writer, text);
	else
		put_literal(writer, "null");
}

/* Names of ours, which need no escapes. */
static void put_name_or_null(struct writer *writer, const char *name)
{
	if (!name) {
		put_literal(writer, "null");
		return;
	}
	put_literal(writer, "\"");
	put_text(writer, name);
	put_literal(writer, "\"");
}

static void put_number_if(struct writer *writer, bool given, uint64_t number)
{
	if (given)
		put_number(writer, number);
	else
		put_literal(writer, "null");
}

static void put_time(struct writer *writer, uint64_t time_us)
{
	put_literal(writer, "\"");
	time_text_write(time_us, writer->at);
	writer->at += TIME_TEXT_SIZE;
	put_literal(writer, "\"");
}

static void put_address(struct writer *writer, const uint8_t address[16], bool brackets)
{
	char text[ADDRESS_TEXT_MAX];

	brackets = brackets && !address_is_ipv4(address);
	put_text(writer, brackets ? "[" : "");
	put_text(writer, address_format(address, text));
	put_text(writer, brackets ? "]" : "");
}

static void put_endpoint(struct writer *writer, const struct event *event,
			 const struct event_endpoint *endpoint)
{
	put_literal(writer, "\"");
	put_address(writer, endpoint->address, event->has_ports);
	if (event->has_ports) {
		put_literal(writer, ":");
		put_number(writer, endpoint->port);
	}
	put_literal(writer, "\"");
}

static void put_protocol(struct writer *writer, uint8_t protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
		put_literal(writer, "\"tcp\"");
		break;
	case IPPROTO_UDP:
		put_literal(writer, "\"udp\"");
		break;
	case IPPROTO_ICMP:
		put_literal(writer, "\"icmp\"");
		break;
	case IPPROTO_ICMPV6:
		put_literal(writer, "\"ipv6-icmp\"");
		break;
	default:
		put_literal(writer, "\"");
		put_number(writer, protocol);
		put_literal(writer, "\"");
	}
}

static void put_container(struct writer *writer, const struct event *event)
{
	const char *labels = event->text[EVENT_CONTAINER_LABELS];

	put_literal(writer, ",\"container\":");
	if (!event->text[EVENT_CONTAINER_ID]) {
		put_literal(writer, "null");
		return;
	}
	put_literal(writer, "{\"id\":");
	put_string(writer, event->text[EVENT_CONTAINER_ID]);
	put_literal(writer, ",\"name\":");
	put_string_or_null(writer, event->text[EVENT_CONTAINER_NAME]);
	put_literal(writer, ",\"labels\":");
	put_text(writer, labels ? labels : "{}");
	put_literal(writer, "}");
}

static void put_process(struct writer *writer, const struct event *event)
{
	put_literal(writer, ",\"process\":");
	if (event->pid == 0) {
		put_literal(writer, "null");
		return;
	}
	put_literal(writer, "{\"pid\":");
	put_number(writer, (uint64_t)event->pid);
	put_literal(writer, ",\"comm\":");
	put_string_or_null(writer, event->text[EVENT_COMM]);
	put_literal(writer, ",\"exe\":");
	put_string_or_null(writer, event->text[EVENT_EXE]);
	put_literal(writer, ",\"cgroup\":");
	put_string_or_null(writer, event->text[EVENT_CGROUP]);
	put_literal(writer, "}");
}

/* Puts what the packets say. */
static void put_packet(struct writer *writer, const struct event *event)
{
	if (event->type == EVENT_LOST) {
		put_literal(writer, ",\"protocol\":null,\"src\":null,\"dst\":null");
		return;
	}
	put_literal(writer, ",\"protocol\":");
	put_protocol(writer, event->protocol);
	put_literal(writer, ",\"src\":");
	put_endpoint(writer, event, &event->source);
	put_literal(writer, ",\"dst\":");
	put_endpoint(writer, event, &event->destination);
}

/* Puts what the proxy learned. */
static void put_tunnel(struct writer *writer, const struct event *event)
{
	bool connection = event->type == EVENT_CONNECTION;

	put_literal(writer, ",\"name\":");
	put_string_or_null(writer, event->text[EVENT_NAME]);
	put_literal(writer, ",\"name_source\":");
	put_name_or_null(writer, event_source_names[event->name_source]);
	put_literal(writer, ",\"alpn\":");
	put_string_or_null(writer, event->text[EVENT_ALPN]);
	put_literal(writer, ",\"intercepted\":");
	if (!connection)
		put_literal(writer, "null");
	else
		put_text(writer, event->intercepted ? "true" : "false");
	put_literal(writer, ",\"gateway\":");
	put_string_or_null(writer, event->text[EVENT_GATEWAY]);
	put_literal(writer, ",\"gateway_status\":");
	put_number_if(writer, event->gateway_status > 0, event->gateway_status);
}

static void put_decision(struct writer *writer, const struct event *event)
{
	put_literal(writer, ",\"verdict\":");
	put_name_or_null(writer, event->type == EVENT_LOST || event->verdict >= SIDESTEP_COUNTERS
					 ? NULL
					 : counter_names[event->verdict]);
	put_literal(writer, ",\"reason\":");
	put_string_or_null(writer, event->text[EVENT_REASON]);
	put_literal(writer, ",\"rule\":");
	if (event->text[EVENT_RULE_ENTRY]) {
		put_literal(writer, "{\"entry\":");
		put_string(writer, event->text[EVENT_RULE_ENTRY]);
		put_literal(writer, ",\"origin\":");
		put_string_or_null(writer, event->text[EVENT_RULE_ORIGIN]);
		put_literal(writer, "}");
	} else {
		put_literal(writer, "null");
	}
	put_literal(writer, ",\"message\":");
	put_string_or_null(writer, event->text[EVENT_MESSAGE]);
}

static void put_amounts(struct writer *writer, const struct event *event)
{
	bool connection = event->type == EVENT_CONNECTION;

	put_literal(writer, ",\"bytes_sent\":");
	put_number_if(writer, connection, event->bytes_sent);
	put_literal(writer, ",\"bytes_received\":");
	put_number_if(writer, connection, event->bytes_received);
	put_literal(writer, ",\"connect_us\":");
	put_number_if(writer, event->connect_us != EVENT_NEVER, event->connect_us);
	put_literal(writer, ",\"open_us\":");
	put_number_if(writer, event->open_us != EVENT_NEVER, event->open_us);
	put_literal(writer, ",\"first_byte_us\":");
	put_number_if(writer, event->first_byte_us != EVENT_NEVER, event->first_byte_us);
	put_literal(writer, ",\"duration_ms\":");
	put_number_if(writer, connection, event->duration_ms);
	put_literal(writer, ",\"end\":");
	put_name_or_null(writer, event_end_names[event->end]);
	put_literal(writer, ",\"packets\":");
	put_number_if(writer, event->type == EVENT_DENIED, event->count);
}

/* The types and codes that occur often; others as RFC 3597 section 5 has it. */
static void put_dns_number(struct writer *writer, const char *const *names, size_t count,
			   const char *prefix, uint16_t number)
{
	put_literal(writer, "\"");
	if (number < count && names[number]) {
		put_text(writer, names[number]);
	} else {
		put_text(writer, prefix);
		put_number(writer, number);
	}
	put_literal(writer, "\"");
}

/* A sidecar that the agent serves may have put anything there. */
static void put_answers(struct writer *writer, const char *answers)
{
	char answer[EVENT_TEXT_MAX + 1];
	bool more = false;

	put_literal(writer, "[");
	while (answers && *answers) {
		size_t size = strcspn(answers, " ");

		if (size > 0) {
			(void)snprintf(answer, sizeof(answer), "%.*s", (int)size, answers);
			put_text(writer, more ? "," : "");
			put_string(writer, answer);
			more = true;
		}
		answers += size;
		answers += *answers == ' ';
	}
	put_literal(writer, "]");
}

static void put_query(struct writer *writer, const struct event *event)
{
	static const char *const types[256] = {
		[1] = "A",    [2] = "NS",    [5] = "CNAME",  [6] = "SOA",
		[12] = "PTR", [15] = "MX",   [16] = "TXT",   [28] = "AAAA",
		[33] = "SRV", [64] = "SVCB", [65] = "HTTPS", [255] = "ANY",
	};
	static const char *const codes[] = {"NOERROR", "FORMERR", "SERVFAIL",	   "NXDOMAIN",
					    "NOTIMP",  "REFUSED", [16] = "BADVERS"};

	put_literal(writer, ",\"query\":");
	if (event->type != EVENT_DNS) {
		put_literal(writer, "null");
		return;
	}
	put_literal(writer, "{\"name\":");
	put_string_or_null(writer, event->text[EVENT_NAME]);
	put_literal(writer, ",\"type\":");
	/* The question of a malformed message is not known. */
	if (event->text[EVENT_NAME])
		put_dns_number(writer, types, ARRAY_SIZE(types), "TYPE", event->query_type);
	else
		put_literal(writer, "null");
	put_literal(writer, ",\"rcode\":");
	put_dns_number(writer, codes, ARRAY_SIZE(codes), "RCODE", event->rcode);
	put_literal(writer, ",\"answers\":");
	put_answers(writer, event->text[EVENT_ANSWERS]);
	put_literal(writer, "}");
}

size_t event_json_write(const struct event *event, char line[EVENT_JSON_MAX])
{
	struct writer writer = {.at = line};

	put_literal(&writer, "{\"schema\":1,\"type\":");
	put_name_or_null(&writer, event_type_names[event->type]);
	put_literal(&writer, ",\"time\":");
	put_time(&writer, event->time_us);
	put_literal(&writer, ",\"id\":\"");
	put_number(&writer, event->netns);
	put_literal(&writer, "-");
	put_number(&writer, event->id);
	put_literal(&writer, "\",\"netns\":");
	put_number(&writer, event->netns);
	put_container(&writer, event);
	put_process(&writer, event);
	put_packet(&writer, event);
	put_tunnel(&writer, event);
	put_decision(&writer, event);
	put_amounts(&writer, event);
	put_query(&writer, event);
	put_literal(&writer, ",\"lost\":");
	put_number_if(&writer, event->type == EVENT_LOST, event->count);
	put_literal(&writer, "}\n");
	return (size_t)(writer.at - line);
}

_Static_assert(EVENT_SCHEMA == 1, "the line begins with it");
