// SPDX-License-Identifier: Apache-2.0
#include "datapath/datapath_nft_rules.h"

#include <arpa/inet.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <stdio.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tuple_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter_ipv4.h>

#include "datapath/datapath_nft_denied.h"
#include "datapath/datapath_nft_expr.h"
#include "datapath/datapath_nft_inner.h"
#include "datapath/datapath_nft_match.h"
#include "datapath/datapath_nft_replies.h"
#include "datapath/datapath_nft_sets.h"
#include "datapath/datapath_nft_steer.h"
#include "lib/util.h"

/* The id of the anonymous set of chain "judge". */
#define ICMP_SET 1

/* In the order of enum sidestep_verdict and the counters that follow it there. */
static const struct {
	const char *name, *comment;
} counters[] = {
	{"LOCAL", "to an address of this namespace"},
	{"BRIDGE", "source and destination are in bypassed subnets"},
	{"LINK", "never leaves the link"},
	{"REPLY", "belongs to a connection from outside"},
	{"OWN", "the proxy's own"},
	{"STEER_TCP", "connections that were steered"},
	{"STEER_DNS", "UDP to port 53"},
	{"PASS_UDP", "UDP to another port, --udp pass"},
	{"DENY_UDP", "UDP to another port, --udp deny or drop"},
	{"DENY_PROTOCOL", "neither TCP nor UDP nor a reply"},
	{"DENY_FRAGMENT", "a later fragment: no port to judge by"},
	{"DENY_MALFORMED", "of no connection that is known"},
	{"DENY_ANSWER", "the proxy's DNS answer to an address that is not a client's"},
	{"GUARD_DROPS", "walked around the steering, stopped at the device"},
	{"ASSIGN_ERRORS", "nobody listens: refused"},
	{"SPOOFED", "from outside with a source address of this namespace"},
};

_Static_assert(SIDESTEP_SPOOFED + 1 == ARRAY_SIZE(counters), "one for each, in their order");

/* Those whose packets are dropped. */
static const char *const denied[] = {"DENY_UDP",       "DENY_PROTOCOL", "DENY_FRAGMENT",
				     "DENY_MALFORMED", "DENY_ANSWER",	"GUARD_DROPS",
				     "SPOOFED"};

static void add_counter(const struct nft_table *table, size_t index)
{
	nft_counter_add(table, counters[index].name, counters[index].comment);
}

/* Adds all chains before the first rule, because a rule can only go to an existing chain. */
static void add_chains(const struct nft_table *table, const struct nft_rules *rules)
{
	static const struct {
		const char *name;
		struct nft_hook hook;
	} chains[] = {
		{"dns_answers", {"filter", NF_INET_LOCAL_OUT, NF_IP_PRI_RAW, NF_ACCEPT, NULL}},
		{"let_out", {0}},
		{"stay", {0}},
		{"dns", {0}},
		{"to_bypassed", {0}},
		{"as_reply", {0}},
		{"as_error", {0}},
		{"as_own", {0}},
		{"judge", {"route", NF_INET_LOCAL_OUT, NF_IP_PRI_MANGLE, NF_DROP, NULL}},
		{"leave", {0}},
		{"guard", {"filter", NF_INET_POST_ROUTING, NF_IP_PRI_MANGLE, NF_ACCEPT, NULL}},
		{"from_outside", {0}},
		{"inbound", {0}},
		{"arrive", {"filter", NF_INET_PRE_ROUTING, NF_IP_PRI_MANGLE, NF_ACCEPT, NULL}},
	};
	size_t i;

	nft_steer_add_chains(table, rules);
	for (i = 0; i < ARRAY_SIZE(chains); i++)
		nft_chain_add(table, chains[i].name, &chains[i].hook);
	if (!rules->redirect)
		nft_inner_add_chains(table);
}

/* The proxy answers from its listener's port. This runs before conntrack, which knows the query. */
static void add_answers(const struct nft_table *table, const struct nft_rules *rules)
{
	static const char chain[] = "dns_answers";
	static const char comment[] = "the asker expects the resolver's port";
	uint16_t port4 = rules->listeners[SIDESTEP_LISTENER_DNS4];
	uint16_t port6 = rules->listeners[SIDESTEP_LISTENER_DNS6];

	if (port4)
		COMMENTED_RULE(chain, comment, HAS_MARK(rules->own_mark), IPV4, UDP, SOURCE_PORT,
			       PORT_IS(port4), LOAD_VALUE(u16, htons(53)), SET_UDP(0, 2));
	if (port6)
		COMMENTED_RULE(chain, comment, HAS_MARK(rules->own_mark), IPV6, UDP, SOURCE_PORT,
			       PORT_IS(port6), LOAD_VALUE(u16, htons(53)), SET_UDP(0, 2));
}

/* The outcomes of judging. */
static void add_outcomes(const struct nft_table *table, const struct nft_rules *rules)
{
	COMMENTED_RULE("let_out", "to the way that it has without sidestep",
		       SET_MARK(rules->out_mark), ACCEPT);
	COMMENTED_RULE("stay", "only rules here may set it", HAS_MARK(rules->out_mark),
		       SET_MARK(0));
	RULE("stay", ACCEPT);
	RULE("dns", UDP, COUNT(STEER_DNS));
	RULE("dns", GOTO("stay"));
	RULE("to_bypassed", COUNT(BRIDGE));
	COMMENTED_RULE("to_bypassed", "no route of ours knows the subnet yet", OUT_OF_LO,
		       GOTO("let_out"));
	RULE("to_bypassed", ACCEPT);
	RULE("as_reply", COUNT(REPLY), GOTO("let_out"));
	/* Conntrack calls an error related only if it goes to the sender of the packet that it
	 * quotes (nf_conntrack_inet_error()). The address that it comes from is free there. */
	RULE("as_error", IPV4, FROM4("bypass4"), GOTO("as_reply"));
	RULE("as_error", IPV6, FROM6("bypass6"), GOTO("as_reply"));
	RULE("as_error", DENY(DENY_PROTOCOL));
	RULE("as_own", COUNT(OWN), GOTO("let_out"));
}

/* Packets that the application, the kernel and the proxy send. */
static void add_judge(const struct nft_table *table, const struct nft_rules *rules)
{
	static const char chain[] = "judge";

	RULE(chain, IPV4, TO4("local4"), COUNT(LOCAL), ACCEPT);
	RULE(chain, IPV6, TO6("local6"), COUNT(LOCAL), ACCEPT);
	EXCEPTED_DNS(chain, IPV4, IPV6, HAS_NOT_MARK(rules->own_mark), GOTO("dns"));
	if (!rules->redirect)
		COMMENTED_RULE(chain, "the proxy's answers among them", TO_INNER, COUNT(BRIDGE),
			       GOTO("stay"));
	RULE(chain, IPV4, TO4("link4"), COUNT(LINK), ACCEPT);
	RULE(chain, IPV6, TO6("link6"), COUNT(LINK), ACCEPT);
	RULE(chain, IPV4, TO4("bypass4"), FROM4("bypass4"), GOTO("to_bypassed"));
	RULE(chain, IPV6, TO6("bypass6"), FROM6("bypass6"), GOTO("to_bypassed"));
	COMMENTED_RULE(chain, "the application chose where it goes", HAS_MARK(rules->own_mark), UDP,
		       SOURCE_PORT, PORT_IS(53), DENY(DENY_ANSWER));
	COMMENTED_RULE(chain, "socket of the proxy's", HAS_MARK(rules->own_mark),
		       LOAD_META(NFT_META_L4PROTO), LOAD_TRANSPORT_AT(1, 0, 2), IN_SET("own"),
		       MARK_ADD(NFT_CT_OWN), GOTO("as_own"));
	RULE(chain, MARKED(NFT_CT_OWN), DIRECTION(IP_CT_DIR_ORIGINAL), GOTO("as_own"));
	/* Offsets of fragments behind the first: 13 bits in IPv4, the upper 13 in IPv6. */
	RULE(chain, IPV4, LOAD_NETWORK(6, 2), MASK(u16, htons(0x1fff)), UNEQUAL(u16, 0),
	     DENY(DENY_FRAGMENT));
	RULE(chain, IPV6, LOAD_EXTENSION(IPPROTO_FRAGMENT, 2, 2), MASK(u16, htons(0xfff8)),
	     UNEQUAL(u16, 0), DENY(DENY_FRAGMENT));
	RULE(chain, UDP, DESTINATION_PORT, PORT_IS(53), COUNT(STEER_DNS), GOTO("stay"));
	nft_replies_add(table, chain, ICMP_SET);
	COMMENTED_RULE(chain, "the same ports, but opened here", TCP, OPENING,
		       MARKED(NFT_CT_INBOUND), MARK_REMOVE(NFT_CT_INBOUND));
	RULE(chain, TCP, GOTO("stay"));
	switch (rules->udp) {
	case SIDESTEP_UDP_PASS:
		RULE(chain, UDP, COUNT(PASS_UDP), GOTO("let_out"));
		break;
	case SIDESTEP_UDP_DROP:
		if (!rules->no_log)
			RULE(chain, UDP, TELL(DENY_UDP));
		COMMENTED_RULE(chain, "dropped behind lo", UDP, COUNT(DENY_UDP), GOTO("stay"));
		break;
	case SIDESTEP_UDP_DENY:
		COMMENTED_RULE(chain, "the sender is told EPERM", UDP, DENY(DENY_UDP));
		break;
	}
	RULE(chain, DENY(DENY_PROTOCOL));
}

/* The last check, behind all routing. */
static void add_guard(const struct nft_table *table, const struct nft_rules *rules)
{
	static const char chain[] = "guard", leave[] = "leave";

	RULE(chain, OUT_OF_LO, ACCEPT);
	if (!rules->redirect)
		RULE(chain, TO_INNER, ACCEPT);
	RULE(chain, IPV4, IPV4_PLAIN, GOTO("leave"));
	COMMENTED_RULE(chain, "its way does not end where it says", IPV4, LOOSE_ROUTE,
		       DENY(GUARD_DROPS));
	RULE(chain, IPV4, STRICT_ROUTE, DENY(GUARD_DROPS));
	RULE(chain, IPV6, SEGMENTS_LEFT, DENY(GUARD_DROPS));
	RULE(chain, GOTO("leave"));
	COMMENTED_RULE(leave, "its socket takes lo for its way", HAS_MARK(rules->out_mark), TCP,
		       ANY_SYN, LOAD_ROUTE_MSS, TO_NETWORK(u16), SET_MSS);
	COMMENTED_RULE(leave, "set by let_out", HAS_MARK(rules->out_mark), ACCEPT);
	COMMENTED_RULE(leave, "its way is lo", IPV4, TO4("local4"), DENY(GUARD_DROPS));
	RULE(leave, IPV6, TO6("local6"), DENY(GUARD_DROPS));
	EXCEPTED_DNS(leave, IPV4, IPV6, DENY(GUARD_DROPS));
	RULE(leave, IPV4, TO4("link4"), ACCEPT);
	RULE(leave, IPV6, TO6("link6"), ACCEPT);
	RULE(leave, IPV4, TO4("bypass4"), FROM4("bypass4"), ACCEPT);
	RULE(leave, IPV6, TO6("bypass6"), FROM6("bypass6"), ACCEPT);
	RULE(leave, DENY(GUARD_DROPS));
}

/* Packets from a device other than lo. */
static void add_from_outside(const struct nft_table *table, const struct nft_rules *rules)
{
	static const char chain[] = "from_outside";

	RULE(chain, IPV4, FROM4("local4"), DENY(SPOOFED));
	RULE(chain, IPV6, FROM6("local6"), DENY(SPOOFED));
	RULE(chain, LOAD_CT(NFT_CT_STATE), UNEQUAL(u32, CT_NEW), ACCEPT);
	RULE(chain, IPV4, FROM4("bypass4"), ACCEPT);
	RULE(chain, IPV6, FROM6("bypass6"), ACCEPT);
	RULE(chain, TCP, BARE_SYN, GOTO("inbound"));
	COMMENTED_RULE(chain, "not a resolver's answer", UDP, SOURCE_PORT, PORT_IS_NOT(53),
		       GOTO("inbound"));
	RULE(chain, IPV4, PROTOCOL(IPPROTO_ICMP), ICMP_TYPE(ICMP_ECHO), GOTO("inbound"));
	RULE(chain, IPV6, PROTOCOL(IPPROTO_ICMPV6), ICMP_TYPE(ICMP6_ECHO_REQUEST), GOTO("inbound"));
	if (rules->half_closed_s)
		RULE("inbound", TCP, SET_TIMEOUTS("half_closed"));
	COMMENTED_RULE("inbound", "its replies pass", MARK_ADD(NFT_CT_INBOUND), ACCEPT);
}

static void add_arrivals(const struct nft_table *table, const struct nft_rules *rules)
{
	static const char chain[] = "arrive";

	add_from_outside(table, rules);
	if (!rules->redirect)
		RULE(chain, FROM_INNER, GOTO("from_inner"));
	RULE(chain, NOT_INTO_LO, GOTO("from_outside"));
	RULE(chain, IPV4, TO4("local4"), ACCEPT);
	RULE(chain, IPV6, TO6("local6"), ACCEPT);
	EXCEPTED_DNS(chain, IPV4, IPV6, GOTO("to_proxy"));
	RULE(chain, IPV4, TO4("link4"), ACCEPT);
	RULE(chain, IPV6, TO6("link6"), ACCEPT);
	RULE(chain, IPV4, TO4("bypass4"), ACCEPT);
	RULE(chain, IPV6, TO6("bypass6"), ACCEPT);
	RULE(chain, GOTO("to_proxy"));
	nft_steer_add_rules(table, rules);
}

/* Makes the table's comment, in characters that nft(8) can read back. */
static void describe(const struct nft_rules *rules, char *text, size_t size)
{
	char *character;

	(void)snprintf(text, size, "sidestep %s, gateway %s", SIDESTEP_VERSION, rules->gateway);
	for (character = text; *character; character++)
		if (*character < ' ' || *character == '"' || *character == '\\')
			*character = '?';
}

void nft_rules_add(struct nft_batch *batch, const struct nft_rules *rules)
{
	const struct nft_table *table = &(const struct nft_table) {batch, NFT_JUDGE_FAMILY};
	char comment[192];
	size_t i;

	describe(rules, comment, sizeof(comment));
	nft_table_remove(table);
	nft_table_add(table, comment);
	for (i = 0; i < ARRAY_SIZE(counters); i++)
		add_counter(table, i);
	nft_denied_add(table, denied, ARRAY_SIZE(denied), rules->no_log);
	if (rules->half_closed_s)
		nft_timeouts_add(table, "half_closed", rules->half_closed_s);
	nft_sets_add_bypass(table);
	nft_sets_add_connections(table);
	if (!rules->redirect)
		nft_sets_add_inner(table);
	add_chains(table, rules);
	add_answers(table, rules);
	add_outcomes(table, rules);
	add_judge(table, rules);
	add_guard(table, rules);
	add_arrivals(table, rules);
	if (!rules->redirect)
		nft_inner_add_rules(table, rules);
}

/*
 * Frames of packet sockets, whose headers may lie in memory that the sender shares
 * (PACKET_TX_RING). Writing a part of the header makes a copy, which the sender cannot change
 * behind our back. It does not reach behind the fixed header, so nothing but a transport header may
 * follow.
 */
static void add_packet_socket(const struct nft_table *table)
{
	static const char chain[] = "packet_socket";
	static const uint8_t extensions[] = {IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_FRAGMENT,
					     IPPROTO_DSTOPTS};
	static const uint8_t with_ports[] = {IPPROTO_UDP, IPPROTO_TCP};
	size_t i;

	nft_chain_add(table, chain, &(const struct nft_hook) {0});
	RULE(chain, ARP_FRAME, ACCEPT);
	COMMENTED_RULE(chain, "copies the header", IPV4_FRAME, LOAD_NETWORK(16, 4),
		       SET_NETWORK(16, 4));
	COMMENTED_RULE(chain, "copies the header", IPV6_FRAME, LOAD_NETWORK(24, 16),
		       SET_NETWORK(24, 16));
	RULE(chain, IPV4_FRAME, IPV4_LONG, DENY(GUARD_DROPS));
	for (i = 0; i < ARRAY_SIZE(extensions); i++)
		RULE(chain, IPV6_FRAME, NEXT_HEADER(extensions[i]), DENY(GUARD_DROPS));
	COMMENTED_RULE(chain, "its way is lo", IPV4_FRAME, TO4("local4"), DENY(GUARD_DROPS));
	RULE(chain, IPV6_FRAME, TO6("local6"), DENY(GUARD_DROPS));
	/* The ports behind the header are copied as well, where they decide. */
	RULE(chain, IPV4_FRAME, TO4("except4"), LOAD_NETWORK(22, 2), SET_NETWORK(22, 2));
	RULE(chain, IPV6_FRAME, TO6("except6"), LOAD_NETWORK(42, 2), SET_NETWORK(42, 2));
	/* The kernel found the transport header before the copy, perhaps elsewhere. */
	for (i = 0; i < ARRAY_SIZE(with_ports); i++) {
		RULE(chain, IPV4_FRAME, TO4("except4"), IPV4_PROTOCOL(with_ports[i]),
		     LOAD_NETWORK(22, 2), PORT_IS(53), DENY(GUARD_DROPS));
		RULE(chain, IPV6_FRAME, TO6("except6"), NEXT_HEADER(with_ports[i]),
		     LOAD_NETWORK(42, 2), PORT_IS(53), DENY(GUARD_DROPS));
	}
	RULE(chain, IPV4_FRAME, TO4("link4"), ACCEPT);
	RULE(chain, IPV6_FRAME, TO6("link6"), ACCEPT);
	RULE(chain, IPV4_FRAME, TO4("bypass4"), FROM4("bypass4"), ACCEPT);
	RULE(chain, IPV6_FRAME, TO6("bypass6"), FROM6("bypass6"), ACCEPT);
	RULE(chain, DENY(GUARD_DROPS));
}

/*
 * Packet sockets pass no netfilter hook but the device's egress (Linux 5.16). A packet that has a
 * route has been judged. One without is left to its addresses.
 */
void nft_rules_add_guard(struct nft_batch *batch, const char (*names)[IFNAMSIZ], size_t count,
			 bool no_log)
{
	static const char *const dropped[] = {"GUARD_DROPS"};
	const struct nft_table *table = &(const struct nft_table) {batch, NFT_GUARD_FAMILY};
	size_t i;

	nft_table_remove(table);
	if (count == 0)
		return;
	nft_table_add(table, NULL);
	add_counter(table, SIDESTEP_GUARD_DROPS);
	nft_denied_add(table, dropped, ARRAY_SIZE(dropped), no_log);
	nft_sets_add_bypass(table);
	add_packet_socket(table);
	for (i = 0; i < count; i++) {
		char chain[32];

		(void)snprintf(chain, sizeof(chain), "device%zu", i);
		nft_chain_add(table, chain,
			      &(const struct nft_hook) {"filter", NF_NETDEV_EGRESS, 0, NF_ACCEPT,
							names[i]});
		/* Reading the class fails without a route, and any class is 0 or more. */
		COMMENTED_RULE(chain, "it has a route, of whatever class",
			       LOAD_META(NFT_META_RTCLASSID), TO_NETWORK(u32),
			       COMPARE(NFT_CMP_GTE, u32, 0), ACCEPT);
		RULE(chain, GOTO("packet_socket"));
	}
}
