/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `sidestep explain` tells what would happen to a connection, and why. The routes, programs and
 * rules of the network namespace answer themselves. explain decides nothing.
 */
#ifndef SIDESTEP_EXPLAIN_H
#define SIDESTEP_EXPLAIN_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "datapath/bypass_origin.h"
#include "lib/address.h"
#include "programs/programs_probe.h"
#include "sidestep.h"

/* The end of the connection. The names are the report's `outcome`. */
enum explain_outcome {
	EXPLAIN_UNKNOWN,
	EXPLAIN_INTERCEPTED, /* the proxy gets it */
	EXPLAIN_DIRECT,	     /* it leaves as if Sidestep were not there */
	EXPLAIN_LOCAL,	     /* a socket of this namespace gets it */
	EXPLAIN_REFUSED,     /* the sender gets an error at once */
	EXPLAIN_DROPPED,     /* the sender gets nothing */
	EXPLAIN_UNREACHABLE, /* it has no route */
};

/* An entry of the bypassed subnets. */
struct explain_entry {
	bool known; /* the rest says what is there, or that nothing is */
	bool found;
	struct prefix prefix;
	uint32_t sources;		/* enum sidestep_bypass_source */
	char origin[BYPASS_ORIGIN_MAX]; /* in the sidecar's words; "": it was not asked */
};

/* A question, and the answer as far as it is known. */
struct explain {
	struct probe_packet packet;
	bool has_source;
	uint32_t device; /* that the socket is bound to; 0: none */
	int home_fd;	 /* the namespace that the command was started in; -1: this one */
	int netns_fd;
	uint32_t netns;
	struct netlink *netlink;
	const char *datapath;
	enum explain_outcome outcome;
	int verdict; /* enum sidestep_verdict, or -1: nothing was counted */
	struct explain_entry destination, source;
	char gateway[128]; /* "": not known */
	bool ask_gateway;
	bool gateway_failed;
	json_t *steps;
	uint64_t counted[SIDESTEP_COUNTERS]; /* what the question itself has counted */
};

/* Adds a step to the answer. */
void explain_step(struct explain *explain, const char *name, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Ask the attached programs, and the nftables table. Each returns 0, or a negative errno. -ENOENT:
 * there is no such thing in this network namespace. -EPERM: a right is missing. Others are logged.
 */
int explain_programs(struct explain *explain);
int explain_table(struct explain *explain);

/* Tells where the proxy goes with what it gets. A DNS query goes to its resolver. Of a connection's
 * gateway this tells whether it accepts connections, by connecting. @view: of own programs, which
 * then let the connection out; else NULL. */
void explain_gateway(struct explain *explain, const struct programs_view *view);

/* Tells whether a socket of this network namespace takes the packet at that address and port. If
 * none does, the packet is refused. */
void explain_socket(struct explain *explain, const uint8_t address[16], uint16_t port);

/* Binds a packet's socket to a port that no other socket here has, at @source, or with NULL at any
 * address. Returns 0 or a negative errno. */
int explain_take_port(int fd, const uint8_t *source, struct probe_packet *packet);

/* Prints "192.0.2.1:80" and the like. Returns @text. */
const char *explain_end(const uint8_t address[16], uint16_t port, char text[ADDRESS_TEXT_MAX]);

/* Asks the sidecar for the entries of the packet's ends, with their origins. Without an answer they
 * stay what they are. */
void explain_ask_origins(struct explain *explain);

/* Prints the origin of an entry, as far as it is known. Returns @text. */
const char *explain_origin(const struct explain *explain, const struct explain_entry *entry,
			   char text[BYPASS_ORIGIN_MAX]);

/* Describes the route of the packet, and returns it. Returns 0, or the kernel's negative errno:
 * then the outcome is told. */
struct netlink_way;
int explain_way(struct explain *explain, struct netlink_way *ret_way);

/* The answer for other programs. Returns a new object, the caller's, or NULL. */
json_t *explain_report(const struct explain *explain);

/* Prints it for people. */
void explain_print(const struct explain *explain);

#endif
