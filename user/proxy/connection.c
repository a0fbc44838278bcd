// SPDX-License-Identifier: Apache-2.0
#include "proxy/connection.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "lib/address.h"
#include "lib/log.h"
#include "lib/util.h"

/* A peek that got bytes, but not all that it wants, may last this many times peek_ms in all. */
#define PEEK_TOTAL_FACTOR 10
#define FLOW_MS		  1000

enum connection_action connection_step(struct connection_machine *machine,
				       enum connection_event event)
{
	enum connection_state state = machine->state;

	if (state == CONNECTION_DONE)
		return CONNECTION_WAIT;
	switch (event) {
	case CONNECTION_PEEKED:
		if (state != CONNECTION_PEEK)
			return CONNECTION_WAIT;
		machine->state = machine->connected ? CONNECTION_ANSWER : CONNECTION_CONNECT;
		return machine->connected ? CONNECTION_SEND : CONNECTION_WAIT;
	case CONNECTION_CONNECTED:
		machine->connected = true;
		if (state != CONNECTION_CONNECT)
			return CONNECTION_WAIT;
		machine->state = CONNECTION_ANSWER;
		return CONNECTION_SEND;
	case CONNECTION_ACCEPTED:
		if (state != CONNECTION_ANSWER)
			return CONNECTION_WAIT;
		machine->state = CONNECTION_RELAY;
		return CONNECTION_PASS;
	case CONNECTION_FAILED:
		machine->state = CONNECTION_DONE;
		return CONNECTION_RESET;
	case CONNECTION_ENDED:
		machine->state = CONNECTION_DONE;
		return state == CONNECTION_RELAY ? CONNECTION_CLOSE : CONNECTION_RESET;
	}
	return CONNECTION_WAIT;
}

int connection_worker_init(struct connection_worker *worker)
{
	const struct proxy_config *config = &worker->shared->config;

	loop_timer_class_init(worker->loop, &worker->peek_class, config->peek_ms);
	loop_timer_class_init(worker->loop, &worker->peek_total_class,
			      config->peek_ms * PEEK_TOTAL_FACTOR);
	dialer_init(&worker->dialer, worker->loop, config->connect_ms);
	loop_timer_class_init(worker->loop, &worker->answer_class, config->answer_ms);
	loop_timer_class_init(worker->loop, &worker->flow_class, FLOW_MS);
	/* One behind, so that the first connection fetches it. */
	worker->generation = atomic_load(&worker->shared->generation) - 1;
	if (!config->tls)
		return 0;
	worker->tls = tls_relay_pool_new(worker->pool, TLS_HANDSHAKE_MS);
	return worker->tls ? 0 : -ENOMEM;
}

void connection_worker_release(struct connection_worker *worker)
{
	tls_relay_pool_free(worker->tls);
	worker->tls = NULL;
}

void connection_handshake_free(struct connection *connection)
{
	struct connection_handshake *handshake = connection->handshake;

	if (connection->machine.tls || !handshake)
		return;
	connection->handshake = NULL;
	loop_timer_stop(&handshake->peek_timer);
	dial_cancel(&handshake->dial);
	loop_timer_stop(&handshake->step_timer);
	loop_cancel(&handshake->redial);
	free(handshake->peeked);
	free(handshake);
}

static void connection_release(struct loop_task *task)
{
	free(container_of(task, struct connection, release));
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

/*
 * While the proxy drains, its end takes the steering away, and with it what the kernel still has to
 * deliver from a closed socket. So close(2) waits until the application's end has it all, on a
 * local path a moment (socket(7), SO_LINGER, in seconds).
 */
static void linger_on_close(int fd)
{
	static const struct linger linger = {.l_onoff = 1, .l_linger = 1};

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

static void connection_end(struct connection *connection, bool reset)
{
	struct connection_worker *worker = connection->worker;
	const struct proxy_hooks *hooks = &worker->shared->config.hooks;

	flow_count(connection);
	if (connection->machine.tls) {
		tls_relay_free(connection->tls);
	} else if (connection->handshake && reset && connection->relay.side[0].fd >= 0) {
		/* The gateway's side did nothing wrong, it gets a FIN. */
		relay_reset_on_close(connection->relay.side[0].fd);
		reset = false;
	}
	if (!reset && !connection->handshake && atomic_load(&worker->shared->draining) &&
	    connection->relay.side[0].fd >= 0)
		linger_on_close(connection->relay.side[0].fd);
	relay_close(&connection->relay, reset);
	connection_handshake_free(connection);
	loop_timer_stop(&connection->flow_timer);
	if (connection->next)
		connection->next->previous = connection->previous;
	if (connection->previous)
		connection->previous->next = connection->next;
	else
		worker->connections = connection->next;
	if (hooks->flow_close)
		hooks->flow_close(hooks->context, &connection->flow);
	connection->release.run = connection_release;
	loop_defer(worker->loop, &connection->release);
	(void)atomic_fetch_sub(&worker->shared->live, 1);
	if (worker->ended)
		worker->ended(worker);
}

static void flow_expired(struct loop_timer *timer)
{
	struct connection *connection = container_of(timer, struct connection, flow_timer);
	const struct proxy_hooks *hooks = &connection->worker->shared->config.hooks;

	connection->flow.updated = true;
	hooks->flow_update(hooks->context, &connection->flow);
}

static void relay_progress(struct relay *relay)
{
	struct connection *connection = container_of(relay, struct connection, relay);
	struct connection_worker *worker = connection->worker;

	flow_count(connection);
	if (worker->shared->config.hooks.flow_update &&
	    !loop_timer_running(&connection->flow_timer))
		loop_timer_start(worker->loop, &worker->flow_class, &connection->flow_timer);
}

static void relay_finished(struct relay *relay, bool reset)
{
	struct connection *connection = container_of(relay, struct connection, relay);

	connection_handle(connection, reset ? CONNECTION_FAILED : CONNECTION_ENDED);
}

/* From here on the connection costs what struct connection costs. */
static void connection_relay(struct connection *connection)
{
	struct connection_handshake *handshake = connection->handshake;
	struct relay *relay = &connection->relay;

	counter_add(&connection->worker->counters.relayed, 1);
	relay->progress = relay_progress;
	relay->finish = relay_finished;
	if (handshake->intercept != INTERCEPT_NEVER) {
		connection_tls_start(connection);
		return;
	}
	relay_queue_owned(relay, 0, TAKE_PTR(handshake->peeked), handshake->peeked_size);
	connection_handshake_free(connection);
	relay_start(relay);
}

void connection_handle(struct connection *connection, enum connection_event event)
{
	switch (connection_step(&connection->machine, event)) {
	case CONNECTION_WAIT:
		break;
	case CONNECTION_SEND:
		connection_send_request(connection);
		break;
	case CONNECTION_PASS:
		connection_relay(connection);
		break;
	case CONNECTION_RESET:
		connection_end(connection, true);
		break;
	case CONNECTION_CLOSE:
		connection_end(connection, false);
		break;
	}
}

static void peek_over(struct connection *connection)
{
	loop_timer_stop(&connection->handshake->peek_timer);
	connection_handle(connection, CONNECTION_PEEKED);
}

static void peek_expired(struct loop_timer *timer)
{
	struct connection_handshake *handshake = container_of(timer, struct connection_handshake,
							      peek_timer);

	peek_over(handshake->connection);
}

static int peek_append(struct connection_handshake *handshake, const char *data, size_t size)
{
	char *peeked = realloc(handshake->peeked, handshake->peeked_size + size);

	if (!peeked)
		return -ENOMEM;
	memcpy(peeked + handshake->peeked_size, data, size);
	handshake->peeked = peeked;
	handshake->peeked_size += size;
	return 0;
}

bool connection_peek(struct connection *connection, int *ret_error)
{
	struct connection_handshake *handshake = connection->handshake;
	struct connection_worker *worker = connection->worker;
	struct loop_handler *client = &connection->relay.side[0];
	char *buffer = worker->pool->buffer;
	bool first = handshake->peeked_size == 0;

	*ret_error = 0;
	while (client->latched & EPOLLIN) {
		size_t room = HINTS_MAX - handshake->peeked_size;
		ssize_t size = recv(client->fd, buffer, room, 0);

		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0 && errno == EAGAIN) {
			client->latched &= ~(uint32_t)EPOLLIN;
			break;
		}
		if (size < 0)
			*ret_error = -errno;
		if (size == 0)
			relay_ended(&connection->relay, 0);
		if (size <= 0)
			return true;
		/* As in the relay: a short read ends it unless an event said that more comes. */
		if ((size_t)size < room && !(client->latched & (EPOLLRDHUP | EPOLLPRI)))
			client->latched &= ~(uint32_t)EPOLLIN;
		*ret_error = peek_append(handshake, buffer, (size_t)size);
		if (*ret_error < 0)
			return true;
		handshake->final = hints_feed(&handshake->hints, (const uint8_t *)handshake->peeked,
					      handshake->peeked_size);
		if (handshake->final)
			return true;
	}
	if (first && handshake->peeked_size > 0 && connection->machine.state == CONNECTION_PEEK)
		loop_timer_start(worker->loop, &worker->peek_total_class, &handshake->peek_timer);
	return false;
}

static void peek(struct connection *connection)
{
	int error;

	if (!connection_peek(connection, &error))
		return;
	if (error < 0)
		connection_handle(connection, CONNECTION_FAILED);
	else
		peek_over(connection);
}

static void client_ready(struct loop_handler *handler, uint32_t events)
{
	struct connection *connection = container_of(handler, struct connection, relay.side[0]);

	if (events & EPOLLERR)
		connection_handle(connection, CONNECTION_FAILED);
	else if (connection->machine.state == CONNECTION_PEEK)
		peek(connection);
}

static uint16_t destination_port(const struct sockaddr_storage *destination)
{
	return ntohs(destination->ss_family == AF_INET6
			     ? ((const struct sockaddr_in6 *)destination)->sin6_port
			     : ((const struct sockaddr_in *)destination)->sin_port);
}

/* Nothing that was steered here was sent to a loopback address: this came to the listener itself.
 */
static bool is_loopback(const struct sockaddr_storage *address)
{
	const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)address;
	const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)address;

	if (address->ss_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&ipv6->sin6_addr);
	return ntohl(ipv4->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

static struct connection *connection_new(struct connection_worker *worker, int fd,
					 const struct sockaddr_storage *source)
{
	_cleanup_free_ struct connection *connection = calloc(1, sizeof(*connection));
	struct connection_handshake *handshake = malloc(sizeof(*handshake));
	socklen_t size = sizeof(connection->flow.destination);

	if (!connection || !handshake) {
		free(handshake);
		errno = ENOMEM;
		return NULL;
	}
	if (getsockname(fd, (struct sockaddr *)&connection->flow.destination, &size) < 0 ||
	    (worker->shared->config.refuse_direct && is_loopback(&connection->flow.destination))) {
		free(handshake);
		return NULL;
	}
	memset(handshake, 0, offsetof(struct connection_handshake, answer));
	memset(&handshake->request_size, 0,
	       sizeof(*handshake) - offsetof(struct connection_handshake, request_size));
	handshake->connection = connection;
	handshake->peek_timer.expired = peek_expired;
	connection->handshake = handshake;
	connection->worker = worker;
	connection->flow.source = *source;
	connection->flow.start = loop_now(worker->loop) * 1000000;
	connection->flow_timer.expired = flow_expired;
	relay_init(&connection->relay, worker->pool);
	connection->relay.side[0].ready = client_ready;
	/* Worth a try each, before any event says so. */
	connection->relay.side[0].latched = EPOLLIN | EPOLLOUT;
	return TAKE_PTR(connection);
}

void connection_refuse(struct connection_worker *worker, int fd,
		       const struct sockaddr_storage *source)
{
	const struct proxy_hooks *hooks = &worker->shared->config.hooks;
	struct flow flow = {.source = *source};
	socklen_t size = sizeof(flow.destination);

	(void)getsockname(fd, (struct sockaddr *)&flow.destination, &size);
	relay_reset_on_close(fd);
	(void)close(fd);
	if (hooks->flow_close)
		hooks->flow_close(hooks->context, &flow);
}

void connection_accept(struct connection_worker *worker, int fd,
		       const struct sockaddr_storage *source)
{
	const struct proxy_config *config = &worker->shared->config;
	struct connection *connection = connection_new(worker, fd, source);
	bool http;

	counter_add(&worker->counters.accepted, 1);
	if (!connection ||
	    loop_add(worker->loop, &connection->relay.side[0], fd, RELAY_EVENTS) < 0) {
		if (connection)
			free(connection->handshake);
		free(connection);
		(void)atomic_fetch_sub(&worker->shared->live, 1);
		connection_refuse(worker, fd, source);
		return;
	}
	connection->next = worker->connections;
	if (connection->next)
		connection->next->previous = connection;
	worker->connections = connection;
	if (config->hooks.flow_update)
		loop_timer_start(worker->loop, &worker->flow_class, &connection->flow_timer);
	http = destination_port(&connection->flow.destination) == 80;
	hints_init(&connection->handshake->hints, config->sni_hint, http);
	if (!http && !config->sni_hint)
		connection->machine.state = CONNECTION_CONNECT;
	connection_dial(connection);
	if (connection->machine.state != CONNECTION_PEEK)
		return;
	loop_timer_start(worker->loop, &worker->peek_class, &connection->handshake->peek_timer);
	peek(connection);
}

void connection_reset_all(struct connection_worker *worker)
{
	while (worker->connections)
		connection_handle(worker->connections, CONNECTION_FAILED);
}
