// SPDX-License-Identifier: Apache-2.0
#include "datapath/datapath_nft_records.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnftnl/object.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>

#include "datapath/datapath_nft_denied.h"
#include "datapath/datapath_nft_table.h"
#include "lib/clock.h"
#include "lib/netlink_socket.h"
#include "lib/util.h"
#include "programs/counters.h"

/* Messages of one read. The rules' rate bounds what comes meanwhile. */
#define BURST 64
/* The kernel keeps packets back for a second, unless so many are there. */
#define TOGETHER 1
/* Between two looks at the number of packets without a record, ms. */
#define LOST_MS 1000

struct records {
	struct record_source source;
	struct netlink_socket group, table;
	uint64_t looked_ms;
	uint32_t lost;
	void (*take)(void *context, const void *record);
	void *context;
	_Alignas(8) char buffer[64 * 1024]; /* the longest message */
};

static bool read_ports(const uint8_t *transport, size_t size, struct sidestep_flow_key *flow)
{
	if (flow->protocol != IPPROTO_TCP && flow->protocol != IPPROTO_UDP)
		return true;
	if (size < 4)
		return false;
	flow->local_port = (uint16_t)(transport[0] << 8 | transport[1]);
	flow->remote_port = (uint16_t)(transport[2] << 8 | transport[3]);
	return true;
}

static bool read_ipv4(const uint8_t *packet, size_t size, struct sidestep_flow_key *flow)
{
	struct iphdr header;
	size_t length;

	if (size < sizeof(header))
		return false;
	memcpy(&header, packet, sizeof(header));
	length = header.ihl * 4u;
	flow->local_address[10] = flow->local_address[11] = 0xff;
	flow->remote_address[10] = flow->remote_address[11] = 0xff;
	memcpy(flow->local_address + 12, &header.saddr, 4);
	memcpy(flow->remote_address + 12, &header.daddr, 4);
	flow->protocol = header.protocol;
	/* A later fragment has no ports. */
	if (header.frag_off & htons(IP_OFFMASK))
		return true;
	return length <= size && read_ports(packet + length, size - length, flow);
}

/* Behind an extension header there is more, which nobody looks at here. */
static bool read_ipv6(const uint8_t *packet, size_t size, struct sidestep_flow_key *flow)
{
	struct ip6_hdr header;

	if (size < sizeof(header))
		return false;
	memcpy(&header, packet, sizeof(header));
	memcpy(flow->local_address, &header.ip6_src, 16);
	memcpy(flow->remote_address, &header.ip6_dst, 16);
	flow->protocol = header.ip6_nxt;
	return read_ports(packet + sizeof(header), size - sizeof(header), flow);
}

bool nft_records_flow(const uint8_t *packet, size_t size, struct sidestep_flow_key *ret_flow)
{
	bool readable = false;

	memset(ret_flow, 0, sizeof(*ret_flow));
	if (size > 0 && packet[0] >> 4 == 4)
		readable = read_ipv4(packet, size, ret_flow);
	else if (size > 0 && packet[0] >> 4 == 6)
		readable = read_ipv6(packet, size, ret_flow);
	if (!readable)
		memset(ret_flow, 0, sizeof(*ret_flow));
	return readable;
}

/* The tables' prefixes are the counters' names, in capitals. */
static uint32_t verdict_of(const char *prefix)
{
	uint32_t i;

	for (i = 0; i < SIDESTEP_COUNTERS; i++)
		if (strcasecmp(prefix, counter_names[i]) == 0)
			return i;
	return SIDESTEP_GUARD_DROPS;
}

static int on_untold(const struct nlmsghdr *header, void *data)
{
	struct nftnl_obj *object = nftnl_obj_alloc();
	uint64_t *sum = data;

	if (object && nftnl_obj_nlmsg_parse(header, object) == 0 &&
	    strcmp(nftnl_obj_get_str(object, NFTNL_OBJ_TABLE), NFT_TABLE_NAME) == 0 &&
	    strcmp(nftnl_obj_get_str(object, NFTNL_OBJ_NAME), "UNTOLD") == 0)
		*sum += nftnl_obj_get_u64(object, NFTNL_OBJ_CTR_PKTS);
	if (object)
		nftnl_obj_free(object);
	return MNL_CB_OK;
}

static void look_at_lost(struct records *records)
{
	uint64_t now_ms = clock_ms(), sum = 0;
	char buffer[256]; /* a request without attributes */

	if (now_ms - records->looked_ms < LOST_MS)
		return;
	records->looked_ms = now_ms;
	if (netlink_socket_talk(&records->table,
				nftnl_nlmsg_build_hdr(buffer, NFT_MSG_GETOBJ, NFPROTO_UNSPEC,
						      NLM_F_DUMP, 0),
				on_untold, &sum) == 0)
		records->lost = (uint32_t)sum;
}

/* Fills @denial from the packet. At a device's egress it begins with the Ethernet header. */
static void read_packet(const struct nlattr *payload, uint16_t ethertype, bool device,
			struct sidestep_denial *denial)
{
	const uint8_t *packet = mnl_attr_get_payload(payload);
	size_t size = mnl_attr_get_payload_len(payload);

	if (device && size > ETHER_HDR_LEN &&
	    memcmp(packet + 2 * ETHER_ADDR_LEN, &ethertype, sizeof(ethertype)) == 0) {
		packet += ETHER_HDR_LEN;
		size -= ETHER_HDR_LEN;
	}
	(void)nft_records_flow(packet, size, &denial->flow);
}

static int on_packet(const struct nlmsghdr *header, void *data)
{
	const struct nfgenmsg *message = mnl_nlmsg_get_payload(header);
	struct sidestep_denial denial = {.verdict = SIDESTEP_GUARD_DROPS};
	const struct nlattr *attribute, *payload = NULL;
	struct records *records = data;
	uint16_t ethertype = 0;

	if (header->nlmsg_type != (NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET))
		return MNL_CB_OK;
	mnl_attr_for_each (attribute, header, sizeof(*message)) {
		switch (mnl_attr_get_type(attribute)) {
		case NFULA_PREFIX:
			if (mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) >= 0)
				denial.verdict = verdict_of(mnl_attr_get_str(attribute));
			break;
		case NFULA_PACKET_HDR:
			if (mnl_attr_get_payload_len(attribute) >= sizeof(ethertype))
				memcpy(&ethertype, mnl_attr_get_payload(attribute),
				       sizeof(ethertype));
			break;
		case NFULA_UID:
			if (mnl_attr_validate(attribute, MNL_TYPE_U32) >= 0)
				denial.process.uid = ntohl(mnl_attr_get_u32(attribute));
			break;
		case NFULA_PAYLOAD:
			payload = attribute;
			break;
		}
	}
	denial.judged = denial.verdict;
	denial.lost = records->lost;
	if (payload)
		read_packet(payload, ethertype, message->nfgen_family == NFPROTO_NETDEV, &denial);
	records->take(records->context, &denial);
	return MNL_CB_OK;
}

static void records_read(struct record_source *source,
			 void (*take)(void *context, const void *record), void *context)
{
	struct records *records = container_of(source, struct records, source);
	int i;

	records->take = take;
	records->context = context;
	look_at_lost(records);
	for (i = 0; i < BURST; i++) {
		ssize_t size = recv(source->fd, records->buffer, sizeof(records->buffer),
				    MSG_DONTWAIT);

		/* ENOBUFS: the kernel has dropped some, and more wait. */
		if (size < 0 && errno != ENOBUFS)
			return;
		if (size > 0)
			(void)mnl_cb_run(records->buffer, (size_t)size, 0, 0, on_packet, records);
	}
}

static void records_close(struct record_source *source)
{
	struct records *records = container_of(source, struct records, source);

	netlink_socket_close(&records->group);
	netlink_socket_close(&records->table);
	free(records);
}

/* Has this socket read the group, and the kernel copy headers alone. Returns 0 or negative errno.
 */
static int bind_group(struct netlink_socket *socket)
{
	const struct nfulnl_msg_config_cmd command = {.command = NFULNL_CFG_CMD_BIND};
	const struct nfulnl_msg_config_mode mode = {.copy_range = htonl(NFT_LOG_BYTES),
						    .copy_mode = NFULNL_COPY_PACKET};
	char buffer[256] = {0};
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
	struct nfgenmsg *message = mnl_nlmsg_put_extra_header(header, sizeof(*message));

	header->nlmsg_type = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG;
	header->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	message->version = NFNETLINK_V0;
	message->res_id = htons(NFT_LOG_GROUP);
	mnl_attr_put(header, NFULA_CFG_CMD, sizeof(command), &command);
	mnl_attr_put(header, NFULA_CFG_MODE, sizeof(mode), &mode);
	mnl_attr_put_u32(header, NFULA_CFG_QTHRESH, htonl(TOGETHER));
	return netlink_socket_talk(socket, header, NULL, NULL);
}

int nft_records_open(struct record_source **ret_source)
{
	struct records *records = calloc(1, sizeof(*records));
	int error;

	if (!records)
		return -ENOMEM;
	records->source = (struct record_source) {.read = records_read, .close = records_close};
	error = netlink_socket_open(&records->group, NETLINK_NETFILTER);
	if (error == 0)
		error = netlink_socket_open(&records->table, NETLINK_NETFILTER);
	if (error == 0)
		error = bind_group(&records->group);
	if (error < 0) {
		records_close(&records->source);
		return error;
	}
	records->source.fd = mnl_socket_get_fd(records->group.socket);
	*ret_source = &records->source;
	return 0;
}
