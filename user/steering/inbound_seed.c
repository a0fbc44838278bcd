// SPDX-License-Identifier: Apache-2.0
#include "steering/inbound_seed.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
/* It names the states of TCP beside the kernel's tcp_info; netinet/tcp.h has an older one. */
#include <linux/bpf.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <linux/tcp.h>

#include "lib/address.h"
#include "lib/sock_diag.h"
#include "lib/util.h"

struct connection {
	struct sidestep_flow_key key;
	bool may_be_accepted;
};

struct seed {
	struct steering *steering;
	bool listening[65536]; /* by port, host byte order */
	struct connection *connections;
	size_t connection_count, room;
	int count;
};

static int on_listener(const struct nlmsghdr *header, void *data)
{
	const struct inet_diag_msg *message = mnl_nlmsg_get_payload(header);
	struct seed *seed = data;

	seed->listening[ntohs(message->id.idiag_sport)] = true;
	return MNL_CB_OK;
}

/*
 * Of the states that are left out, a socket in SYN_SENT was opened here. In CLOSE_WAIT, CLOSING and
 * LAST_ACK the peer has ended. Steered connections stay like this when their proxy is killed, and
 * after a minute the kernel has forgotten the proxy's end (net.ipv4.tcp_fin_timeout). TIME_WAIT
 * has no data to send.
 */
#define STATES                                                                                     \
	(1u << BPF_TCP_ESTABLISHED | 1u << BPF_TCP_SYN_RECV | 1u << BPF_TCP_FIN_WAIT1 |            \
	 1u << BPF_TCP_FIN_WAIT2 | 1u << BPF_TCP_TIME_WAIT)

bool inbound_seed_opened_here(int state, uint32_t queued, const struct tcp_info *info)
{
	uint64_t sent = info->tcpi_bytes_sent - info->tcpi_bytes_retrans;
	uint64_t passed = info->tcpi_bytes_acked + queued - info->tcpi_notsent_bytes;
	bool fin = (state == BPF_TCP_FIN_WAIT1 || state == BPF_TCP_FIN_WAIT2) &&
		   info->tcpi_notsent_bytes == 0;

	return passed == sent + fin + 1;
}

/* Whether the socket may be one that was accepted, as far as its state and its numbers tell. */
static bool may_be_accepted(const struct nlmsghdr *header)
{
	const struct inet_diag_msg *message = mnl_nlmsg_get_payload(header);
	const struct nlattr *attribute;
	struct tcp_info info = {.tcpi_state = message->idiag_state};

	if (!(STATES & 1u << message->idiag_state))
		return false;
	mnl_attr_for_each (attribute, header, sizeof(*message)) {
		size_t size = mnl_attr_get_payload_len(attribute);

		/* Kernels append fields. */
		if (mnl_attr_get_type(attribute) != INET_DIAG_INFO ||
		    size < offsetof(struct tcp_info, tcpi_dsack_dups))
			continue;
		memcpy(&info, mnl_attr_get_payload(attribute),
		       size < sizeof(info) ? size : sizeof(info));
		return !inbound_seed_opened_here(message->idiag_state, message->idiag_wqueue,
						 &info);
	}
	return true;
}

static int on_connection(const struct nlmsghdr *header, void *data)
{
	const struct inet_diag_msg *message = mnl_nlmsg_get_payload(header);
	struct seed *seed = data;
	struct connection connection = {
		.key = {.local_port = ntohs(message->id.idiag_sport),
			.remote_port = ntohs(message->id.idiag_dport),
			.protocol = IPPROTO_TCP},
		.may_be_accepted = may_be_accepted(header),
	};

	address_from_bytes(message->idiag_family, message->id.idiag_src,
			   connection.key.local_address);
	address_from_bytes(message->idiag_family, message->id.idiag_dst,
			   connection.key.remote_address);
	if (seed->connection_count == seed->room) {
		size_t room = seed->room ? 2 * seed->room : 64;
		void *connections = reallocarray(seed->connections, room, sizeof(connection));

		if (!connections)
			return MNL_CB_ERROR;
		seed->connections = connections;
		seed->room = room;
	}
	seed->connections[seed->connection_count++] = connection;
	return MNL_CB_OK;
}

static int compare_keys(const void *a, const void *b)
{
	const struct connection *left = a, *right = b;

	return memcmp(&left->key, &right->key, sizeof(left->key));
}

/* Whether the other end is in this namespace, too. Such a connection is not from outside: it is the
 * application's own, or a steered one, whose proxy end has the destination's address. */
static bool has_both_ends(const struct seed *seed, const struct sidestep_flow_key *key)
{
	struct connection other = {.key = *key};

	memcpy(other.key.local_address, key->remote_address, sizeof(other.key.local_address));
	memcpy(other.key.remote_address, key->local_address, sizeof(other.key.remote_address));
	other.key.local_port = key->remote_port;
	other.key.remote_port = key->local_port;
	return bsearch(&other, seed->connections, seed->connection_count, sizeof(other),
		       compare_keys);
}

static void add_inbound(struct seed *seed)
{
	size_t i;

	if (seed->connection_count == 0)
		return;
	qsort(seed->connections, seed->connection_count, sizeof(*seed->connections), compare_keys);
	for (i = 0; i < seed->connection_count; i++) {
		const struct sidestep_flow_key *key = &seed->connections[i].key;

		if (seed->connections[i].may_be_accepted && seed->listening[key->local_port] &&
		    !has_both_ends(seed, key) && steering_inbound_add(seed->steering, key))
			seed->count++;
	}
}

static int dump_sockets(int family, uint32_t states, mnl_cb_t callback, struct seed *seed)
{
	struct inet_diag_req_v2 request = sock_diag_request(family, IPPROTO_TCP, states);

	request.idiag_ext = 1 << (INET_DIAG_INFO - 1);
	return sock_diag_dump(&request, sizeof(request), callback, seed);
}

int inbound_seed_sockets(struct steering *steering)
{
	static const int families[] = {AF_INET, AF_INET6};
	const uint32_t listen = 1u << BPF_TCP_LISTEN;
	_cleanup_free_ struct seed *seed = calloc(1, sizeof(*seed));
	int error = 0;
	size_t i;

	if (!seed)
		return -ENOMEM;
	seed->steering = steering;
	for (i = 0; i < ARRAY_SIZE(families) && error == 0; i++)
		error = dump_sockets(families[i], listen, on_listener, seed);
	/* Every state but LISTEN and CLOSE, because either end may be in any. */
	for (i = 0; i < ARRAY_SIZE(families) && error == 0; i++)
		error = dump_sockets(families[i], 0xfff & ~(listen | 1u << BPF_TCP_CLOSE),
				     on_connection, seed);
	if (error == 0)
		add_inbound(seed);
	free(seed->connections);
	return error < 0 ? error : seed->count;
}

/* One direction's CTA_TUPLE_*. */
struct tuple {
	uint8_t source[16], destination[16];
	uint16_t source_port, destination_port;
	uint8_t protocol;
	bool has_addresses;
};

static void parse_tuple(const struct nlattr *attribute, struct tuple *tuple)
{
	const struct nlattr *part, *nested;

	mnl_attr_for_each_nested (part, attribute) {
		mnl_attr_for_each_nested (nested, part) {
			uint16_t type = mnl_attr_get_type(nested);
			const void *value = mnl_attr_get_payload(nested);
			bool ip = mnl_attr_get_type(part) == CTA_TUPLE_IP;

			if (ip && (type == CTA_IP_V4_SRC || type == CTA_IP_V6_SRC))
				address_from_bytes(type == CTA_IP_V4_SRC ? AF_INET : AF_INET6,
						   value, tuple->source);
			else if (ip && (type == CTA_IP_V4_DST || type == CTA_IP_V6_DST))
				address_from_bytes(type == CTA_IP_V4_DST ? AF_INET : AF_INET6,
						   value, tuple->destination);
			else if (!ip && type == CTA_PROTO_NUM)
				tuple->protocol = mnl_attr_get_u8(nested);
			else if (!ip && type == CTA_PROTO_SRC_PORT)
				tuple->source_port = ntohs(mnl_attr_get_u16(nested));
			else if (!ip && type == CTA_PROTO_DST_PORT)
				tuple->destination_port = ntohs(mnl_attr_get_u16(nested));
			tuple->has_addresses |= ip;
		}
	}
}

static int on_tracked(const struct nlmsghdr *header, void *data)
{
	struct sidestep_flow_key key = {.protocol = 0};
	struct tuple reply = {.protocol = 0};
	const struct nlattr *attribute;
	struct seed *seed = data;

	/* The reply direction's source is the true server, after address translation. */
	mnl_attr_for_each (attribute, header, sizeof(struct nfgenmsg)) {
		if (mnl_attr_get_type(attribute) == CTA_TUPLE_REPLY)
			parse_tuple(attribute, &reply);
	}
	if (!reply.has_addresses ||
	    (reply.protocol != IPPROTO_TCP && reply.protocol != IPPROTO_UDP))
		return MNL_CB_OK;
	memcpy(key.local_address, reply.source, 16);
	memcpy(key.remote_address, reply.destination, 16);
	key.local_port = reply.source_port;
	key.remote_port = reply.destination_port;
	key.protocol = reply.protocol;
	if (steering_inbound_add(seed->steering, &key))
		seed->count++;
	return MNL_CB_OK;
}

int inbound_seed_conntrack(struct steering *steering)
{
	static const int families[] = {AF_INET, AF_INET6};
	_cleanup_netlink_socket_ struct netlink_socket socket = {.socket = NULL};
	_cleanup_free_ struct seed *seed = calloc(1, sizeof(*seed));
	int error;
	size_t i;

	if (!seed)
		return -ENOMEM;
	seed->steering = steering;
	error = netlink_socket_open(&socket, NETLINK_NETFILTER);
	for (i = 0; i < ARRAY_SIZE(families) && error == 0; i++) {
		char request[256] __attribute__((aligned(8)));
		struct nlmsghdr *header = mnl_nlmsg_put_header(request);
		struct nfgenmsg *info;

		header->nlmsg_type = (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_GET;
		header->nlmsg_flags = NLM_F_DUMP;
		info = mnl_nlmsg_put_extra_header(header, sizeof(*info));
		info->nfgen_family = (uint8_t)families[i];
		info->version = NFNETLINK_V0;
		error = netlink_socket_talk(&socket, header, on_tracked, seed);
	}
	/* A kernel without connection tracking has no published ports either. */
	if (error == -EOPNOTSUPP || error == -EPROTONOSUPPORT || error == -EINVAL)
		return 0;
	return error < 0 ? error : seed->count;
}
