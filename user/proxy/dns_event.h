/* SPDX-License-Identifier: Apache-2.0 */
/* Makes the events of DNS answers that are ours, made up or refused (docs/EVENTS.md). */
#ifndef SIDESTEP_DNS_EVENT_H
#define SIDESTEP_DNS_EVENT_H

#include <stdint.h>
#include <sys/socket.h>

#include "proto/dns_message.h"
#include "proxy/proxy_config.h"

/* The ends of a query. */
struct dns_event_flow {
	uint8_t protocol; /* IPPROTO_UDP or IPPROTO_TCP */
	const struct sockaddr *client, *resolver;
};

/* The client gets this answer of ours. @failure: why the resolver gave none, or NULL. Nobody may
 * want events. */
void dns_event_answer(const struct proxy_config *config, const struct dns_event_flow *flow,
		      const struct dns_question *question, const uint8_t *message,
		      const char *failure);

#endif
