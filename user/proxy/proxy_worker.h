/* SPDX-License-Identifier: Apache-2.0 */
/* Opens, runs and frees one thread of the proxy, with its listeners. */
#ifndef SIDESTEP_PROXY_WORKER_H
#define SIDESTEP_PROXY_WORKER_H

#include <netinet/in.h>

#include "proxy/worker.h"

/* Ports of the SO_REUSEPORT groups, network byte order. 0: the group's first socket picks one. */
struct worker_ports {
	in_port_t tcp[WORKER_LISTENERS];
	in_port_t udp[WORKER_FAMILIES];
};

/* Makes an empty worker, which proxy_worker_free() accepts. */
void proxy_worker_init(struct worker *worker, struct worker_shared *shared);

/* Opens loop and listeners. Returns 0 or negative errno; to be freed in either case. */
int proxy_worker_open(struct worker *worker, struct worker_ports *ports);

/* Starts the thread. Returns 0 or negative errno. */
int proxy_worker_start(struct worker *worker);

/* Waits for the thread's end, if it runs. It ends once the proxy has drained, see worker_shared. */
void proxy_worker_join(struct worker *worker);

/* The thread does not run. Idempotent. */
void proxy_worker_free(struct worker *worker);

#endif
