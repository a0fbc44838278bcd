// SPDX-License-Identifier: Apache-2.0
#include "proxy/dns_event.h"

#include <netinet/in.h>

#include "events/events.h"
#include "proxy/policy.h"

static const char *reason_of(const struct dns_question *question, enum dns_rcode rcode)
{
	switch (rcode) {
	case DNS_NOERROR:
		return question->edns_version > 0 ? "dns_edns_version" : "dns_made_up";
	case DNS_NXDOMAIN:
		return "dns_name_denied";
	case DNS_FORMERR:
		return "dns_malformed";
	case DNS_NOTIMP:
		return "dns_opcode_denied";
	default:
		return "dns_resolver_failed";
	}
}

/* Sets the part of the policy that decided. */
static void set_rule(struct event *event, const struct dns_question *question, enum dns_rcode rcode,
		     const struct policy *policy)
{
	struct policy_origins origins = policy ? policy_origins(policy)
					       : (struct policy_origins) {.allowed = NULL};

	if (rcode == DNS_SERVFAIL)
		return;
	if (rcode == DNS_FORMERR || question->edns_version > 0) {
		event->text[EVENT_RULE_ENTRY] = "form of the query";
		event->text[EVENT_RULE_ORIGIN] = "built in";
	} else if (rcode == DNS_NOERROR) {
		event->text[EVENT_RULE_ENTRY] = "names that are allowed";
		event->text[EVENT_RULE_ORIGIN] = origins.allowed;
	} else {
		event->text[EVENT_RULE_ENTRY] = "internet off";
		event->text[EVENT_RULE_ORIGIN] = origins.internet;
	}
}

void dns_event_answer(const struct proxy_config *config, const struct dns_event_flow *flow,
		      const struct dns_question *question, const uint8_t *message,
		      const char *failure)
{
	enum dns_rcode rcode = dns_rcode(message);
	char name[DNS_NAME_TEXT_MAX];
	struct event event;

	if (!config->events)
		return;
	event = event_of(EVENT_DNS);
	event.protocol = flow->protocol;
	event.verdict = flow->protocol == IPPROTO_TCP ? SIDESTEP_STEER_TCP : SIDESTEP_STEER_DNS;
	event.has_ports = true;
	event_set_endpoint(&event.source, flow->client);
	event_set_endpoint(&event.destination, flow->resolver);
	event.text[EVENT_REASON] = reason_of(question, rcode);
	set_rule(&event, question, rcode, config->policy);
	event.rcode = question->edns_version > 0 ? DNS_BADVERS : (uint8_t)rcode;
	if (question->size > 0) {
		dns_question_name(question, name);
		event.query_type = question->type;
		event.name_source = EVENT_SOURCE_DNS;
		event.text[EVENT_NAME] = name[0] ? name : ".";
	}
	if (rcode == DNS_SERVFAIL)
		event.text[EVENT_MESSAGE] = failure;
	else
		event.text[EVENT_ANSWERS] = dns_made_up_text(question, message);
	events_put(config->events, &event);
}
