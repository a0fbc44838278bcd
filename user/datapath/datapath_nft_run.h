/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transactions through libnftables, and why one failed. The library is loaded when it is first
 * asked for: where BPF programs steer, nothing of it is in memory.
 */
#ifndef SIDESTEP_DATAPATH_NFT_RUN_H
#define SIDESTEP_DATAPATH_NFT_RUN_H

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/util.h"

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

/* The library and a context in it, which keeps what nft(8) would print. */
struct nft;

/* Loads the library. -ELIBACC where there is none that fits (dlopen(3) says more at --log-level
 * debug), or -ENOMEM; nothing else is logged. For one thread at a time. */
int nft_open(struct nft **ret_nft);

/* Unloads it again. NULL is fine. */
void nft_close(struct nft *nft);

/* One transaction: all of it or nothing. 0, or -1 with the reason in nft_error(). */
int nft_run(struct nft *nft, const char *text);

/* What the last nft_run() complained of; its until the next. */
const char *nft_error(const struct nft *nft);

/* nftables has just refused to do @what ("install ..."): finds out why, by small transactions that
 * leave nothing, and logs it with what to do. Returns -EOPNOTSUPP or -EIO. */
int nft_complain(struct nft *nft, const char *what);

#endif
