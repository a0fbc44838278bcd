/* SPDX-License-Identifier: Apache-2.0 */
/* Admits accepted connections, and refuses those that cannot begin. */
#ifndef SIDESTEP_CONNECTION_ADMIT_H
#define SIDESTEP_CONNECTION_ADMIT_H

#include <stdbool.h>
#include <sys/socket.h>

#include "proxy/worker.h"
#include "stream/acceptor.h"
#include "stream/flow.h"

/* Learns the flow of an accepted @fd, and counts it in shared->live. False: it was refused. */
bool connection_admit(struct worker *worker, int fd, const struct sockaddr_storage *source,
		      struct flow *ret_flow);

/* No descriptor is left: resets the connection, unless @fd is negative. */
void connection_exhausted(struct acceptor *acceptor, int fd, const struct sockaddr_storage *source);

#endif
