/* SPDX-License-Identifier: Apache-2.0 */
/* Enters the network namespace that the options --container and --netns name. */
#ifndef SIDESTEP_CHOSEN_NETNS_H
#define SIDESTEP_CHOSEN_NETNS_H

#include <stddef.h>

#include "docker/docker_engine.h"
#include "lib/option_entries.h"

struct chosen_netns {
	const char *container;
	const char *netns;
	const char *docker_socket;
};

/* Entries of an option table for the first two, without the end. @base is the offset of the struct
 * chosen_netns in the table's target. */
#define CHOSEN_NETNS_ENTRIES(base)                                                                 \
	{.section = "The network namespace",                                                       \
	 .name = "container",                                                                      \
	 .argument = "NAME",                                                                       \
	 .type = OPTION_STRING,                                                                    \
	 .offset = (base) + offsetof(struct chosen_netns, container),                              \
	 .example = "app",                                                                         \
	 .help = "That of this Docker container, or of the one whose network it shares."},         \
	{                                                                                          \
		.name = "netns", .argument = "PATH", .type = OPTION_STRING,                        \
		.offset = (base) + offsetof(struct chosen_netns, netns),                           \
		.example = "/proc/1234/ns/net",                                                    \
		.help = "The one at this path. Without either it is that of the command."          \
	}

/* Enters it. Returns its descriptor, the caller's, or a negative errno, logged. Without an option
 * it is the thread's present one. In *@ret_home is the one that was left, the caller's too, or -1.
 */
int chosen_netns_enter(const struct chosen_netns *chosen, int *ret_home);

#endif
