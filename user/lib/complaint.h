/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits how often one kind of message is logged: once a second, with the number of those left out.
 *
 *	char suffix[COMPLAINT_SUFFIX_MAX];
 *
 *	if (complaint_due(&complaint, suffix))
 *		log_warning("cannot connect to %s%s", gateway, suffix);
 */
#ifndef SIDESTEP_COMPLAINT_H
#define SIDESTEP_COMPLAINT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define COMPLAINT_SUFFIX_MAX 64

/* One kind of message. Zero-initialised at first; any thread may use it. */
struct complaint {
	_Atomic uint64_t last_ms; /* clock_ms(), 0: never */
	atomic_uint suppressed;	  /* since then */
};

/* Returns true when the message may be logged now. @suffix is then empty, or says how many messages
 * were left out since the last one. */
bool complaint_due(struct complaint *complaint, char suffix[COMPLAINT_SUFFIX_MAX]);

#endif
