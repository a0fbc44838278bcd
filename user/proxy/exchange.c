// SPDX-License-Identifier: Apache-2.0
/* The gateway's side of a connection: from dialing to the answer. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/un.h>

#include "lib/address.h"
#include "lib/log.h"
#include "lib/socket_address.h"
#include "lib/util.h"
#include "proxy/connection.h"

/* "gateway for source -> destination", for messages. */
struct route_text {
	char source[ADDRESS_TEXT_MAX];
	char destination[ADDRESS_TEXT_MAX];
};

static void route_format(const struct connection *connection, struct route_text *text)
{
	endpoint_format((const struct sockaddr *)&connection->flow.source, text->source);
	endpoint_format((const struct sockaddr *)&connection->flow.destination, text->destination);
}

/* Logs "@what the gateway ... for ...: @why; @remedy", if it is time for that, and ends it. */
static void connection_fail(struct connection *connection, enum connection_complaint complaint,
			    const char *what, const char *why, const char *remedy)
{
	struct connection_worker *worker = connection->worker;
	struct route_text route;
	char suffix[COMPLAINT_SUFFIX_MAX];

	counter_add(complaint == COMPLAINT_REFUSED ? &worker->counters.gateway_refusals
						   : &worker->counters.gateway_errors,
		    1);
	if (complaint_due(&worker->shared->complaints[complaint], suffix)) {
		route_format(connection, &route);
		log_warning("%s the gateway %s for %s -> %s: %s; %s%s", what,
			    connection->handshake->gateway, route.source, route.destination, why,
			    remedy, suffix);
	}
	connection_handle(connection, CONNECTION_FAILED);
}

/* This thread's copy of the gateway, as new as can be. */
static const struct socket_address *gateway_current(struct connection_worker *worker)
{
	struct connection_shared *shared = worker->shared;

	if (atomic_load_explicit(&shared->generation, memory_order_acquire) != worker->generation) {
		(void)pthread_mutex_lock(&shared->gateway_lock);
		worker->gateway = shared->gateway;
		worker->generation = atomic_load(&shared->generation);
		(void)pthread_mutex_unlock(&shared->gateway_lock);
	}
	return &worker->gateway;
}

static bool gateway_changed(const struct connection *connection)
{
	return atomic_load(&connection->worker->shared->generation) !=
	       connection->handshake->generation;
}

static void redial(struct loop_task *task)
{
	struct connection_handshake *handshake = container_of(task, struct connection_handshake,
							      redial);

	connection_dial(handshake->connection);
}

/* Once more, to the new gateway. From a task, as the batch of events may know the old socket. */
static void redial_later(struct connection *connection)
{
	struct connection_handshake *handshake = connection->handshake;

	dial_cancel(&handshake->dial);
	loop_close(&connection->relay.side[1]);
	loop_timer_stop(&handshake->step_timer);
	connection->machine.connected = false;
	if (connection->machine.state != CONNECTION_PEEK)
		connection->machine.state = CONNECTION_CONNECT;
	handshake->redial.run = redial;
	loop_defer(connection->worker->loop, &handshake->redial);
}

static void connect_failed(struct connection *connection, int error)
{
	char text[128];

	if (gateway_changed(connection) && connection->handshake->request_sent == 0) {
		connection->handshake->request_size = 0;
		redial_later(connection);
		return;
	}
	connection_fail(connection, COMPLAINT_CONNECT, "cannot connect to",
			strerror_r(error, text, sizeof(text)),
			"is the gateway listening there, and on an address that containers reach?");
}

static void connect_expired(struct connection *connection)
{
	if (gateway_changed(connection)) {
		redial_later(connection);
		return;
	}
	connection_fail(connection, COMPLAINT_CONNECT_TIMEOUT, "cannot connect to",
			"no answer within the limit",
			"does a firewall between container and host drop packets?");
}

static void answer_expired(struct loop_timer *timer)
{
	struct connection_handshake *handshake = container_of(timer, struct connection_handshake,
							      step_timer);

	connection_fail(handshake->connection, COMPLAINT_ANSWER_TIMEOUT, "no answer to CONNECT by",
			"time limit", "is it overloaded, or not an HTTP proxy at all?");
}

static void answer_complete(struct connection *connection, const char *rest, size_t size)
{
	int status = connection->handshake->answer.status;
	char text[32];

	if (status < 300) {
		/* First, as the second may read into the same buffer. */
		if (relay_queue(&connection->relay, 1, rest, size) < 0 ||
		    connection_tls_decide(connection, status) < 0)
			connection_handle(connection, CONNECTION_FAILED);
		else
			connection_handle(connection, CONNECTION_ACCEPTED);
		return;
	}
	(void)snprintf(text, sizeof(text), "status %d", status);
	connection_fail(connection, COMPLAINT_REFUSED, "CONNECT refused by", text,
			status == 400 ? "the destination could not be reached from there"
				      : "the gateway's own log tells why");
}

static void answer_read(struct connection *connection)
{
	struct connection_handshake *handshake = connection->handshake;
	struct loop_handler *upstream = &connection->relay.side[1];
	char *buffer = connection->worker->pool->buffer;
	char text[128];

	while (upstream->latched & EPOLLIN) {
		ssize_t size = recv(upstream->fd, buffer, RELAY_BUFFER, 0);
		size_t used;

		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0 && errno == EAGAIN) {
			upstream->latched &= ~(uint32_t)EPOLLIN;
			return;
		}
		if (size <= 0) {
			connection_fail(connection, COMPLAINT_ANSWER_EOF, "CONNECT not answered by",
					size == 0 ? "connection closed"
						  : strerror_r(errno, text, sizeof(text)),
					"is that an HTTP proxy, and did it stop meanwhile?");
			return;
		}
		if (size < RELAY_BUFFER && !(upstream->latched & (EPOLLRDHUP | EPOLLPRI)))
			upstream->latched &= ~(uint32_t)EPOLLIN;
		switch (tunnel_answer_feed(&handshake->answer, buffer, (size_t)size, &used)) {
		case HTTP_MORE:
			break;
		case HTTP_COMPLETE:
			answer_complete(connection, buffer + used, (size_t)size - used);
			return;
		case HTTP_REFUSED:
			connection_fail(connection, COMPLAINT_ANSWER_GARBAGE,
					"CONNECT answered with nonsense by",
					handshake->answer.head.reason, "is that an HTTP proxy?");
			return;
		}
	}
}

static void upstream_ready(struct loop_handler *handler, uint32_t events)
{
	struct connection *connection = container_of(handler, struct connection, relay.side[1]);
	struct connection_handshake *handshake = connection->handshake;

	if (events & EPOLLERR && connection->machine.state != CONNECTION_ANSWER) {
		/* Gone while the client is still peeked at. */
		connect_failed(connection, ECONNRESET);
		return;
	}
	if (connection->machine.state == CONNECTION_ANSWER &&
	    handshake->request_sent < handshake->request_size)
		connection_send_request(connection);
	if (connection->machine.state == CONNECTION_ANSWER && (handler->latched & EPOLLIN))
		answer_read(connection);
}

static void dial_done(struct dial *dial, int error)
{
	struct connection *connection =
		container_of(dial, struct connection_handshake, dial)->connection;
	struct loop_handler *upstream = &connection->relay.side[1];

	if (error == -ETIMEDOUT)
		connect_expired(connection);
	else if (error < 0)
		connect_failed(connection, -error);
	if (error < 0)
		return;
	upstream->ready = upstream_ready;
	connection_handle(connection, CONNECTION_CONNECTED);
	if (connection->machine.state == CONNECTION_ANSWER && (upstream->latched & EPOLLIN))
		answer_read(connection);
}

void connection_send_request(struct connection *connection)
{
	struct connection_handshake *handshake = connection->handshake;
	struct connection_worker *worker = connection->worker;
	struct loop_handler *upstream = &connection->relay.side[1];
	ssize_t size;

	if (handshake->request_size == 0) {
		if (gateway_changed(connection)) {
			redial_later(connection);
			return;
		}
		handshake->request_size = tunnel_request_format(
			handshake->request, (const struct sockaddr *)&connection->flow.source,
			(const struct sockaddr *)&connection->flow.destination, &handshake->hints);
		tunnel_answer_init(&handshake->answer);
		handshake->step_timer.expired = answer_expired;
		if (worker->shared->config.answer_ms > 0)
			loop_timer_start(worker->loop, &worker->answer_class,
					 &handshake->step_timer);
	}
	do {
		size = send(upstream->fd, handshake->request + handshake->request_sent,
			    handshake->request_size - handshake->request_sent, MSG_NOSIGNAL);
	} while (size < 0 && errno == EINTR);
	if (size < 0 && errno != EAGAIN) {
		connect_failed(connection, errno);
		return;
	}
	if (size > 0)
		handshake->request_sent += (size_t)size;
	else
		upstream->latched &= ~(uint32_t)EPOLLOUT;
}

static void dial_refused(struct connection *connection, int error)
{
	struct connection_worker *worker = connection->worker;
	char text[128];

	if (error == EMFILE || error == ENFILE) {
		counter_add(&worker->counters.refused_limit, 1);
		if (complaint_due(&worker->shared->complaints[COMPLAINT_DESCRIPTORS], text))
			log_warning("connection reset: no file descriptors left; raise the limit "
				    "(ulimit -n) or lower the connection limit%s",
				    text);
		connection_handle(connection, CONNECTION_FAILED);
		return;
	}
	connection_fail(connection, COMPLAINT_SOCKET, "cannot make a socket for",
			strerror_r(error, text, sizeof(text)),
			"see the messages about the kernel side above");
}

void connection_dial(struct connection *connection)
{
	struct connection_handshake *handshake = connection->handshake;
	struct connection_worker *worker = connection->worker;
	const struct socket_address *gateway = gateway_current(worker);
	static const int zero = 0;
	int error, fd;

	handshake->generation = worker->generation;
	(void)socket_address_format(gateway, handshake->gateway);
	fd = dial_socket(&worker->shared->config.announcer,
			 (const struct sockaddr *)&gateway->address);
	if (fd < 0) {
		dial_refused(connection, -fd);
		return;
	}
	/* The request goes out with the acknowledgement of the gateway's SYN, as both come at once
	 * (tcp_rcv_synsent_state_process, net/ipv4; over by itself with that). */
	if (gateway->address.ss_family != AF_UNIX)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &zero, sizeof(zero));
	handshake->dial.done = dial_done;
	handshake->address = *gateway;
	error = dial_start(&handshake->dial, &worker->dialer, &connection->relay.side[1], fd,
			   (const struct sockaddr *)&handshake->address.address,
			   handshake->address.size);
	if (error < 0)
		connect_failed(connection, -error);
}
