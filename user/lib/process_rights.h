/* SPDX-License-Identifier: Apache-2.0 */
/* Asks for the rights of another process (capabilities(7), user_namespaces(7)). */
#ifndef SIDESTEP_PROCESS_RIGHTS_H
#define SIDESTEP_PROCESS_RIGHTS_H

#include <sys/types.h>

/*
 * Asks whether process @pid may administer the network namespace @netns_fd. It may if CAP_NET_ADMIN
 * is effective in the user namespace that owns the network namespace, or in one of its ancestors.
 * @pidfd is of the same process, so the answer is never that of a later process with its number.
 *
 * Returns 1 if it may, 0 if it may not, and -ESRCH if the process has ended. With another negative
 * errno nothing is known, for example because no descriptor is free (-EMFILE, -ENFILE).
 */
int process_rights_net_admin(int pidfd, pid_t pid, int netns_fd);

#endif
