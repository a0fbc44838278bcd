// SPDX-License-Identifier: Apache-2.0
#include "proxy/intercept.h"

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
#include "tls/tls_authority.h"

#define ALERT(number) (SSL_AD_REASON_OFFSET + (number))

static const char distrusted[] =
	"the client does not trust the CA of this sidecar: install its certificate (GET /ca, "
	"ca.crt) in the container. Some programs have a list of their own: NODE_EXTRA_CA_CERTS, "
	"SSL_CERT_FILE, REQUESTS_CA_BUNDLE";

/* Remedies for the reasons of OpenSSL that tell something about the client. */
static const struct remedy {
	int reason;
	const char *id; /* for the event */
	const char *text;
} remedies[] = {
	{ALERT(SSL_AD_UNKNOWN_CA), "tls_ca_distrusted", distrusted},
	{ALERT(SSL_AD_BAD_CERTIFICATE), "tls_ca_distrusted", distrusted},
	{ALERT(SSL_AD_CERTIFICATE_UNKNOWN), "tls_ca_distrusted", distrusted},
	{ALERT(SSL_AD_UNSUPPORTED_CERTIFICATE), "tls_certificate_kind",
	 "the client wants another kind of certificate than ECDSA P-256"},
	{ALERT(SSL_AD_CERTIFICATE_EXPIRED), "tls_clock",
	 "do the clocks of container and sidecar differ?"},
	{SSL_R_NO_APPLICATION_PROTOCOL, "tls_no_common_alpn",
	 "the client speaks HTTP/2 only: let it offer HTTP/1.1 too"},
	{SSL_R_UNSUPPORTED_PROTOCOL, "tls_client_too_old",
	 "the client is older than TLS 1.2: renew it"},
	{SSL_R_NO_SHARED_CIPHER, "tls_client_too_old",
	 "the client has no cipher for an ECDSA certificate: renew it"},
};

static const struct remedy *failure_remedy(const struct tls_failure *failure)
{
	static const struct remedy
		closed = {.id = "tls_client_closed",
			  .text = "the client closed in the middle of it: does it insist on a "
				  "certificate of its own (pinning)? Then let the gateway answer "
				  "202 for this destination"},
		stopped = {.id = "tls_client_stopped",
			   .text = "the client stopped in the middle of it"},
		other = {.id = "tls_handshake_failed", .text = "is that a TLS client?"};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(remedies) && failure->error == -EPROTO; i++) {
		if (ERR_GET_REASON(failure->code) == remedies[i].reason)
			return &remedies[i];
	}
	if (failure->error == -ENODATA)
		return &closed;
	return failure->error == -ETIMEDOUT ? &stopped : &other;
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
	struct intercept *intercept = relay->side[0].owner;
	struct worker *worker = intercept->worker;
	char source[ADDRESS_TEXT_MAX], destination[ADDRESS_TEXT_MAX], text[128];
	const struct remedy *remedy;
	struct worker_cause cause;
	const char *name;

	if (!failure) {
		counter_add(&worker->counters.tls_handshakes, 1);
		return;
	}
	counter_add(&worker->counters.tls_failures, 1);
	remedy = failure_remedy(failure);
	cause = (struct worker_cause) {remedy->id, failure->error == -ETIMEDOUT
							   ? EVENT_END_TIMEOUT
							   : EVENT_END_REFUSED};
	endpoint_format((const struct sockaddr *)&intercept->flow->source, source);
	endpoint_format((const struct sockaddr *)&intercept->flow->destination, destination);
	name = SSL_get_servername(intercept->tls->stream.ssl, TLSEXT_NAMETYPE_host_name);
	if (name && !hostname_valid(name, strlen(name)))
		name = NULL;
	worker_tell(worker, COMPLAINT_TLS, intercept->flow, &cause,
		    "TLS handshake with %s for %s (%s) failed: %s; %s", source, destination,
		    name ? name : "no server name", failure_cause(failure, text), remedy->text);
}

/* The destination's address without its port. */
static void address_text(const struct sockaddr_storage *destination, char text[HINTS_NAME_MAX])
{
	uint8_t address[16];

	address_from_sockaddr((const struct sockaddr *)destination, address);
	(void)address_format(address, text);
}

/* The certificate is for the server name, or for the destination's address. */
static void name_set(struct intercept *intercept, const struct hints *hints)
{
	if (hints->kind == HINTS_SNI)
		memcpy(intercept->name, hints->name, sizeof(intercept->name));
	else
		address_text(&intercept->flow->destination, intercept->name);
}

static void tls_ready(struct loop_handler *side, uint32_t events)
{
	tls_relay_event(((struct intercept *)side->owner)->tls, 0, events);
}

static void tls_upstream_ready(struct loop_handler *side, uint32_t events)
{
	tls_relay_event(((struct intercept *)side->owner)->tls, 1, events);
}

static void tls_start(struct intercept *intercept)
{
	struct worker *worker = intercept->worker;
	struct relay *relay = intercept->relay;
	const struct flow *flow = intercept->flow;
	const struct tls_tap *tap = worker->shared->config.tap;
	uint64_t tap_id = tap ? tap->open(tap->context, &flow->source, &flow->destination,
					  intercept->name)
			      : 0;
	SSL *ssl = tls_authority_accept(worker->shared->config.tls, intercept->name,
					tap_id ? tap : NULL);

	if (ssl)
		intercept->tls = tls_relay_new(relay, worker->tls, ssl, TAKE_PTR(intercept->first),
					       intercept->first_size);
	if (!intercept->tls) {
		if (tap_id)
			tap->close(tap->context, tap_id);
		counter_add(&worker->counters.tls_failures, 1);
		intercept->done(intercept, -ENOMEM);
		return;
	}
	intercept->tls->handshaken = handshake_over;
	intercept->tls->tap = tap_id ? tap : NULL;
	intercept->tls->tap_id = tap_id;
	relay->side[0].ready = tls_ready;
	relay->side[1].ready = tls_upstream_ready;
	tls_relay_start(intercept->tls);
}

static bool has_spoken(const struct loop_handler *side)
{
	return side->latched & (EPOLLIN | EPOLLRDHUP | EPOLLHUP);
}

/* The client speaks at last, and nobody has before: it may be TLS. */
static void quiet_ready(struct loop_handler *side, uint32_t events)
{
	struct intercept *intercept = side->owner;
	char *buffer = intercept->worker->pool->buffer;
	struct hints hints;
	ssize_t size;

	if (events & EPOLLERR) {
		intercept->done(intercept, -ECONNRESET);
		return;
	}
	if (!has_spoken(side))
		return;
	/* The bytes stay in the socket. If the ClientHello is not complete yet, the authority will
	 * look at its name. */
	do {
		size = recv(side->fd, buffer, RELAY_BUFFER, MSG_PEEK);
	} while (size < 0 && errno == EINTR);
	if (size < 0 && errno == EAGAIN)
		return;
	hints_init(&hints, true, false);
	if (size > 0)
		(void)hints_feed(&hints, (const uint8_t *)buffer, (size_t)size);
	if (!hints.hello) {
		intercept->done(intercept, 0);
		return;
	}
	name_set(intercept, &hints);
	tls_start(intercept);
}

/* The gateway speaks first, and does not know of any TLS. */
static void quiet_upstream_ready(struct loop_handler *side, uint32_t events)
{
	struct intercept *intercept = side->owner;

	if (events & EPOLLERR)
		intercept->done(intercept, -ECONNRESET);
	else if (has_spoken(side))
		intercept->done(intercept, 0);
}

bool intercept_asked(struct worker *worker, const struct socket_address *gateway,
		     const struct tunnel_answer *answer)
{
	struct worker_shared *shared = worker->shared;
	char name[SOCKET_ADDRESS_TEXT_MAX];

	if (!worker->tls)
		return false;
	if (tunnel_answer_content(answer, shared->config.gateway_protocol) == TUNNEL_PLAINTEXT)
		return true;
	if (answer->status == HTTP_STATUS_OK && !atomic_exchange(&shared->undeclared, true))
		log_info("TLS is not terminated: the gateway %s does not answer with "
			 "X-Tls-Plaintext: accept, and --gateway-protocol is connect",
			 socket_address_format(gateway, name));
	return false;
}

int intercept_new(struct worker *worker, struct relay *relay, const struct flow *flow,
		  struct peek *peek, void (*done)(struct intercept *intercept, int error),
		  struct intercept **ret_intercept)
{
	int error = peek_more(peek);
	struct intercept *intercept;

	*ret_intercept = NULL;
	if (error < 0)
		return error;
	if (!peek->hints.hello && (peek->size > 0 || peek->ended || relay->direction[1].buffer ||
				   has_spoken(&relay->side[1])))
		return 0;
	intercept = calloc(1, sizeof(*intercept));
	if (!intercept)
		return -ENOMEM;
	intercept->worker = worker;
	intercept->relay = relay;
	intercept->flow = flow;
	intercept->done = done;
	if (peek->hints.hello) {
		name_set(intercept, &peek->hints);
		intercept->first_size = peek->size;
		intercept->first = TAKE_PTR(peek->bytes);
	}
	*ret_intercept = intercept;
	return 0;
}

void intercept_start(struct intercept *intercept)
{
	struct relay *relay = intercept->relay;

	relay->side[0].owner = intercept;
	relay->side[1].owner = intercept;
	if (intercept->first) {
		tls_start(intercept);
		return;
	}
	relay->side[0].ready = quiet_ready;
	relay->side[1].ready = quiet_upstream_ready;
}

void intercept_free(struct intercept *intercept)
{
	if (!intercept)
		return;
	tls_relay_free(intercept->tls);
	free(intercept->first);
	free(intercept);
}
