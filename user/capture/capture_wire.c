// SPDX-License-Identifier: Apache-2.0
#include "capture/capture_wire.h"

#include <stdio.h>

#include "lib/netns.h"

void capture_path(char path[CAPTURE_PATH_MAX])
{
	uint64_t cookie = 1;

	(void)netns_cookie_own(&cookie);
	(void)snprintf(path, CAPTURE_PATH_MAX, CAPTURE_FOLDER "/%llu.capture",
		       (unsigned long long)cookie);
}
