// SPDX-License-Identifier: Apache-2.0
/*
 * The decision is that of bpf/decide.h, in its order; counters have the names of its verdicts, in
 * capitals, since some are words of nft's.
 */
#include "datapath/datapath_nft_rules.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util.h"

/* Mid-stream: not the first packet of a TCP connection. */
#define NOT_OPENING "tcp flags & (syn | ack) != syn"

static int compare(const struct prefix *a, const struct prefix *b)
{
	int order = memcmp(a->address, b->address, sizeof(a->address));

	return order ? order : (int)a->length - (int)b->length;
}

/* Where @prefix is or belongs. */
static size_t position(const struct nft_bypass_list *list, const struct prefix *prefix)
{
	size_t low = 0, high = list->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare(&list->items[middle].prefix, prefix) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int nft_bypass_set(struct nft_bypass_list *list, const struct prefix *prefix, uint32_t sources)
{
	size_t at = position(list, prefix);

	if (at < list->count && prefix_equal(&list->items[at].prefix, prefix)) {
		list->items[at].sources = sources;
		return 0;
	}
	if (list->count == (size_t)2 * SIDESTEP_MAX_BYPASS)
		return -ENOSPC;
	if (list->count == list->room) {
		size_t room = list->room ? 2 * list->room : 64;
		void *items = reallocarray(list->items, room, sizeof(*list->items));

		if (!items)
			return -ENOMEM;
		list->items = items;
		list->room = room;
	}
	memmove(&list->items[at + 1], &list->items[at], (list->count - at) * sizeof(*list->items));
	list->items[at] = (struct nft_bypass) {.prefix = *prefix, .sources = sources};
	list->count++;
	return 0;
}

void nft_bypass_remove(struct nft_bypass_list *list, const struct prefix *prefix)
{
	size_t at = position(list, prefix);

	if (at == list->count || !prefix_equal(&list->items[at].prefix, prefix))
		return;
	list->count--;
	memmove(&list->items[at], &list->items[at + 1], (list->count - at) * sizeof(*list->items));
}

bool nft_bypass_has(const struct nft_bypass_list *list, const uint8_t address[16])
{
	size_t i;

	for (i = 0; i < list->count; i++)
		if (prefix_contains(&list->items[i].prefix, address))
			return true;
	return false;
}

/* In the order of enum sidestep_verdict and what follows it there. */
static const struct {
	const char *name, *comment;
} counters[] = {
	{"LOCAL", "to an address of this namespace"},
	{"BRIDGE", "source and destination are in bypassed subnets"},
	{"LINK", "never leaves the link"},
	{"REPLY", "belongs to what came from outside"},
	{"OWN", "the proxy's own"},
	{"STEER_TCP", "connections that were steered"},
	{"STEER_DNS", "UDP to port 53"},
	{"PASS_UDP", "UDP to another port, --udp pass"},
	{"DENY_UDP", "UDP to another port, --udp deny"},
	{"DENY_PROTOCOL", "neither TCP nor UDP nor a reply"},
	{"DENY_FRAGMENT", "a later fragment: no port to judge by"},
	{"DENY_MALFORMED", "of no connection that is known"},
	{"GUARD_DROPS", "walked around the steering, stopped at the device"},
	{"ASSIGN_ERRORS", "nobody listens: refused"},
	{"SPOOFED", "from outside with a source address of this namespace's"},
};

_Static_assert(SIDESTEP_SPOOFED + 1 == ARRAY_SIZE(counters), "one for each, in their order");

static void write_counter(FILE *out, size_t index)
{
	fprintf(out, "\tcounter %s { comment \"%s\"; }\n", counters[index].name,
		counters[index].comment);
}

static void write_bypass_sets(FILE *out)
{
	static const struct {
		const char *name, *meaning;
	} sets[] = {
		{"local", "addresses of this namespace"},
		{"link", "never leaves the link"},
		{"bypass", "subnets to step aside for"},
	};
	size_t i;
	int v6;

	for (i = 0; i < ARRAY_SIZE(sets); i++)
		for (v6 = 0; v6 < 2; v6++)
			fprintf(out,
				"\tset %s%d { type ipv%d_addr; flags interval; size %d; comment "
				"\"%s\"; }\n",
				sets[i].name, v6 ? 6 : 4, v6 ? 6 : 4, 2 * SIDESTEP_MAX_BYPASS + 2,
				sets[i].meaning);
}

static void write_objects(FILE *out)
{
	size_t i;
	int v6;

	for (i = 0; i < ARRAY_SIZE(counters); i++)
		write_counter(out, i);
	write_bypass_sets(out);
	for (v6 = 0; v6 < 2; v6++)
		fprintf(out,
			"\tset inbound%d { type ipv%d_addr . inet_service . ipv%d_addr . "
			"inet_service; size %d; comment \"TCP from outside, older than this table: "
			"own end, far end\"; }\n",
			v6 ? 6 : 4, v6 ? 6 : 4, v6 ? 6 : 4, SIDESTEP_MAX_INBOUND);
	fprintf(out,
		"\tset own { type inet_proto . inet_service; flags timeout; size %d; comment "
		"\"ports that the proxy holds\"; }\n",
		NFT_OWN_MAX);
}

/* What the application, the kernel and the proxy send. */
static void write_judge(FILE *out, const struct nft_rules *rules)
{
	fprintf(out,
		"\tchain let_out {\n"
		"\t\tmeta mark set 0x%08x accept comment \"to the main routing table\"\n"
		"\t}\n"
		"\tchain stay {\n"
		"\t\tmeta mark 0x%08x meta mark set 0 comment \"only rules here may set it\"\n"
		"\t\taccept\n"
		"\t}\n"
		"\tchain to_bypassed {\n"
		"\t\tcounter name BRIDGE\n"
		"\t\toif lo goto let_out comment \"no route of ours knows the subnet yet\"\n"
		"\t\taccept\n"
		"\t}\n",
		rules->out_mark, rules->out_mark);
	fprintf(out, "\tchain as_reply {\n"
		     "\t\tcounter name REPLY goto let_out\n"
		     "\t}\n"
		     "\tchain as_own {\n"
		     "\t\tcounter name OWN goto let_out\n"
		     "\t}\n"
		     "\tchain judge {\n"
		     "\t\ttype route hook output priority mangle; policy drop;\n"
		     "\t\tip daddr @local4 counter name LOCAL accept\n"
		     "\t\tip6 daddr @local6 counter name LOCAL accept\n"
		     "\t\tip daddr @link4 counter name LINK accept\n"
		     "\t\tip6 daddr @link6 counter name LINK accept\n"
		     "\t\tip daddr @bypass4 ip saddr @bypass4 goto to_bypassed\n"
		     "\t\tip6 daddr @bypass6 ip6 saddr @bypass6 goto to_bypassed\n");
	fprintf(out,
		"\t\tmeta mark 0x%08x meta l4proto . th sport @own ct mark set ct mark | 0x%08x "
		"goto as_own comment \"socket of the proxy's\"\n"
		"\t\tct mark & 0x%08x != 0 ct direction original goto as_own\n",
		rules->own_mark, NFT_CT_OWN, NFT_CT_OWN);
	fprintf(out, "\t\tip frag-off & 0x1fff != 0 counter name DENY_FRAGMENT drop\n"
		     "\t\tfrag frag-off != 0 counter name DENY_FRAGMENT drop\n"
		     "\t\tudp dport 53 counter name STEER_DNS goto stay\n");
	fprintf(out,
		"\t\tmeta l4proto tcp ct mark & 0x%08x != 0 ct direction reply " NOT_OPENING
		" goto as_reply\n"
		"\t\tmeta l4proto != tcp ct mark & 0x%08x != 0 ct direction reply goto as_reply\n"
		"\t\tmeta l4proto { icmp, icmpv6 } ct mark & 0x%08x != 0 ct state related goto "
		"as_reply comment \"errors\"\n",
		NFT_CT_INBOUND, NFT_CT_INBOUND, NFT_CT_INBOUND);
	fprintf(out,
		"\t\t" NOT_OPENING " ip saddr . tcp sport . ip daddr . tcp dport @inbound4 "
		"goto as_reply\n"
		"\t\t" NOT_OPENING " ip6 saddr . tcp sport . ip6 daddr . tcp dport @inbound6 "
		"goto as_reply\n"
		"\t\tmeta l4proto tcp ct state invalid " NOT_OPENING
		" counter name DENY_MALFORMED drop comment \"perhaps an inbound connection's: "
		"must not be reset\"\n"
		"\t\ttcp flags & (syn | ack) == syn ct mark & 0x%08x != 0 ct mark set ct mark & "
		"0x%08x comment \"the same ports, but opened here\"\n"
		"\t\tmeta l4proto tcp goto stay\n",
		NFT_CT_INBOUND, (uint32_t)~NFT_CT_INBOUND);
	if (rules->udp_pass)
		fprintf(out, "\t\tmeta l4proto udp counter name PASS_UDP goto let_out\n");
	else
		fprintf(out, "\t\tmeta l4proto udp counter name DENY_UDP drop comment \"the sender "
			     "is told EPERM\"\n");
	fprintf(out, "\t\tcounter name DENY_PROTOCOL drop\n"
		     "\t}\n");
}

/* The last look, behind all routing. */
static void write_guard(FILE *out, const struct nft_rules *rules)
{
	fprintf(out,
		"\tchain guard {\n"
		"\t\ttype filter hook postrouting priority mangle; policy accept;\n"
		"\t\toif lo accept\n"
		"\t\tmeta mark 0x%08x accept comment \"set by let_out\"\n"
		"\t\tip daddr @local4 accept\n"
		"\t\tip6 daddr @local6 accept\n"
		"\t\tip daddr @link4 accept\n"
		"\t\tip6 daddr @link6 accept\n"
		"\t\tip daddr @bypass4 ip saddr @bypass4 accept\n"
		"\t\tip6 daddr @bypass6 ip6 saddr @bypass6 accept\n"
		"\t\tcounter name GUARD_DROPS drop\n"
		"\t}\n",
		rules->out_mark);
}

/* tproxy takes the socket of the connection, else the listener; without either it is no match. */
static void write_tproxy(FILE *out, const struct nft_rules *rules)
{
	static const struct {
		enum sidestep_listener slot;
		const char *match, *family, *address;
	} slots[] = {
		{SIDESTEP_LISTENER_TCP4, "meta nfproto ipv4 meta l4proto tcp", "ip", "127.0.0.1"},
		{SIDESTEP_LISTENER_TCP6, "meta nfproto ipv6 meta l4proto tcp", "ip6", "[::1]"},
		{SIDESTEP_LISTENER_DNS4, "meta nfproto ipv4 udp dport 53", "ip", "127.0.0.1"},
		{SIDESTEP_LISTENER_DNS6, "meta nfproto ipv6 udp dport 53", "ip6", "[::1]"},
	};
	size_t i;

	fprintf(out, "\t\ttcp flags & (fin | syn | rst | ack) == syn counter name STEER_TCP\n");
	for (i = 0; i < ARRAY_SIZE(slots); i++)
		if (rules->listeners[slots[i].slot])
			fprintf(out, "\t\t%s tproxy %s to %s:%u accept\n", slots[i].match,
				slots[i].family, slots[i].address, rules->listeners[slots[i].slot]);
	fprintf(out, "\t\tcounter name ASSIGN_ERRORS\n"
		     "\t\tmeta l4proto tcp reject with tcp reset comment \"nobody listens\"\n"
		     "\t\tdrop\n");
}

static void write_arrivals(FILE *out, const struct nft_rules *rules)
{
	fprintf(out,
		"\tchain from_outside {\n"
		"\t\tip saddr @local4 counter name SPOOFED drop\n"
		"\t\tip6 saddr @local6 counter name SPOOFED drop\n"
		"\t\tct state != new accept\n"
		"\t\tip saddr @bypass4 accept\n"
		"\t\tip6 saddr @bypass6 accept\n"
		"\t\ttcp flags & (fin | syn | rst | ack) == syn goto inbound\n"
		"\t\tudp sport != 53 goto inbound comment \"not a resolver's answer\"\n"
		"\t\ticmp type echo-request goto inbound\n"
		"\t\ticmpv6 type echo-request goto inbound\n"
		"\t}\n"
		"\tchain inbound {\n"
		"\t\tct mark set ct mark | 0x%08x accept comment \"its replies pass\"\n"
		"\t}\n"
		"\tchain arrive {\n"
		"\t\ttype filter hook prerouting priority mangle; policy accept;\n"
		"\t\tiif != lo goto from_outside\n"
		"\t\tip daddr @local4 accept\n"
		"\t\tip6 daddr @local6 accept\n"
		"\t\tip daddr @link4 accept\n"
		"\t\tip6 daddr @link6 accept\n"
		"\t\tip daddr @bypass4 accept\n"
		"\t\tip6 daddr @bypass6 accept\n",
		NFT_CT_INBOUND);
	write_tproxy(out, rules);
	fprintf(out, "\t}\n");
}

/* The proxy answers from its listener's port; before conntrack, which knows the question. */
static void write_answers(FILE *out, const struct nft_rules *rules)
{
	static const char *const families[] = {"ipv4", "ipv6"};
	int i;

	fprintf(out, "\tchain dns_answers {\n"
		     "\t\ttype filter hook output priority raw; policy accept;\n");
	for (i = 0; i < 2; i++)
		if (rules->listeners[SIDESTEP_LISTENER_DNS4 + i])
			fprintf(out,
				"\t\toif lo meta nfproto %s udp sport %u udp sport set 53 comment "
				"\"the asker expects the resolver's port\"\n",
				families[i], rules->listeners[SIDESTEP_LISTENER_DNS4 + i]);
	fprintf(out, "\t}\n");
}

void nft_write_table(FILE *out, const struct nft_rules *rules)
{
	const char *character;

	/* The first line only so that the second finds something. */
	fprintf(out, "add table " NFT_TABLE "\n"
		     "delete table " NFT_TABLE "\n"
		     "table " NFT_TABLE " {\n"
		     "\tcomment \"sidestep " SIDESTEP_VERSION ", gateway ");
	for (character = rules->gateway; *character; character++)
		(void)fputc(*character < ' ' || *character == '"' || *character == '\\'
				    ? '?'
				    : *character,
			    out);
	fprintf(out, "\"\n");
	write_objects(out);
	write_answers(out, rules);
	write_judge(out, rules);
	write_guard(out, rules);
	write_arrivals(out, rules);
	fprintf(out, "}\n");
}

/* The kernel allows all but '/', ':' and spaces in a name. */
static bool name_is_plain(const char *name)
{
	return !strpbrk(name, "\"\\*") && name[0];
}

/*
 * Packet sockets pass no netfilter hook but the device's egress (Linux 5.16). What has been routed
 * has also been judged; what has not is left to its addresses.
 */
void nft_write_guard_table(FILE *out, const char (*names)[IFNAMSIZ], size_t count)
{
	size_t i;

	fprintf(out, "add table " NFT_GUARD_TABLE "\n"
		     "delete table " NFT_GUARD_TABLE "\n"
		     "table " NFT_GUARD_TABLE " {\n");
	write_counter(out, SIDESTEP_GUARD_DROPS);
	write_bypass_sets(out);
	fprintf(out, "\tchain packet_socket {\n"
		     "\t\tmeta protocol arp accept\n"
		     "\t\tip daddr @link4 accept\n"
		     "\t\tip6 daddr @link6 accept\n"
		     "\t\tip daddr @bypass4 ip saddr @bypass4 accept\n"
		     "\t\tip6 daddr @bypass6 ip6 saddr @bypass6 accept\n"
		     "\t\tcounter name GUARD_DROPS drop\n"
		     "\t}\n");
	for (i = 0; i < count; i++)
		if (name_is_plain(names[i]))
			fprintf(out,
				"\tchain device%zu {\n"
				"\t\ttype filter hook egress device \"%s\" priority 0; policy "
				"accept;\n"
				"\t\tmeta rtclassid >= 0 accept comment \"it has a route, of "
				"whatever class\"\n"
				"\t\tgoto packet_socket\n"
				"\t}\n",
				i, names[i]);
	fprintf(out, "}\n");
}

/* The elements of one set: prefixes with one of @sources, without what others contain. */
static void write_set(FILE *out, const struct nft_bypass_list *list, const char *name, bool ipv4,
		      uint32_t sources, const char *table)
{
	const struct prefix *previous = NULL;
	char text[ADDRESS_TEXT_MAX];
	size_t i;

	fprintf(out, "flush set %s %s%d\n", table, name, ipv4 ? 4 : 6);
	for (i = 0; i < list->count; i++) {
		const struct prefix *prefix = &list->items[i].prefix;

		if (!(list->items[i].sources & sources) || address_is_ipv4(prefix->address) != ipv4)
			continue;
		/* Sorted, and prefixes overlap only where one contains the other. */
		if (previous && prefix_contains(previous, prefix->address))
			continue;
		if (previous)
			fprintf(out, ", ");
		else
			fprintf(out, "add element %s %s%d { ", table, name, ipv4 ? 4 : 6);
		fprintf(out, "%s", prefix_format(prefix, text));
		previous = prefix;
	}
	if (previous)
		fprintf(out, " }\n");
}

void nft_write_bypass(FILE *out, const struct nft_bypass_list *list, const char *table)
{
	int ipv4;

	for (ipv4 = 0; ipv4 < 2; ipv4++) {
		write_set(out, list, "local", ipv4, SIDESTEP_FROM_LOCAL, table);
		write_set(out, list, "link", ipv4, SIDESTEP_FROM_BUILTIN, table);
		write_set(out, list, "bypass", ipv4, UINT32_MAX, table);
	}
}

void nft_write_inbound(FILE *out, const struct sidestep_flow_key *keys, size_t count)
{
	char local[ADDRESS_TEXT_MAX], remote[ADDRESS_TEXT_MAX];
	int ipv4;
	size_t i;

	for (ipv4 = 0; ipv4 < 2; ipv4++) {
		bool any = false;

		for (i = 0; i < count; i++) {
			if (address_is_ipv4(keys[i].local_address) != ipv4)
				continue;
			if (any)
				fprintf(out, ", ");
			else
				fprintf(out, "add element " NFT_TABLE " inbound%d { ",
					ipv4 ? 4 : 6);
			fprintf(out, "%s . %u . %s . %u",
				address_format(keys[i].local_address, local), keys[i].local_port,
				address_format(keys[i].remote_address, remote),
				keys[i].remote_port);
			any = true;
		}
		if (any)
			fprintf(out, " }\n");
	}
}

void nft_write_own(FILE *out, const struct nft_own *own, unsigned int timeout_s)
{
	const char *protocol = own->protocol == IPPROTO_TCP ? "tcp" : "udp";

	/* Adding what is in already would not renew its time, deleting what is not would fail. */
	fprintf(out,
		"add element " NFT_TABLE " own { %s . %u }\n"
		"delete element " NFT_TABLE " own { %s . %u }\n",
		protocol, own->port, protocol, own->port);
	if (timeout_s)
		fprintf(out, "add element " NFT_TABLE " own { %s . %u timeout %us }\n", protocol,
			own->port, timeout_s);
	else
		fprintf(out, "add element " NFT_TABLE " own { %s . %u }\n", protocol, own->port);
}
