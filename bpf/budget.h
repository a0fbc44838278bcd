/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Limits how often a program does something for a namespace. */
#ifndef SIDESTEP_BUDGET_H
#define SIDESTEP_BUDGET_H

#include "vmlinux.h"

#include <bpf/bpf_helpers.h>

#include <sidestep.h>

/* Namespaces whose numbers differ by a multiple of it share a budget. A power of two. */
#ifdef SIDESTEP_SHARED
#define BUDGETS SIDESTEP_MAX_NAMESPACES
#else
#define BUDGETS 1
#endif

struct budget {
	struct bpf_spin_lock lock;
	__u32 missed; /* how many were not to be had, since the load */
	__u64 next;   /* ns: when the next one is due, if none was saved up */
};

/* Takes one, of which there is one in each interval, and so many may be saved up. Returns 0 if
 * there is none. */
static __always_inline int budget_take(struct budget *budget, __u64 interval_ns, __u64 saved)
{
	__u64 now = bpf_ktime_get_ns(), earliest = now - (saved - 1) * interval_ns;
	int taken = 0;

	bpf_spin_lock(&budget->lock);
	if (budget->next < earliest)
		budget->next = earliest;
	if (budget->next <= now) {
		budget->next += interval_ns;
		taken = 1;
	} else {
		budget->missed++;
	}
	bpf_spin_unlock(&budget->lock);
	return taken;
}

/* One that was taken came to nothing. */
static __always_inline void budget_miss(struct budget *budget)
{
	bpf_spin_lock(&budget->lock);
	budget->missed++;
	bpf_spin_unlock(&budget->lock);
}

#endif
