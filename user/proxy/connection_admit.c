// SPDX-License-Identifier: Apache-2.0
#include "proxy/connection_admit.h"

#include <string.h>

#include "lib/util.h"
#include "proxy/connection.h"

/* Tells whether the connection is the awaited echo, or the gateway's connections come back. Those
 * of somebody exempt do not. */
static bool is_looping(struct worker *worker, const struct flow *flow)
{
	static const struct worker_cause cause = {"gateway_loop", EVENT_END_REFUSED};
	struct echo *echo = &worker->shared->echo;

	if (!echo_has_come(echo, &flow->destination)) {
		if (!atomic_load_explicit(&echo->is_looping, memory_order_relaxed))
			return false;
		worker_blame(worker, flow, &cause,
			     "connection reset: the gateway's own connections are intercepted, so "
			     "each would come back for ever; see the message of the preflight");
		return true;
	}
	if (!connection_exempt(worker, flow))
		echo_report(echo, &flow->destination);
	return true;
}

/* Tells whether the connection cannot even begin, and keeps why. */
static bool is_hopeless(struct worker *worker, int error, const struct flow *flow)
{
	static const struct worker_cause stopping = {"proxy_stopped", EVENT_END_PROXY_GONE};
	static const struct worker_cause unknown = {"no_destination", EVENT_END_REFUSED};
	char text[128];

	if (error < 0)
		worker_blame(worker, flow, &unknown,
			     "connection reset: its destination cannot be found out: %s",
			     strerror_r(-error, text, sizeof(text)));
	else if (atomic_load(&worker->shared->draining))
		worker_blame(worker, flow, &stopping,
			     "connection reset: sidestep is stopping; start it again");
	else
		return is_looping(worker, flow);
	return true;
}

bool connection_admit(struct worker *worker, int fd, const struct sockaddr_storage *source,
		      struct flow *ret_flow)
{
	static const struct worker_cause full = {"connection_limit", EVENT_END_LIMIT};
	struct worker_shared *shared = worker->shared;
	unsigned int limit = shared->config.max_connections;
	int error = connection_flow(worker, fd, source, ret_flow);

	worker->fault.flow = NULL;
	if (is_hopeless(worker, error, ret_flow)) {
		connection_refuse(worker, fd, ret_flow);
		return false;
	}
	if (atomic_fetch_add(&shared->live, 1) < limit)
		return true;
	(void)atomic_fetch_sub(&shared->live, 1);
	/* Counted before the client can know of it. */
	counter_add(&worker->counters.refused_limit, 1);
	worker_tell(
		worker, COMPLAINT_LIMIT, ret_flow, &full,
		"connection reset: the limit of %u connections is reached; raise it or find who "
		"keeps them open",
		limit);
	connection_refuse(worker, fd, ret_flow);
	return false;
}

void connection_exhausted(struct acceptor *acceptor, int fd, const struct sockaddr_storage *source)
{
	struct worker *worker = container_of(acceptor, struct worker_listener, acceptor)->worker;
	struct flow flow;

	if (fd >= 0)
		(void)connection_flow(worker, fd, source, &flow);
	worker_lack_descriptors(worker, fd < 0 ? NULL : &flow);
	if (fd < 0)
		return;
	counter_add(&worker->counters.refused_limit, 1);
	connection_refuse(worker, fd, &flow);
}
