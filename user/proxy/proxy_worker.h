/* SPDX-License-Identifier: Apache-2.0 */
/* Opens, runs and frees one thread of the proxy, with its listeners. */
#ifndef SIDESTEP_PROXY_WORKER_H
#define SIDESTEP_PROXY_WORKER_H

#include "proxy/listener_group.h"
#include "proxy/worker.h"

/* The state that the listeners of all workers share. */
struct worker_listening {
	struct listener_group tcp[WORKER_LISTENERS];
	int udp[WORKER_FAMILIES]; /* the first worker's socket, which all share; -1: none yet */
};

/* Makes an empty worker, which proxy_worker_free() accepts. */
void proxy_worker_init(struct worker *worker, struct worker_shared *shared);

/* Opens loop and listeners. Returns 0 or negative errno; to be freed in either case. */
int proxy_worker_open(struct worker *worker, struct worker_listening *listening);

/* Starts the thread. Returns 0 or negative errno. */
int proxy_worker_start(struct worker *worker);

/* Waits for the thread's end, if it runs. It ends once the proxy has drained, see worker_shared. */
void proxy_worker_join(struct worker *worker);

/* The thread does not run. Idempotent. */
void proxy_worker_free(struct worker *worker);

#endif
