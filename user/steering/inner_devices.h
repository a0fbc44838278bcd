/* SPDX-License-Identifier: Apache-2.0 */
/* Remembers the namespaces that uplinks lead to, and tells people about inner devices
 * (plan_inner.h). */
#ifndef SIDESTEP_INNER_DEVICES_H
#define SIDESTEP_INNER_DEVICES_H

#include <stddef.h>
#include <stdint.h>

#include "steering/plan_input.h"

/* Zero-initialised: nothing was seen yet. */
struct inner_devices {
	bool looked;
	int32_t *outer; /* for plan_input.outer */
	size_t outer_count;
	uint32_t *told; /* ifindex of the inner devices that the log names */
	size_t told_count;
	bool steered; /* as the log says of them */
};

/*
 * Looks at @input, adds to the namespaces that uplinks lead to, and sets them there. They are those
 * of the devices with a default route. At the first look, those of all devices that are no port of
 * a bridge, because the engine has made them. An engine keeps all its networks in one namespace,
 * whose number stays the same. So a device of a network that is joined later is no inner one.
 * Without memory nothing is added.
 */
void inner_devices_look(struct inner_devices *devices, struct plan_input *input);

/* Tells of each inner device once, for as long as it is there and steered, or not. @cause: why it
 * is not steered. */
void inner_devices_tell(struct inner_devices *devices, const struct plan_input *input,
			const char *cause);

void inner_devices_release(struct inner_devices *devices);

#endif
