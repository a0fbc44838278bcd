// SPDX-License-Identifier: Apache-2.0
#include "tls/tls_stream.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* Returns the first bytes, later those of the socket; @ret_size is 0 at EOF. 0 or negative errno.
 */
static int stream_receive(struct tls_stream *stream, char *data, size_t size, size_t *ret_size)
{
	struct loop_handler *socket = stream->socket;
	ssize_t received;

	if (stream->first) {
		size_t left = stream->first_end - stream->first_begin;

		*ret_size = size < left ? size : left;
		memcpy(data, stream->first + stream->first_begin, *ret_size);
		stream->first_begin += (uint32_t)*ret_size;
		if (stream->first_begin == stream->first_end) {
			free(stream->first);
			stream->first = NULL;
		}
		return 0;
	}
	if (!(socket->latched & EPOLLIN))
		return -EAGAIN;
	do {
		received = recv(socket->fd, data, size, 0);
	} while (received < 0 && errno == EINTR);
	if (received < 0 && errno != EAGAIN)
		return -errno;
	/* As in the relay, a short read empties the socket, unless an event announced more. */
	if (received < 0 ||
	    ((size_t)received < size && !(socket->latched & (EPOLLRDHUP | EPOLLHUP | EPOLLPRI))))
		socket->latched &= ~(uint32_t)EPOLLIN;
	if (received < 0)
		return -EAGAIN;
	*ret_size = (size_t)received;
	return 0;
}

static int bio_read(BIO *bio, char *data, int size)
{
	struct tls_stream *stream = BIO_get_data(bio);
	size_t received = 0;
	int error = stream_receive(stream, data, (size_t)size, &received);

	BIO_clear_retry_flags(bio);
	if (error == -EAGAIN)
		BIO_set_retry_read(bio);
	else if (error < 0)
		stream->error = error;
	else if (received == 0)
		stream->ended = true;
	return error < 0 ? -1 : (int)received;
}

/* Appends @data to the kept bytes. Returns 0, -ENOBUFS or -ENOMEM. */
static int stream_keep(struct tls_stream *stream, const char *data, size_t size)
{
	size_t kept = stream->kept ? stream->kept_end - stream->kept_begin : 0;
	char *buffer;

	if (size == 0)
		return 0;
	if (size > TLS_STREAM_KEPT - kept)
		return -ENOBUFS;
	buffer = malloc(kept + size);
	if (!buffer)
		return -ENOMEM;
	if (stream->kept)
		memcpy(buffer, stream->kept + stream->kept_begin, kept);
	memcpy(buffer + kept, data, size);
	free(stream->kept);
	stream->kept = buffer;
	stream->kept_begin = 0;
	stream->kept_end = (uint32_t)(kept + size);
	return 0;
}

static int bio_write(BIO *bio, const char *data, int size)
{
	struct tls_stream *stream = BIO_get_data(bio);
	struct tls_scratch *scratch = stream->scratch;

	BIO_clear_retry_flags(bio);
	if ((size_t)size > sizeof(scratch->data) - scratch->size) {
		stream->error = -ENOBUFS;
		return -1;
	}
	memcpy(scratch->data + scratch->size, data, (size_t)size);
	scratch->size += (size_t)size;
	return size;
}

/* A flush has nothing to do here. Only stream->ended reports EOF. */
static long bio_control(BIO *bio, int command, long number, void *pointer)
{
	(void)bio;
	(void)number;
	(void)pointer;
	return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *bio_method;

static void bio_method_make(void)
{
	BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "sidestep");

	if (!method)
		return;
	(void)BIO_meth_set_read(method, bio_read);
	(void)BIO_meth_set_write(method, bio_write);
	(void)BIO_meth_set_ctrl(method, bio_control);
	bio_method = method;
}

int tls_stream_init(struct tls_stream *stream, SSL *ssl, struct loop_handler *socket,
		    struct tls_scratch *scratch, char *first, size_t first_size)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	BIO *bio;

	*stream = (struct tls_stream) {
		.ssl = ssl,
		.socket = socket,
		.scratch = scratch,
		.first = first,
		.first_end = (uint32_t)first_size,
	};
	if (first_size == 0) {
		free(first);
		stream->first = NULL;
	}
	scratch->size = 0;
	(void)pthread_once(&once, bio_method_make);
	bio = bio_method ? BIO_new(bio_method) : NULL;
	if (!bio) {
		tls_stream_release(stream);
		return -ENOMEM;
	}
	BIO_set_data(bio, stream);
	BIO_set_init(bio, 1);
	SSL_set_bio(ssl, bio, bio);
	return 0;
}

void tls_stream_release(struct tls_stream *stream)
{
	SSL_free(stream->ssl);
	free(stream->first);
	free(stream->kept);
	stream->ssl = NULL;
	stream->first = NULL;
	stream->kept = NULL;
}

/* Returns the reason why a call of OpenSSL returned @result. */
static int stream_error(struct tls_stream *stream, int result)
{
	switch (SSL_get_error(stream->ssl, result)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		break;
	}
	if (stream->error < 0)
		return stream->error;
	return stream->ended ? -ENODATA : -EPROTO;
}

int tls_stream_accept(struct tls_stream *stream)
{
	int result, error;

	ERR_clear_error();
	result = SSL_do_handshake(stream->ssl);
	if (result == 1)
		return 1;
	error = stream_error(stream, result);
	/* close_notify came before the end of the handshake. */
	if (error == 0)
		return -ENODATA;
	return error == -EAGAIN ? 0 : error;
}

ssize_t tls_stream_read(struct tls_stream *stream, char *buffer, size_t size)
{
	size_t used = 0;
	int result = 0;

	ERR_clear_error();
	/* Each call reads one record. Return all that are there together. */
	while (used < size) {
		size_t part;

		result = SSL_read_ex(stream->ssl, buffer + used, size - used, &part);
		if (result != 1)
			break;
		used += part;
	}
	if (used > 0)
		return (ssize_t)used;
	return stream_error(stream, result);
}

int tls_stream_write(struct tls_stream *stream, const char *data, size_t size)
{
	size_t written;
	int result, error;

	ERR_clear_error();
	result = SSL_write_ex(stream->ssl, data, size, &written);
	if (result == 1)
		return 0;
	error = stream_error(stream, result);
	/* The BIO takes everything and renegotiation is off, so a write never waits. */
	return error == 0 || error == -EAGAIN ? -EPROTO : error;
}

int tls_stream_shutdown(struct tls_stream *stream)
{
	int result;

	if (SSL_get_shutdown(stream->ssl) & SSL_SENT_SHUTDOWN)
		return 0;
	ERR_clear_error();
	result = SSL_shutdown(stream->ssl);
	return result >= 0 ? 0 : stream_error(stream, result);
}

/* Sends @data until the socket takes no more. @ret_sent is valid on failure, too. */
static int stream_send(const struct tls_stream *stream, const char *data, size_t size,
		       size_t *ret_sent)
{
	struct loop_handler *socket = stream->socket;

	*ret_sent = 0;
	while (*ret_sent < size && (socket->latched & EPOLLOUT)) {
		ssize_t sent = send(socket->fd, data + *ret_sent, size - *ret_sent, MSG_NOSIGNAL);

		if (sent >= 0)
			*ret_sent += (size_t)sent;
		else if (errno == EAGAIN)
			socket->latched &= ~(uint32_t)EPOLLOUT;
		else if (errno != EINTR)
			return -errno;
	}
	return 0;
}

int tls_stream_flush(struct tls_stream *stream)
{
	struct tls_scratch *scratch = stream->scratch;
	size_t sent = 0, size = scratch->size;
	int error = 0;

	scratch->size = 0;
	if (stream->kept) {
		error = stream_send(stream, stream->kept + stream->kept_begin,
				    stream->kept_end - stream->kept_begin, &sent);
		stream->kept_begin += (uint32_t)sent;
		if (error == 0 && stream->kept_begin == stream->kept_end) {
			free(stream->kept);
			stream->kept = NULL;
			stream->kept_begin = stream->kept_end = 0;
		}
		sent = 0;
	}
	if (error == 0 && !stream->kept)
		error = stream_send(stream, scratch->data, size, &sent);
	if (error == 0)
		error = stream_keep(stream, scratch->data + sent, size - sent);
	return error < 0 ? error : !stream->kept;
}

unsigned long tls_stream_reason(void)
{
	unsigned long code = ERR_peek_last_error();

	ERR_clear_error();
	return code;
}

size_t tls_stream_memory(const struct tls_stream *stream)
{
	return (stream->first ? stream->first_end : 0) + (stream->kept ? stream->kept_end : 0);
}
