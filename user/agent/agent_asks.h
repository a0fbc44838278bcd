/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's side of what its helpers ask: one message of a fixed size for each question, and one
 * answer with a descriptor. The agent does not trust a helper, and never waits for it.
 */
#ifndef SIDESTEP_AGENT_ASKS_H
#define SIDESTEP_AGENT_ASKS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Comes with the descriptor that was asked for. */
struct agent_answer {
	int32_t error; /* 0 or negative errno */
};

/* Takes the next question into the @size bytes at @ask. Descriptors that come with it are
 * discarded. Returns its size, which an honest helper's equals; 0: there is none yet; or a negative
 * errno: the helper has closed its end. */
ssize_t agent_asks_take(int asks_fd, void *ask, size_t size);

/* Answers with @answer, a descriptor that stays the caller's, or a negative errno. Returns what is
 * wrong with the helper, or NULL. */
const char *agent_asks_answer(int asks_fd, int answer);

#endif
