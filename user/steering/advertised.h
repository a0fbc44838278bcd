/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps what neighbours tell the kernel out of the namespace: redirects, and where IPv6 is
 * configured also router advertisements. Routes that such advertisements added are removed.
 *
 * None of them gets a packet past the datapath (plan_input_connected()). But they decide where the
 * packets go that may leave: those to the gateway, and replies.
 */
#ifndef SIDESTEP_ADVERTISED_H
#define SIDESTEP_ADVERTISED_H

#include <stdbool.h>

#include "net/device_settings.h"
#include "net/netlink.h"
#include "steering/plan_input.h"
#include "steering/snapshot.h"

/*
 * Changes the settings of the guarded devices, and removes advertised routes from the namespace and
 * from @snapshot, of which @input was made. @inherited: see device_settings_ignore().
 */
void advertised_refuse(struct netlink *netlink, struct device_settings *settings, bool inherited,
		       const struct plan_input *input, struct snapshot *snapshot);

#endif
