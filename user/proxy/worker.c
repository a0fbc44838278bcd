// SPDX-License-Identifier: Apache-2.0
#include "proxy/worker.h"

#include "lib/address.h"
#include "lib/log.h"

const struct socket_address *worker_gateway(struct worker *worker)
{
	struct worker_shared *shared = worker->shared;

	if (atomic_load_explicit(&shared->generation, memory_order_acquire) != worker->generation) {
		(void)pthread_mutex_lock(&shared->gateway_lock);
		worker->gateway = shared->gateway;
		worker->generation = atomic_load(&shared->generation);
		(void)pthread_mutex_unlock(&shared->gateway_lock);
	}
	return &worker->gateway;
}

void worker_complain(struct worker *worker, enum worker_complaint complaint,
		     const struct socket_address *gateway, const struct flow *flow,
		     const char *what, const char *why, const char *remedy)
{
	char name[SOCKET_ADDRESS_TEXT_MAX], suffix[COMPLAINT_SUFFIX_MAX];
	char source[ADDRESS_TEXT_MAX], destination[ADDRESS_TEXT_MAX];

	counter_add(complaint == COMPLAINT_REFUSED ? &worker->counters.gateway_refusals
						   : &worker->counters.gateway_errors,
		    1);
	if (complaint_due(&worker->shared->complaints[complaint], suffix))
		log_warning("%s the gateway %s for %s -> %s: %s; %s%s", what,
			    socket_address_format(gateway, name),
			    endpoint_format((const struct sockaddr *)&flow->source, source),
			    endpoint_format((const struct sockaddr *)&flow->destination,
					    destination),
			    why, remedy, suffix);
}

void worker_lack_descriptors(struct worker *worker)
{
	char suffix[COMPLAINT_SUFFIX_MAX];

	relay_pipes_free(&worker->pool->pipes);
	if (complaint_due(&worker->shared->complaints[COMPLAINT_DESCRIPTORS], suffix))
		log_warning("connection reset: no file descriptors left; raise the limit "
			    "(ulimit -n) or lower the connection limit%s",
			    suffix);
}
