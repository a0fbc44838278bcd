// SPDX-License-Identifier: Apache-2.0
/* Where a connection's TLS ends here: who decides it, which certificate, and what is said when it
 * fails. The bytes are the TLS relay's (tls_relay.h). */
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/address.h"
#include "lib/log.h"
#include "lib/util.h"
#include "proto/hostname.h"
#include "proxy/connection.h"
#include "tls/tls_authority.h"

#define ALERT(number) (SSL_AD_REASON_OFFSET + (number))

static const char distrusted[] =
	"the client does not trust the CA of this sidecar: install its certificate (GET /ca, "
	"ca.crt) in the container, and name it where programs have a list of their own "
	"(NODE_EXTRA_CA_CERTS, SSL_CERT_FILE, REQUESTS_CA_BUNDLE)";

/* What OpenSSL's reason says about the client, and what helps. */
static const struct {
	int reason;
	const char *text;
} remedies[] = {
	{ALERT(SSL_AD_UNKNOWN_CA), distrusted},
	{ALERT(SSL_AD_BAD_CERTIFICATE), distrusted},
	{ALERT(SSL_AD_CERTIFICATE_UNKNOWN), distrusted},
	{ALERT(SSL_AD_UNSUPPORTED_CERTIFICATE), "the client wants another kind of certificate than "
						"ECDSA P-256"},
	{ALERT(SSL_AD_CERTIFICATE_EXPIRED), "do the clocks of container and sidecar differ?"},
	{SSL_R_NO_APPLICATION_PROTOCOL, "the client speaks HTTP/2 only: let it offer HTTP/1.1 too"},
	{SSL_R_UNSUPPORTED_PROTOCOL, "the client is older than TLS 1.2: renew it"},
	{SSL_R_NO_SHARED_CIPHER, "the client has no cipher for an ECDSA certificate: renew it"},
};

static const char *failure_remedy(const struct tls_failure *failure)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(remedies) && failure->error == -EPROTO; i++) {
		if (ERR_GET_REASON(failure->code) == remedies[i].reason)
			return remedies[i].text;
	}
	if (failure->error == -ENODATA)
		return "the client closed in the middle of it: does it insist on a certificate of "
		       "its own (pinning)? Then let the gateway answer 202 for this destination";
	if (failure->error == -ETIMEDOUT)
		return "the client stopped in the middle of it";
	return "is that a TLS client?";
}

static const char *failure_cause(const struct tls_failure *failure, char text[128])
{
	const char *reason = failure->error == -EPROTO ? ERR_reason_error_string(failure->code)
						       : NULL;

	if (reason)
		return reason;
	if (failure->error == -ENODATA)
		return "connection closed";
	return strerror_r(-failure->error, text, 128);
}

static void handshake_over(struct relay *relay, const struct tls_failure *failure)
{
	struct connection *connection = container_of(relay, struct connection, relay);
	struct connection_worker *worker = connection->worker;
	char source[ADDRESS_TEXT_MAX], destination[ADDRESS_TEXT_MAX], suffix[64], text[128];
	const char *name;

	if (!failure) {
		counter_add(&worker->counters.tls_handshakes, 1);
		return;
	}
	counter_add(&worker->counters.tls_failures, 1);
	if (!complaint_due(&worker->shared->complaints[COMPLAINT_TLS], suffix))
		return;
	endpoint_format((const struct sockaddr *)&connection->flow.source, source);
	endpoint_format((const struct sockaddr *)&connection->flow.destination, destination);
	name = SSL_get_servername(connection->tls->stream.ssl, TLSEXT_NAMETYPE_host_name);
	if (name && !hostname_valid(name, strlen(name)))
		name = NULL;
	log_warning("TLS handshake with %s for %s (%s) failed: %s; %s%s", source, destination,
		    name ? name : "no server name", failure_cause(failure, text),
		    failure_remedy(failure), suffix);
}

/* The destination's address without its port. */
static void address_text(const struct sockaddr_storage *destination, char text[INET6_ADDRSTRLEN])
{
	const void *address =
		destination->ss_family == AF_INET6
			? (const void *)&((const struct sockaddr_in6 *)destination)->sin6_addr
			: (const void *)&((const struct sockaddr_in *)destination)->sin_addr;

	(void)inet_ntop(destination->ss_family, address, text, INET6_ADDRSTRLEN);
}

/* Terminates TLS with a leaf for @name. @first is handed over. */
static void tls_start(struct connection *connection, const char *name, char *first,
		      size_t first_size)
{
	struct connection_worker *worker = connection->worker;
	SSL *ssl = tls_authority_accept(worker->shared->config.tls, name);
	struct tls_relay *tls = NULL;

	/* From here on a failure resets both sides: the gateway was promised a stream. */
	connection_handshake_free(connection);
	if (ssl)
		tls = tls_relay_new(&connection->relay, worker->tls, ssl, first, first_size);
	else
		free(first);
	if (!tls) {
		counter_add(&worker->counters.tls_failures, 1);
		connection_handle(connection, CONNECTION_FAILED);
		return;
	}
	connection->machine.tls = true;
	connection->tls = tls;
	tls->handshaken = handshake_over;
	tls_relay_start(tls);
}

static void tls_ready(struct loop_handler *handler, uint32_t events)
{
	struct connection *connection = container_of(handler, struct connection, relay.side[0]);

	tls_relay_event(connection->tls, 0, events);
}

static void tls_upstream_ready(struct loop_handler *handler, uint32_t events)
{
	struct connection *connection = container_of(handler, struct connection, relay.side[1]);

	tls_relay_event(connection->tls, 1, events);
}

static void intercept(struct connection *connection, const char *name, char *first,
		      size_t first_size)
{
	connection->relay.side[0].ready = tls_ready;
	connection->relay.side[1].ready = tls_upstream_ready;
	tls_start(connection, name, first, first_size);
}

/* The application speaks at last, and nobody has before: is it TLS? */
static void quiet_ready(struct loop_handler *handler, uint32_t events)
{
	struct connection *connection = container_of(handler, struct connection, relay.side[0]);
	char *buffer = connection->worker->pool->buffer, address[INET6_ADDRSTRLEN];
	struct hints hints;
	ssize_t size;

	if (events & EPOLLERR) {
		connection_handle(connection, CONNECTION_FAILED);
		return;
	}
	if (!(handler->latched & (EPOLLIN | EPOLLRDHUP | EPOLLHUP)))
		return;
	/* The bytes stay where they are. A ClientHello that is not complete yet has its name looked
	 * at by the authority. */
	do {
		size = recv(handler->fd, buffer, RELAY_BUFFER, MSG_PEEK);
	} while (size < 0 && errno == EINTR);
	if (size < 0 && errno == EAGAIN)
		return;
	hints_init(&hints, true, false);
	if (size > 0)
		(void)hints_feed(&hints, (const uint8_t *)buffer, (size_t)size);
	if (!hints.hello) {
		relay_start(&connection->relay);
		return;
	}
	address_text(&connection->flow.destination, address);
	intercept(connection, hints.kind == HINTS_SNI ? hints.name : address, NULL, 0);
}

/* The gateway is the first to speak, and it knows no TLS: bytes as they are. */
static void quiet_upstream_ready(struct loop_handler *handler, uint32_t events)
{
	struct connection *connection = container_of(handler, struct connection, relay.side[1]);

	if (events & EPOLLERR)
		connection_handle(connection, CONNECTION_FAILED);
	else if (handler->latched & (EPOLLIN | EPOLLRDHUP | EPOLLHUP))
		relay_start(&connection->relay);
}

/*
 * The contract: 200 and a ClientHello. A client that was slow to begin may have done so meanwhile,
 * or may still do so: then the first byte decides, whichever side it comes from.
 */
int connection_tls_decide(struct connection *connection, int status)
{
	struct connection_handshake *handshake = connection->handshake;
	const struct relay *relay = &connection->relay;
	int error;

	if (status != 200 || !connection->worker->tls)
		return 0;
	if (!handshake->final && !relay->direction[0].ended) {
		(void)connection_peek(connection, &error);
		if (error < 0)
			return error;
	}
	if (handshake->hints.hello)
		handshake->intercept = INTERCEPT_TLS;
	else if (handshake->peeked_size == 0 && !relay->direction[0].ended &&
		 !relay->direction[1].buffer &&
		 !(relay->side[1].latched & (EPOLLIN | EPOLLRDHUP | EPOLLHUP)))
		handshake->intercept = INTERCEPT_QUIET;
	return 0;
}

void connection_tls_start(struct connection *connection)
{
	struct connection_handshake *handshake = connection->handshake;
	char name[HINTS_NAME_MAX];

	if (handshake->intercept == INTERCEPT_QUIET) {
		connection_handshake_free(connection);
		connection->relay.side[0].ready = quiet_ready;
		connection->relay.side[1].ready = quiet_upstream_ready;
		return;
	}
	if (handshake->hints.kind == HINTS_SNI)
		memcpy(name, handshake->hints.name, sizeof(name));
	else
		address_text(&connection->flow.destination, name);
	intercept(connection, name, TAKE_PTR(handshake->peeked), handshake->peeked_size);
}
