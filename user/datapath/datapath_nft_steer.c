// SPDX-License-Identifier: Apache-2.0
#include "datapath/datapath_nft_steer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter_ipv4.h>

#include "datapath/datapath_nft_denied.h"
#include "datapath/datapath_nft_expr.h"
#include "datapath/datapath_nft_match.h"
#include "lib/util.h"

/* A port of loopback at which no transparent socket listens. */
#define NO_LISTENER 1

#define TO_LISTENER4(port)                                                                         \
	LOAD_LOOPBACK4, LOAD_VALUE_AT(4, u16, htons(port)), TPROXY(NFPROTO_IPV4), ACCEPT
#define TO_LISTENER6(port)                                                                         \
	LOAD_LOOPBACK6, LOAD_VALUE_AT(4, u16, htons(port)), TPROXY(NFPROTO_IPV6), ACCEPT

static const struct nft_hook no_hook = {0};
static const struct nft_hook redirect_hook = {"nat", NF_INET_LOCAL_OUT, NF_IP_PRI_NAT_DST,
					      NF_ACCEPT, NULL};
static const struct nft_hook send_hook = {"filter", NF_INET_LOCAL_OUT, NF_IP_PRI_MANGLE, NF_ACCEPT,
					  NULL};
static const struct nft_hook receive_hook = {"filter", NF_INET_LOCAL_IN, NF_IP_PRI_FILTER,
					     NF_ACCEPT, NULL};

/*
 * Packets of connections that conntrack does not know. It forgets one a minute after one end has
 * closed it, and the other end may close much later. If the connection was steered, the proxy has
 * its socket. tproxy finds that, and no listener.
 */
static void add_forgotten(const struct nft_table *table, const struct nft_rules *rules)
{
	static const char chain[] = "forgotten";

	RULE("to_proxy", TCP, STATE(CT_INVALID), NOT_OPENING, GOTO(chain));
	if (!rules->redirect) {
		RULE(chain, IPV4, TO_LISTENER4(NO_LISTENER));
		RULE(chain, IPV6, TO_LISTENER6(NO_LISTENER));
	}
	COMMENTED_RULE(chain, "perhaps an inbound connection's: must not be reset",
		       DENY(DENY_MALFORMED));
}

void nft_steer_add_tproxy(const struct nft_table *table, const struct nft_rules *rules,
			  const char *chain)
{
	const uint16_t *ports = rules->listeners;

	if (ports[SIDESTEP_LISTENER_TCP4])
		RULE(chain, IPV4, TCP, TO_LISTENER4(ports[SIDESTEP_LISTENER_TCP4]));
	if (ports[SIDESTEP_LISTENER_TCP6])
		RULE(chain, IPV6, TCP, TO_LISTENER6(ports[SIDESTEP_LISTENER_TCP6]));
	if (ports[SIDESTEP_LISTENER_DNS4])
		RULE(chain, IPV4, UDP, DESTINATION_PORT, PORT_IS(53),
		     TO_LISTENER4(ports[SIDESTEP_LISTENER_DNS4]));
	if (ports[SIDESTEP_LISTENER_DNS6])
		RULE(chain, IPV6, UDP, DESTINATION_PORT, PORT_IS(53),
		     TO_LISTENER6(ports[SIDESTEP_LISTENER_DNS6]));
}

/* The first packet of each connection decides, with the exceptions of chain `arrive`. */
static void add_redirect(const struct nft_table *table, const struct nft_rules *rules)
{
	static const char chain[] = "redirect", listener[] = "to_listener";
	const uint16_t *ports = rules->listeners;

	RULE(chain, NOT_PROTOCOL(IPPROTO_TCP), ACCEPT);
	COMMENTED_RULE(chain, "set by let_out", HAS_MARK(rules->out_mark), ACCEPT);
	RULE(chain, IPV4, TO4("local4"), ACCEPT);
	RULE(chain, IPV6, TO6("local6"), ACCEPT);
	EXCEPTED_DNS(chain, IPV4, IPV6, GOTO(listener));
	RULE(chain, IPV4, TO4("link4"), ACCEPT);
	RULE(chain, IPV6, TO6("link6"), ACCEPT);
	RULE(chain, IPV4, TO4("bypass4"), ACCEPT);
	RULE(chain, IPV6, TO6("bypass6"), ACCEPT);
	RULE(chain, GOTO(listener));
	RULE(listener, BARE_SYN, COUNT(STEER_TCP));
	if (rules->half_closed_s)
		RULE(listener, SET_TIMEOUTS("half_closed"));
	if (ports[SIDESTEP_LISTENER_TCP4])
		RULE(listener, IPV4, LOAD_VALUE(u16, htons(ports[SIDESTEP_LISTENER_TCP4])),
		     REDIRECT);
	if (ports[SIDESTEP_LISTENER_TCP6])
		RULE(listener, IPV6, LOAD_VALUE(u16, htons(ports[SIDESTEP_LISTENER_TCP6])),
		     REDIRECT);
}

/* The proxy's socket takes what goes to its port at any address. */
static void add_dns_ports(const struct nft_table *table, const struct nft_rules *rules)
{
	static const char chain[] = "to_proxy";
	const uint16_t *ports = rules->listeners;

	if (ports[SIDESTEP_LISTENER_DNS4])
		RULE(chain, IPV4, UDP, DESTINATION_PORT, PORT_IS(53),
		     LOAD_VALUE(u16, htons(ports[SIDESTEP_LISTENER_DNS4])), SET_UDP(2, 2), ACCEPT);
	if (ports[SIDESTEP_LISTENER_DNS6])
		RULE(chain, IPV6, UDP, DESTINATION_PORT, PORT_IS(53),
		     LOAD_VALUE(u16, htons(ports[SIDESTEP_LISTENER_DNS6])), SET_UDP(2, 2), ACCEPT);
}

/* Nobody but the application sends queries to the proxy. After a kill nobody else gets them. */
static void add_received_queries(const struct nft_table *table, const struct nft_rules *rules)
{
	static const char chain[] = "receive";
	uint16_t port4 = rules->listeners[SIDESTEP_LISTENER_DNS4];
	uint16_t port6 = rules->listeners[SIDESTEP_LISTENER_DNS6];

	if (port4) {
		RULE(chain, NOT_INTO_LO, IPV4, UDP, DESTINATION_PORT, PORT_IS(port4), DROP);
		RULE(chain, IPV4, UDP, DESTINATION_PORT, PORT_IS(port4), TO4("local4"), DROP);
	}
	if (port6) {
		RULE(chain, NOT_INTO_LO, IPV6, UDP, DESTINATION_PORT, PORT_IS(port6), DROP);
		RULE(chain, IPV6, UDP, DESTINATION_PORT, PORT_IS(port6), TO6("local6"), DROP);
	}
	if (port4 && !rules->no_socket)
		RULE(chain, IPV4, UDP, DESTINATION_PORT, PORT_IS(port4), NOT_TRANSPARENT, DROP);
	if (port6 && !rules->no_socket)
		RULE(chain, IPV6, UDP, DESTINATION_PORT, PORT_IS(port6), NOT_TRANSPARENT, DROP);
}

/*
 * The proxy's packets of a connection that conntrack has forgotten keep the listener's address.
 * The application would reset it, and with it the connection. Dropped before conntrack knows the
 * packet, it leaves no trace. The application's own next packet brings the connection back.
 */
static void add_sent(const struct nft_table *table, const struct nft_rules *rules)
{
	static const char chain[] = "send", comment[] = "conntrack has forgotten its connection";
	uint16_t port4 = rules->listeners[SIDESTEP_LISTENER_TCP4];
	uint16_t port6 = rules->listeners[SIDESTEP_LISTENER_TCP6];

	if (port4)
		COMMENTED_RULE(chain, comment, IPV4, TCP, SOURCE_PORT, PORT_IS(port4),
			       FROM_LOOPBACK4, NOT_STATE(CT_ESTABLISHED), DROP);
	if (port6)
		COMMENTED_RULE(chain, comment, IPV6, TCP, SOURCE_PORT, PORT_IS(port6),
			       FROM_LOOPBACK6, NOT_STATE(CT_ESTABLISHED), DROP);
}

/* After a kill another process may take the listener's port. It cannot make its socket transparent
 * without CAP_NET_ADMIN. */
static void add_received_connections(const struct nft_table *table, const struct nft_rules *rules)
{
	static const char chain[] = "receive", comment[] = "not the proxy's listener";
	uint16_t port4 = rules->listeners[SIDESTEP_LISTENER_TCP4];
	uint16_t port6 = rules->listeners[SIDESTEP_LISTENER_TCP6];

	if (port4)
		COMMENTED_RULE(chain, comment, IPV4, TCP, DESTINATION_PORT, PORT_IS(port4),
			       BARE_SYN, NOT_TRANSPARENT, REDIRECTED, GOTO("nobody"));
	if (port6)
		COMMENTED_RULE(chain, comment, IPV6, TCP, DESTINATION_PORT, PORT_IS(port6),
			       BARE_SYN, NOT_TRANSPARENT, REDIRECTED, GOTO("nobody"));
}

void nft_steer_add_chains(const struct nft_table *table, const struct nft_rules *rules)
{
	nft_chain_add(table, "nobody", &no_hook);
	nft_chain_add(table, "to_proxy", &no_hook);
	nft_chain_add(table, "forgotten", &no_hook);
	if (!rules->redirect)
		return;
	nft_chain_add(table, "to_listener", &no_hook);
	nft_chain_add(table, "redirect", &redirect_hook);
	nft_chain_add(table, "send", &send_hook);
	nft_chain_add(table, "receive", &receive_hook);
}

void nft_steer_add_rules(const struct nft_table *table, const struct nft_rules *rules)
{
	static const char chain[] = "to_proxy";

	if (!rules->redirect)
		RULE(chain, TCP, BARE_SYN, COUNT(STEER_TCP));
	add_forgotten(table, rules);
	if (rules->redirect) {
		add_redirect(table, rules);
		add_dns_ports(table, rules);
		add_received_queries(table, rules);
		add_sent(table, rules);
	} else {
		nft_steer_add_tproxy(table, rules, chain);
	}
	if (rules->udp == SIDESTEP_UDP_DROP)
		COMMENTED_RULE(chain, "denied, and the sender hears nothing", UDP, DESTINATION_PORT,
			       PORT_IS_NOT(53), DROP);
	RULE(chain, GOTO("nobody"));
	RULE("nobody", COUNT(ASSIGN_ERRORS));
	if (!rules->no_log)
		RULE("nobody", TELL(ASSIGN_ERRORS));
	if (!rules->no_reject)
		RULE("nobody", TCP, RESET);
	RULE("nobody", DROP);
	if (rules->redirect && !rules->no_socket)
		add_received_connections(table, rules);
}

/* NAT goes on for as long as there is a chain of type nat, and conntrack for as long as a rule asks
 * it. Nobody rewrites the port of a query any more. */
void nft_steer_add_retired(struct nft_batch *batch, const struct nft_rules *rules)
{
	const struct nft_table *table = &(const struct nft_table) {batch, NFT_JUDGE_FAMILY};
	static const char chain[] = "receive";
	uint16_t port4 = rules->listeners[SIDESTEP_LISTENER_DNS4];
	uint16_t port6 = rules->listeners[SIDESTEP_LISTENER_DNS6];

	nft_table_remove(table);
	nft_table_add(table, "sidestep: redirected connections that were open when the agent came");
	nft_chain_add(table, "redirect", &redirect_hook);
	nft_chain_add(table, "send", &send_hook);
	nft_chain_add(table, chain, &receive_hook);
	if (port4)
		RULE(chain, IPV4, UDP, DESTINATION_PORT, PORT_IS(port4), DROP);
	if (port6)
		RULE(chain, IPV6, UDP, DESTINATION_PORT, PORT_IS(port6), DROP);
	add_sent(table, rules);
}

void nft_steer_add_trial(struct nft_batch *batch)
{
	const struct nft_table *table = &(const struct nft_table) {batch, NFPROTO_IPV4};
	static const char chain[] = "trial";

	nft_table_add(table, NULL);
	nft_chain_add(table, chain, &no_hook);
	RULE(chain, TCP, TO_LISTENER4(NO_LISTENER));
	nft_table_remove(table);
}
