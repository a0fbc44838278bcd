// SPDX-License-Identifier: Apache-2.0
#include "datapath/datapath_nft_table.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libnftnl/chain.h>
#include <libnftnl/object.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <libnftnl/udata.h>
#include <netinet/in.h>
#include <string.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink_cttimeout.h>

/* A message of elements is closed when less room is left than any element takes, bytes. */
#define ELEMENT_ROOM 256

/* Room for an object's user data: a comment (NFTNL_UDATA_COMMENT_MAXLEN) and two numbers, bytes. */
#define USER_DATA_ROOM 256

/* A new message about @table, or NULL. */
static struct nlmsghdr *message(const struct nft_table *table, uint16_t type, uint16_t flags)
{
	return nft_batch_message(table->batch, type, table->family, flags);
}

/* Makes user data of a comment. Returns NULL without one, and without memory: it may be missing. */
static struct nftnl_udata_buf *comment_data(uint8_t type, const char *comment)
{
	struct nftnl_udata_buf *data = comment ? nftnl_udata_buf_alloc(USER_DATA_ROOM) : NULL;

	if (data)
		(void)nftnl_udata_put_strz(data, type, comment);
	return data;
}

static void free_data(struct nftnl_udata_buf *data)
{
	if (data)
		nftnl_udata_buf_free(data);
}

void nft_table_add(const struct nft_table *table, const char *comment)
{
	struct nlmsghdr *header = message(table, NFT_MSG_NEWTABLE, NLM_F_CREATE);
	struct nftnl_udata_buf *data = comment_data(NFTNL_UDATA_TABLE_COMMENT, comment);
	struct nftnl_table *object = nftnl_table_alloc();

	if (header && object) {
		(void)nftnl_table_set_str(object, NFTNL_TABLE_NAME, NFT_TABLE_NAME);
		if (data)
			(void)nftnl_table_set_data(object, NFTNL_TABLE_USERDATA,
						   nftnl_udata_buf_data(data),
						   nftnl_udata_buf_len(data));
		nftnl_table_nlmsg_build_payload(header, object);
		nft_batch_add(table->batch, header);
	}
	if (object)
		nftnl_table_free(object);
	else
		nft_batch_fail(table->batch, -ENOMEM);
	free_data(data);
}

void nft_table_remove(const struct nft_table *table)
{
	struct nlmsghdr *header;

	/* Removing what is not there would fail. */
	nft_table_add(table, NULL);
	header = message(table, NFT_MSG_DELTABLE, 0);
	if (!header)
		return;
	mnl_attr_put_strz(header, NFTA_TABLE_NAME, NFT_TABLE_NAME);
	nft_batch_add(table->batch, header);
}

void nft_counter_add(const struct nft_table *table, const char *name, const char *comment)
{
	struct nlmsghdr *header = message(table, NFT_MSG_NEWOBJ, NLM_F_CREATE);
	struct nftnl_udata_buf *data = comment_data(NFTNL_UDATA_OBJ_COMMENT, comment);
	struct nftnl_obj *object = nftnl_obj_alloc();

	if (header && object) {
		nftnl_obj_set_str(object, NFTNL_OBJ_TABLE, NFT_TABLE_NAME);
		nftnl_obj_set_str(object, NFTNL_OBJ_NAME, name);
		nftnl_obj_set_u32(object, NFTNL_OBJ_TYPE, NFT_OBJECT_COUNTER);
		/* Without values libnftnl leaves out the data, which the kernel needs. */
		nftnl_obj_set_u64(object, NFTNL_OBJ_CTR_PKTS, 0);
		nftnl_obj_set_u64(object, NFTNL_OBJ_CTR_BYTES, 0);
		if (data)
			nftnl_obj_set_data(object, NFTNL_OBJ_USERDATA, nftnl_udata_buf_data(data),
					   nftnl_udata_buf_len(data));
		nftnl_obj_nlmsg_build_payload(header, object);
		nft_batch_add(table->batch, header);
	}
	if (object)
		nftnl_obj_free(object);
	else
		nft_batch_fail(table->batch, -ENOMEM);
	free_data(data);
}

void nft_timeouts_add(const struct nft_table *table, const char *name, uint32_t half_closed_s)
{
	struct nlmsghdr *header = message(table, NFT_MSG_NEWOBJ, NLM_F_CREATE);
	struct nlattr *data, *policy;

	if (!header)
		return;
	/* libnftnl would set all timeouts, and so override the namespace's. */
	mnl_attr_put_strz(header, NFTA_OBJ_TABLE, NFT_TABLE_NAME);
	mnl_attr_put_strz(header, NFTA_OBJ_NAME, name);
	mnl_attr_put_u32(header, NFTA_OBJ_TYPE, htonl(NFT_OBJECT_CT_TIMEOUT));
	data = mnl_attr_nest_start(header, NFTA_OBJ_DATA);
	mnl_attr_put_u16(header, NFTA_CT_TIMEOUT_L3PROTO, htons(NFPROTO_INET));
	mnl_attr_put_u8(header, NFTA_CT_TIMEOUT_L4PROTO, IPPROTO_TCP);
	policy = mnl_attr_nest_start(header, NFTA_CT_TIMEOUT_DATA);
	mnl_attr_put_u32(header, CTA_TIMEOUT_TCP_FIN_WAIT, htonl(half_closed_s));
	mnl_attr_put_u32(header, CTA_TIMEOUT_TCP_CLOSE_WAIT, htonl(half_closed_s));
	mnl_attr_nest_end(header, policy);
	mnl_attr_nest_end(header, data);
	nft_batch_add(table->batch, header);
}

void nft_set_add(const struct nft_table *table, const struct nft_set *set)
{
	struct nlmsghdr *header = message(table, NFT_MSG_NEWSET, NLM_F_CREATE);
	struct nftnl_udata_buf *data = nftnl_udata_buf_alloc(USER_DATA_ROOM);
	struct nftnl_set *object = nftnl_set_alloc();

	if (header && data && object) {
		(void)nftnl_set_set_str(object, NFTNL_SET_TABLE, NFT_TABLE_NAME);
		(void)nftnl_set_set_str(object, NFTNL_SET_NAME, set->name);
		nftnl_set_set_u32(object, NFTNL_SET_ID, set->id);
		nftnl_set_set_u32(object, NFTNL_SET_FLAGS, set->flags);
		nftnl_set_set_u32(object, NFTNL_SET_KEY_TYPE, set->type);
		nftnl_set_set_u32(object, NFTNL_SET_KEY_LEN, set->length);
		nftnl_set_set_u32(object, NFTNL_SET_DESC_SIZE, set->size);
		(void)nftnl_udata_put_u32(data, NFTNL_UDATA_SET_KEYBYTEORDER, set->order);
		if (set->comment)
			(void)nftnl_udata_put_strz(data, NFTNL_UDATA_SET_COMMENT, set->comment);
		(void)nftnl_set_set_data(object, NFTNL_SET_USERDATA, nftnl_udata_buf_data(data),
					 nftnl_udata_buf_len(data));
		nftnl_set_nlmsg_build_payload(header, object);
		nft_batch_add(table->batch, header);
	}
	if (object)
		nftnl_set_free(object);
	if (!object || !data)
		nft_batch_fail(table->batch, -ENOMEM);
	free_data(data);
}

void nft_chain_add(const struct nft_table *table, const char *name, const struct nft_hook *hook)
{
	struct nlmsghdr *header = message(table, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
	struct nftnl_chain *object = nftnl_chain_alloc();

	if (header && object) {
		(void)nftnl_chain_set_str(object, NFTNL_CHAIN_TABLE, NFT_TABLE_NAME);
		(void)nftnl_chain_set_str(object, NFTNL_CHAIN_NAME, name);
		if (hook->type) {
			(void)nftnl_chain_set_str(object, NFTNL_CHAIN_TYPE, hook->type);
			nftnl_chain_set_u32(object, NFTNL_CHAIN_HOOKNUM, hook->number);
			nftnl_chain_set_s32(object, NFTNL_CHAIN_PRIO, hook->priority);
			nftnl_chain_set_u32(object, NFTNL_CHAIN_POLICY, hook->policy);
		}
		if (hook->device)
			(void)nftnl_chain_set_str(object, NFTNL_CHAIN_DEV, hook->device);
		nftnl_chain_nlmsg_build_payload(header, object);
		nft_batch_add(table->batch, header);
	}
	if (object)
		nftnl_chain_free(object);
	else
		nft_batch_fail(table->batch, -ENOMEM);
}

void nft_chain_remove(const struct nft_table *table, const char *name)
{
	struct nlmsghdr *header = message(table, NFT_MSG_DELCHAIN, 0);

	if (!header)
		return;
	mnl_attr_put_strz(header, NFTA_CHAIN_TABLE, NFT_TABLE_NAME);
	mnl_attr_put_strz(header, NFTA_CHAIN_NAME, name);
	nft_batch_add(table->batch, header);
}

void nft_set_flush(const struct nft_table *table, const char *set)
{
	struct nlmsghdr *header = message(table, NFT_MSG_DELSETELEM, 0);

	if (!header)
		return;
	mnl_attr_put_strz(header, NFTA_SET_ELEM_LIST_TABLE, NFT_TABLE_NAME);
	mnl_attr_put_strz(header, NFTA_SET_ELEM_LIST_SET, set);
	nft_batch_add(table->batch, header);
}

static int elements_begin(struct nft_elements *elements)
{
	bool new = elements->type == NFT_MSG_NEWSETELEM;
	struct nlmsghdr *header = message(elements->table, elements->type, new ? NLM_F_CREATE : 0);

	if (!header)
		return -1;
	mnl_attr_put_strz(header, NFTA_SET_ELEM_LIST_TABLE, NFT_TABLE_NAME);
	mnl_attr_put_strz(header, NFTA_SET_ELEM_LIST_SET, elements->set);
	if (elements->set_id)
		mnl_attr_put_u32(header, NFTA_SET_ELEM_LIST_SET_ID, htonl(elements->set_id));
	elements->message = header;
	elements->list = mnl_attr_nest_start(header, NFTA_SET_ELEM_LIST_ELEMENTS);
	return 0;
}

void nft_elements_end(struct nft_elements *elements)
{
	if (!elements->message)
		return;
	mnl_attr_nest_end(elements->message, elements->list);
	nft_batch_add(elements->table->batch, elements->message);
	elements->message = NULL;
}

/* Marks an interval without an end for nft(8), which lists it as a prefix only then. */
static void put_open(struct nftnl_set_elem *object)
{
	struct nftnl_udata_buf *data = nftnl_udata_buf_alloc(USER_DATA_ROOM);

	if (!data)
		return;
	(void)nftnl_udata_put_u32(data, NFTNL_UDATA_SET_ELEM_FLAGS, NFTNL_SET_ELEM_F_INTERVAL_OPEN);
	(void)nftnl_set_elem_set(object, NFTNL_SET_ELEM_USERDATA, nftnl_udata_buf_data(data),
				 nftnl_udata_buf_len(data));
	nftnl_udata_buf_free(data);
}

void nft_elements_put(struct nft_elements *elements, const struct nft_element *element)
{
	struct nftnl_set_elem *object;

	if (!elements->message && elements_begin(elements) < 0)
		return;
	object = nftnl_set_elem_alloc();
	if (!object) {
		nft_batch_fail(elements->table->batch, -ENOMEM);
		return;
	}
	(void)nftnl_set_elem_set(object, NFTNL_SET_ELEM_KEY, element->key, element->length);
	if (element->interval_end)
		nftnl_set_elem_set_u32(object, NFTNL_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
	if (element->timeout_ms)
		nftnl_set_elem_set_u64(object, NFTNL_SET_ELEM_TIMEOUT, element->timeout_ms);
	if (element->interval_open)
		put_open(object);
	(void)nftnl_set_elem_nlmsg_build(elements->message, object, NFTA_LIST_ELEM);
	nftnl_set_elem_free(object);
	if (elements->message->nlmsg_len > NFT_MESSAGE_ROOM - ELEMENT_ROOM)
		nft_elements_end(elements);
}
