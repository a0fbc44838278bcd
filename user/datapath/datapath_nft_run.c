// SPDX-License-Identifier: Apache-2.0
#include "datapath/datapath_nft_run.h"

#include <dlfcn.h>
#include <errno.h>
#include <nftables/libnftables.h>
#include <stdbool.h>
#include <string.h>

#include "lib/log.h"

int nft_text_open(struct nft_text *text)
{
	text->stream = open_memstream(&text->text, &text->size);
	return text->stream ? 0 : -ENOMEM;
}

/* The name that its interface has had since libnftables 0.9 (2018). */
#define NFT_LIBRARY "libnftables.so.1"

struct nft {
	void *library;
	struct nft_ctx *context;
	__typeof__(&nft_ctx_new) ctx_new;
	__typeof__(&nft_ctx_free) ctx_free;
	__typeof__(&nft_ctx_buffer_output) buffer_output;
	__typeof__(&nft_ctx_buffer_error) buffer_error;
	__typeof__(&nft_ctx_get_error_buffer) get_error_buffer;
	__typeof__(&nft_run_cmd_from_buffer) run_cmd_from_buffer;
};

static int load(struct nft *nft)
{
	const struct {
		const char *name;
		void *function; /* where the pointer goes */
	} symbols[] = {
		{"nft_ctx_new", &nft->ctx_new},
		{"nft_ctx_free", &nft->ctx_free},
		{"nft_ctx_buffer_output", &nft->buffer_output},
		{"nft_ctx_buffer_error", &nft->buffer_error},
		{"nft_ctx_get_error_buffer", &nft->get_error_buffer},
		{"nft_run_cmd_from_buffer", &nft->run_cmd_from_buffer},
	};
	size_t i;

	nft->library = dlopen(NFT_LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (!nft->library)
		return -ELIBACC;
	for (i = 0; i < ARRAY_SIZE(symbols); i++) {
		void *symbol = dlsym(nft->library, symbols[i].name);

		if (!symbol)
			return -ELIBACC;
		/* A pointer to a function out of void *, as POSIX promises. */
		memcpy(symbols[i].function, &symbol, sizeof(symbol));
	}
	return 0;
}

int nft_open(struct nft **ret_nft)
{
	struct nft *nft = calloc(1, sizeof(*nft));
	int error;

	if (!nft)
		return -ENOMEM;
	error = load(nft);
	if (error < 0)
		log_debug("%s", dlerror()); /* which library, and why not */
	if (error == 0) {
		nft->context = nft->ctx_new(NFT_CTX_DEFAULT);
		if (!nft->context || nft->buffer_output(nft->context) != 0 ||
		    nft->buffer_error(nft->context) != 0)
			error = -ENOMEM;
	}
	if (error < 0) {
		nft_close(nft);
		return error;
	}
	*ret_nft = nft;
	return 0;
}

void nft_close(struct nft *nft)
{
	if (!nft)
		return;
	if (nft->context)
		nft->ctx_free(nft->context);
	if (nft->library)
		(void)dlclose(nft->library);
	free(nft);
}

int nft_run(struct nft *nft, const char *text)
{
	return nft->run_cmd_from_buffer(nft->context, text) == 0 ? 0 : -1;
}

const char *nft_error(const struct nft *nft)
{
	return nft->get_error_buffer(nft->context);
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

static bool has(struct nft *nft, const char *rule)
{
	char text[512];

	(void)snprintf(
		text, sizeof(text),
		"add table inet sidestep-probe\n"
		"add chain inet sidestep-probe c { type filter hook prerouting priority 0; }\n"
		"%s%s\n"
		"delete table inet sidestep-probe\n",
		rule ? "add rule inet sidestep-probe c " : "", rule ? rule : "");
	return nft_run(nft, text) == 0;
}

int nft_complain(struct nft *nft, const char *what)
{
	_cleanup_free_ char *reason = strdup(nft_error(nft));
	size_t i;

	for (i = 0; i < ARRAY_SIZE(needs); i++)
		if (!has(nft, needs[i].rule))
			return log_errno(-EOPNOTSUPP,
					 "cannot %s: the kernel refuses %s. Load or build the "
					 "module on the host, run this with CAP_NET_ADMIN, or use "
					 "BPF (--datapath bpf, or the host's sidestep agent)",
					 what, needs[i].what);
	if (reason)
		reason[strcspn(reason, "\n")] = '\0';
	return log_errno(-EIO, "cannot %s: nftables says \"%s\"", what, reason ? reason : "");
}
