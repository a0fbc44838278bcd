// SPDX-License-Identifier: Apache-2.0
#include "metrics/otlp_tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include "lib/address.h"
#include "lib/log.h"
#include "lib/util.h"
#include "tls/tls_stream.h"

/* Returns the system's CAs in one file, or NULL. */
static const char *system_file(void)
{
	static const char *const files[] = {
		"/etc/ssl/certs/ca-certificates.crt", /* Debian, Alpine, Arch */
		"/etc/pki/tls/certs/ca-bundle.crt",   /* Fedora */
		"/etc/ssl/ca-bundle.pem",	      /* openSUSE */
		"/etc/ssl/cert.pem",		      /* Alpine's base image */
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(files); i++)
		if (access(files[i], R_OK) == 0)
			return files[i];
	return NULL;
}

int otlp_tls_new(const char *file, SSL_CTX **ret_context)
{
	SSL_CTX *context = NULL;

	if (!file)
		file = system_file();
	if (!file) {
		log_error(
			"--otlp: this system has no file of CAs; install ca-certificates, or give "
			"the collector's with --otlp-ca");
		return -ENOENT;
	}
	/* The host's openssl.cnf has no say, as for interception. */
	if (OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) == 1)
		context = SSL_CTX_new(TLS_client_method());
	if (!context || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1) {
		SSL_CTX_free(context);
		return log_errno(-ENOMEM, "cannot prepare --otlp");
	}
	if (SSL_CTX_load_verify_file(context, file) != 1) {
		log_error("--otlp: cannot read the CAs in %s: give a file with certificates in PEM "
			  "with --otlp-ca",
			  file);
		ERR_clear_error();
		SSL_CTX_free(context);
		return -EINVAL;
	}
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	(void)SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
	(void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	*ret_context = context;
	return 0;
}

static bool set_peer(SSL *ssl, const struct otlp_url *url)
{
	char text[ADDRESS_TEXT_MAX];
	uint8_t address[16];

	if (url->name[0])
		return SSL_set1_host(ssl, url->name) == 1 &&
		       SSL_set_tlsext_host_name(ssl, url->name) == 1;
	address_from_sockaddr((const struct sockaddr *)&url->address.address, address);
	return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), address_format(address, text)) ==
	       1;
}

SSL *otlp_tls_connect(SSL_CTX *context, const struct otlp_url *url)
{
	SSL *ssl = SSL_new(context);

	if (!ssl || !set_peer(ssl, url)) {
		SSL_free(ssl);
		return NULL;
	}
	SSL_set_connect_state(ssl);
	return ssl;
}

const char *otlp_tls_cause(const SSL *ssl)
{
	long verified = SSL_get_verify_result(ssl);
	const char *reason;

	if (verified != X509_V_OK)
		return X509_verify_cert_error_string(verified);
	reason = ERR_reason_error_string(tls_stream_reason());
	return reason ? reason : "TLS failed";
}
