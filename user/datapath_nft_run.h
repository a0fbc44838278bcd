/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transactions through libnftables, and why one failed.
 */
#ifndef SIDESTEP_DATAPATH_NFT_RUN_H
#define SIDESTEP_DATAPATH_NFT_RUN_H

#include <nftables/libnftables.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "cleanup.h"

/* Commands under construction: @text is whole after fflush(@stream). */
struct nft_text {
	FILE *stream;
	char *text;
	size_t size;
};

/* 0 or -ENOMEM. */
int nft_text_open(struct nft_text *text);

static inline void nft_text_release(struct nft_text *text)
{
	cleanup_fclose(&text->stream);
	free(text->text);
}

#define _cleanup_text_ _cleanup_(nft_text_release)

/* One transaction: all of it or nothing. 0, or -1 with the reason in the context's error buffer. */
int nft_run(struct nft_ctx *context, const char *text);

/* nftables has just refused to do @what ("install ..."): finds out why, by small transactions that
 * leave nothing, and logs it with what to do. Returns -EOPNOTSUPP or -EIO. */
int nft_complain(struct nft_ctx *context, const char *what);

#endif
