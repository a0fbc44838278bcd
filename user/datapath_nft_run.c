// SPDX-License-Identifier: Apache-2.0
#include "datapath_nft_run.h"

#include "log.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

int nft_text_open(struct nft_text *text)
{
	text->stream = open_memstream(&text->text, &text->size);
	return text->stream ? 0 : -ENOMEM;
}

int nft_run(struct nft_ctx *context, const char *text)
{
	return nft_run_cmd_from_buffer(context, text) == 0 ? 0 : -1;
}

/* What the kernel has to have. Its modules are loaded on demand by the host, whoever asks; a kernel
 * that lacks one says ENOENT and no more. Each command leaves nothing. */
static const struct {
	const char *what, *rule;
} needs[] = {
	{"nf_tables (CONFIG_NF_TABLES, CONFIG_NF_TABLES_INET)", NULL},
	{"nft_ct, nf_conntrack (CONFIG_NFT_CT, CONFIG_NF_CONNTRACK_MARK)", "ct mark 1 accept"},
	{"nft_tproxy, nf_tproxy_ipv4 (CONFIG_NFT_TPROXY)",
	 "meta nfproto ipv4 meta l4proto tcp tproxy ip to 127.0.0.1:1"},
	{"nft_tproxy, nf_tproxy_ipv6 (CONFIG_NFT_TPROXY)",
	 "meta nfproto ipv6 meta l4proto tcp tproxy ip6 to [::1]:1"},
	{"nft_reject_inet (CONFIG_NFT_REJECT_INET)", "meta l4proto tcp reject with tcp reset"},
};

static bool has(struct nft_ctx *context, const char *rule)
{
	char text[512];

	(void)snprintf(
		text, sizeof(text),
		"add table inet sidestep-probe\n"
		"add chain inet sidestep-probe c { type filter hook prerouting priority 0; }\n"
		"%s%s\n"
		"delete table inet sidestep-probe\n",
		rule ? "add rule inet sidestep-probe c " : "", rule ? rule : "");
	return nft_run(context, text) == 0;
}

int nft_complain(struct nft_ctx *context, const char *what)
{
	_cleanup_free_ char *reason = strdup(nft_ctx_get_error_buffer(context));
	size_t i;

	for (i = 0; i < ARRAY_SIZE(needs); i++)
		if (!has(context, needs[i].rule))
			return log_errno(-EOPNOTSUPP,
					 "cannot %s: the kernel refuses %s. Load or build the "
					 "module on the host, run this with CAP_NET_ADMIN, or use "
					 "BPF (--datapath bpf, or the host's sidestep agent)",
					 what, needs[i].what);
	if (reason)
		reason[strcspn(reason, "\n")] = '\0';
	return log_errno(-EIO, "cannot %s: nftables says \"%s\"", what, reason ? reason : "");
}
