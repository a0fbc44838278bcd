// SPDX-License-Identifier: Apache-2.0
#include "proxy/exchange.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/util.h"

static void exchange_over(struct exchange *exchange, enum exchange_result result)
{
	loop_timer_stop(&exchange->timer);
	exchange->done(exchange, result);
}

/* Counts and logs "@what the gateway ...: @why; @remedy", and ends the exchange. */
static void exchange_fail(struct exchange *exchange, enum worker_complaint complaint,
			  const char *what, const char *why, const char *remedy)
{
	worker_complain(exchange->worker, complaint, exchange->gateway, exchange->flow, what, why,
			remedy);
	exchange_over(exchange, EXCHANGE_FAILED);
}

static void answer_expired(struct loop_timer *timer)
{
	exchange_fail(container_of(timer, struct exchange, timer), COMPLAINT_ANSWER_TIMEOUT,
		      "no answer to CONNECT by", "time limit",
		      "is it overloaded, or not an HTTP proxy at all?");
}

static const char *refusal_remedy(int status)
{
	switch (status) {
	case 400:
		return "the destination could not be reached from there";
	case 407:
		return "it asks for credentials, and sidestep sends none: let it accept requests "
		       "from here without";
	default:
		return "the gateway's own log tells why";
	}
}

static void answer_complete(struct exchange *exchange)
{
	int status = exchange->answer.status;
	char text[32];

	if (exchange->worker->tls &&
	    tunnel_answer_content(&exchange->answer,
				  exchange->worker->shared->config.gateway_protocol) ==
		    TUNNEL_DOUBTFUL) {
		exchange_fail(exchange, COMPLAINT_DOUBTFUL, "no plaintext for",
			      "its answer has Via or Proxy-Agent, as an ordinary proxy's",
			      "give --gateway-protocol connect, or let it answer with "
			      "X-Tls-Plaintext: accept");
		return;
	}
	if (status < 300) {
		exchange_over(exchange, EXCHANGE_ACCEPTED);
		return;
	}
	(void)snprintf(text, sizeof(text), "status %d", status);
	exchange_fail(exchange, COMPLAINT_REFUSED, "CONNECT refused by", text,
		      refusal_remedy(status));
}

static void answer_read(struct exchange *exchange)
{
	struct loop_handler *side = exchange->side;
	char *buffer = exchange->worker->pool->buffer;
	char text[128];

	while (side->latched & EPOLLIN) {
		ssize_t size = recv(side->fd, buffer, RELAY_BUFFER, 0);
		size_t used;

		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0 && errno == EAGAIN) {
			side->latched &= ~(uint32_t)EPOLLIN;
			return;
		}
		if (size <= 0) {
			exchange_fail(exchange, COMPLAINT_ANSWER_EOF, "CONNECT not answered by",
				      size == 0 ? "connection closed"
						: strerror_r(errno, text, sizeof(text)),
				      "is that an HTTP proxy, and did it stop meanwhile?");
			return;
		}
		/* As in the relay: after a short read the next event tells of more. */
		if (size < RELAY_BUFFER && !(side->latched & (EPOLLRDHUP | EPOLLPRI)))
			side->latched &= ~(uint32_t)EPOLLIN;
		switch (tunnel_answer_feed(&exchange->answer, buffer, (size_t)size, &used)) {
		case HTTP_MORE:
			break;
		case HTTP_COMPLETE:
			exchange->rest = buffer + used;
			exchange->rest_size = (size_t)size - used;
			answer_complete(exchange);
			return;
		case HTTP_REFUSED:
			exchange_fail(exchange, COMPLAINT_ANSWER_GARBAGE,
				      "CONNECT answered with nonsense by",
				      exchange->answer.head.reason, "is that an HTTP proxy?");
			return;
		}
	}
}

/* Sends the request, or the rest of it. False: that has failed, and the exchange is over. */
static bool request_send(struct exchange *exchange)
{
	struct loop_handler *side = exchange->side;
	ssize_t size;

	do {
		size = send(side->fd, exchange->request + exchange->sent,
			    exchange->size - exchange->sent, MSG_NOSIGNAL);
	} while (size < 0 && errno == EINTR);
	if (size < 0 && errno != EAGAIN) {
		exchange->error = -errno;
		exchange_over(exchange, EXCHANGE_UNSENT);
		return false;
	}
	if (size > 0)
		exchange->sent += (size_t)size;
	else
		side->latched &= ~(uint32_t)EPOLLOUT;
	return true;
}

static void exchange_ready(struct loop_handler *side, uint32_t events)
{
	struct exchange *exchange = side->owner;

	(void)events;
	if (exchange->sent < exchange->size && !request_send(exchange))
		return;
	answer_read(exchange);
}

void exchange_start(struct exchange *exchange, struct worker *worker, struct loop_handler *side,
		    const struct socket_address *gateway, const struct flow *flow,
		    const struct hints *hints)
{
	exchange->worker = worker;
	exchange->side = side;
	exchange->gateway = gateway;
	exchange->flow = flow;
	exchange->sent = 0;
	exchange->size = tunnel_request_format(exchange->request,
					       (const struct sockaddr *)&flow->source,
					       (const struct sockaddr *)&flow->destination, hints);
	tunnel_answer_init(&exchange->answer);
	exchange->timer.expired = answer_expired;
	if (worker->shared->config.answer_ms > 0)
		loop_timer_start(worker->loop, &worker->answer_class, &exchange->timer);
	side->ready = exchange_ready;
	side->owner = exchange;
	if (request_send(exchange))
		answer_read(exchange);
}

void exchange_cancel(struct exchange *exchange)
{
	loop_timer_stop(&exchange->timer);
}
