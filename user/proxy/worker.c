// SPDX-License-Identifier: Apache-2.0
#include "proxy/worker.h"

#include <stdarg.h>
#include <stdio.h>

#include "lib/address.h"
#include "lib/log.h"

/* The causes of what a gateway does. */
static const struct worker_cause causes[COMPLAINTS] = {
	[COMPLAINT_CONNECT] = {"gateway_unreachable", EVENT_END_REFUSED},
	[COMPLAINT_CONNECT_TIMEOUT] = {"gateway_connect_timeout", EVENT_END_TIMEOUT},
	[COMPLAINT_PORTS] = {"no_local_port", EVENT_END_LIMIT},
	[COMPLAINT_VANISHED] = {"gateway_vanished", EVENT_END_TIMEOUT},
	[COMPLAINT_ANSWER_TIMEOUT] = {"gateway_answer_timeout", EVENT_END_TIMEOUT},
	[COMPLAINT_ANSWER_EOF] = {"gateway_hung_up", EVENT_END_REFUSED},
	[COMPLAINT_ANSWER_GARBAGE] = {"gateway_not_http", EVENT_END_REFUSED},
	[COMPLAINT_REFUSED] = {"gateway_refused", EVENT_END_REFUSED},
	[COMPLAINT_DOUBTFUL] = {"gateway_undeclared", EVENT_END_REFUSED},
	[COMPLAINT_SOCKET] = {"gateway_socket_failed", EVENT_END_REFUSED},
};

const struct socket_address *worker_gateway(struct worker *worker)
{
	struct worker_shared *shared = worker->shared;

	if (atomic_load_explicit(&shared->generation, memory_order_acquire) != worker->generation) {
		(void)pthread_mutex_lock(&shared->gateway_lock);
		worker->gateway = shared->gateway;
		worker->gateway_origin = shared->gateway_origin;
		worker->generation = atomic_load(&shared->generation);
		(void)pthread_mutex_unlock(&shared->gateway_lock);
		(void)socket_address_format(&worker->gateway, worker->gateway_text);
	}
	return &worker->gateway;
}

static void __attribute__((format(printf, 4, 0)))
blame(struct worker *worker, const struct flow *flow, const struct worker_cause *cause,
      const char *format, va_list arguments)
{
	struct worker_fault *fault = &worker->fault;

	fault->flow = flow;
	fault->cause = *cause;
	(void)vsnprintf(fault->message, sizeof(fault->message), format, arguments);
}

void worker_blame(struct worker *worker, const struct flow *flow, const struct worker_cause *cause,
		  const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	blame(worker, flow, cause, format, arguments);
	va_end(arguments);
}

void worker_tell(struct worker *worker, enum worker_complaint complaint, const struct flow *flow,
		 const struct worker_cause *cause, const char *format, ...)
{
	const char *hint = worker->shared->config.events_hint;
	char suffix[COMPLAINT_SUFFIX_MAX];
	va_list arguments;

	va_start(arguments, format);
	blame(worker, flow, cause, format, arguments);
	va_end(arguments);
	if (complaint_due(&worker->shared->complaints[complaint], suffix))
		log_warning("%s%s%s", worker->fault.message, suffix, suffix[0] && hint ? hint : "");
}

void worker_complain(struct worker *worker, enum worker_complaint complaint,
		     const struct socket_address *gateway, const struct flow *flow,
		     const char *what, const char *why, const char *remedy)
{
	char name[SOCKET_ADDRESS_TEXT_MAX];
	char source[ADDRESS_TEXT_MAX], destination[ADDRESS_TEXT_MAX];

	counter_add(complaint == COMPLAINT_REFUSED ? &worker->counters.gateway_refusals
						   : &worker->counters.gateway_errors,
		    1);
	worker_tell(worker, complaint, flow, &causes[complaint],
		    "%s the gateway %s for %s -> %s: %s; %s", what,
		    socket_address_format(gateway, name),
		    endpoint_format((const struct sockaddr *)&flow->source, source),
		    endpoint_format((const struct sockaddr *)&flow->destination, destination), why,
		    remedy);
}

void worker_lack_descriptors(struct worker *worker, const struct flow *flow)
{
	static const struct worker_cause cause = {"descriptor_limit", EVENT_END_LIMIT};

	relay_pipes_free(&worker->pool->pipes);
	worker_tell(worker, COMPLAINT_DESCRIPTORS, flow, &cause,
		    "connection reset: no file descriptors left; raise the limit (ulimit -n) or "
		    "lower the connection limit");
}
