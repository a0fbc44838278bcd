// SPDX-License-Identifier: Apache-2.0
#include "tls/tls_authority.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/log.h"
#include "tls/tls_authority_load.h"
#include "tls/tls_cache.h"
#include "tls/tls_certificate.h"

/* A cached leaf is replaced so many seconds before its end. */
#define RENEW_S 3600

struct tls_authority {
	X509 *certificate;
	EVP_PKEY *key;
	/* One key serves all leaves. A key costs as much as a signature, and an attacker who reads
	 * it out of this process can read the authority's key as well. */
	EVP_PKEY *leaf_key;
	/* One context serves all connections, which differ only in the leaf. It costs a
	 * millisecond. */
	SSL_CTX *context;
	char *pem;
	size_t pem_size;
	pthread_mutex_t lock;
	struct tls_cache *cache;
};

static int key_new(EVP_PKEY **ret_key)
{
	*ret_key = EVP_EC_gen("P-256");
	return *ret_key ? 0 : -EIO;
}

/* Copies the contents of a memory BIO to a string. */
static int text_take(BIO *bio, char **ret_text, size_t *ret_size)
{
	char *data, *text;
	long size = BIO_get_mem_data(bio, &data);

	text = malloc((size_t)size + 1);
	if (!text)
		return -ENOMEM;
	memcpy(text, data, (size_t)size);
	text[size] = '\0';
	*ret_text = text;
	*ret_size = (size_t)size;
	return 0;
}

static int certificate_text(X509 *certificate, char **ret_text, size_t *ret_size)
{
	BIO *bio = BIO_new(BIO_s_mem());
	int error = -EIO;

	if (bio && PEM_write_bio_X509(bio, certificate) == 1)
		error = text_take(bio, ret_text, ret_size);
	BIO_free(bio);
	return error;
}

static int key_text(EVP_PKEY *key, char **ret_text, size_t *ret_size)
{
	BIO *bio = BIO_new(BIO_s_secmem());
	int error = -EIO;

	if (bio && PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1)
		error = text_take(bio, ret_text, ret_size);
	BIO_free(bio);
	return error;
}

static int write_all(int fd, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t written = write(fd, data, size);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -errno;
		data += written;
		size -= (size_t)written;
	}
	return 0;
}

/* Writes under another name and renames, so that readers see the old file or the new one. The file
 * never has more rights than @mode. */
static int write_file(int directory, const char *name, mode_t mode, const char *data, size_t size)
{
	_cleanup_close_ int fd = -1;
	char temporary[64];
	int error;

	(void)snprintf(temporary, sizeof(temporary), ".%s.%d", name, (int)getpid());
	(void)unlinkat(directory, temporary, 0);
	fd = openat(directory, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		    mode & S_IRWXU);
	if (fd < 0)
		return -errno;
	error = write_all(fd, data, size);
	/* Overrides the umask. */
	if (error == 0 &&
	    (fchmod(fd, mode) < 0 || renameat(directory, temporary, directory, name) < 0))
		error = -errno;
	if (error < 0)
		(void)unlinkat(directory, temporary, 0);
	return error;
}

static int write_files(const struct tls_authority *authority, const char *path)
{
	_cleanup_close_ int directory = -1;
	_cleanup_free_ char *key = NULL;
	size_t key_size;
	int error;

	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return log_errno(-errno, "cannot make the folder %s for the TLS authority", path);
	directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0)
		return log_errno(-errno, "cannot open the folder %s for the TLS authority", path);
	/* The key comes last, so a key alone is none of ours (tls_authority_load()). */
	error = write_file(directory, "ca.crt", 0644, authority->pem, authority->pem_size);
	if (error < 0)
		return log_errno(error, "cannot write %s/ca.crt", path);
	error = key_text(authority->key, &key, &key_size);
	if (error == 0)
		error = write_file(directory, "ca.key", 0600, key, key_size);
	if (key)
		OPENSSL_cleanse(key, key_size);
	if (error < 0)
		return log_errno(error, "cannot write %s/ca.key", path);
	return 0;
}

/* Returns the cached leaf, or a new one. NULL: logged. */
static X509 *leaf_for(struct tls_authority *authority, const struct tls_name *name)
{
	time_t now = time(NULL);
	X509 *leaf, *other;

	(void)pthread_mutex_lock(&authority->lock);
	leaf = tls_cache_find(authority->cache, name->text, now);
	(void)pthread_mutex_unlock(&authority->lock);
	if (leaf)
		return leaf;
	/* Signs without the lock, so that nobody waits for it. Two threads may make the same leaf;
	 * the first one is kept. */
	leaf = tls_certificate_leaf(authority->certificate, authority->key, authority->leaf_key,
				    name, now);
	if (!leaf) {
		log_error("cannot make a TLS certificate for %s: %s", name->text, tls_error_text());
		return NULL;
	}
	(void)pthread_mutex_lock(&authority->lock);
	other = tls_cache_find(authority->cache, name->text, now);
	if (!other)
		/* Without memory the leaf is used but not kept. */
		(void)tls_cache_add(authority->cache, name->text, leaf, now + TLS_LEAF_S - RENEW_S);
	(void)pthread_mutex_unlock(&authority->lock);
	if (!other)
		return leaf;
	X509_free(leaf);
	return other;
}

/*
 * Selects the protocol (ALPN, RFC 7301 section 3.2). If the gateway's side speaks HTTP, it speaks
 * HTTP/1.1. A client with HTTP/2 alone gets the alert, because it could only fail later and less
 * clearly. Names of other protocols stay unanswered, because only the two ends know them.
 */
static int select_protocol(SSL *ssl, const unsigned char **ret_name, unsigned char *ret_size,
			   const unsigned char *offered, unsigned int size, void *context)
{
	static const char http_1[] = "http/1.1", http_2[] = "h2";
	unsigned int at, length;
	int verdict = SSL_TLSEXT_ERR_NOACK;

	(void)ssl;
	(void)context;
	for (at = 0; at < size; at += 1 + length) {
		length = offered[at];
		if (length > size - at - 1)
			return SSL_TLSEXT_ERR_ALERT_FATAL;
		if (length == strlen(http_1) && memcmp(offered + at + 1, http_1, length) == 0) {
			*ret_name = offered + at + 1;
			*ret_size = (unsigned char)length;
			return SSL_TLSEXT_ERR_OK;
		}
		if (length == strlen(http_2) && memcmp(offered + at + 1, http_2, length) == 0)
			verdict = SSL_TLSEXT_ERR_ALERT_FATAL;
	}
	return verdict;
}

/* Replaces the leaf if the ClientHello names another host: it may have been incomplete before. */
static int check_server_name(SSL *ssl, int *alert, void *context)
{
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	struct tls_name parsed;
	_cleanup_x509_ X509 *leaf = NULL;

	if (!name || tls_name_parse(name, &parsed) < 0)
		return SSL_TLSEXT_ERR_NOACK;
	leaf = leaf_for(context, &parsed);
	if (leaf && (leaf == SSL_get_certificate(ssl) || SSL_use_certificate(ssl, leaf) == 1))
		return SSL_TLSEXT_ERR_OK;
	*alert = SSL_AD_INTERNAL_ERROR;
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* Prefers the cheaper cipher over the client's order, because both ends are on one machine. */
static bool set_ciphers(SSL_CTX *context)
{
	return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
	       SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:!aNULL") ==
		       1 &&
	       SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
						 "TLS_CHACHA20_POLY1305_SHA256") == 1 &&
	       SSL_CTX_set1_groups_list(context, "X25519:P-256:P-384:P-521") == 1;
}

static void give_secret(const SSL *ssl, const char *line)
{
	const struct tls_tap *tap = SSL_get_app_data(ssl);

	if (tap)
		tap->secret(tap->context, line);
}

static void set_behaviour(struct tls_authority *authority, SSL_CTX *context)
{
	(void)SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
						   SSL_OP_CIPHER_SERVER_PREFERENCE);
	/* The chain is the leaf alone. NO_AUTO_CHAIN saves each handshake the search for more. */
	(void)SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
	/* One recv(2) reads header and record. */
	SSL_CTX_set_read_ahead(context, 1);
	/* Tickets resume sessions without a table here. A second ticket would cost each handshake,
	 * and serve only clients that open several connections at once. */
	(void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	(void)SSL_CTX_set_num_tickets(context, 1);
	SSL_CTX_set_keylog_callback(context, give_secret);
	SSL_CTX_set_alpn_select_cb(context, select_protocol, NULL);
	(void)SSL_CTX_set_tlsext_servername_callback(context, check_server_name);
	(void)SSL_CTX_set_tlsext_servername_arg(context, authority);
}

static SSL_CTX *context_new(struct tls_authority *authority)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());

	if (context && set_ciphers(context) &&
	    SSL_CTX_use_PrivateKey(context, authority->leaf_key) == 1) {
		set_behaviour(authority, context);
		return context;
	}
	SSL_CTX_free(context);
	return NULL;
}

/* Takes the user's authority in @directory, or makes one. */
static int authority_key(struct tls_authority *authority, const char *directory, bool *ret_loaded)
{
	int loaded = 0;

	if (directory)
		loaded = tls_authority_load(directory, &authority->certificate, &authority->key);
	*ret_loaded = loaded > 0;
	if (loaded != 0)
		return loaded < 0 ? loaded : 0;
	if (key_new(&authority->key) == 0)
		authority->certificate = tls_certificate_authority(authority->key, time(NULL));
	if (authority->certificate)
		return 0;
	log_error("cannot make the TLS authority: %s", tls_error_text());
	return -EIO;
}

static int authority_fill(struct tls_authority *authority)
{
	int error;

	if (key_new(&authority->leaf_key) < 0)
		return -EIO;
	authority->context = context_new(authority);
	if (!authority->context)
		return -EIO;
	error = certificate_text(authority->certificate, &authority->pem, &authority->pem_size);
	if (error < 0)
		return error;
	authority->cache = tls_cache_new();
	return authority->cache ? 0 : -errno;
}

int tls_authority_new(const char *directory, struct tls_authority **ret_authority)
{
	struct tls_authority *authority = calloc(1, sizeof(*authority));
	bool loaded = false;
	int error;

	/* The host's openssl.cnf has no say in what is offered, and is not there in an image. */
	if (!authority || OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1) {
		free(authority);
		return log_errno(-ENOMEM, "cannot make the TLS authority");
	}
	(void)pthread_mutex_init(&authority->lock, NULL);
	error = authority_key(authority, directory, &loaded);
	if (error == 0) {
		error = authority_fill(authority);
		if (error < 0)
			log_error("cannot make the TLS authority: %s", tls_error_text());
	}
	if (error == 0 && directory && !loaded)
		error = write_files(authority, directory);
	if (error < 0) {
		tls_authority_free(authority);
		return error;
	}
	*ret_authority = authority;
	return 0;
}

void tls_authority_free(struct tls_authority *authority)
{
	if (!authority)
		return;
	tls_cache_free(authority->cache);
	SSL_CTX_free(authority->context);
	X509_free(authority->certificate);
	EVP_PKEY_free(authority->key);
	EVP_PKEY_free(authority->leaf_key);
	free(authority->pem);
	(void)pthread_mutex_destroy(&authority->lock);
	free(authority);
}

const char *tls_authority_pem(const struct tls_authority *authority, size_t *ret_size)
{
	*ret_size = authority->pem_size;
	return authority->pem;
}

SSL *tls_authority_accept(struct tls_authority *authority, const char *name,
			  const struct tls_tap *tap)
{
	_cleanup_x509_ X509 *leaf = NULL;
	struct tls_name parsed;
	SSL *ssl;

	if (tls_name_parse(name, &parsed) < 0) {
		log_error("no TLS certificate for '%.*s': neither a host name nor an address",
			  TLS_NAME_MAX, name);
		return NULL;
	}
	leaf = leaf_for(authority, &parsed);
	if (!leaf)
		return NULL;
	ssl = SSL_new(authority->context);
	/* OpenSSL's parameter is not const, but only give_secret() reads it. */
	if (ssl && SSL_use_certificate(ssl, leaf) == 1 && SSL_set_app_data(ssl, (void *)tap) == 1) {
		SSL_set_accept_state(ssl);
		return ssl;
	}
	SSL_free(ssl);
	log_error("cannot start TLS for %s: %s", parsed.text, tls_error_text());
	return NULL;
}
