// SPDX-License-Identifier: Apache-2.0
#include "events/event_place.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "lib/netns.h"

uint64_t event_place_netns(void)
{
	struct stat status;
	uint64_t number;

	if (netns_cookie_own(&number) == 0)
		return number;
	return stat("/proc/thread-self/ns/net", &status) == 0 ? status.st_ino : 0;
}

void event_place(uint64_t netns, char path[EVENT_PLACE_MAX])
{
	(void)snprintf(path, EVENT_PLACE_MAX, EVENT_PLACE_FOLDER "/%" PRIu64 ".events", netns);
}
