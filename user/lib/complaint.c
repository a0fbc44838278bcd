// SPDX-License-Identifier: Apache-2.0
#include "lib/complaint.h"

#include <stdio.h>

#include "lib/clock.h"

/* The least time between two messages of one kind. */
#define PAUSE_MS 1000

bool complaint_due(struct complaint *complaint, char suffix[COMPLAINT_SUFFIX_MAX])
{
	uint64_t now_ms = clock_ms(), last = atomic_load(&complaint->last_ms);
	unsigned int suppressed;

	/* Of several threads at once, one logs. */
	if ((last != 0 && now_ms < last + PAUSE_MS) ||
	    !atomic_compare_exchange_strong(&complaint->last_ms, &last, now_ms)) {
		(void)atomic_fetch_add(&complaint->suppressed, 1);
		return false;
	}
	suppressed = atomic_exchange(&complaint->suppressed, 0);
	suffix[0] = '\0';
	if (suppressed > 0)
		(void)snprintf(suffix, COMPLAINT_SUFFIX_MAX,
			       " (and %u more like this since the last message)", suppressed);
	return true;
}
