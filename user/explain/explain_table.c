// SPDX-License-Identifier: Apache-2.0
/*
 * Asks the nftables tables, by a packet that they see as any other of this network namespace. A
 * table of our own has the kernel trace it, and drops it behind all other rules, where it would
 * leave or reach a socket. So nobody gets it. Conntrack remembers a packet that has crossed lo, and
 * is told to forget it. The kernel removes that table with the socket that made it
 * (NFT_TABLE_F_OWNER, Linux 5.12), even after a kill.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netfilter_ipv4.h>

#include "datapath/datapath_nft_expr.h"
#include "datapath/datapath_nft_match.h"
#include "explain/explain.h"
#include "explain/explain_nft_facts.h"
#include "explain/explain_nft_trace.h"
#include "lib/log.h"
#include "lib/netlink_socket.h"
#include "lib/socket_address.h"
#include "lib/util.h"
#include "net/netlink_lookup.h"

/* Newer than the headers of the oldest system that this builds on. */
#define TABLE_OWNED 2 /* NFT_TABLE_F_OWNER */

/* The packet is on its way for microseconds. */
#define LIMIT_MS 500

/* A packet of the probe's socket, which alone has its port. */
#define OF_PROBE PROTOCOL(packet->protocol), SOURCE_PORT, PORT_IS(packet->source_port)
#define FROM_LO	 LOAD_META(NFT_META_IIF), EQUAL(u32, LOOPBACK_IFINDEX)
#define TRACE	 LOAD_VALUE(u8, 1), SET_META(NFT_META_NFTRACE)

static void add_table(const struct nft_table *table, uint32_t flags)
{
	struct nlmsghdr *header = nft_batch_message(table->batch, NFT_MSG_NEWTABLE, table->family,
						    NLM_F_CREATE | NLM_F_EXCL);

	if (!header)
		return;
	mnl_attr_put_strz(header, NFTA_TABLE_NAME, NFT_TABLE_NAME);
	mnl_attr_put_u32(header, NFTA_TABLE_FLAGS, htonl(flags));
	nft_batch_add(table->batch, header);
}

static void add_rules(const struct nft_table *table, const struct probe_packet *packet)
{
	static const struct {
		const char *name;
		struct nft_hook hook;
	} chains[] = {
		{"sent", {"filter", NF_INET_LOCAL_OUT, NF_IP_PRI_FIRST, NF_ACCEPT, NULL}},
		{"looped", {"filter", NF_INET_PRE_ROUTING, NF_IP_PRI_FIRST, NF_ACCEPT, NULL}},
		{NFT_CHAIN_LEFT,
		 {"filter", NF_INET_POST_ROUTING, NF_IP_PRI_LAST - 1, NF_ACCEPT, NULL}},
		{NFT_CHAIN_ARRIVED,
		 {"filter", NF_INET_LOCAL_IN, NF_IP_PRI_LAST - 1, NF_ACCEPT, NULL}},
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(chains); i++)
		nft_chain_add(table, chains[i].name, &chains[i].hook);
	RULE("sent", OF_PROBE, TRACE);
	RULE("looped", FROM_LO, OF_PROBE, TRACE);
	RULE(NFT_CHAIN_LEFT, LOAD_META(NFT_META_OIF), UNEQUAL(u32, LOOPBACK_IFINDEX), OF_PROBE,
	     DROP);
	RULE(NFT_CHAIN_ARRIVED, FROM_LO, OF_PROBE, DROP);
}

static int install(struct mnl_socket *socket, uint8_t family, uint32_t flags,
		   const struct probe_packet *packet)
{
	_cleanup_batch_ struct nft_batch batch;
	const struct nft_table table = {&batch, family};
	struct nft_failure failure;

	nft_batch_open(&batch);
	add_table(&table, flags);
	add_rules(&table, packet);
	return nft_batch_commit(socket, &batch, &failure);
}

static void uninstall(struct mnl_socket *socket, uint8_t family)
{
	_cleanup_batch_ struct nft_batch batch;
	struct nft_failure failure;

	nft_batch_open(&batch);
	nft_table_remove(&(const struct nft_table) {&batch, family});
	(void)nft_batch_commit(socket, &batch, &failure);
}

static void put_address(struct nlmsghdr *header, uint16_t type4, uint16_t type6,
			const uint8_t address[16])
{
	if (address_is_ipv4(address))
		mnl_attr_put(header, type4, 4, address + 12);
	else
		mnl_attr_put(header, type6, 16, address);
}

/* Has conntrack forget the packet's flow. Otherwise NAT would do with a later packet from that port
 * as it did with this one, and pass over its rules. */
static void forget_flow(const struct probe_packet *packet)
{
	_cleanup_netlink_socket_ struct netlink_socket socket = {.socket = NULL};
	char request[256] __attribute__((aligned(8)));
	struct nlmsghdr *header = mnl_nlmsg_put_header(request);
	struct nlattr *tuple, *part;
	struct nfgenmsg *info;

	header->nlmsg_type = (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_DELETE;
	info = mnl_nlmsg_put_extra_header(header, sizeof(*info));
	info->nfgen_family = address_is_ipv4(packet->destination) ? AF_INET : AF_INET6;
	info->version = NFNETLINK_V0;
	tuple = mnl_attr_nest_start(header, CTA_TUPLE_ORIG);
	part = mnl_attr_nest_start(header, CTA_TUPLE_IP);
	put_address(header, CTA_IP_V4_SRC, CTA_IP_V6_SRC, packet->source);
	put_address(header, CTA_IP_V4_DST, CTA_IP_V6_DST, packet->destination);
	mnl_attr_nest_end(header, part);
	part = mnl_attr_nest_start(header, CTA_TUPLE_PROTO);
	mnl_attr_put_u8(header, CTA_PROTO_NUM, packet->protocol);
	mnl_attr_put_u16(header, CTA_PROTO_SRC_PORT, htons(packet->source_port));
	mnl_attr_put_u16(header, CTA_PROTO_DST_PORT, htons(packet->destination_port));
	mnl_attr_nest_end(header, part);
	mnl_attr_nest_end(header, tuple);
	if (netlink_socket_open(&socket, NETLINK_NETFILTER) == 0)
		(void)netlink_socket_talk(&socket, header, NULL, NULL);
}

/* Opens the packet's socket, and takes a port that no other socket here has. Returns a descriptor,
 * the caller's, or a negative errno. */
static int open_probe(struct explain *explain)
{
	struct probe_packet *packet = &explain->packet;
	bool ipv4 = address_is_ipv4(packet->destination), tcp = packet->protocol == IPPROTO_TCP;
	_cleanup_close_ int fd =
		socket(ipv4 ? AF_INET : AF_INET6,
		       (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	char name[IF_NAMESIZE] = "";
	int error, on = 1;

	if (fd < 0)
		return -errno;
	/* The application needs it to broadcast (socket(7)). */
	(void)setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on));
	if (explain->device && if_indextoname(explain->device, name) &&
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, (socklen_t)strlen(name) + 1) < 0)
		return -errno;
	/* A bound source would lead to another rule than none. */
	error = explain_take_port(fd, explain->has_source ? packet->source : NULL, packet);
	if (error < 0)
		return error;
	return TAKE_FD(fd);
}

/* Sends the packet by @ifindex, if its address is one of a link. Returns what its sender is told, 0
 * or a negative errno. */
static int send_probe(int fd, const struct probe_packet *packet, uint32_t ifindex)
{
	struct socket_address address;
	struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)&address.address;

	socket_address_inet(packet->destination, htons(packet->destination_port), &address);
	/* An application names the device here (ipv6(7)). */
	if (!address_is_ipv4(packet->destination) &&
	    (IN6_IS_ADDR_LINKLOCAL(&ipv6->sin6_addr) || IN6_IS_ADDR_MC_LINKLOCAL(&ipv6->sin6_addr)))
		ipv6->sin6_scope_id = ifindex;
	if (connect(fd, (const struct sockaddr *)&address.address, address.size) < 0)
		return errno == EINPROGRESS ? 0 : -errno;
	return packet->protocol == IPPROTO_UDP && send(fd, "", 1, 0) < 0 ? -errno : 0;
}

/* Tells what the sender learns of a packet that was dropped, or was not sent. */
static void tell_sender(struct explain *explain, int fd, int told)
{
	socklen_t size = sizeof(int);
	int error = 0;

	if (told == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0)
		told = -error;
	if (told == 0 ||
	    (explain->outcome != EXPLAIN_DROPPED && explain->outcome != EXPLAIN_UNKNOWN))
		return;
	explain->outcome = EXPLAIN_REFUSED;
	explain_step(explain, "sender", "is told: %s", strerror(-told));
}

static int trace(struct explain *explain, const struct nft_table_facts *facts, uint32_t ifindex)
{
	uint8_t family = address_is_ipv4(explain->packet.destination) ? NFPROTO_IPV4 : NFPROTO_IPV6;
	struct mnl_socket *owner = NULL, *events = NULL;
	_cleanup_close_ int probe = open_probe(explain);
	int error = probe < 0 ? probe : nft_socket_open(&owner), told;

	if (error == 0)
		error = nft_trace_open(&events);
	if (error == 0)
		error = install(owner, family, TABLE_OWNED, &explain->packet);
	if (error == -EOPNOTSUPP || error == -EINVAL)
		error = install(owner, family, 0, &explain->packet);
	if (error == 0) {
		told = send_probe(probe, &explain->packet, ifindex);
		if (!nft_trace_follow(events, facts, family, LIMIT_MS, explain))
			explain_step(explain, "trace", "the packet has come to no end");
		tell_sender(explain, probe, told);
		/* The socket ends before its SYN would be repeated, which takes a second. */
		uninstall(owner, family);
		forget_flow(&explain->packet);
	}
	nft_socket_close(events);
	nft_socket_close(owner);
	return error < 0 ? log_errno(error, "cannot have the nftables rules traced%s",
				     error == -EEXIST ? " (somebody else does: try again)" : "")
			 : 0;
}

int explain_table(struct explain *explain)
{
	_cleanup_facts_ struct nft_table_facts facts;
	struct netlink_way way;
	int error = nft_facts_read(&facts);

	if (error == 0) {
		explain->datapath = "an nftables table";
		(void)snprintf(explain->gateway, sizeof(explain->gateway), "%s", facts.gateway);
		if (explain_way(explain, &way) == 0)
			error = trace(explain, &facts, way.ifindex);
		explain_ask_origins(explain);
		if (error == 0 && explain->outcome == EXPLAIN_INTERCEPTED)
			explain_gateway(explain, NULL);
	}
	return error;
}
