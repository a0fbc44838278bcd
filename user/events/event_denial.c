// SPDX-License-Identifier: Apache-2.0
#include "events/event_denial.h"

#include <netinet/in.h>
#include <string.h>

#include "lib/util.h"

/* The reason's id, the rule and its origin, and the remedy, for a verdict. */
struct text {
	const char *reason, *entry, *origin, *message;
};

static const struct text texts[SIDESTEP_COUNTERS] = {
	[SIDESTEP_DENY_UDP] = {"udp_denied", "UDP to another port than 53", "option --udp",
			       "UDP to this port is denied: --udp pass lets it out, without the "
			       "gateway"},
	[SIDESTEP_DENY_PROTOCOL] = {"protocol_denied", "neither TCP nor UDP", "built in",
				    "only TCP, and UDP where --udp passes it, leave the namespace: "
				    "--bypass lets other protocols reach a subnet"},
	[SIDESTEP_DENY_FRAGMENT] = {"fragment_denied", "a later fragment", "built in",
				    "the first fragment of this datagram was not let out"},
	[SIDESTEP_DENY_MALFORMED] = {"malformed", "unreadable headers", "built in",
				     "the headers cannot be read, or the packet goes elsewhere "
				     "than they say"},
	[SIDESTEP_DENY_ANSWER] = {"answer_denied", "an answer for no client", "built in",
				  "the query came from an address that is not a client's"},
	[SIDESTEP_ASSIGN_ERRORS] = {"nobody_listens", "no listener", "built in",
				    "nobody listens for it: --disable-ipv6 or --dns-enabled=false "
				    "was given, or the process has ended"},
	[SIDESTEP_SPOOFED] = {"spoofed", "a source address of this namespace", "built in",
			      "it came from outside with an address of this side"},
	[SIDESTEP_TOO_BIG] = {"too_big", "larger than the route's MTU", "built in",
			      "the packet does not fit the way out: lower the MTU of the "
			      "application's socket"},
};

static const struct text walked_around = {
	"walked_around", "the guard", "built in",
	"the packet walked around the steering, by a packet socket or by a route that is not ours"};

static const struct text *text_of(const struct sidestep_denial *denial)
{
	uint32_t about = denial->verdict == SIDESTEP_GUARD_DROPS ? denial->judged : denial->verdict;

	return about < ARRAY_SIZE(texts) && texts[about].reason ? &texts[about] : &walked_around;
}

static bool has_ports(uint8_t protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP;
}

struct event event_of_denial(const struct sidestep_denial *denial)
{
	const struct sidestep_flow_key *flow = &denial->flow;
	const struct text *text = text_of(denial);
	struct event event = event_of(EVENT_DENIED);

	event.netns = flow->netns & ~(uint32_t)SIDESTEP_OUTER;
	event.protocol = flow->protocol;
	event.verdict = denial->verdict < SIDESTEP_COUNTERS ? (uint8_t)denial->verdict : 0;
	event.count = 1;
	memcpy(event.source.address, flow->local_address, sizeof(event.source.address));
	memcpy(event.destination.address, flow->remote_address, sizeof(event.destination.address));
	/* A later fragment has none, and the identifier of an echo request is no port. */
	event.has_ports = has_ports(flow->protocol) && flow->remote_port > 0;
	if (event.has_ports) {
		event.source.port = flow->local_port;
		event.destination.port = flow->remote_port;
	}
	event.text[EVENT_REASON] = text->reason;
	event.text[EVENT_RULE_ENTRY] = text->entry;
	event.text[EVENT_RULE_ORIGIN] = text->origin;
	event.text[EVENT_MESSAGE] = text->message;
	return event;
}

void event_set_process(struct event *event, const struct sidestep_process *process,
		       struct event_comm *comm)
{
	if (process->pid == 0 || process->pid > INT32_MAX)
		return;
	event->pid = (int32_t)process->pid;
	memcpy(comm->text, process->comm, sizeof(process->comm));
	comm->text[sizeof(process->comm)] = '\0';
	event->text[EVENT_COMM] = comm->text[0] ? comm->text : NULL;
}
