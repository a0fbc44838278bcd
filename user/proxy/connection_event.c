// SPDX-License-Identifier: Apache-2.0
#include "proxy/connection_event.h"

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "events/events.h"
#include "lib/clock.h"
#include "proto/hostname.h"
#include "proxy/policy.h"
#include "stream/relay.h"

static struct events *events_of(const struct connection *connection)
{
	return connection->worker->shared->config.events;
}

static struct event event_of_flow(enum event_type type, const struct flow *flow)
{
	struct event event = event_of(type);

	event.protocol = IPPROTO_TCP;
	event.verdict = SIDESTEP_STEER_TCP;
	event.has_ports = true;
	event_set_endpoint(&event.source, (const struct sockaddr *)&flow->source);
	event_set_endpoint(&event.destination, (const struct sockaddr *)&flow->destination);
	event.opener = flow->opener;
	return event;
}

static const char *decision(const struct connection *connection)
{
	if (connection->direct)
		return "exempt";
	return connection->dns && dns_stream_is_alone(connection->dns) ? "answered_here"
								       : "relayed";
}

/* Sets what decided on a flow that is the gateway's. */
static void set_gateway_rule(struct event *event, const struct worker *worker)
{
	event->text[EVENT_RULE_ENTRY] = "TCP to the gateway";
	event->text[EVENT_RULE_ORIGIN] = worker->gateway_origin;
}

static void set_rule(struct event *event, const struct connection *connection)
{
	const struct proxy_config *config = &connection->worker->shared->config;

	if (connection->direct) {
		event->text[EVENT_RULE_ENTRY] = "exempt process";
		event->text[EVENT_RULE_ORIGIN] = config->exemption.origin;
	} else if (connection->dns && dns_stream_is_alone(connection->dns)) {
		event->text[EVENT_RULE_ENTRY] = "internet off";
		event->text[EVENT_RULE_ORIGIN] = config->policy
							 ? policy_origins(config->policy).internet
							 : NULL;
	} else {
		set_gateway_rule(event, connection->worker);
		/* It was dialed by an earlier setting. */
		if (connection->generation != connection->worker->generation)
			event->text[EVENT_RULE_ORIGIN] = NULL;
	}
}

void connection_event_begin(struct connection *connection)
{
	struct connection_facts *facts = &connection->facts;
	struct events *events = events_of(connection);
	struct event event;

	if (!events)
		return;
	connection->flow.start = clock_ns();
	facts->connect_us = facts->open_us = facts->first_byte_us = EVENT_NEVER;
	if (connection->worker->fault.flow == &connection->flow)
		connection->worker->fault.flow = NULL;
	if (!events_asks_open(events)) {
		facts->id = (uint32_t)events_new_id(events);
		return;
	}
	event = event_of_flow(EVENT_OPEN, &connection->flow);
	event.text[EVENT_REASON] = decision(connection);
	set_rule(&event, connection);
	event.id = events_new_id(events);
	facts->id = (uint32_t)event.id;
	events_put(events, &event);
}

static uint32_t elapsed_us(const struct connection *connection)
{
	uint64_t elapsed = (clock_ns() - connection->flow.start) / 1000;

	return elapsed < EVENT_NEVER ? (uint32_t)elapsed : EVENT_NEVER - 1;
}

void connection_event_connected(struct connection *connection)
{
	if (events_of(connection))
		connection->facts.connect_us = elapsed_us(connection);
}

void connection_event_answered(struct connection *connection)
{
	struct connection_facts *facts = &connection->facts;

	if (!events_of(connection))
		return;
	facts->gateway_status = (uint16_t)connection->handshake->exchange.answer.status;
	if (facts->gateway_status > 0)
		facts->open_us = elapsed_us(connection);
}

void connection_event_first_byte(struct connection *connection)
{
	struct connection_facts *facts = &connection->facts;

	if (events_of(connection) && facts->first_byte_us == EVENT_NEVER)
		facts->first_byte_us = elapsed_us(connection);
}

static enum event_source source_of(const struct hints *hints)
{
	switch (hints->kind) {
	case HINTS_SNI:
		return EVENT_SOURCE_SNI;
	case HINTS_HOST:
		return EVENT_SOURCE_HOST;
	default:
		return EVENT_SOURCE_NONE;
	}
}

void connection_event_keep(struct connection *connection)
{
	const struct hints *hints = &connection->handshake->peek.hints;

	if (!events_of(connection) || source_of(hints) == EVENT_SOURCE_NONE)
		return;
	connection->name = strdup(hints->name);
	if (connection->name)
		connection->facts.name_source = (uint8_t)source_of(hints);
}

/* The gateway that was dialed, which is seldom another one than the present one. */
static const char *gateway_text(const struct connection *connection,
				char text[SOCKET_ADDRESS_TEXT_MAX])
{
	struct socket_address gateway = {.size = sizeof(gateway.address)};

	if (connection->direct || (connection->dns && dns_stream_is_alone(connection->dns)))
		return NULL;
	if (connection->generation == connection->worker->generation)
		return connection->worker->gateway_text;
	if (connection->handshake)
		return socket_address_format(&connection->handshake->gateway, text);
	if (getpeername(connection->relay.side[1].fd, (struct sockaddr *)&gateway.address,
			&gateway.size) < 0)
		return NULL;
	return socket_address_format(&gateway, text);
}

/* Sets what TLS knows if it ended here. @alpn gets its text. */
static void describe_tls(struct event *event, const struct intercept *intercept, char alpn[256])
{
	const unsigned char *protocol;
	unsigned int size;
	const char *name;
	const SSL *ssl;

	if (!intercept || !intercept->tls)
		return;
	event->intercepted = true;
	ssl = intercept->tls->stream.ssl;
	SSL_get0_alpn_selected(ssl, &protocol, &size);
	if (size > 0 && size < 256) {
		memcpy(alpn, protocol, size);
		alpn[size] = '\0';
		event->text[EVENT_ALPN] = alpn;
	}
	name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	if (name && hostname_valid(name, strlen(name))) {
		event->text[EVENT_NAME] = name;
		event->name_source = EVENT_SOURCE_SNI;
	}
}

/* Sets the name, which @text gets where it had a port. The destination tells that. */
static void set_name(struct event *event, const char *name, enum event_source source,
		     char text[HINTS_NAME_MAX])
{
	size_t length;

	event->name_source = (uint8_t)source;
	event->text[EVENT_NAME] = name;
	if (source != EVENT_SOURCE_HOST)
		return;
	length = hostname_length_without_port(name);
	memcpy(text, name, length);
	text[length] = '\0';
	event->text[EVENT_NAME] = text;
}

static void describe_facts(struct event *event, const struct connection *connection,
			   char name[HINTS_NAME_MAX])
{
	const struct connection_facts *facts = &connection->facts;
	const struct hints *hints;

	event->id = events_find_id(events_of(connection), facts->id);
	event->connect_us = facts->connect_us;
	event->open_us = facts->open_us;
	event->first_byte_us = facts->first_byte_us;
	event->gateway_status = facts->gateway_status;
	if (connection->handshake) {
		hints = &connection->handshake->peek.hints;
		set_name(event, hints->name, source_of(hints), name);
	} else {
		set_name(event, connection->name, facts->name_source, name);
	}
}

/* Finds out which side was reset. One that was is closed by now, whether its event has come or not.
 */
static enum event_end reset_of(const struct connection *connection)
{
	const struct loop_handler *side = connection->relay.side;

	if (!connection->handshake && side[1].fd >= 0 && !(side[0].latched & EPOLLERR) &&
	    ((side[1].latched & EPOLLERR) ||
	     (!relay_hung_up(side[0].fd) && relay_hung_up(side[1].fd))))
		return EVENT_END_RESET_BY_GATEWAY;
	return EVENT_END_RESET_BY_APPLICATION;
}

static void describe_end(struct event *event, const struct connection *connection,
			 enum connection_action action)
{
	const struct worker_fault *fault = &connection->worker->fault;

	event->text[EVENT_REASON] = decision(connection);
	if (fault->flow == &connection->flow) {
		event->end = (uint8_t)fault->cause.end;
		event->text[EVENT_REASON] = fault->cause.reason;
		event->text[EVENT_MESSAGE] = fault->message;
		return;
	}
	if (action == CONNECTION_CLOSE) {
		event->end = EVENT_END_FIN;
		return;
	}
	event->end = (uint8_t)reset_of(connection);
	if (event->end == EVENT_END_RESET_BY_APPLICATION) {
		event->text[EVENT_REASON] = "application_reset";
		return;
	}
	event->text[EVENT_REASON] = connection->direct ? "destination_reset" : "gateway_reset";
	event->text[EVENT_MESSAGE] =
		connection->direct
			? "the destination reset the connection"
			: "the gateway reset the open tunnel; the destination may have reset it, or "
			  "the gateway has ended, which its own log tells";
}

void connection_event_end(const struct connection *connection, enum connection_action action)
{
	struct events *events = events_of(connection);
	char gateway[SOCKET_ADDRESS_TEXT_MAX], alpn[256], name[HINTS_NAME_MAX];
	struct event event;

	if (!events)
		return;
	event = event_of_flow(EVENT_CONNECTION, &connection->flow);
	event.bytes_sent = connection->flow.sent;
	event.bytes_received = connection->flow.received;
	event.duration_ms = (clock_ns() - connection->flow.start) / 1000000;
	event.text[EVENT_GATEWAY] = gateway_text(connection, gateway);
	set_rule(&event, connection);
	describe_facts(&event, connection, name);
	describe_tls(&event, connection->intercept, alpn);
	describe_end(&event, connection, action);
	events_put(events, &event);
}

void connection_event_refused(struct worker *worker, const struct flow *flow)
{
	struct events *events = worker->shared->config.events;
	const struct worker_fault *fault = &worker->fault;
	struct event event;

	if (!events || fault->flow != flow)
		return;
	event = event_of_flow(EVENT_CONNECTION, flow);
	set_gateway_rule(&event, worker);
	event.end = (uint8_t)fault->cause.end;
	event.text[EVENT_REASON] = fault->cause.reason;
	event.text[EVENT_MESSAGE] = fault->message;
	events_put(events, &event);
}
