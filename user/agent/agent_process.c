// SPDX-License-Identifier: Apache-2.0
#include "agent/agent_process.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>

#include "lib/netns.h"
#include "lib/util.h"
#include "programs/programs.h"

int agent_process_in(uint32_t netns)
{
	_cleanup_closedir_ DIR *proc = opendir("/proc");
	const struct dirent *entry;
	int found = -ESRCH;

	if (!proc)
		return -errno;
	while (found < 0 && (entry = readdir(proc))) {
		_cleanup_close_ int fd = -1;
		uint32_t number;

		if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
			continue;
		fd = netns_open_of((pid_t)strtol(entry->d_name, NULL, 10));
		if (fd >= 0 && netns_enter(fd) == 0 && programs_netns(&number) == 0 &&
		    number == netns)
			found = TAKE_FD(fd);
	}
	return found;
}
