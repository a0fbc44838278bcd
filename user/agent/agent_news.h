/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages between the agent and its watcher, the process that talks to Docker. The agent does
 * not trust the watcher, which parses what others wrote. They go by the sockets of agent_spawn.h:
 *
 *	news	watcher: struct agent_news; agent: struct agent_removal
 *	asks	watcher: struct docker_ask; agent: struct agent_answer with a descriptor
 */
#ifndef SIDESTEP_AGENT_NEWS_H
#define SIDESTEP_AGENT_NEWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "docker/docker_labels.h"

enum agent_role {
	AGENT_SIDECAR = 1U << 0,
	AGENT_GUARDED = 1U << 1, /* --guard names it */
};

/* A container: a copy of struct docker_sidecar. */
struct agent_seen {
	char id[65];	/* up to 64 hexadecimal digits */
	char name[64];	/* printable ASCII, by escape_text() */
	pid_t pid;	/* 0: it does not run */
	uint32_t roles; /* enum agent_role */
	int64_t unused_since_ms;
	char labels[DOCKER_LABELS_MAX]; /* packed (docker_labels.h), or anything */
};

/* Containers in one message. */
#define AGENT_NEWS_SEEN_MAX 16

enum agent_news_type {
	AGENT_NEWS_PART, /* AGENT_NEWS_SEEN_MAX containers of the next list; more follow */
	AGENT_NEWS_LAST, /* the last containers of that list, or none */
	AGENT_NEWS_REMOVAL_OVER,
};

/* Of variable size: agent_news_size(). */
struct agent_news {
	uint32_t type;	  /* enum agent_news_type */
	uint32_t count;	  /* how many of .seen follow */
	int64_t heard_us; /* when the watcher knew this (CLOCK_MONOTONIC); a removal: 0 */
	struct agent_seen seen[AGENT_NEWS_SEEN_MAX];
};

/* Asks the watcher to remove an orphan. */
struct agent_removal {
	char id[65];
};

static inline size_t agent_news_size(size_t count)
{
	return offsetof(struct agent_news, seen) + count * sizeof(struct agent_seen);
}

/* Is *@news of @size bytes a message that an honest watcher sends at @now_us (CLOCK_MONOTONIC)? */
bool agent_news_valid(const struct agent_news *news, size_t size, int64_t now_us);

/* Splits @line, a packet of the log, in place. Returns its text without prefix and line end, and
 * its enum log_level. Anything else than a line of lib/log.h is a warning as a whole. */
const char *agent_news_log_text(char *line, size_t size, unsigned int *ret_level);

#endif
