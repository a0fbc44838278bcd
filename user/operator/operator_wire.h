/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket by which an operator asks a running sidecar. Each connection carries one request, a
 * JSON object. The answer is a descriptor of a file in memory with another object. So it has any
 * size, and the sidecar never waits for the reader. A second descriptor may follow.
 *
 * The socket is a file of the sidecar's own mount namespace that only its user may open. The
 * application shares the network namespace and no files. An abstract socket would be open to it.
 */
#ifndef SIDESTEP_OPERATOR_WIRE_H
#define SIDESTEP_OPERATOR_WIRE_H

#include <stdint.h>
#include <sys/un.h>

#define OPERATOR_FOLDER "/run/sidestep"

/* A longer request is cut, and then is no JSON, bytes. */
#define OPERATOR_REQUEST_MAX 4096

/* The address of the sidecar's socket that serves the network namespace with this cookie. @root is
 * the folder that the sidecar has as its root, "" where that is ours. Returns 0 or -ENAMETOOLONG.
 */
int operator_address(const char *root, uint64_t cookie, struct sockaddr_un *ret_address);

/* Returns the cookie of the calling thread's network namespace, or 1 where the kernel has none
 * (before Linux 5.14). */
uint64_t operator_netns(void);

#endif
