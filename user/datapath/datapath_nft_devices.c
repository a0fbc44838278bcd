// SPDX-License-Identifier: Apache-2.0
#include "datapath/datapath_nft_devices.h"

#include <errno.h>

#include "lib/log.h"

static struct nft_device *find(struct nft_devices *devices, uint32_t ifindex)
{
	size_t i;

	for (i = 0; i < devices->count; i++)
		if (devices->items[i].ifindex == ifindex)
			return &devices->items[i];
	return NULL;
}

int nft_devices_set(struct nft_devices *devices, uint32_t ifindex, bool inner)
{
	struct nft_device *device = find(devices, ifindex);
	char name[IFNAMSIZ];

	if (!if_indextoname(ifindex, name))
		return -ENODEV;
	if (device && device->inner == inner)
		return 0;
	if (!device && devices->count == NFT_DEVICES_MAX)
		return log_errno(-ENOSPC, "cannot guard more than %d devices", NFT_DEVICES_MAX);
	if (!device)
		device = &devices->items[devices->count++];
	*device = (struct nft_device) {.ifindex = ifindex, .inner = inner};
	devices->changed = true;
	return 0;
}

void nft_devices_remove(struct nft_devices *devices, uint32_t ifindex)
{
	struct nft_device *device = find(devices, ifindex);

	if (!device)
		return;
	*device = devices->items[--devices->count];
	devices->changed = true;
}

size_t nft_devices_guarded(const struct nft_devices *devices, char names[NFT_DEVICES_MAX][IFNAMSIZ])
{
	size_t i, count = 0;

	for (i = 0; i < devices->count; i++)
		if (!devices->items[i].inner &&
		    if_indextoname(devices->items[i].ifindex, names[count]))
			count++;
	return count;
}
