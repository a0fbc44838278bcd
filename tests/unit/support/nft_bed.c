// SPDX-License-Identifier: Apache-2.0
#include "support/nft_bed.h"

#include <nftables/libnftables.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct prefix nft_bed_prefix(const char *text)
{
	struct prefix result;

	assert_int_equal(prefix_parse(text, &result), 0);
	return result;
}

void nft_bed_bypass(struct datapath *datapath, const char *text, uint32_t sources)
{
	struct prefix value = nft_bed_prefix(text);

	assert_int_equal(datapath_bypass_set(datapath, &value,
					     &(struct sidestep_bypass) {.sources = sources}),
			 0);
}

char *nft_bed_listing(void)
{
	struct nft_ctx *context = nft_ctx_new(NFT_CTX_DEFAULT);
	char *text;

	assert_non_null(context);
	assert_int_equal(nft_ctx_buffer_output(context), 0);
	assert_int_equal(nft_run_cmd_from_buffer(context, "list ruleset"), 0);
	text = strdup(nft_ctx_get_output_buffer(context));
	nft_ctx_free(context);
	assert_non_null(text);
	return text;
}

void nft_bed_assert_listed(const char *part, bool expected)
{
	char *text = nft_bed_listing();

	if (!!strstr(text, part) != expected)
		fail_msg("\"%s\" %s in:\n%s", part, expected ? "not" : "unexpectedly", text);
	free(text);
}

int nft_bed_enter(void **state)
{
	(void)state;
	return unshare(CLONE_NEWNET);
}

struct datapath *nft_bed_attached(enum sidestep_udp udp)
{
	struct datapath_nft_config config = {.udp = udp};
	struct datapath *datapath;

	assert_int_equal(datapath_nft_new(&config, &datapath), 0);
	assert_int_equal(datapath_set_gateway(datapath, "10.0.0.1:80 \"\\ }"), 0);
	nft_bed_bypass(datapath, "172.30.0.2", SIDESTEP_FROM_LOCAL);
	nft_bed_bypass(datapath, "172.30.0.0/24", SIDESTEP_FROM_CONNECTED);
	nft_bed_bypass(datapath, "fe80::/10", SIDESTEP_FROM_BUILTIN);
	assert_int_equal(datapath_commit(datapath), 0);
	assert_int_equal(datapath_attach(datapath), 0);
	return datapath;
}
