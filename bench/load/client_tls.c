// SPDX-License-Identifier: Apache-2.0
/*
 * TLS: full handshakes one after another, each with a connection of its own, and a stream.
 * Nothing is verified, because verifying is the client's work and the same for all servers.
 */
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"

static char buffer[LOAD_BUFFER];

static SSL_CTX *context(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	if (!ctx)
		die("OpenSSL");
	SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	return ctx;
}

/* The server name of this connection: a % in the option becomes its number. */
static const char *server_name(const struct client_options *options, uint64_t number)
{
	const char *percent = strchr(options->server, '%');
	static char name[256];

	if (!percent)
		return options->server;
	(void)snprintf(name, sizeof(name), "%.*s%llu%s", (int)(percent - options->server),
		       options->server, (unsigned long long)number, percent + 1);
	return name;
}

static SSL *open_tls(SSL_CTX *ctx, const struct client_options *options, uint64_t number)
{
	SSL *ssl = SSL_new(ctx);

	if (!ssl || SSL_set_fd(ssl, client_open(options, number)) != 1 ||
	    SSL_set_tlsext_host_name(ssl, server_name(options, number)) != 1)
		die("OpenSSL");
	if (SSL_connect(ssl) != 1)
		die("TLS handshake failed");
	return ssl;
}

static void close_tls(SSL *ssl)
{
	int fd = SSL_get_fd(ssl);

	(void)SSL_shutdown(ssl);
	SSL_free(ssl);
	(void)close(fd);
}

int client_handshake(const struct client_options *options)
{
	static struct histogram latency;
	struct client_result result = {.latency = &latency};
	SSL_CTX *ctx = context();
	/* Names that no earlier run asked for. */
	uint64_t number = now_ns();
	uint64_t start, now, end;

	/* The first one is not counted, because it needs more. */
	close_tls(open_tls(ctx, options, number++));
	start = now = now_ns();
	end = start + (uint64_t)(options->seconds * 1e9);
	while (now < end) {
		uint64_t before = now;

		close_tls(open_tls(ctx, options, number++));
		now = now_ns();
		histogram_add(&latency, now - before);
		result.count++;
	}
	result.seconds = (double)(now - start) / 1e9;
	SSL_CTX_free(ctx);
	return client_print(&result);
}

int client_tls_download(const struct client_options *options)
{
	struct client_result result = {.count = 1};
	SSL_CTX *ctx = context();
	SSL *ssl = open_tls(ctx, options, 0);
	uint64_t start = now_ns(), now = start, end = start + (uint64_t)(options->seconds * 1e9);

	while (now < end) {
		int count = SSL_read(ssl, buffer, sizeof(buffer));

		if (count <= 0)
			die("the stream ended early");
		result.bytes += (uint64_t)count;
		now = now_ns();
	}
	result.seconds = (double)(now - start) / 1e9;
	return client_print(&result);
}
