/* SPDX-License-Identifier: Apache-2.0 */
/* The operator's end of a sidecar's socket. */
#ifndef SIDESTEP_OPERATOR_CLIENT_H
#define SIDESTEP_OPERATOR_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Asks the sidecar of the calling thread's network namespace. @elsewhere: it may be in another
 * container, so its process is looked for. That takes the rights to see other processes' files.
 * The process is the one that holds the namespace's lock, which the application cannot take.
 *
 * Returns 0 with the answer, a new object that is the caller's, or a negative errno, not logged.
 * -ENOENT: there is no such socket. In *@ret_fd, unless NULL, is the descriptor that came with it,
 * the caller's, or -1.
 */
int operator_ask(const json_t *request, bool elsewhere, json_t **ret_answer, int *ret_fd);

/* Asks at the socket of the namespace @netns (lib/run_socket.h), as far as it is in this mount
 * namespace. */
int operator_ask_here(uint64_t netns, const json_t *request, json_t **ret_answer);

#endif
