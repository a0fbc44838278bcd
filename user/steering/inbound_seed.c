// SPDX-License-Identifier: Apache-2.0
#include "steering/inbound_seed.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <linux/inet_diag.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>

#include "lib/address.h"
#include "lib/util.h"

#define RECEIVE_SIZE 32768

struct seed {
	struct steering *steering;
	bool listening[65536]; /* by port, host byte order */
	struct sidestep_flow_key *connections;
	size_t connection_count, room;
	int count;
};

static void close_socket(struct mnl_socket **socket)
{
	if (*socket)
		(void)mnl_socket_close(*socket);
}

static int dump(int bus, struct nlmsghdr *header, mnl_cb_t callback, struct seed *seed)
{
	__attribute__((cleanup(close_socket))) struct mnl_socket *socket = NULL;
	char buffer[RECEIVE_SIZE] __attribute__((aligned(8)));
	int status = MNL_CB_OK;

	socket = mnl_socket_open2(bus, SOCK_CLOEXEC);
	if (!socket || mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	header->nlmsg_seq = 1;
	if (mnl_socket_sendto(socket, header, header->nlmsg_len) < 0)
		return -errno;
	while (status > MNL_CB_STOP) {
		ssize_t size = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));

		if (size < 0)
			return -errno;
		status = mnl_cb_run(buffer, (size_t)size, 1, mnl_socket_get_portid(socket),
				    callback, seed);
	}
	return status < 0 ? -errno : 0;
}

static int on_listener(const struct nlmsghdr *header, void *data)
{
	const struct inet_diag_msg *message = mnl_nlmsg_get_payload(header);
	struct seed *seed = data;

	seed->listening[ntohs(message->id.idiag_sport)] = true;
	return MNL_CB_OK;
}

static int on_connection(const struct nlmsghdr *header, void *data)
{
	const struct inet_diag_msg *message = mnl_nlmsg_get_payload(header);
	struct seed *seed = data;
	struct sidestep_flow_key key = {
		.local_port = ntohs(message->id.idiag_sport),
		.remote_port = ntohs(message->id.idiag_dport),
		.protocol = IPPROTO_TCP,
	};

	address_from_bytes(message->idiag_family, message->id.idiag_src, key.local_address);
	address_from_bytes(message->idiag_family, message->id.idiag_dst, key.remote_address);
	if (seed->connection_count == seed->room) {
		size_t room = seed->room ? 2 * seed->room : 64;
		void *connections = reallocarray(seed->connections, room, sizeof(key));

		if (!connections)
			return MNL_CB_ERROR;
		seed->connections = connections;
		seed->room = room;
	}
	seed->connections[seed->connection_count++] = key;
	return MNL_CB_OK;
}

static int compare_keys(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct sidestep_flow_key));
}

/* Whether the other end is in this namespace, too. Such a connection is not from outside: it is the
 * application's own, or a steered one, whose proxy end has the destination's address. */
static bool has_both_ends(const struct seed *seed, const struct sidestep_flow_key *key)
{
	struct sidestep_flow_key other = *key;

	memcpy(other.local_address, key->remote_address, sizeof(other.local_address));
	memcpy(other.remote_address, key->local_address, sizeof(other.remote_address));
	other.local_port = key->remote_port;
	other.remote_port = key->local_port;
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
		const struct sidestep_flow_key *key = &seed->connections[i];

		if (seed->listening[key->local_port] && !has_both_ends(seed, key) &&
		    steering_inbound_add(seed->steering, key))
			seed->count++;
	}
}

static int dump_sockets(int family, uint32_t states, mnl_cb_t callback, struct seed *seed)
{
	char request[256] __attribute__((aligned(8)));
	struct nlmsghdr *header = mnl_nlmsg_put_header(request);
	struct inet_diag_req_v2 *diag;

	header->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	diag = mnl_nlmsg_put_extra_header(header, sizeof(*diag));
	diag->sdiag_family = (uint8_t)family;
	diag->sdiag_protocol = IPPROTO_TCP;
	diag->idiag_states = states;
	return dump(NETLINK_SOCK_DIAG, header, callback, seed);
}

int inbound_seed_sockets(struct steering *steering)
{
	static const int families[] = {AF_INET, AF_INET6};
	const uint32_t listen = 1u << TCP_LISTEN;
	_cleanup_free_ struct seed *seed = calloc(1, sizeof(*seed));
	int error = 0;
	size_t i;

	if (!seed)
		return -ENOMEM;
	seed->steering = steering;
	for (i = 0; i < ARRAY_SIZE(families) && error == 0; i++)
		error = dump_sockets(families[i], listen, on_listener, seed);
	/* Every state but LISTEN and CLOSE: a reply may still need retransmission. */
	for (i = 0; i < ARRAY_SIZE(families) && error == 0; i++)
		error = dump_sockets(families[i], 0xfff & ~(listen | 1u << TCP_CLOSE),
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
	_cleanup_free_ struct seed *seed = calloc(1, sizeof(*seed));
	int error = 0;
	size_t i;

	if (!seed)
		return -ENOMEM;
	seed->steering = steering;
	for (i = 0; i < ARRAY_SIZE(families) && error == 0; i++) {
		char request[256] __attribute__((aligned(8)));
		struct nlmsghdr *header = mnl_nlmsg_put_header(request);
		struct nfgenmsg *info;

		header->nlmsg_type = (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_GET;
		info = mnl_nlmsg_put_extra_header(header, sizeof(*info));
		info->nfgen_family = (uint8_t)families[i];
		info->version = NFNETLINK_V0;
		error = dump(NETLINK_NETFILTER, header, on_tracked, seed);
	}
	/* A kernel without connection tracking has no published ports either. */
	if (error == -EOPNOTSUPP || error == -EPROTONOSUPPORT || error == -EINVAL)
		return 0;
	return error < 0 ? error : seed->count;
}
