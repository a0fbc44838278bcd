/* SPDX-License-Identifier: Apache-2.0 */
/* Takes descriptors away from a test, which then sees what a process at its limit does. */
#ifndef SIDESTEP_TESTS_DESCRIPTORS_H
#define SIDESTEP_TESTS_DESCRIPTORS_H

#include <sys/resource.h>

/* Sets the soft limit: descriptors below @limit can be opened. Those that are open stay. Returns
 * the limit before, which a second call restores. A failure fails the test. */
rlim_t limit_descriptors(rlim_t limit);

#endif
