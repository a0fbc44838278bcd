/* SPDX-License-Identifier: Apache-2.0 */
/* Tells how many processors this process may use, by its affinity and the quotas of its control
 * groups. */
#ifndef SIDESTEP_PROCESSORS_H
#define SIDESTEP_PROCESSORS_H

/*
 * Returns the number of processors, at least 1. The affinity (sched_setaffinity(2), cpusets) says
 * which there are. The quota of a control group is a part of their time, and is rounded up (cpu.max
 * in version 2, cpu.cfs_quota_us in version 1). A group without a readable quota counts as one
 * without a limit.
 */
unsigned int processors_usable(void);

/* Returns the quota of the control group whose folder @directory is, or UINT_MAX without one. */
unsigned int processors_quota(const char *directory);

#endif
