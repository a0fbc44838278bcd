/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Applies the policy to DNS messages, over UDP (dns_relay.h) and TCP (dns_stream.h) alike:
 *
 *	internet  resolver's answer	name allowed	not allowed
 *	on	  NXDOMAIN		made up		relayed
 *	on	  any other		relayed		relayed
 *	on	  none, or ICMP error	made up		SERVFAIL
 *	off	  (never asked)		made up		NXDOMAIN
 *
 * NXDOMAIN is relayed as well for names that a client only tries (struct policy_verdict). Without a
 * policy the internet is on and no name is allowed. A malformed query gets FORMERR. An opcode other
 * than QUERY is relayed too, or gets NOTIMP where the internet is off.
 *
 * Where hints are wanted, relayed answers lose what hides names (dns_ech.h).
 */
#ifndef SIDESTEP_DNS_POLICY_H
#define SIDESTEP_DNS_POLICY_H

#include <stddef.h>
#include <stdint.h>

#include "proto/dns_message.h"
#include "proxy/proxy_config.h"

/*
 * Judges a query. Returns 0 if the resolver is to be asked, or the size of the answer in @message.
 * -EBADMSG: there is no answer to it. *@ret_question has size 0 if it could not be read.
 */
int dns_policy_query(const struct proxy_config *config, const void *query, size_t size,
		     struct dns_question *ret_question, uint8_t message[DNS_ANSWER_MAX]);

/* Judges a resolver's answer to @question, and may change it. Returns 0 if it is to be relayed, or
 * the size of the answer in @message that takes its place. */
size_t dns_policy_answer(const struct proxy_config *config, const struct dns_question *question,
			 void *answer, size_t size, uint8_t message[DNS_ANSWER_MAX]);

/* Returns the size of the answer where the resolver gives none. */
size_t dns_policy_failure(const struct proxy_config *config, const struct dns_question *question,
			  uint8_t message[DNS_ANSWER_MAX]);

#endif
