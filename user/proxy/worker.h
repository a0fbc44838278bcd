/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread of the proxy: an event loop, its listeners, and what its connections share. Only the
 * loop's thread uses it, unless a field says otherwise.
 */
#ifndef SIDESTEP_WORKER_H
#define SIDESTEP_WORKER_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "events/event.h"
#include "lib/complaint.h"
#include "lib/list.h"
#include "lib/socket_address.h"
#include "proxy/echo.h"
#include "proxy/first_speaker.h"
#include "proxy/ipv6_verdict.h"
#include "proxy/proxy_config.h"
#include "proxy/time_waits.h"
#include "stream/acceptor.h"
#include "stream/dial.h"
#include "stream/flow.h"
#include "stream/loop.h"
#include "stream/peer_watch.h"
#include "stream/relay.h"
#include "tls/tls_relay.h"

struct dns_relay;

/* Messages that may come often: each is logged at most once a second. */
enum worker_complaint {
	COMPLAINT_CONNECT,
	COMPLAINT_CONNECT_TIMEOUT,
	COMPLAINT_PORTS,
	COMPLAINT_VANISHED,
	COMPLAINT_ANSWER_TIMEOUT,
	COMPLAINT_ANSWER_EOF,
	COMPLAINT_ANSWER_GARBAGE,
	COMPLAINT_REFUSED,
	COMPLAINT_DOUBTFUL,
	COMPLAINT_SOCKET,
	COMPLAINT_LIMIT,
	COMPLAINT_DESCRIPTORS,
	COMPLAINT_DNS,
	COMPLAINT_TLS,
	COMPLAINTS,
};

/* Why a connection fails, for its event (docs/EVENTS.md). */
struct worker_cause {
	const char *reason;
	enum event_end end;
};

/* The latest failure. It is of the connection with this flow, whose end follows. */
struct worker_fault {
	const struct flow *flow;
	struct worker_cause cause;
	char message[EVENT_TEXT_MAX];
};

enum worker_family {
	WORKER_IPV4,
	WORKER_IPV6,
	WORKER_FAMILIES,
};

/* The TCP listeners: one for each family, and one for IPv4 that is bound to lo. */
enum {
	WORKER_LISTENER_LO = WORKER_FAMILIES,
	WORKER_LISTENERS,
};

/* Shared by the threads of one proxy. */
struct worker_shared {
	struct proxy_config config; /* constant; the gateway is the one below */
	pthread_mutex_t gateway_lock;
	struct socket_address gateway;
	const char *gateway_origin;
	atomic_uint generation; /* counts the gateway's changes */
	atomic_uint live;	/* connections of all threads */
	atomic_bool draining;
	unsigned int drain_ms; /* set before draining is */
	/* The last connection ended while draining. From any of the threads. May be NULL. */
	void (*drained)(struct worker_shared *shared);
	struct complaint complaints[COMPLAINTS];
	atomic_bool undeclared; /* it was logged that the gateway declares nothing */
	struct first_speakers speakers;
	struct echo echo;
	struct ipv6_verdict ipv6;
};

struct worker_listener {
	struct acceptor acceptor;
	struct worker *worker;
};

struct worker {
	struct worker_shared *shared;
	struct loop *loop;
	struct relay_pool *pool;
	struct tls_relay_pool *tls; /* NULL: TLS is relayed as it is */
	struct dialer dialer;
	struct loop_timer_class peek_class, client_first_class, answer_class, flow_class;
	struct peer_watches watches;
	struct socket_address gateway; /* this thread's copy */
	char gateway_text[SOCKET_ADDRESS_TEXT_MAX];
	const char *gateway_origin;
	unsigned int generation;
	struct proxy_counters counters; /* other threads read them by atomic loads */
	struct list_link connections;
	struct time_waits waits; /* of the gateway's connections */
	struct worker_fault fault;

	struct worker_listener tcp[WORKER_LISTENERS];
	int udp[WORKER_FAMILIES];
	struct dns_relay *dns;
	struct acceptor_reserve reserve;
	struct loop_timer_class drain_class;
	struct loop_timer drain;
	pthread_t thread;
	bool running;
};

/* Adds to one of worker->counters. */
static inline void counter_add(uint64_t *counter, uint64_t number)
{
	__atomic_store_n(counter, *counter + number, __ATOMIC_RELAXED);
}

/* The current gateway. The pointer is valid until the next call. */
const struct socket_address *worker_gateway(struct worker *worker);

/* Keeps why the connection of @flow will end, for its event. The message may be empty. */
void worker_blame(struct worker *worker, const struct flow *flow, const struct worker_cause *cause,
		  const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The same, and logs the message if the last one of its kind is old enough. So log and event say
 * the same. @flow may be NULL. */
void worker_tell(struct worker *worker, enum worker_complaint complaint, const struct flow *flow,
		 const struct worker_cause *cause, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

/* Counts a gateway's failure, and tells "@what the gateway G for S -> D: @why; @remedy". */
void worker_complain(struct worker *worker, enum worker_complaint complaint,
		     const struct socket_address *gateway, const struct flow *flow,
		     const char *what, const char *why, const char *remedy);

/* Closes idle pipes, and tells that a connection is reset because no file descriptor is left. @flow
 * may be NULL. */
void worker_lack_descriptors(struct worker *worker, const struct flow *flow);

#endif
