// SPDX-License-Identifier: Apache-2.0
#include "proxy/connection.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util.h"
#include "proxy/connection_event.h"
#include "proxy/destination.h"

/* Chooses the address that is dialed: the current gateway's, or the destination's. */
static void choose_address(struct connection *connection)
{
	struct connection_handshake *handshake = connection->handshake;
	const struct sockaddr_storage *destination = &connection->flow.destination;

	handshake->gateway = *worker_gateway(connection->worker);
	connection->generation = connection->worker->generation;
	if (!connection->direct)
		return;
	handshake->gateway.address = *destination;
	handshake->gateway.size = destination->ss_family == AF_INET ? sizeof(struct sockaddr_in)
								    : sizeof(struct sockaddr_in6);
}

int connection_dial(struct connection *connection)
{
	struct connection_handshake *handshake = connection->handshake;
	struct worker *worker = connection->worker;
	static const int zero = 0;
	const struct sockaddr *gateway;
	int fd;

	choose_address(connection);
	gateway = (const struct sockaddr *)&handshake->gateway.address;
	fd = gateway->sa_family == AF_UNSPEC
		     ? -EDESTADDRREQ
		     : dial_socket(&worker->shared->config.announcer, gateway);
	handshake->has_socket = fd >= 0;
	peer_watch_renew(&connection->watch, 1);
	if (fd < 0)
		return fd;
	/* The request goes out with the acknowledgement of the gateway's SYN, as both come at once.
	 * That state ends by itself (tcp_rcv_synsent_state_process, net/ipv4). */
	if (gateway->sa_family != AF_UNIX)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &zero, sizeof(zero));
	return dial_start(&handshake->dial, &worker->dialer, &connection->relay.side[1], fd,
			  gateway, handshake->gateway.size);
}

static void flow_count(struct connection *connection)
{
	struct proxy_counters *counters = &connection->worker->counters;
	struct flow *flow = &connection->flow;
	const uint64_t *moved = connection->relay.moved;

	counter_add(&counters->bytes_sent, moved[0] - flow->sent);
	counter_add(&counters->bytes_received, moved[1] - flow->received);
	flow->sent = moved[0];
	flow->received = moved[1];
}

static void flow_expired(struct loop_timer *timer)
{
	struct connection *connection = container_of(timer, struct connection, flow_timer);
	const struct proxy_hooks *hooks = &connection->worker->shared->config.hooks;

	connection->flow.updated = true;
	hooks->flow_update(hooks->context, &connection->flow);
}

uint16_t connection_port(const struct connection *connection)
{
	const struct sockaddr_storage *destination = &connection->flow.destination;

	return ntohs(destination->ss_family == AF_INET6
			     ? ((const struct sockaddr_in6 *)destination)->sin6_port
			     : ((const struct sockaddr_in *)destination)->sin_port);
}

enum first_speaker connection_expects(const struct connection *connection)
{
	const struct worker *worker = connection->worker;

	return first_speaker_expect(&worker->shared->speakers, connection_port(connection),
				    loop_now(worker->loop));
}

void connection_first_speaker(struct connection *connection, enum first_speaker who)
{
	struct worker *worker = connection->worker;

	first_speaker_learn(&worker->shared->speakers, connection_port(connection), who,
			    loop_now(worker->loop));
}

/* The first bytes of a connection that was silent during the peek have passed. Unlike a ClientHello
 * they do not prove that other clients of this port speak first, so they teach less. */
static void first_bytes(struct connection *connection)
{
	const uint64_t *moved = connection->relay.moved;

	connection->unheard = false;
	/* The answer may be the proxy's. */
	if (connection->dns && dns_stream_is_dns(connection->dns))
		return;
	if (moved[0] == 0)
		connection_first_speaker(connection, FIRST_SPEAKER_SERVER);
	else if (moved[1] == 0 && connection_expects(connection) == FIRST_SPEAKER_UNKNOWN)
		connection_first_speaker(connection, FIRST_SPEAKER_CLIENT);
}

static void relay_progress(struct relay *relay)
{
	struct connection *connection = container_of(relay, struct connection, relay);
	struct worker *worker = connection->worker;

	flow_count(connection);
	if (connection->relay.moved[1] > 0)
		connection_event_first_byte(connection);
	if (connection->unheard && !connection->intercept)
		first_bytes(connection);
	if (worker->shared->config.hooks.flow_update &&
	    !loop_timer_running(&connection->flow_timer))
		loop_timer_start(worker->loop, &worker->flow_class, &connection->flow_timer);
}

/* Allocates without zeroing the exchange's buffers. */
static struct connection_handshake *handshake_new(struct connection *connection)
{
	struct connection_handshake *handshake = malloc(sizeof(*handshake));

	if (!handshake)
		return NULL;
	memset(handshake, 0, offsetof(struct connection_handshake, exchange.answer));
	handshake->connection = connection;
	return handshake;
}

void connection_handshake_free(struct connection *connection)
{
	struct connection_handshake *handshake = connection->handshake;

	if (!handshake)
		return;
	connection->handshake = NULL;
	peek_release(&handshake->peek);
	dial_cancel(&handshake->dial);
	exchange_cancel(&handshake->exchange);
	loop_cancel(&handshake->redial);
	free(handshake);
}

int connection_flow(const struct worker *worker, int fd, const struct sockaddr_storage *source,
		    struct flow *ret_flow)
{
	const struct proxy_hooks *hooks = &worker->shared->config.hooks;
	int error;

	*ret_flow = (struct flow) {.source = *source};
	error = destination_get(fd, &ret_flow->destination);
	if (error == 0 && hooks->flow_open)
		hooks->flow_open(hooks->context, ret_flow);
	return error;
}

/* Takes @fd, unless it returns NULL: then the connection is to be refused. */
static struct connection *connection_new(struct worker *worker, int fd, const struct flow *flow)
{
	static const struct worker_cause at_listener = {"listener_address", EVENT_END_REFUSED};
	_cleanup_free_ struct connection *connection = calloc(1, sizeof(*connection));
	const struct proxy_config *config = &worker->shared->config;
	int error = 0;

	if (config->refuse_direct && destination_is_loopback(&flow->destination)) {
		worker_blame(worker, flow, &at_listener,
			     "connection reset: it was made to the proxy's own listener");
		return NULL;
	}
	if (!connection)
		return NULL;
	connection->handshake = handshake_new(connection);
	if (!connection->handshake)
		return NULL;
	connection->worker = worker;
	connection->flow = *flow;
	connection->flow.start = loop_now(worker->loop) * 1000000;
	connection->flow_timer.expired = flow_expired;
	relay_init(&connection->relay, worker->pool);
	connection->relay.progress = relay_progress;
	connection->direct = connection_exempt(worker, &connection->flow);
	if (!connection->direct && dns_stream_judges(config, connection_port(connection))) {
		connection->dns = dns_stream_new(config, &connection->relay, &connection->flow);
		if (!connection->dns)
			error = -ENOMEM;
	}
	if (error == 0)
		error = loop_add(worker->loop, &connection->relay.side[0], fd, RELAY_EVENTS);
	if (error < 0) {
		dns_stream_free(connection->dns);
		free(connection->handshake);
		return NULL;
	}
	return TAKE_PTR(connection);
}

void connection_lacks_memory(struct worker *worker, const struct flow *flow)
{
	static const struct worker_cause cause = {"out_of_memory", EVENT_END_LIMIT};

	worker_blame(worker, flow, &cause, "connection reset: no memory is left for it");
}

bool connection_exempt(const struct worker *worker, const struct flow *flow)
{
	const struct proxy_exemption *exemption = &worker->shared->config.exemption;

	return exemption->owns && exemption->owns(exemption->context, flow);
}

void connection_refuse(struct worker *worker, int fd, const struct flow *flow)
{
	const struct proxy_hooks *hooks = &worker->shared->config.hooks;

	relay_reset_on_close(fd);
	(void)close(fd);
	connection_event_refused(worker, flow);
	if (hooks->flow_close)
		hooks->flow_close(hooks->context, flow);
}

struct connection *connection_open(struct worker *worker, int fd, const struct flow *flow,
				   int *ret_error)
{
	struct connection *connection = connection_new(worker, fd, flow);

	counter_add(&worker->counters.accepted, 1);
	if (!connection) {
		if (worker->fault.flow != flow)
			connection_lacks_memory(worker, flow);
		(void)atomic_fetch_sub(&worker->shared->live, 1);
		connection_refuse(worker, fd, flow);
		return NULL;
	}
	connection_event_begin(connection);
	list_append(&worker->connections, &connection->link);
	peer_watch_start(&connection->watch, &worker->watches, &connection->relay);
	if (worker->shared->config.hooks.flow_update)
		loop_timer_start(worker->loop, &worker->flow_class, &connection->flow_timer);
	if (!connection->dns || !dns_stream_is_alone(connection->dns))
		*ret_error = connection_dial(connection);
	return connection;
}

/*
 * After the drain the steering ends, and with it the delivery of bytes that a closed socket still
 * has. So while draining close(2) waits until the application's end has them all. On a local path
 * that takes a moment (socket(7), SO_LINGER, in seconds).
 */
static void linger_on_close(int fd)
{
	static const struct linger linger = {.l_onoff = 1, .l_linger = 1};

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

void connection_end(struct connection *connection, enum connection_action action)
{
	struct worker *worker = connection->worker;
	struct worker_shared *shared = worker->shared;
	const struct proxy_hooks *hooks = &shared->config.hooks;
	int client = connection->relay.side[0].fd;

	flow_count(connection);
	connection_event_end(connection, action);
	free(connection->name);
	intercept_free(connection->intercept);
	dns_stream_free(connection->dns);
	if (client >= 0 && action == CONNECTION_REFUSE)
		relay_reset_on_close(client);
	else if (client >= 0 && action == CONNECTION_CLOSE && atomic_load(&shared->draining))
		linger_on_close(client);
	/* A connection to an earlier gateway keeps no port from the present one. */
	if (action == CONNECTION_CLOSE && connection->relay.led[1] && !connection->direct &&
	    connection->generation == worker->generation)
		time_waits_add(&worker->waits, connection->relay.side[1].fd,
			       (const struct sockaddr *)&worker->gateway.address,
			       shared->config.threads, loop_now(worker->loop));
	relay_close(&connection->relay, action == CONNECTION_RESET);
	connection_handshake_free(connection);
	loop_timer_stop(&connection->flow_timer);
	peer_watch_stop(&connection->watch);
	list_remove(&connection->link);
	if (hooks->flow_close)
		hooks->flow_close(hooks->context, &connection->flow);
	loop_free_later(worker->loop, &connection->release, connection);
	if (atomic_fetch_sub(&shared->live, 1) == 1 && atomic_load(&shared->draining) &&
	    shared->drained)
		shared->drained(shared);
}
