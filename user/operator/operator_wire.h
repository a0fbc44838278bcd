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

/* The kind of the socket (lib/run_socket.h). */
#define OPERATOR_SOCKET "control"

/* A longer request is cut, and then is no JSON, bytes. */
#define OPERATOR_REQUEST_MAX 4096

#endif
