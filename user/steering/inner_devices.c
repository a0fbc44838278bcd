// SPDX-License-Identifier: Apache-2.0
#include "steering/inner_devices.h"

#include <stdlib.h>

#include "lib/log.h"
#include "steering/plan_inner.h"

static bool has_number(const struct inner_devices *devices, int32_t nsid)
{
	size_t i;

	for (i = 0; i < devices->outer_count; i++)
		if (devices->outer[i] == nsid)
			return true;
	return false;
}

static void add_number(struct inner_devices *devices, int32_t nsid)
{
	int32_t *numbers;

	if (nsid < 0 || has_number(devices, nsid))
		return;
	numbers = reallocarray(devices->outer, devices->outer_count + 1, sizeof(*numbers));
	if (!numbers)
		return;
	numbers[devices->outer_count++] = nsid;
	devices->outer = numbers;
}

void inner_devices_look(struct inner_devices *devices, struct plan_input *input)
{
	size_t i;

	for (i = 0; i < input->link_count; i++) {
		const struct netlink_link *link = &input->links[i];

		if (plan_inner_has_default(input, link) || (!devices->looked && !link->master))
			add_number(devices, link->peer_nsid);
	}
	devices->looked = true;
	input->outer = devices->outer;
	input->outer_count = devices->outer_count;
}

static bool was_told(const struct inner_devices *devices, uint32_t ifindex)
{
	size_t i;

	for (i = 0; i < devices->told_count; i++)
		if (devices->told[i] == ifindex)
			return true;
	return false;
}

void inner_devices_tell(struct inner_devices *devices, const struct plan_input *input,
			const char *cause)
{
	uint32_t *found = calloc(input->link_count + 1, sizeof(*found));
	size_t count = 0, i;

	if (!found)
		return;
	if (devices->steered != input->inner)
		devices->told_count = 0;
	devices->steered = input->inner;
	for (i = 0; i < input->link_count; i++) {
		const struct netlink_link *link = &input->links[i];

		if (!plan_inner_is(input, link))
			continue;
		found[count++] = link->ifindex;
		if (was_told(devices, link->ifindex))
			continue;
		if (input->inner)
			log_info("inner device %s: what containers behind it send is steered",
				 link->name);
		else
			log_warning("inner device %s: containers behind it reach nothing outside, "
				    "nor do their published ports answer (%s)",
				    link->name, cause);
	}
	free(devices->told);
	devices->told = found;
	devices->told_count = count;
}

void inner_devices_release(struct inner_devices *devices)
{
	free(devices->outer);
	free(devices->told);
	*devices = (struct inner_devices) {.looked = false};
}
