// SPDX-License-Identifier: Apache-2.0
#include "tls/tls_authority_load.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/log.h"
#include "tls/tls_certificate.h"

/* The name of the leaf that is tried (RFC 6761 section 6.4: nobody has it). */
#define TRIAL_NAME "sidestep.invalid"

static void free_bio(BIO **bio)
{
	BIO_free(*bio);
}

#define _cleanup_bio_ _cleanup_(free_bio)

/* Opens a file. Returns 0, or a negative errno; -ENOENT: it is not there. */
static int open_file(const char *directory, const char *name, BIO **ret_bio)
{
	_cleanup_close_ int fd = -1;
	char path[PATH_MAX];
	struct stat status;
	FILE *file;

	if (snprintf(path, sizeof(path), "%s/%s", directory, name) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	/* A pipe without a writer would wait. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &status) < 0)
		return errno == ENOTDIR ? -ENOENT : -errno;
	if (!S_ISREG(status.st_mode))
		return -EINVAL;
	file = fdopen(fd, "r");
	if (!file)
		return -errno;
	(void)TAKE_FD(fd);
	*ret_bio = BIO_new_fp(file, BIO_CLOSE);
	if (*ret_bio)
		return 0;
	(void)fclose(file);
	return -ENOMEM;
}

/* A key with a passphrase is refused. OpenSSL would ask the terminal. */
static int no_passphrase(char *buffer, int size, int writing, void *context)
{
	(void)buffer;
	(void)size;
	(void)writing;
	(void)context;
	return -1;
}

/* Verifies a leaf as a client does that trusts the authority. Returns NULL, or what is wrong. */
static const char *try_leaf(X509 *authority, EVP_PKEY *key)
{
	_cleanup_key_ EVP_PKEY *leaf_key = EVP_EC_gen("P-256");
	X509_STORE_CTX *context = X509_STORE_CTX_new();
	X509_STORE *store = X509_STORE_new();
	struct tls_name name = {.text = TRIAL_NAME};
	_cleanup_x509_ X509 *leaf = NULL;
	const char *fault = NULL;

	if (leaf_key)
		leaf = tls_certificate_leaf(authority, key, leaf_key, &name, time(NULL));
	if (!leaf || !context || !store || X509_STORE_add_cert(store, authority) != 1 ||
	    X509_STORE_CTX_init(context, store, leaf, NULL) != 1 ||
	    X509_STORE_CTX_set_purpose(context, X509_PURPOSE_SSL_SERVER) != 1)
		fault = tls_error_text();
	else if (X509_verify_cert(context) != 1)
		fault = X509_verify_cert_error_string(X509_STORE_CTX_get_error(context));
	X509_STORE_CTX_free(context);
	X509_STORE_free(store);
	return fault;
}

/* Returns NULL with the key, or what is wrong. */
static const char *read_key(const char *path, X509 *certificate, EVP_PKEY **ret_key)
{
	_cleanup_bio_ BIO *bio = NULL;
	_cleanup_key_ EVP_PKEY *key = NULL;
	int error = open_file(path, "ca.key", &bio);
	const char *fault;

	if (error < 0)
		return error == -ENOENT ? "there is no ca.key" : "ca.key cannot be read";
	key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	if (!key)
		return "ca.key has no private key in PEM, or it has a passphrase";
	if (X509_check_private_key(certificate, key) != 1)
		return "ca.key is not the key of ca.crt";
	fault = try_leaf(certificate, key);
	if (!fault)
		*ret_key = TAKE_PTR(key);
	return fault;
}

static int refuse(const char *path, const char *fault)
{
	ERR_clear_error();
	log_error(
		"the CA in %s is left alone, and cannot be used: %s. Give ca.crt, a root that may "
		"sign certificates, with its ca.key, or remove both files",
		path, fault);
	return -EINVAL;
}

/* Without ca.crt. A lone key is not ours, because we write it last. */
static int without_certificate(const char *path)
{
	_cleanup_bio_ BIO *bio = NULL;

	return open_file(path, "ca.key", &bio) == -ENOENT ? 0 : refuse(path, "there is no ca.crt");
}

int tls_authority_load(const char *path, X509 **ret_certificate, EVP_PKEY **ret_key)
{
	_cleanup_x509_ X509 *certificate = NULL;
	_cleanup_bio_ BIO *bio = NULL;
	int error = open_file(path, "ca.crt", &bio);
	const char *fault;

	if (error == -ENOENT)
		return without_certificate(path);
	if (error < 0)
		return refuse(path, "ca.crt cannot be read");
	certificate = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
	if (!certificate)
		return refuse(path, "ca.crt has no certificate in PEM");
	if (tls_certificate_is_own(certificate))
		return 0;
	fault = read_key(path, certificate, ret_key);
	if (fault)
		return refuse(path, fault);
	log_info("TLS: the CA in %s signs the certificates", path);
	*ret_certificate = TAKE_PTR(certificate);
	return 1;
}
