// SPDX-License-Identifier: Apache-2.0
#include "proxy/connection_machine.h"

#include <errno.h>
#include <string.h>

#include "lib/address.h"
#include "lib/log.h"
#include "lib/util.h"
#include "proxy/connection.h"
#include "proxy/connection_admit.h"
#include "proxy/connection_event.h"
#include "stream/relay_pump.h"

enum connection_action connection_step(struct connection_machine *machine,
				       enum connection_event event)
{
	enum connection_state state = machine->state;

	if (state == CONNECTION_DONE)
		return CONNECTION_WAIT;
	switch (event) {
	case CONNECTION_ALONE:
		machine->state = CONNECTION_RELAY;
		return CONNECTION_PASS;
	case CONNECTION_NO_PEEK:
	case CONNECTION_PEEKED:
		if (state != CONNECTION_PEEK)
			return CONNECTION_WAIT;
		machine->state = machine->connected ? CONNECTION_ANSWER : CONNECTION_CONNECT;
		if (machine->connected)
			return CONNECTION_SEND;
		return machine->lost ? CONNECTION_DIAL : CONNECTION_WAIT;
	case CONNECTION_CONNECTED:
		machine->connected = true;
		if (state != CONNECTION_CONNECT)
			return CONNECTION_WAIT;
		machine->state = CONNECTION_ANSWER;
		return CONNECTION_SEND;
	case CONNECTION_LOST:
		/* A gateway that limits the wait for a request is dialed anew once there is one. */
		if (state == CONNECTION_PEEK) {
			machine->connected = false;
			machine->lost = true;
		}
		return CONNECTION_WAIT;
	case CONNECTION_REDIAL:
		if (state == CONNECTION_RELAY)
			return CONNECTION_WAIT;
		machine->connected = false;
		machine->lost = false;
		if (state == CONNECTION_ANSWER)
			machine->state = CONNECTION_CONNECT;
		return CONNECTION_DIAL;
	case CONNECTION_ACCEPTED:
		if (state != CONNECTION_ANSWER)
			return CONNECTION_WAIT;
		machine->state = CONNECTION_RELAY;
		return CONNECTION_PASS;
	case CONNECTION_FAILED:
		machine->state = CONNECTION_DONE;
		return state == CONNECTION_RELAY ? CONNECTION_RESET : CONNECTION_REFUSE;
	case CONNECTION_ENDED:
		machine->state = CONNECTION_DONE;
		return state == CONNECTION_RELAY ? CONNECTION_CLOSE : CONNECTION_REFUSE;
	}
	return CONNECTION_WAIT;
}

const char *connection_state_name(enum connection_state state)
{
	static const char *const names[] = {
		[CONNECTION_PEEK] = "peek",	[CONNECTION_CONNECT] = "connect",
		[CONNECTION_ANSWER] = "answer", [CONNECTION_RELAY] = "relay",
		[CONNECTION_DONE] = "done",
	};

	return names[state];
}

static void state_log(const struct connection *connection, enum connection_state before)
{
	char source[ADDRESS_TEXT_MAX], destination[ADDRESS_TEXT_MAX];

	log_debug("connection %s -> %s: %s, was %s",
		  endpoint_format((const struct sockaddr *)&connection->flow.source, source),
		  endpoint_format((const struct sockaddr *)&connection->flow.destination,
				  destination),
		  connection_state_name(connection->machine.state), connection_state_name(before));
}

/* Tells whether the proxy has another gateway than the one that was dialed. */
static bool gateway_changed(const struct connection *connection)
{
	return atomic_load(&connection->worker->shared->generation) != connection->generation;
}

static void connection_handle(struct connection *connection, enum connection_event event);

/* Something in here has failed: the application's socket, or there is no memory. */
static void connection_fail(struct connection *connection, int error)
{
	if (error == -ENOMEM)
		connection_lacks_memory(connection->worker, &connection->flow);
	connection_handle(connection, CONNECTION_FAILED);
}

static void peek_done(struct peek *peek, int error)
{
	struct connection_handshake *handshake = container_of(peek, struct connection_handshake,
							      peek);

	if (peek->hints.hello)
		connection_first_speaker(handshake->connection, FIRST_SPEAKER_CLIENT);
	if (error < 0)
		connection_fail(handshake->connection, error);
	else
		connection_handle(handshake->connection, CONNECTION_PEEKED);
}

/* Counts and logs "@what the gateway ...: @why; @remedy", and ends the connection. */
static void gateway_failed(struct connection *connection, enum worker_complaint complaint,
			   const char *what, const char *why, const char *remedy)
{
	worker_complain(connection->worker, complaint, &connection->handshake->gateway,
			&connection->flow, what, why, remedy);
	connection_handle(connection, CONNECTION_FAILED);
}

static void no_socket(struct connection *connection, int error)
{
	struct worker *worker = connection->worker;
	char text[128];

	if (error == -EMFILE || error == -ENFILE) {
		counter_add(&worker->counters.refused_limit, 1);
		worker_lack_descriptors(worker, &connection->flow);
		connection_handle(connection, CONNECTION_FAILED);
		return;
	}
	if (error == -EDESTADDRREQ) {
		gateway_failed(connection, COMPLAINT_CONNECT, "cannot connect to",
			       "its name has no address", "see the message of the preflight");
		return;
	}
	gateway_failed(connection, COMPLAINT_SOCKET, "cannot make a socket for",
		       strerror_r(-error, text, sizeof(text)),
		       "see the messages about the kernel side above");
}

/* An exempt connection leads straight there. */
static void destination_failed(struct connection *connection, int error)
{
	const struct worker_cause cause = {"destination_unreachable", error == -ETIMEDOUT
									      ? EVENT_END_TIMEOUT
									      : EVENT_END_REFUSED};
	char destination[ADDRESS_TEXT_MAX], text[128];

	worker_blame(connection->worker, &connection->flow, &cause,
		     "cannot connect to the destination %s, to which this exempt process connects "
		     "without the gateway: %s",
		     endpoint_format((const struct sockaddr *)&connection->flow.destination,
				     destination),
		     strerror_r(-error, text, sizeof(text)));
	connection_handle(connection, CONNECTION_FAILED);
}

static void not_connected(struct connection *connection, int error)
{
	char text[128];

	/* The destination's refusal is passed on. */
	if (connection->direct)
		destination_failed(connection, error);
	else if (gateway_changed(connection) && connection->handshake->exchange.sent == 0)
		connection_handle(connection, CONNECTION_REDIAL);
	else if (error == -ETIMEDOUT)
		gateway_failed(connection, COMPLAINT_CONNECT_TIMEOUT, "cannot connect to",
			       "no answer within the limit",
			       "does a firewall between container and host drop packets?");
	else if (error == -EADDRNOTAVAIL)
		gateway_failed(connection, COMPLAINT_PORTS, "cannot connect to",
			       "no local port is free",
			       "widen net.ipv4.ip_local_port_range, or let the gateway listen on a "
			       "unix socket");
	else
		gateway_failed(
			connection, COMPLAINT_CONNECT, "cannot connect to",
			strerror_r(-error, text, sizeof(text)),
			"is the gateway listening there, and on an address that containers reach?");
}

static void dial_failed(struct connection *connection, int error)
{
	if (connection->handshake->has_socket)
		not_connected(connection, error);
	else
		no_socket(connection, error);
}

/* Watches the connected gateway while the client is still peeked at. */
static void gateway_ready(struct loop_handler *side, uint32_t events)
{
	if (events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP))
		connection_handle(container_of(side, struct connection, relay.side[1]),
				  CONNECTION_LOST);
}

static void dial_done(struct dial *dial, int error)
{
	struct connection *connection =
		container_of(dial, struct connection_handshake, dial)->connection;

	if (error < 0) {
		not_connected(connection, error);
		return;
	}
	connection->relay.side[1].ready = gateway_ready;
	connection_event_connected(connection);
	connection_handle(connection, CONNECTION_CONNECTED);
}

static void ipv6_answered(struct ipv6_verdict *verdict, const struct exchange *exchange,
			  enum exchange_result result)
{
	if (result == EXCHANGE_ACCEPTED)
		ipv6_verdict_opened(verdict);
	else if (result == EXCHANGE_FAILED && exchange->answer.status >= 300)
		ipv6_verdict_refused(verdict);
}

static void exchange_done(struct exchange *exchange, enum exchange_result result)
{
	struct connection *connection =
		container_of(exchange, struct connection_handshake, exchange)->connection;
	int error = 0;

	connection_event_answered(connection);
	if (connection->flow.destination.ss_family == AF_INET6)
		ipv6_answered(&connection->worker->shared->ipv6, exchange, result);
	if (result == EXCHANGE_ACCEPTED)
		error = relay_queue(&connection->relay, 1, exchange->rest, exchange->rest_size);
	if (result == EXCHANGE_UNSENT)
		not_connected(connection, exchange->error);
	else if (result == EXCHANGE_FAILED)
		connection_handle(connection, CONNECTION_FAILED);
	else if (error < 0)
		connection_fail(connection, error);
	else
		connection_handle(connection, CONNECTION_ACCEPTED);
}

static void relay_begin(struct connection *connection)
{
	if (connection->dns)
		dns_stream_start(connection->dns);
	else
		relay_start(&connection->relay);
}

static void intercept_done(struct intercept *intercept, int error)
{
	struct connection *connection = container_of(intercept->relay, struct connection, relay);

	if (error < 0) {
		connection_fail(connection, error);
		return;
	}
	intercept_free(intercept);
	connection->intercept = NULL;
	relay_begin(connection);
}

static void request_send(struct connection *connection)
{
	struct connection_handshake *handshake = connection->handshake;

	if (connection->direct)
		connection_handle(connection, CONNECTION_ACCEPTED);
	else if (gateway_changed(connection))
		connection_handle(connection, CONNECTION_REDIAL);
	else
		exchange_start(&handshake->exchange, connection->worker, &connection->relay.side[1],
			       &handshake->gateway, &connection->flow, &handshake->peek.hints);
}

/* Starts the relay, or the interception. The handshake's memory is freed here. */
static void relay_pass(struct connection *connection)
{
	struct connection_handshake *handshake = connection->handshake;
	struct worker *worker = connection->worker;
	struct peek *peek = &handshake->peek;
	int error = 0;

	counter_add(&worker->counters.relayed, 1);
	if (connection->machine.connected && !connection->direct &&
	    intercept_asked(worker, &handshake->gateway, &handshake->exchange.answer))
		error = intercept_new(worker, &connection->relay, &connection->flow, peek,
				      intercept_done, &connection->intercept);
	if (error < 0) {
		connection_fail(connection, error);
		return;
	}
	if (connection->intercept && peek->hints.hello)
		connection_first_speaker(connection, FIRST_SPEAKER_CLIENT);
	connection->unheard = worker->shared->config.sni_hint && peek->size == 0 && !peek->ended;
	if (peek->ended)
		relay_ended(&connection->relay, 0);
	if (!connection->intercept)
		relay_queue_owned(&connection->relay, 0, TAKE_PTR(peek->bytes), peek->size);
	connection_event_keep(connection);
	connection_handshake_free(connection);
	if (connection->intercept)
		intercept_start(connection->intercept);
	else
		relay_begin(connection);
}

static void connection_handle(struct connection *connection, enum connection_event event)
{
	enum connection_state before = connection->machine.state;
	enum connection_action action = connection_step(&connection->machine, event);

	if (connection->machine.state != before && log_enabled(LOG_DEBUG))
		state_log(connection, before);
	switch (action) {
	case CONNECTION_WAIT:
		break;
	case CONNECTION_SEND:
		request_send(connection);
		break;
	case CONNECTION_DIAL:
		/* From a task, as the batch of events in progress may name the old socket. */
		dial_cancel(&connection->handshake->dial);
		exchange_cancel(&connection->handshake->exchange);
		loop_close(&connection->relay.side[1]);
		loop_defer(connection->worker->loop, &connection->handshake->redial);
		break;
	case CONNECTION_PASS:
		relay_pass(connection);
		break;
	case CONNECTION_REFUSE:
	case CONNECTION_RESET:
	case CONNECTION_CLOSE:
		connection_end(connection, action);
		break;
	}
}

static void relay_finished(struct relay *relay, bool reset)
{
	connection_handle(container_of(relay, struct connection, relay),
			  reset ? CONNECTION_FAILED : CONNECTION_ENDED);
}

/* An application has vanished only in bridge mode: its container is gone. */
static void peer_vanished(struct peer_watch *watch, int side)
{
	static const struct worker_cause cause = {"peer_vanished", EVENT_END_TIMEOUT};
	struct connection *connection = container_of(watch, struct connection, watch);
	struct socket_address gateway = {.size = sizeof(gateway.address)};

	worker_blame(
		connection->worker, &connection->flow, &cause,
		"the other end of the connection has vanished: no sign of life within the limit "
		"(--peer-timeout)");
	if (side == 1 && !connection->direct &&
	    getpeername(connection->relay.side[1].fd, (struct sockaddr *)&gateway.address,
			&gateway.size) == 0)
		worker_complain(connection->worker, COMPLAINT_VANISHED, &gateway, &connection->flow,
				"lost", "no sign of life within the limit",
				"is its machine up, and the line to it?");
	connection_handle(connection, CONNECTION_FAILED);
}

static void redial(struct loop_task *task)
{
	struct connection *connection =
		container_of(task, struct connection_handshake, redial)->connection;
	int error = connection_dial(connection);

	if (error < 0)
		dial_failed(connection, error);
}

/* Opens a connection that was admitted, and starts its peek and its dial. */
static void connection_start(struct worker *worker, int fd, const struct flow *flow)
{
	const struct proxy_config *config = &worker->shared->config;
	bool tls, http;
	int error = 0;
	struct connection *connection = connection_open(worker, fd, flow, &error);
	struct connection_handshake *handshake;
	uint16_t port;

	if (!connection)
		return;
	handshake = connection->handshake;
	port = connection_port(connection);
	tls = config->sni_hint && !connection->direct;
	http = !connection->direct &&
	       (config->workerd_peek ? port == 80 : first_speaker_is_http(port));
	handshake->peek.done = peek_done;
	handshake->dial.done = dial_done;
	handshake->exchange.done = exchange_done;
	handshake->redial.run = redial;
	connection->relay.finish = relay_finished;
	connection->watch.vanished = peer_vanished;
	if (connection->dns && dns_stream_is_alone(connection->dns)) {
		connection_handle(connection, CONNECTION_ALONE);
		return;
	}
	if (!tls && !http)
		connection_handle(connection, CONNECTION_NO_PEEK);
	if (error < 0)
		dial_failed(connection, error);
	if (connection->machine.state != CONNECTION_DONE)
		peek_start(&handshake->peek, worker, &connection->relay.side[0], tls, http,
			   !config->workerd_peek &&
				   connection_expects(connection) == FIRST_SPEAKER_CLIENT);
}

void connection_accepted(struct acceptor *acceptor, int fd, const struct sockaddr_storage *source)
{
	struct worker *worker = container_of(acceptor, struct worker_listener, acceptor)->worker;
	struct flow flow;

	if (connection_admit(worker, fd, source, &flow))
		connection_start(worker, fd, &flow);
}

void connection_reset_all(struct worker *worker)
{
	static const struct worker_cause cause = {"proxy_stopped", EVENT_END_PROXY_GONE};
	struct list_link *link;

	while ((link = list_first(&worker->connections))) {
		struct connection *connection = container_of(link, struct connection, link);

		worker_blame(worker, &connection->flow, &cause,
			     "connection reset: sidestep has stopped; --drain gives running "
			     "connections more time");
		connection_handle(connection, CONNECTION_FAILED);
	}
}
