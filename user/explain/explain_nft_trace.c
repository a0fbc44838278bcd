// SPDX-License-Identifier: Apache-2.0
#include "explain/explain_nft_trace.h"

#include <errno.h>
#include <libnftnl/trace.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <strings.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "datapath/datapath_nft_batch.h"
#include "datapath/datapath_nft_input.h"
#include "lib/clock.h"
#include "programs/counters.h"

/* The packet may have as many numbers, one for each part of its way. */
#define IDS_MAX 8

struct follow {
	const struct nft_table_facts *facts;
	struct explain *explain;
	uint8_t own_family;
	uint32_t ids[IDS_MAX];
	size_t id_count;
	bool over;
};

/* An event, whose texts belong to it. */
struct event {
	uint32_t id, verdict;
	uint8_t family;
	const char *table, *chain, *target;
	uint64_t rule; /* 0: the policy */
	/* The packet's present destination. The first event of each hook has it. */
	bool has_end;
	uint8_t address[16];
	uint16_t port; /* host byte order */
};

static const char *text_of(const struct nftnl_trace *trace, uint16_t attribute)
{
	return nftnl_trace_is_set(trace, attribute) ? nftnl_trace_get_str(trace, attribute) : "";
}

/* Reads the destination in the packet's headers. */
static void read_end(const struct nftnl_trace *trace, struct event *event)
{
	uint32_t network_size = 0, transport_size = 0;
	const uint8_t *network = nftnl_trace_get_data(trace, NFTNL_TRACE_NETWORK_HEADER,
						      &network_size);
	const uint8_t *transport = nftnl_trace_get_data(trace, NFTNL_TRACE_TRANSPORT_HEADER,
							&transport_size);

	if (!network || !transport || network_size < 20 || transport_size < 4 ||
	    (*network >> 4 == 6 && network_size < 40))
		return;
	if (*network >> 4 == 6)
		address_from_bytes(AF_INET6, network + 24, event->address);
	else
		address_from_bytes(AF_INET, network + 16, event->address);
	event->port = (uint16_t)(transport[2] << 8 | transport[3]);
	event->has_end = true;
}

static struct event event_of(const struct nftnl_trace *trace)
{
	bool rule = nftnl_trace_get_u32(trace, NFTNL_TRACE_TYPE) == NFT_TRACETYPE_RULE;

	return (struct event) {
		.id = nftnl_trace_get_u32(trace, NFTNL_TRACE_ID),
		.verdict = nftnl_trace_is_set(trace, NFTNL_TRACE_VERDICT)
				   ? nftnl_trace_get_u32(trace, NFTNL_TRACE_VERDICT)
				   : nftnl_trace_get_u32(trace, NFTNL_TRACE_POLICY),
		.family = (uint8_t)nftnl_trace_get_u32(trace, NFTNL_TRACE_FAMILY),
		.table = text_of(trace, NFTNL_TRACE_TABLE),
		.chain = text_of(trace, NFTNL_TRACE_CHAIN),
		.target = text_of(trace, NFTNL_TRACE_JUMP_TARGET),
		.rule = rule ? nftnl_trace_get_u64(trace, NFTNL_TRACE_RULE_HANDLE) : 0,
	};
}

/* Is it an event of our packet? Others may trace packets of theirs. */
static bool is_ours(struct follow *follow, const struct event *event)
{
	size_t i;

	for (i = 0; i < follow->id_count; i++)
		if (follow->ids[i] == event->id)
			return true;
	if (event->family != follow->own_family || strcmp(event->table, NFT_TABLE_NAME) != 0 ||
	    follow->id_count == IDS_MAX)
		return false;
	follow->ids[follow->id_count++] = event->id;
	return true;
}

static const struct nft_rule_fact *find_fact(const struct nft_table_facts *facts, uint64_t handle)
{
	size_t i;

	for (i = 0; i < facts->count; i++)
		if (facts->rules[i].handle == handle)
			return &facts->rules[i];
	return NULL;
}

/* Our counters have the names of the programs', in capitals. */
static void note_counted(struct explain *explain, const char *counter)
{
	int i;

	for (i = 0; i < SIDESTEP_COUNTERS; i++) {
		if (strcasecmp(counter, counter_names[i]) != 0)
			continue;
		explain->verdict = i;
		explain->counted[i]++;
	}
}

static const char *verdict_text(uint32_t verdict)
{
	switch ((int)verdict) {
	case NF_DROP:
		return "drops it";
	case NF_ACCEPT:
		return "accepts it";
	case NFT_GOTO:
	case NFT_JUMP:
		return "goes to";
	case NFT_RETURN:
		return "goes back";
	default:
		return "goes on";
	}
}

/* Describes what a table does with the packet. */
static void tell_event(struct follow *follow, const struct event *event)
{
	bool sidecars = event->family == NFT_JUDGE_FAMILY &&
			strcmp(event->table, NFT_TABLE_NAME) == 0;
	const struct nft_rule_fact *fact = sidecars ? find_fact(follow->facts, event->rule) : NULL;
	const char *counter = fact ? fact->counter : "", *comment = fact ? fact->comment : "";
	bool chosen = (int)event->verdict != NFT_CONTINUE && event->rule;
	char step[64];

	if (*counter)
		note_counted(follow->explain, counter);
	if (!chosen && !*counter && event->verdict != NF_DROP)
		return;
	(void)snprintf(step, sizeof(step), "%s%s%s", sidecars ? "" : event->table,
		       sidecars ? "" : " ", event->chain);
	explain_step(follow->explain, step, "%s%s%s%s%s%s%s%s%s", *counter ? "counts " : "",
		     counter, *counter ? ", " : "", verdict_text(event->verdict),
		     *event->target ? " " : "", event->target, *comment ? " (" : "", comment,
		     *comment ? ")" : "");
}

/* The packet's end, in the table that traces it. The last thing that was counted tells who gets
 * what arrives. */
static void tell_own(struct follow *follow, const struct event *event)
{
	struct explain *explain = follow->explain;
	bool steered;

	if (event->verdict != NF_DROP)
		return;
	follow->over = true;
	if (strcmp(event->chain, NFT_CHAIN_LEFT) == 0) {
		explain->outcome = EXPLAIN_DIRECT;
		return;
	}
	steered = explain->verdict == SIDESTEP_STEER_TCP || explain->verdict == SIDESTEP_STEER_DNS;
	explain->outcome = steered ? EXPLAIN_INTERCEPTED : EXPLAIN_LOCAL;
	/* tproxy leaves the packet as it is, and has found the proxy's socket. */
	if (event->has_end &&
	    (!steered || event->port != explain->packet.destination_port ||
	     memcmp(event->address, explain->packet.destination, sizeof(event->address)) != 0))
		explain_socket(explain, event->address, event->port);
}

static int on_event(const struct nlmsghdr *header, void *data)
{
	struct nftnl_trace *trace = nftnl_trace_alloc();
	struct follow *follow = data;
	struct event event;

	if (trace && !follow->over && nftnl_trace_nlmsg_parse(header, trace) == 0) {
		event = event_of(trace);
		read_end(trace, &event);
		if (!is_ours(follow, &event)) {
			/* Somebody else's packet. */
		} else if (event.family == follow->own_family &&
			   strcmp(event.table, NFT_TABLE_NAME) == 0) {
			tell_own(follow, &event);
		} else {
			tell_event(follow, &event);
			follow->over = event.verdict == NF_DROP;
			if (follow->over)
				follow->explain->outcome = EXPLAIN_DROPPED;
		}
	}
	if (trace)
		nftnl_trace_free(trace);
	return MNL_CB_OK;
}

int nft_trace_open(struct mnl_socket **ret_socket)
{
	int group = NFNLGRP_NFTRACE, error = nft_socket_open(ret_socket);

	if (error == 0 &&
	    mnl_socket_setsockopt(*ret_socket, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0) {
		error = -errno;
		nft_socket_close(*ret_socket);
	}
	return error;
}

bool nft_trace_follow(struct mnl_socket *socket, const struct nft_table_facts *facts,
		      uint8_t own_family, int limit_ms, struct explain *explain)
{
	struct follow follow = {.facts = facts, .explain = explain, .own_family = own_family};
	_Alignas(struct nlmsghdr) char buffer[32768];
	struct pollfd event = {.fd = mnl_socket_get_fd(socket), .events = POLLIN};
	uint64_t end = clock_ms() + (uint64_t)limit_ms, now = clock_ms();

	while (!follow.over && now < end && poll(&event, 1, (int)(end - now)) > 0) {
		ssize_t size = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));

		if (size > 0)
			(void)mnl_cb_run(buffer, (size_t)size, 0, 0, on_event, &follow);
		now = clock_ms();
	}
	return follow.over;
}
