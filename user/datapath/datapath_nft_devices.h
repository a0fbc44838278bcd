/* SPDX-License-Identifier: Apache-2.0 */
/* The devices that the nftables datapath guards, and the inner ones, whose packets it steers. */
#ifndef SIDESTEP_DATAPATH_NFT_DEVICES_H
#define SIDESTEP_DATAPATH_NFT_DEVICES_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NFT_DEVICES_MAX 256

struct nft_device {
	uint32_t ifindex;
	bool inner;
};

struct nft_devices {
	struct nft_device items[NFT_DEVICES_MAX];
	size_t count;
	bool changed; /* since the last transaction */
};

/* Adds a device, or changes its kind. Returns 0, -ENODEV: it is gone, or -ENOSPC, logged. */
int nft_devices_set(struct nft_devices *devices, uint32_t ifindex, bool inner);

void nft_devices_remove(struct nft_devices *devices, uint32_t ifindex);

/* Fills @names with the names of the devices to guard, as nftables wants it. One that is gone is
 * left out. Returns their number. */
size_t nft_devices_guarded(const struct nft_devices *devices,
			   char names[NFT_DEVICES_MAX][IFNAMSIZ]);

#endif
