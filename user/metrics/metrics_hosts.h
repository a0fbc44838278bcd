/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts the connections and bytes of the busiest hosts, and of all others together. Nobody can
 * make it keep more names than its limit.
 *
 * A name is a candidate first. There are four for each that is shown. A new one takes the place and
 * the rank of the least busy one (the algorithm "Space-Saving", Metwally 2005). Each look shows the
 * busiest candidates. A shown counter begins at 0, and what was counted before stays with the
 * others. So no counter ever falls.
 */
#ifndef SIDESTEP_METRICS_HOSTS_H
#define SIDESTEP_METRICS_HOSTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define METRICS_HOSTS_MAX	 100
#define METRICS_HOSTS_CANDIDATES 4
/* Room for a host's name with its NUL (RFC 1035 section 2.3.4). */
#define METRICS_HOST_SIZE 254

struct metrics_traffic {
	uint64_t connections, sent, received; /* bytes */
};

struct metrics_host {
	char name[METRICS_HOST_SIZE];
	uint64_t rank;
	bool shown;
	struct metrics_traffic traffic; /* since it is shown */
};

/* Belongs to one thread at a time. Zero-initialised: it shows none. */
struct metrics_hosts {
	struct metrics_host *hosts;
	size_t count, limit; /* candidates */
	size_t shown_limit;
	struct metrics_traffic others;
};

/* Shows at most @limit hosts, up to METRICS_HOSTS_MAX. Returns 0 or -ENOMEM. */
int metrics_hosts_init(struct metrics_hosts *hosts, size_t limit);
void metrics_hosts_release(struct metrics_hosts *hosts);

/* Counts a connection that has ended. @name: of its destination; NULL: unknown. */
void metrics_hosts_add(struct metrics_hosts *hosts, const char *name, uint64_t sent,
		       uint64_t received);

/* Chooses those that are shown, and calls @visit with each, and with "other". */
void metrics_hosts_each(struct metrics_hosts *hosts,
			void (*visit)(void *context, const char *name,
				      const struct metrics_traffic *traffic),
			void *context);

#endif
