// SPDX-License-Identifier: Apache-2.0
#include "tls/tls_relay.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/util.h"
#include "stream/relay_pump.h"

/* A direction yields to the other flows after so many bytes. This is a quarter of the plain relay's
 * budget, because a byte costs about four times as much here. */
#define TLS_BUDGET (256 * 1024)

enum {
	DECRYPT, /* application to gateway */
	ENCRYPT, /* gateway to application */
};

struct tls_relay_pool *tls_relay_pool_new(struct relay_pool *relays, unsigned int handshake_ms)
{
	struct tls_relay_pool *pool = malloc(sizeof(*pool));

	if (!pool)
		return NULL;
	/* The scratch is not cleared, so that its pages come with use. */
	memset(pool, 0, offsetof(struct tls_relay_pool, scratch));
	pool->scratch.size = 0;
	pool->relays = relays;
	loop_timer_class_init(relays->loop, &pool->handshake_class, handshake_ms);
	return pool;
}

void tls_relay_pool_free(struct tls_relay_pool *pool)
{
	free(pool);
}

static void relay_finish(struct tls_relay *tls, bool reset)
{
	struct relay *relay = tls->relay;

	relay->finished = true;
	loop_cancel(&tls->again);
	loop_timer_stop(&tls->handshake_timer);
	relay->finish(relay, reset);
}

/* Sends the application OpenSSL's alert and a FIN. The gateway was promised a stream and gets a
 * RST. */
static void handshake_failed(struct tls_relay *tls, int error)
{
	struct tls_failure failure = {.error = error};

	/* A client may close before it has read everything, as curl does. Its kernel then resets,
	 * right behind the alert that gives the reason. */
	if (error == -ECONNRESET || error == -EPIPE) {
		tls->relay->side[0].latched |= EPOLLIN;
		if (tls_stream_accept(&tls->stream) == -EPROTO)
			failure.error = -EPROTO;
	}
	if (failure.error == -EPROTO)
		failure.code = tls_stream_reason();
	(void)tls_stream_flush(&tls->stream);
	relay_reset_on_close(tls->relay->side[1].fd);
	if (tls->handshaken)
		tls->handshaken(tls->relay, &failure);
	relay_finish(tls, false);
}

static void handshake_expired(struct loop_timer *timer)
{
	handshake_failed(container_of(timer, struct tls_relay, handshake_timer), -ETIMEDOUT);
}

/* Returns true when the handshake is done, false when it continues or the relay is gone. */
static bool handshake_pump(struct tls_relay *tls)
{
	int result, flushed;

	result = tls_stream_accept(&tls->stream);
	if (result < 0) {
		handshake_failed(tls, result);
		return false;
	}
	flushed = tls_stream_flush(&tls->stream);
	if (flushed < 0) {
		handshake_failed(tls, flushed);
		return false;
	}
	if (result == 0)
		return false;
	loop_timer_stop(&tls->handshake_timer);
	tls->established = true;
	if (tls->handshaken)
		tls->handshaken(tls->relay, NULL);
	return true;
}

static void pump_later(struct tls_relay *tls)
{
	loop_defer(tls->pool->relays->loop, &tls->again);
}

/* Shows plaintext to the tap, before it is passed on. */
static void show(const struct tls_relay *tls, enum tls_tap_direction direction, const char *data,
		 size_t size)
{
	if (tls->tap)
		tls->tap->data(tls->tap->context, tls->tap_id, direction, data, size);
}

/* Moves at most about @budget bytes to the gateway, until a side blocks. Returns 1 when nothing is
 * kept, 0 when the gateway takes no more now, or negative errno. */
static int decrypt_move(struct tls_relay *tls, size_t budget)
{
	struct relay *relay = tls->relay;
	struct relay_direction *direction = &relay->direction[DECRYPT];
	int flushed, error;

	while ((flushed = relay_flush(relay, DECRYPT)) > 0) {
		ssize_t size;

		if (direction->ended)
			break;
		if (budget == 0) {
			pump_later(tls);
			break;
		}
		size = tls_stream_read(&tls->stream, relay->pool->buffer, RELAY_BUFFER);
		if (size == -EAGAIN)
			break;
		if (size == 0 || size == -ENODATA) {
			direction->ended = true;
			tls->truncated = size != 0;
			continue;
		}
		if (size < 0)
			return (int)size;
		show(tls, TLS_TAP_FROM_APPLICATION, relay->pool->buffer, (size_t)size);
		error = relay_write(relay, DECRYPT, (size_t)size);
		if (error < 0)
			return error;
		budget -= (size_t)size < budget ? (size_t)size : budget;
	}
	return flushed;
}

/* The same, and passes the application's end on. Returns 0 or negative errno. */
static int decrypt_pump(struct tls_relay *tls)
{
	struct relay *relay = tls->relay;
	struct relay_direction *direction = &relay->direction[DECRYPT];
	int flushed;

	if (direction->closed)
		return 0;
	flushed = decrypt_move(tls, TLS_BUDGET);
	if (flushed <= 0 || !direction->ended)
		return flushed < 0 ? flushed : 0;
	if (tls->truncated)
		return -ECONNRESET;
	direction->closed = true;
	/* Fails only when the gateway is gone, and then its own event follows. */
	(void)shutdown(relay->side[1].fd, SHUT_WR);
	relay->led[1] = !relay->direction[ENCRYPT].ended;
	return 0;
}

/* Encrypts the bytes that came with the gateway's answer. */
static int encrypt_queued(struct tls_relay *tls)
{
	struct relay_direction *direction = &tls->relay->direction[ENCRYPT];
	size_t size = direction->end - direction->begin;
	int error;

	show(tls, TLS_TAP_TO_APPLICATION, direction->buffer + direction->begin, size);
	error = tls_stream_write(&tls->stream, direction->buffer + direction->begin, size);
	free(direction->buffer);
	direction->buffer = NULL;
	direction->begin = direction->end = 0;
	tls->relay->moved[ENCRYPT] += size;
	return error;
}

/* Encrypts the bytes of one recv(2) from the gateway, as direction_copy() of the relay. */
static ssize_t encrypt_copy(struct tls_relay *tls)
{
	struct relay *relay = tls->relay;
	struct loop_handler *from = &relay->side[1];
	ssize_t size = recv(from->fd, relay->pool->buffer, RELAY_BUFFER, 0);
	int error;

	if (size < 0 && errno == EINTR)
		return 1;
	if (size < 0 && errno != EAGAIN)
		return -errno;
	if (size < 0) {
		from->latched &= ~(uint32_t)EPOLLIN;
		return 0;
	}
	if (size == 0) {
		relay->direction[ENCRYPT].ended = true;
		return 0;
	}
	if (size < RELAY_BUFFER && !relay->exhaust[1])
		from->latched &= ~(uint32_t)EPOLLIN;
	show(tls, TLS_TAP_TO_APPLICATION, relay->pool->buffer, (size_t)size);
	error = tls_stream_write(&tls->stream, relay->pool->buffer, (size_t)size);
	relay->moved[ENCRYPT] += (uint64_t)size;
	return error < 0 ? error : size;
}

/* Moves bytes to the application, until a side blocks. Takes and returns as decrypt_move(). */
static int encrypt_move(struct tls_relay *tls, size_t budget)
{
	struct relay *relay = tls->relay;
	struct relay_direction *direction = &relay->direction[ENCRYPT];
	int flushed, error;

	/* Even when closed, TLS answers to received records may be waiting. */
	while ((flushed = tls_stream_flush(&tls->stream)) > 0 && !direction->closed) {
		ssize_t size = 0;

		if (direction->buffer) {
			error = encrypt_queued(tls);
			if (error < 0)
				return error;
			continue;
		}
		if (direction->ended || !(relay->side[1].latched & EPOLLIN))
			break;
		if (budget == 0) {
			pump_later(tls);
			break;
		}
		size = encrypt_copy(tls);
		if (size < 0)
			return (int)size;
		budget -= (size_t)size < budget ? (size_t)size : budget;
	}
	return flushed;
}

/* The same, and passes the gateway's end on. Returns 0 or negative errno. */
static int encrypt_pump(struct tls_relay *tls)
{
	struct relay *relay = tls->relay;
	struct relay_direction *direction = &relay->direction[ENCRYPT];
	int flushed = encrypt_move(tls, TLS_BUDGET), error;

	if (flushed <= 0 || !direction->ended || direction->closed)
		return flushed < 0 ? flushed : 0;
	error = tls_stream_shutdown(&tls->stream);
	if (error < 0)
		return error;
	flushed = tls_stream_flush(&tls->stream);
	if (flushed <= 0)
		return flushed;
	direction->closed = true;
	(void)shutdown(relay->side[0].fd, SHUT_WR);
	return 0;
}

/* The number of bytes that a side may still pass on when the relay fails: all that a dead one has
 * left. */
static size_t last_budget(const struct relay *relay, int side)
{
	return relay_hung_up(relay->side[side].fd) ? SIZE_MAX : TLS_BUDGET;
}

/* A side has failed. Passes on what it sent before and the other side takes now, as the relay does.
 * No end of a stream follows these bytes. */
static void relay_fail(struct tls_relay *tls)
{
	struct relay *relay = tls->relay;
	int i;

	for (i = 0; i < 2; i++) {
		relay->ending[i] = false;
		relay->side[i].latched |= EPOLLIN;
		relay->exhaust[i] = true;
	}
	if (!relay->direction[DECRYPT].closed)
		(void)decrypt_move(tls, last_budget(relay, 0));
	(void)encrypt_move(tls, last_budget(relay, 1));
	relay_finish(tls, true);
}

static void relay_pump(struct tls_relay *tls)
{
	struct relay *relay = tls->relay;
	uint64_t before = relay->moved[0] + relay->moved[1];
	int error;

	if (!tls->established && !handshake_pump(tls))
		return;
	error = decrypt_pump(tls);
	/* After an error, too: OpenSSL may have written an alert. */
	if (error < 0)
		(void)tls_stream_flush(&tls->stream);
	else
		error = encrypt_pump(tls);
	if (relay->progress && relay->moved[0] + relay->moved[1] != before)
		relay->progress(relay);
	if (error < 0)
		relay_fail(tls);
	else if (relay->direction[DECRYPT].closed && relay->direction[ENCRYPT].closed)
		relay_finish(tls, false);
}

static void pump_again(struct loop_task *task)
{
	relay_pump(container_of(task, struct tls_relay, again));
}

struct tls_relay *tls_relay_new(struct relay *relay, struct tls_relay_pool *pool, SSL *ssl,
				char *first, size_t first_size)
{
	struct tls_relay *tls = calloc(1, sizeof(*tls));

	if (!tls) {
		SSL_free(ssl);
		free(first);
		return NULL;
	}
	if (tls_stream_init(&tls->stream, ssl, &relay->side[0], &pool->scratch, first, first_size) <
	    0) {
		free(tls);
		return NULL;
	}
	tls->relay = relay;
	tls->pool = pool;
	tls->again.run = pump_again;
	tls->handshake_timer.expired = handshake_expired;
	return tls;
}

/* No further event will announce the bytes behind these, so they count as readable until EAGAIN, as
 * in the relay. */
static void side_latch(struct relay *relay, int side, uint32_t events)
{
	if (!(events & (EPOLLRDHUP | EPOLLHUP | EPOLLPRI)))
		return;
	relay->exhaust[side] = true;
	relay->side[side].latched |= EPOLLIN;
}

void tls_relay_start(struct tls_relay *tls)
{
	struct relay *relay = tls->relay;

	relay->started = true;
	side_latch(relay, 0, relay->side[0].latched);
	side_latch(relay, 1, relay->side[1].latched);
	if (relay->direction[DECRYPT].ended) {
		/* The stream has not seen this EOF and must read it itself. */
		relay->direction[DECRYPT].ended = false;
		relay->side[0].latched |= EPOLLIN;
	}
	loop_timer_start(tls->pool->relays->loop, &tls->pool->handshake_class,
			 &tls->handshake_timer);
	relay_pump(tls);
}

void tls_relay_event(struct tls_relay *tls, int side, uint32_t events)
{
	if (events & EPOLLERR) {
		if (tls->established)
			relay_fail(tls);
		else
			handshake_failed(tls, -ECONNRESET);
		return;
	}
	side_latch(tls->relay, side, events);
	relay_pump(tls);
}

void tls_relay_free(struct tls_relay *tls)
{
	if (!tls)
		return;
	loop_cancel(&tls->again);
	loop_timer_stop(&tls->handshake_timer);
	if (tls->tap)
		tls->tap->close(tls->tap->context, tls->tap_id);
	tls_stream_release(&tls->stream);
	free(tls);
}

size_t tls_relay_memory(const struct tls_relay *tls)
{
	return tls_stream_memory(&tls->stream) + relay_memory(tls->relay);
}
