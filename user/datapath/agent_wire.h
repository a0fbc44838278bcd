/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol between the host's agent and a sidecar without rights.
 *
 * They meet at a socket pair of the sidecar's. The agent takes one end out of that process by
 * pidfd_getfd(2). Only a process that may trace the sidecar can do so. The sidecar therefore knows
 * that its peer is the host's, and the agent knows its peer. The application shares the network
 * namespace, from which nothing of this can be reached.
 *
 *	sidecar	greeting	waits at the agent's end from the start, and stays there
 *	agent	hello		with one end of a session's socket pair (SCM_RIGHTS)
 *	sidecar	requests	on the session, each followed by a reply if it asks for one
 *
 * A session ends when one side closes it. Attached programs stay until AGENT_DETACH or until the
 * namespace is gone. Both sides are on one machine, so integers are in its byte order.
 */
#ifndef SIDESTEP_AGENT_WIRE_H
#define SIDESTEP_AGENT_WIRE_H

#include <stdint.h>

#include "lib/address.h"
#include "sidestep.h"

#define AGENT_WIRE_MAGIC   0x53535450u
#define AGENT_WIRE_VERSION 4

/* The descriptor in the sidecar at which the agent finds its end. */
#define AGENT_RENDEZVOUS_FD 1001

/* Greeting and hello. */
struct agent_hello {
	uint32_t magic;
	uint32_t wire_version; /* a session needs equal ones */
	uint32_t abi_version;  /* SIDESTEP_ABI_VERSION; likewise */
	char version[16];      /* for messages */
};

enum agent_request_type {
	AGENT_LISTENER,	  /* .slot, and the socket */
	AGENT_NAMESPACE,  /* .namespace; the agent sets its name */
	AGENT_BYPASS_SET, /* .prefix, .bypass */
	AGENT_BYPASS_REMOVE,
	AGENT_ROUTE_SET, /* .prefix, .source, .route */
	AGENT_ROUTE_REMOVE,
	AGENT_DEVICE_ATTACH, /* .ifindex */
	AGENT_L3_ATTACH,     /* likewise; its frames have no link-layer header */
	AGENT_DEVICE_DETACH,
	AGENT_ATTACH,	    /* lo and sk_lookup */
	AGENT_DETACH,	    /* everything: a clean end */
	AGENT_INBOUND_ADD,  /* .flow.key */
	AGENT_OWN_SOCKET,   /* the socket */
	AGENT_FLOW_UPDATE,  /* .flow */
	AGENT_FLOW_CLOSE,   /* .flow.key */
	AGENT_COMMIT,	    /* nothing but its reply */
	AGENT_DESERTED,	    /* the session ends, because nobody is left to serve */
	AGENT_INNER_ATTACH, /* .ifindex: it leads to containers inside */
	/* The end of a SOCK_SEQPACKET pair, for events (events/event_batch.h). */
	AGENT_EVENTS,
	AGENT_REQUESTS,
};

struct agent_request {
	uint32_t type; /* enum agent_request_type */
	/* Not 0: asks for a reply, which has the first error since the last reply. */
	uint32_t sequence;
	union {
		uint32_t slot; /* enum sidestep_listener */
		uint32_t ifindex;
		struct sidestep_namespace namespace;
		struct {
			struct prefix prefix;
			uint8_t source[16]; /* of a route; all zero: any */
			union {
				struct sidestep_bypass bypass;
				struct sidestep_route route; /* gateway as in address.h */
			};
		};
		struct {
			struct sidestep_flow_key key;
			uint64_t start, sent, received;
		} flow;
	};
};

struct agent_reply {
	uint32_t sequence;
	int32_t error; /* 0 or negative errno */
};

#endif
