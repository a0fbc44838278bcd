/* SPDX-License-Identifier: Apache-2.0 */
/* Makes the events of connections (docs/EVENTS.md), and keeps what they need until the end. */
#ifndef SIDESTEP_CONNECTION_EVENT_H
#define SIDESTEP_CONNECTION_EVENT_H

#include "proxy/connection_parts.h"
#include "proxy/connection_state.h"
#include "proxy/worker.h"
#include "stream/flow.h"

/* The connection begins: its facts are empty, and its flow starts now. */
void connection_event_begin(struct connection *connection);

/* The gateway has accepted; it has answered; it has sent the first byte. */
void connection_event_connected(struct connection *connection);
void connection_event_answered(struct connection *connection);
void connection_event_first_byte(struct connection *connection);

/* The handshake's memory will be freed. Keeps the name that it told, if it can. */
void connection_event_keep(struct connection *connection);

/* The connection ends in this way. Its parts are still there. */
void connection_event_end(const struct connection *connection, enum connection_action action);

/* A connection was refused before it began. It has an event if worker_blame() says why. */
void connection_event_refused(struct worker *worker, const struct flow *flow);

#endif
