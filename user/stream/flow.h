/* SPDX-License-Identifier: Apache-2.0 */
/* One steered connection as the application sees it. The datapath keeps a record of it. */
#ifndef SIDESTEP_FLOW_H
#define SIDESTEP_FLOW_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "sidestep.h"

/* Both addresses are AF_INET, or both are AF_INET6. */
struct flow {
	struct sockaddr_storage source;	     /* the application's socket */
	struct sockaddr_storage destination; /* the address it connected to */
	uint64_t start;			     /* ns, CLOCK_MONOTONIC */
	uint64_t sent;			     /* bytes, application to gateway */
	uint64_t received;		     /* bytes, gateway to application */
	bool updated;			     /* flow_update() was called for it (proxy.h) */
	struct sidestep_process opener;	     /* as the kernel knows it; cookie 0: it does not */
};

#endif
