/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One event: what became of a connection, a denied packet or a DNS answer (docs/EVENTS.md).
 *
 * Producers fill a struct event and give it to events_put(). Its texts are theirs and are copied
 * there. A packed event is the same in one run of bytes, without pointers, and without labels,
 * which are kept once for each container.
 */
#ifndef SIDESTEP_EVENT_H
#define SIDESTEP_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "sidestep.h"

/* The version of docs/event.schema.json. */
#define EVENT_SCHEMA 1

enum event_type {
	EVENT_OPEN,	  /* a connection was accepted; only while somebody asks for it */
	EVENT_CONNECTION, /* a connection has ended */
	EVENT_DENIED,	  /* packets were denied */
	EVENT_DNS,	  /* a DNS answer was made up, or refused */
	EVENT_LOST,	  /* events are missing here */
	EVENT_TYPES,
};

enum event_end {
	EVENT_END_NONE,
	EVENT_END_FIN,
	EVENT_END_RESET_BY_APPLICATION,
	EVENT_END_RESET_BY_GATEWAY,
	EVENT_END_REFUSED,
	EVENT_END_TIMEOUT,
	EVENT_END_LIMIT,
	EVENT_END_PROXY_GONE,
	EVENT_ENDS,
};

/* Where the destination's name comes from. */
enum event_source {
	EVENT_SOURCE_NONE,
	EVENT_SOURCE_SNI,
	EVENT_SOURCE_HOST,
	EVENT_SOURCE_DNS,
	EVENT_SOURCES,
};

/* Indices of an event's texts; NULL: null in JSON. A text that is too long is cut. */
enum event_text {
	EVENT_NAME,
	EVENT_ALPN,
	EVENT_GATEWAY,
	EVENT_REASON, /* a stable id of docs/EVENTS.md */
	EVENT_RULE_ENTRY,
	EVENT_RULE_ORIGIN,
	EVENT_MESSAGE,
	EVENT_ANSWERS, /* addresses, with a space between them */
	EVENT_CONTAINER_ID,
	EVENT_CONTAINER_NAME,
	EVENT_CONTAINER_LABELS, /* a JSON object, as it is written (events/event_labels.h) */
	EVENT_COMM,
	EVENT_EXE,
	EVENT_CGROUP,
	EVENT_TEXTS,
};

/* The longest text and the longest labels, in bytes. */
#define EVENT_TEXT_MAX	 1024
#define EVENT_LABELS_MAX 4096

/* A time that was never reached. */
#define EVENT_NEVER UINT32_MAX

struct event_endpoint {
	uint8_t address[16]; /* as in lib/address.h */
	uint16_t port;	     /* host byte order */
};

/* All fields that do not apply are zero, unless something else is said. */
struct event {
	uint64_t time_us; /* CLOCK_REALTIME; events_put() sets it if it is 0 */
	uint64_t id;	  /* likewise */
	uint64_t netns;	  /* likewise: the process's own */
	uint64_t bytes_sent, bytes_received;
	uint64_t duration_ms;
	uint64_t count; /* packets (DENIED) or events (LOST) */
	/* From the acceptance to the gateway's acceptance, its answer and its first byte;
	 * EVENT_NEVER. */
	uint32_t connect_us, open_us, first_byte_us;
	int32_t pid; /* 0: no process is known */
	struct event_endpoint source, destination;
	uint16_t gateway_status;
	uint16_t query_type; /* DNS */
	uint8_t rcode;	     /* likewise */
	uint8_t type;	     /* enum event_type */
	uint8_t end;	     /* enum event_end */
	uint8_t name_source; /* enum event_source */
	uint8_t protocol;    /* IPPROTO_* */
	uint8_t verdict;     /* enum sidestep_verdict */
	bool has_ports;
	bool intercepted;
	const char *text[EVENT_TEXTS];
	/* As the kernel knows it, until the events' thread has told it by the texts and the pid;
	 * cookie 0: nobody has looked. */
	struct sidestep_process opener;
};

/* Makes an event without times, of that type. */
struct event event_of(enum event_type type);

/* Sets the source or the destination from an AF_INET or AF_INET6 socket address. */
void event_set_endpoint(struct event_endpoint *endpoint, const struct sockaddr *address);

extern const char *const event_type_names[EVENT_TYPES];
extern const char *const event_end_names[EVENT_ENDS];
extern const char *const event_source_names[EVENT_SOURCES];

/* The most bytes of a packed event. */
#define EVENT_PACKED_MAX (sizeof(struct event) + (EVENT_TEXTS - 1) * (EVENT_TEXT_MAX + 1))

/* Packs into the @room bytes at @packed. Returns the size, or 0: they are too few. They are enough
 * if they are EVENT_PACKED_MAX. */
size_t event_pack(const struct event *event, char *packed, size_t room);

/* Does likewise behind the packed size (uint32_t), which counts in what it returns. */
size_t event_pack_sized(const struct event *event, char *packed, size_t room);

/* Unpacks. The texts stay in @packed. */
void event_unpack(const char *packed, struct event *ret_event);

/* Does likewise with @size bytes that somebody else wrote, who cannot tell the opener. False: they
 * are no packed event. */
bool event_unpack_checked(const char *packed, size_t size, struct event *ret_event);

#endif
