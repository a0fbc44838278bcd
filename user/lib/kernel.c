// SPDX-License-Identifier: Apache-2.0
#include "lib/kernel.h"

#include <stdio.h>
#include <sys/utsname.h>

bool kernel_is(unsigned int major, unsigned int minor)
{
	unsigned int running_major, running_minor;
	struct utsname name;

	return uname(&name) == 0 &&
	       sscanf(name.release, "%u.%u", &running_major, &running_minor) == 2 &&
	       (running_major > major || (running_major == major && running_minor >= minor));
}
