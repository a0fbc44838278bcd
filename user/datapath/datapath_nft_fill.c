// SPDX-License-Identifier: Apache-2.0
#include "datapath/datapath_nft_fill.h"

#include <arpa/inet.h>
#include <libnftnl/set.h>
#include <string.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "datapath/datapath_nft_table.h"
#include "lib/netlink_socket.h"

/* The number of elements (include/uapi/linux/netfilter/nf_tables.h, Linux 6.16). */
#define SET_COUNT 20

struct visitor {
	datapath_visit_map *visit;
	void *context;
};

static int on_set(const struct nlmsghdr *header, void *data)
{
	const struct visitor *visitor = data;
	const struct nlattr *attribute, *count = NULL;
	struct nftnl_set *set;

	mnl_attr_for_each (attribute, header, sizeof(struct nfgenmsg))
		if (mnl_attr_get_type(attribute) == SET_COUNT &&
		    mnl_attr_validate(attribute, MNL_TYPE_U32) == 0)
			count = attribute;
	set = count ? nftnl_set_alloc() : NULL;
	if (!set)
		return MNL_CB_OK;
	if (nftnl_set_nlmsg_parse(header, set) == 0 &&
	    strcmp(nftnl_set_get_str(set, NFTNL_SET_TABLE), NFT_TABLE_NAME) == 0 &&
	    nftnl_set_is_set(set, NFTNL_SET_DESC_SIZE))
		visitor->visit(visitor->context, nftnl_set_get_str(set, NFTNL_SET_NAME),
			       ntohl(mnl_attr_get_u32(count)),
			       nftnl_set_get_u32(set, NFTNL_SET_DESC_SIZE));
	nftnl_set_free(set);
	return MNL_CB_OK;
}

/* The sets of the other table, of the family netdev, have the same names. */
void nft_fill_each(datapath_visit_map *visit, void *context)
{
	_cleanup_netlink_socket_ struct netlink_socket socket = {0};
	struct visitor visitor = {visit, context};
	char buffer[256]; /* a request without attributes */

	if (netlink_socket_open(&socket, NETLINK_NETFILTER) == 0)
		(void)netlink_socket_talk(&socket,
					  nftnl_nlmsg_build_hdr(buffer, NFT_MSG_GETSET,
								NFPROTO_INET, NLM_F_DUMP, 0),
					  on_set, &visitor);
}
