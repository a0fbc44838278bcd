/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the host's agent and a sidecar without rights say to each other.
 *
 * They meet at a socket pair of the sidecar's. The agent takes one end out of that process by
 * pidfd_getfd(2), which only a process may that could just as well trace it: so the sidecar knows
 * that whoever speaks there is the host's, and the agent knows whom it speaks to. Nothing of it can
 * be reached from the network namespace, which the application shares.
 *
 *	sidecar	greeting	lies at the agent's end from the start, and stays there
 *	agent	hello		with one end of a session's socket pair (SCM_RIGHTS)
 *	sidecar	requests	on the session, each followed by a reply where it asks for one
 *
 * A session ends when one side closes it; what was attached stays until AGENT_DETACH or until the
 * namespace is gone. Both sides are on one machine: integers as the machine has them.
 */
#ifndef SIDESTEP_AGENT_WIRE_H
#define SIDESTEP_AGENT_WIRE_H

#include <stdint.h>

#include "lib/address.h"
#include "sidestep.h"

#define AGENT_WIRE_MAGIC   0x53535450u
#define AGENT_WIRE_VERSION 2

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
	AGENT_NAMESPACE,  /* .namespace; its name is the agent's to set */
	AGENT_BYPASS_SET, /* .prefix, .bypass */
	AGENT_BYPASS_REMOVE,
	AGENT_ROUTE_SET, /* .prefix, .route */
	AGENT_ROUTE_REMOVE,
	AGENT_DEVICE_ATTACH, /* .ifindex */
	AGENT_DEVICE_DETACH,
	AGENT_ATTACH,	   /* lo and sk_lookup */
	AGENT_DETACH,	   /* everything: a clean end */
	AGENT_INBOUND_ADD, /* .flow.key */
	AGENT_OWN_SOCKET,  /* the socket */
	AGENT_FLOW_UPDATE, /* .flow */
	AGENT_FLOW_CLOSE,  /* .flow.key */
	AGENT_COMMIT,	   /* nothing but its reply */
	AGENT_REQUESTS,
};

struct agent_request {
	uint32_t type; /* enum agent_request_type */
	/* Not 0: a reply is wanted. The first error since the last reply is its error. */
	uint32_t sequence;
	union {
		uint32_t slot; /* enum sidestep_listener */
		uint32_t ifindex;
		struct sidestep_namespace namespace;
		struct {
			struct prefix prefix;
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
