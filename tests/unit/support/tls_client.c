// SPDX-License-Identifier: Apache-2.0
#include "support/tls_client.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

SSL_CTX *tls_client_context(const struct tls_authority *authority, int version)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());

	assert_non_null(context);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	assert_int_equal(SSL_CTX_set_min_proto_version(context, version), 1);
	assert_int_equal(SSL_CTX_set_max_proto_version(context, version), 1);
	if (authority) {
		size_t size;
		const char *pem = tls_authority_pem(authority, &size);
		BIO *bio = BIO_new_mem_buf(pem, (int)size);
		X509 *ca = PEM_read_bio_X509(bio, NULL, NULL, NULL);

		assert_int_equal(X509_STORE_add_cert(SSL_CTX_get_cert_store(context), ca), 1);
		X509_free(ca);
		BIO_free(bio);
	}
	return context;
}

SSL *tls_client_new(SSL_CTX *context, int fd, const char *host, const char *address)
{
	SSL *ssl = SSL_new(context);

	assert_int_equal(SSL_set_fd(ssl, fd), 1);
	if (host) {
		assert_int_equal(SSL_set_tlsext_host_name(ssl, host), 1);
		assert_int_equal(SSL_set1_host(ssl, host), 1);
	}
	if (address)
		assert_int_equal(X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), address), 1);
	return ssl;
}

void tls_expect_connect(SSL *ssl)
{
	if (SSL_connect(ssl) == 1)
		return;
	ERR_print_errors_fp(stderr);
	fail_msg("TLS handshake failed");
}

void tls_say(SSL *ssl, const char *text)
{
	assert_int_equal(SSL_write(ssl, text, (int)strlen(text)), strlen(text));
}

void tls_expect_bytes(SSL *ssl, const char *text)
{
	char buffer[256] = {0};
	size_t used = 0, size = strlen(text);

	while (used < size) {
		int part = SSL_read(ssl, buffer + used, (int)(size - used));

		if (part <= 0)
			ERR_print_errors_fp(stderr);
		assert_true(part > 0);
		used += (size_t)part;
	}
	assert_string_equal(buffer, text);
}

void tls_expect_end(SSL *ssl)
{
	char byte;
	int result = SSL_read(ssl, &byte, 1);

	assert_int_equal(SSL_get_error(ssl, result), SSL_ERROR_ZERO_RETURN);
}

int tls_expect_refusal(SSL *ssl)
{
	unsigned long code;

	ERR_clear_error();
	assert_int_not_equal(SSL_connect(ssl), 1);
	code = ERR_peek_last_error();
	ERR_clear_error();
	return ERR_GET_REASON(code);
}
