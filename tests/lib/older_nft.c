// SPDX-License-Identifier: Apache-2.0
/*
 * A library for LD_PRELOAD that turns this kernel's nftables into an older one for a program.
 * Messages reach the kernel, but what OLDER_NFT names has a number there that no kernel knows:
 * "timeout" objects, or the "egress" hook of devices. So the kernel refuses them with the errno
 * that it has for a part that was not built.
 */
#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#define UNKNOWN 31

/* Replaces the value of @attribute if it is @known. */
static void spoil(const struct nlattr *attribute, uint16_t type, uint32_t known)
{
	uint32_t *value = mnl_attr_get_payload(attribute);

	if (mnl_attr_get_type(attribute) == type && ntohl(*value) == known)
		*value = htonl(UNKNOWN);
}

static void spoil_message(const struct nlmsghdr *message, const char *part)
{
	const struct nfgenmsg *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *attribute, *inner;
	int kind = NFNL_MSG_TYPE(message->nlmsg_type);

	if (NFNL_SUBSYS_ID(message->nlmsg_type) != NFNL_SUBSYS_NFTABLES)
		return;
	mnl_attr_for_each (attribute, message, sizeof(*header)) {
		if (kind == NFT_MSG_NEWOBJ && strcmp(part, "timeout") == 0)
			spoil(attribute, NFTA_OBJ_TYPE, NFT_OBJECT_CT_TIMEOUT);
		if (kind != NFT_MSG_NEWCHAIN || header->nfgen_family != NFPROTO_NETDEV ||
		    strcmp(part, "egress") != 0 || mnl_attr_get_type(attribute) != NFTA_CHAIN_HOOK)
			continue;
		mnl_attr_for_each_nested (inner, attribute)
			spoil(inner, NFTA_HOOK_HOOKNUM, NF_NETDEV_EGRESS);
	}
}

/* libmnl's, by which all messages of netlink go. The caller's copy stays as it is. */
ssize_t sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *address,
	       socklen_t address_size)
{
	const char *part = getenv("OLDER_NFT");
	const struct nlmsghdr *message;
	char *copy = malloc(size);
	int left = (int)size;
	ssize_t sent;

	if (!copy || !part)
		abort();
	memcpy(copy, data, size);
	if (address && address->sa_family == AF_NETLINK)
		for (message = (const struct nlmsghdr *)copy; mnl_nlmsg_ok(message, left);
		     message = mnl_nlmsg_next(message, &left))
			spoil_message(message, part);
	sent = syscall(SYS_sendto, fd, copy, size, flags, address, address_size);
	free(copy);
	return sent;
}
