// SPDX-License-Identifier: Apache-2.0
#include "events/event.h"

#include <netinet/in.h>
#include <string.h>

#include "lib/address.h"
#include "lib/util.h"

const char *const event_type_names[EVENT_TYPES] = {
	[EVENT_OPEN] = "open",	   [EVENT_CONNECTION] = "connection",
	[EVENT_DENIED] = "denied", [EVENT_DNS] = "dns",
	[EVENT_LOST] = "lost",
};

const char *const event_end_names[EVENT_ENDS] = {
	[EVENT_END_FIN] = "fin",
	[EVENT_END_RESET_BY_APPLICATION] = "reset_by_application",
	[EVENT_END_RESET_BY_GATEWAY] = "reset_by_gateway",
	[EVENT_END_REFUSED] = "refused",
	[EVENT_END_TIMEOUT] = "timeout",
	[EVENT_END_LIMIT] = "limit",
	[EVENT_END_PROXY_GONE] = "proxy_gone",
};

const char *const event_source_names[EVENT_SOURCES] = {
	[EVENT_SOURCE_SNI] = "sni",
	[EVENT_SOURCE_HOST] = "host",
	[EVENT_SOURCE_DNS] = "dns",
};

/* A packed event has everything in front of the texts, and a bit for each text that it has. Then
 * come the opener, if its bit is set, and these texts with their NUL. */
#define FIXED_SIZE offsetof(struct event, text)
#define OPENER_BIT (1u << EVENT_TEXTS)

_Static_assert(EVENT_TEXTS < 32, "a bit for each text, and one for the opener");

struct event event_of(enum event_type type)
{
	return (struct event) {
		.type = (uint8_t)type,
		.connect_us = EVENT_NEVER,
		.open_us = EVENT_NEVER,
		.first_byte_us = EVENT_NEVER,
	};
}

void event_set_endpoint(struct event_endpoint *endpoint, const struct sockaddr *address)
{
	address_from_sockaddr(address, endpoint->address);
	endpoint->port = ntohs(address->sa_family == AF_INET6
				       ? ((const struct sockaddr_in6 *)address)->sin6_port
				       : ((const struct sockaddr_in *)address)->sin_port);
}

/* Returns a text's size without its NUL, of what is kept. 0: it is left out. */
static size_t kept_size(const struct event *event, unsigned int index)
{
	if (!event->text[index] || index == EVENT_CONTAINER_LABELS)
		return 0;
	return strnlen(event->text[index], EVENT_TEXT_MAX);
}

static size_t opener_size(const struct event *event)
{
	return event->opener.cookie == 0 ? 0 : sizeof(event->opener);
}

size_t event_pack(const struct event *event, char *packed, size_t room)
{
	char *at = packed + FIXED_SIZE + sizeof(uint32_t);
	const char *end = packed + room;
	uint32_t present = 0;
	unsigned int i;

	if (room < FIXED_SIZE + sizeof(uint32_t) + opener_size(event))
		return 0;
	memcpy(packed, event, FIXED_SIZE);
	if (opener_size(event) > 0) {
		present |= OPENER_BIT;
		memcpy(at, &event->opener, sizeof(event->opener));
		at += sizeof(event->opener);
	}
	for (i = 0; i < EVENT_TEXTS; i++) {
		size_t size = kept_size(event, i);

		if (size == 0)
			continue;
		if (size >= (size_t)(end - at))
			return 0;
		present |= 1u << i;
		memcpy(at, event->text[i], size);
		at[size] = '\0';
		at += size + 1;
	}
	memcpy(packed + FIXED_SIZE, &present, sizeof(present));
	return (size_t)(at - packed);
}

size_t event_pack_sized(const struct event *event, char *packed, size_t room)
{
	uint32_t size = 0;

	if (room > sizeof(size))
		size = (uint32_t)event_pack(event, packed + sizeof(size), room - sizeof(size));
	if (size == 0)
		return 0;
	memcpy(packed, &size, sizeof(size));
	return sizeof(size) + size;
}

void event_unpack(const char *packed, struct event *ret_event)
{
	const char *at = packed + FIXED_SIZE + sizeof(uint32_t);
	uint32_t present;
	unsigned int i;

	memcpy(ret_event, packed, FIXED_SIZE);
	memcpy(&present, packed + FIXED_SIZE, sizeof(present));
	memset(&ret_event->opener, 0, sizeof(ret_event->opener));
	if (present & OPENER_BIT) {
		memcpy(&ret_event->opener, at, sizeof(ret_event->opener));
		at += sizeof(ret_event->opener);
	}
	for (i = 0; i < EVENT_TEXTS; i++) {
		ret_event->text[i] = NULL;
		if (!(present & 1u << i))
			continue;
		ret_event->text[i] = at;
		at += strlen(at) + 1;
	}
}

/* Do the texts of a packed event end where it ends? */
static bool texts_end(const char *at, const char *end, uint32_t present)
{
	unsigned int i;

	for (i = 0; i < EVENT_TEXTS; i++) {
		const char *nul;

		if (!(present & 1u << i))
			continue;
		nul = memchr(at, '\0', (size_t)(end - at));
		if (!nul)
			return false;
		at = nul + 1;
	}
	return at == end && present >> EVENT_TEXTS == 0;
}

/* Are the numbers those that a reader of JSON takes, which has 64 bits with a sign? */
static bool numbers_fit(const struct event *event)
{
	return event->bytes_sent <= INT64_MAX && event->bytes_received <= INT64_MAX &&
	       event->duration_ms <= INT64_MAX && event->count <= INT64_MAX && event->pid >= 0;
}

bool event_unpack_checked(const char *packed, size_t size, struct event *ret_event)
{
	/* A bool must be 0 or 1 before it is one. */
	static const size_t booleans[] = {offsetof(struct event, has_ports),
					  offsetof(struct event, intercepted)};
	const size_t head = FIXED_SIZE + sizeof(uint32_t);
	uint32_t present;
	size_t i;

	if (size < head || size > EVENT_PACKED_MAX)
		return false;
	for (i = 0; i < ARRAY_SIZE(booleans); i++)
		if ((uint8_t)packed[booleans[i]] > 1)
			return false;
	memcpy(&present, packed + FIXED_SIZE, sizeof(present));
	if (!texts_end(packed + head, packed + size, present))
		return false;
	event_unpack(packed, ret_event);
	return ret_event->type < EVENT_TYPES && ret_event->end < EVENT_ENDS &&
	       ret_event->name_source < EVENT_SOURCES && ret_event->verdict < SIDESTEP_COUNTERS &&
	       numbers_fit(ret_event);
}
