/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carries DNS over TCP (RFC 7766) for one connection to port 53, under the same policy as over UDP
 * (dns_policy.h). Each message is judged on its own, so a change of the policy holds from the next
 * one on. While the internet is off at the start, there is no gateway and nobody is asked.
 *
 * A client that does not begin like DNS, or a server that speaks first, gets an ordinary relay.
 */
#ifndef SIDESTEP_DNS_STREAM_H
#define SIDESTEP_DNS_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/proxy_config.h"
#include "stream/flow.h"
#include "stream/relay.h"

struct dns_stream;

/* Tells whether connections to this port are judged. */
bool dns_stream_judges(const struct proxy_config *config, uint16_t port);

/* @relay, @flow and @config outlive it. Returns NULL: out of memory. */
struct dns_stream *dns_stream_new(const struct proxy_config *config, struct relay *relay,
				  const struct flow *flow);

/* Tells whether it answers alone, because the internet was off when it was made. */
bool dns_stream_is_alone(const struct dns_stream *stream);

/* Tells whether it is DNS indeed. Some answers are made here then. */
bool dns_stream_is_dns(const struct dns_stream *stream);

/* Starts with the bytes that the relay keeps. The relay's sides are registered, but no side 1 if it
 * is alone. relay->finish tells the end, perhaps before it returns. */
void dns_stream_start(struct dns_stream *stream);

/* Before relay_close(), from relay->finish or at any other time. NULL is allowed. */
void dns_stream_free(struct dns_stream *stream);

#endif
