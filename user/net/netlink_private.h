/* SPDX-License-Identifier: Apache-2.0 */
/* Requests, dumps and address attributes. Only the netlink*.c files include it. */
#ifndef SIDESTEP_NETLINK_PRIVATE_H
#define SIDESTEP_NETLINK_PRIVATE_H

#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stdint.h>

#include "net/netlink.h"

struct netlink_link;
struct netlink_address;
struct netlink_route;
struct netlink_rule;

/* A request under construction. 1024 bytes are enough for each request of these files. */
union netlink_request {
	struct nlmsghdr header;
	char bytes[1024];
};

/* A running dump's visitor. */
struct netlink_visitor {
	union {
		int (*link)(void *, const struct netlink_link *);
		int (*address)(void *, const struct netlink_address *);
		int (*route)(void *, const struct netlink_route *);
		int (*rule)(void *, const struct netlink_rule *);
	} visit;
	void *context;
	int error; /* the visitor's last negative return; 0: none */
};

/* Sends a request and waits for its acknowledgement. Returns 0 or negative errno. */
int netlink_send(struct netlink *netlink, struct nlmsghdr *header);

/* Likewise, for a request about one object: its message goes to @callback with @context as its
 * data.
 */
int netlink_ask(struct netlink *netlink, struct nlmsghdr *header, mnl_cb_t callback, void *context);

/* Dumps the objects of a family. Each message goes to @callback with @visitor as its data. Returns
 * 0, the visitor's error, or negative errno. */
int netlink_dump(struct netlink *netlink, uint16_t type, int family, mnl_cb_t callback,
		 struct netlink_visitor *visitor);

/* Records a visitor's return value and returns MNL_CB_OK. After an error the rest of the dump is
 * still read: callbacks skip it. */
int netlink_visited(struct netlink_visitor *visitor, int error);

/* Reads an address attribute. Returns false when it is too short for the family. */
bool netlink_get_address(const struct nlattr *attribute, int family, uint8_t address[16]);

/* Appends an address attribute of 4 or 16 bytes. */
void netlink_put_address(struct nlmsghdr *header, uint16_t type, const uint8_t address[16]);

#endif
