// SPDX-License-Identifier: Apache-2.0
#include "datapath/datapath_nft_counters.h"

#include <errno.h>
#include <libnftnl/object.h>
#include <string.h>
#include <strings.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "datapath/datapath_nft_table.h"
#include "lib/netlink_socket.h"
#include "programs/counters.h"

/* Our two tables may have a counter of the same name each. */
static int on_counter(const struct nlmsghdr *header, void *data)
{
	struct nftnl_obj *object = nftnl_obj_alloc();
	uint64_t *packets = data;
	size_t i;

	if (!object)
		return MNL_CB_OK;
	if (nftnl_obj_nlmsg_parse(header, object) == 0 &&
	    strcmp(nftnl_obj_get_str(object, NFTNL_OBJ_TABLE), NFT_TABLE_NAME) == 0)
		for (i = 0; i < NFT_COUNTERS; i++)
			if (strcasecmp(nftnl_obj_get_str(object, NFTNL_OBJ_NAME),
				       counter_names[i]) == 0)
				packets[i] += nftnl_obj_get_u64(object, NFTNL_OBJ_CTR_PKTS);
	nftnl_obj_free(object);
	return MNL_CB_OK;
}

int nft_counters_read(uint64_t ret_packets[NFT_COUNTERS])
{
	_cleanup_netlink_socket_ struct netlink_socket socket = {0};
	char buffer[256]; /* a request without attributes */
	int error = netlink_socket_open(&socket, NETLINK_NETFILTER);

	memset(ret_packets, 0, NFT_COUNTERS * sizeof(*ret_packets));
	if (error < 0)
		return error;
	return netlink_socket_talk(&socket,
				   nftnl_nlmsg_build_hdr(buffer, NFT_MSG_GETOBJ, NFPROTO_UNSPEC,
							 NLM_F_DUMP, 0),
				   on_counter, ret_packets);
}
