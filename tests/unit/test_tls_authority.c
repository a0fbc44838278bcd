// SPDX-License-Identifier: Apache-2.0
/* Tests the authority, its files and its leaves with OpenSSL's own verification. */
#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/log.h"
#include "tls/tls_authority.h"
#include "tls/tls_cache.h"
#include "tls/tls_certificate.h"

static X509 *authority_certificate(const struct tls_authority *authority)
{
	size_t size;
	const char *pem = tls_authority_pem(authority, &size);
	BIO *bio = BIO_new_mem_buf(pem, (int)size);
	X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);

	assert_int_equal(strlen(pem), size);
	assert_non_null(certificate);
	BIO_free(bio);
	return certificate;
}

/* Verifies for a server, strictly by RFC 5280. Returns X509_V_OK or the reason. */
static int verify(X509 *authority, X509 *leaf, const char *host, const char *address, time_t when)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *context = X509_STORE_CTX_new();
	X509_VERIFY_PARAM *parameters;
	int error;

	assert_int_equal(X509_STORE_add_cert(store, authority), 1);
	assert_int_equal(X509_STORE_CTX_init(context, store, leaf, NULL), 1);
	parameters = X509_STORE_CTX_get0_param(context);
	X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_X509_STRICT);
	X509_VERIFY_PARAM_set_purpose(parameters, X509_PURPOSE_SSL_SERVER);
	if (when)
		X509_VERIFY_PARAM_set_time(parameters, when);
	if (host)
		assert_int_equal(X509_VERIFY_PARAM_set1_host(parameters, host, 0), 1);
	if (address)
		assert_int_equal(X509_VERIFY_PARAM_set1_ip_asc(parameters, address), 1);
	(void)X509_verify_cert(context);
	error = X509_STORE_CTX_get_error(context);
	X509_STORE_CTX_free(context);
	X509_STORE_free(store);
	return error;
}

static X509 *leaf_of(struct tls_authority *authority, const char *name)
{
	SSL *ssl = tls_authority_accept(authority, name, NULL);
	X509 *leaf;

	assert_non_null(ssl);
	leaf = SSL_get_certificate(ssl);
	assert_non_null(leaf);
	X509_up_ref(leaf);
	SSL_free(ssl);
	return leaf;
}

static void expect_leaf(struct tls_authority *authority, const char *name, const char *host,
			const char *address)
{
	X509 *ca = authority_certificate(authority), *leaf = leaf_of(authority, name);
	time_t now = time(NULL);

	assert_int_equal(verify(ca, leaf, host, address, 0), X509_V_OK);
	if (host)
		assert_int_equal(verify(ca, leaf, "other.example", NULL, 0),
				 X509_V_ERR_HOSTNAME_MISMATCH);
	assert_int_equal(verify(ca, leaf, NULL, "192.0.2.99", 0), X509_V_ERR_IP_ADDRESS_MISMATCH);
	assert_int_equal(verify(ca, leaf, NULL, NULL, now - 3500), X509_V_OK);
	assert_int_equal(verify(ca, leaf, NULL, NULL, now - 3700), X509_V_ERR_CERT_NOT_YET_VALID);
	assert_int_equal(verify(ca, leaf, NULL, NULL, now + 86300), X509_V_OK);
	assert_int_equal(verify(ca, leaf, NULL, NULL, now + 86500), X509_V_ERR_CERT_HAS_EXPIRED);
	/* A leaf signs nothing. */
	assert_int_equal(X509_check_ca(leaf), 0);
	assert_int_equal(X509_get_key_usage(leaf), KU_DIGITAL_SIGNATURE);
	assert_int_equal(X509_get_extended_key_usage(leaf), XKU_SSL_SERVER);
	assert_int_equal(EVP_PKEY_get_bits(X509_get0_pubkey(leaf)), 256);
	X509_free(leaf);
	X509_free(ca);
}

static void test_leaves(void **state)
{
	struct tls_authority *authority;
	char label[64], long_name[256] = "";
	int i;

	(void)state;
	assert_int_equal(tls_authority_new(NULL, &authority), 0);
	expect_leaf(authority, "www.example.com", "www.example.com", NULL);
	expect_leaf(authority, "WWW.Example.NET", "www.example.net", NULL);
	expect_leaf(authority, "dot.example.", "dot.example", NULL);
	expect_leaf(authority, "with_underscore.example", "with_underscore.example", NULL);
	expect_leaf(authority, "xn--bcher-kva.example", "xn--bcher-kva.example", NULL);
	expect_leaf(authority, "single", "single", NULL);
	expect_leaf(authority, "192.0.2.1", NULL, "192.0.2.1");
	expect_leaf(authority, "2001:DB8:0::1", NULL, "2001:db8::1");
	/* A common name has at most 64 characters. */
	memset(label, 'a', 63);
	label[63] = '\0';
	for (i = 0; i < 3; i++) {
		strcat(long_name, label);
		strcat(long_name, ".");
	}
	strcat(long_name, "example");
	expect_leaf(authority, long_name, long_name, NULL);
	long_name[64] = '\0';
	memcpy(long_name + 60, ".net", 4);
	expect_leaf(authority, long_name, long_name, NULL);
	tls_authority_free(authority);
	tls_authority_free(NULL);
}

static void test_names_refused(void **state)
{
	static const char *const bad[] = {
		"",
		".",
		"*.example",
		"a b",
		"a\r\nb",
		"b\xc3\xbc"
		"cher.example",
		"a:80",
		"[::1]",
		"DNS:a,IP:1",
		"2001:db8::zz",
	};
	struct tls_authority *authority;
	char too_long[300];
	size_t i;

	(void)state;
	assert_int_equal(tls_authority_new(NULL, &authority), 0);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		assert_null(tls_authority_accept(authority, bad[i], NULL));
	memset(too_long, 'a', sizeof(too_long));
	too_long[256] = '\0';
	assert_null(tls_authority_accept(authority, too_long, NULL));
	tls_authority_free(authority);
}

static void test_authority(void **state)
{
	struct tls_authority *authority, *other;
	X509 *ca, *ca2;

	(void)state;
	assert_int_equal(tls_authority_new(NULL, &authority), 0);
	assert_int_equal(tls_authority_new(NULL, &other), 0);
	ca = authority_certificate(authority);
	ca2 = authority_certificate(other);
	assert_int_equal(X509_check_ca(ca), 1);
	assert_int_equal(X509_get_pathlen(ca), 0);
	assert_int_equal(X509_get_key_usage(ca), KU_KEY_CERT_SIGN | KU_CRL_SIGN);
	assert_int_equal(X509_verify(ca, X509_get0_pubkey(ca)), 1);
	/* Each sidecar has its own authority. */
	assert_int_not_equal(X509_NAME_cmp(X509_get_subject_name(ca), X509_get_subject_name(ca2)),
			     0);
	X509_free(ca);
	X509_free(ca2);
	tls_authority_free(authority);
	tls_authority_free(other);
}

static char *read_file(const char *directory, const char *name, mode_t mode)
{
	char path[300], *text = calloc(1, 4096);
	struct stat status;
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/%s", directory, name);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 07777, mode);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_true(fread(text, 1, 4095, file) > 0);
	(void)fclose(file);
	return text;
}

static void test_files(void **state)
{
	char base[] = "/tmp/tls-authority-XXXXXX", directory[64], path[300], *text;
	struct tls_authority *authority;
	mode_t before = umask(0077);
	X509 *ca;
	EVP_PKEY *key;
	BIO *bio;
	size_t size;
	int i;

	(void)state;
	assert_non_null(mkdtemp(base));
	(void)snprintf(directory, sizeof(directory), "%s/ca", base);
	/* The second authority replaces the first one's files. */
	for (i = 0; i < 2; i++) {
		assert_int_equal(tls_authority_new(directory, &authority), 0);
		text = read_file(directory, "ca.crt", 0644);
		assert_string_equal(text, tls_authority_pem(authority, &size));
		free(text);
		text = read_file(directory, "ca.key", 0600);
		bio = BIO_new_mem_buf(text, -1);
		key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
		assert_non_null(key);
		ca = authority_certificate(authority);
		assert_int_equal(X509_check_private_key(ca, key), 1);
		EVP_PKEY_free(key);
		X509_free(ca);
		BIO_free(bio);
		free(text);
		tls_authority_free(authority);
	}
	(void)umask(before);
	/* No other file is left there. */
	(void)snprintf(path, sizeof(path), "%s/ca.crt", directory);
	assert_int_equal(unlink(path), 0);
	(void)snprintf(path, sizeof(path), "%s/ca.key", directory);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(directory), 0);
	assert_int_equal(rmdir(base), 0);
	(void)snprintf(path, sizeof(path), "%s/a/b", base);
	assert_int_equal(tls_authority_new(path, &authority), -ENOENT);
	assert_int_equal(tls_authority_new("/proc/version", &authority), -ENOTDIR);
}

/* Writes an authority of the user's to the folder. @name: of an issuer, or NULL: a root. */
static void write_own(const char *directory, EVP_PKEY *key, time_t now, const char *issuer)
{
	X509 *certificate = tls_certificate_authority(key, now);
	X509_NAME *name = X509_NAME_new();
	char path[300];
	FILE *file;

	assert_int_equal(X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
						    (const unsigned char *)"Mine", -1, -1, 0),
			 1);
	assert_int_equal(X509_set_subject_name(certificate, name), 1);
	if (issuer)
		assert_int_equal(
			X509_NAME_add_entry_by_NID(name, NID_organizationName, MBSTRING_UTF8,
						   (const unsigned char *)issuer, -1, -1, 0),
			1);
	assert_int_equal(X509_set_issuer_name(certificate, name), 1);
	assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
	(void)snprintf(path, sizeof(path), "%s/ca.crt", directory);
	file = fopen(path, "w");
	assert_int_equal(PEM_write_X509(file, certificate), 1);
	(void)fclose(file);
	X509_NAME_free(name);
	X509_free(certificate);
}

/* Writes the key, with a passphrase if there is one. */
static void write_key(const char *directory, EVP_PKEY *key, const char *passphrase)
{
	const int size = passphrase ? (int)strlen(passphrase) : 0;
	char path[300];
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/ca.key", directory);
	file = fopen(path, "w");
	assert_int_equal(PEM_write_PKCS8PrivateKey(file, key, passphrase ? EVP_aes_128_cbc() : NULL,
						   passphrase, size, NULL, NULL),
			 1);
	(void)fclose(file);
}

static void expect_refused(const char *directory, const char *name)
{
	struct tls_authority *authority;
	char path[300], before[4096] = "", after[4096] = "";
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "r");
	assert_true(fread(before, 1, sizeof(before) - 1, file) > 0);
	(void)fclose(file);
	assert_int_equal(tls_authority_new(directory, &authority), -EINVAL);
	file = fopen(path, "r");
	assert_true(fread(after, 1, sizeof(after) - 1, file) > 0);
	(void)fclose(file);
	assert_string_equal(before, after);
}

static void test_users_authority(void **state)
{
	EVP_PKEY *key = EVP_RSA_gen(2048), *other = EVP_EC_gen("P-384");
	char directory[] = "/tmp/tls-authority-XXXXXX", crt[64], key_path[64];
	const time_t now = time(NULL), long_ago = now - 11L * 365 * 86400;
	struct tls_authority *authority;
	X509 *ca;

	(void)state;
	assert_non_null(mkdtemp(directory));
	(void)snprintf(crt, sizeof(crt), "%s/ca.crt", directory);
	(void)snprintf(key_path, sizeof(key_path), "%s/ca.key", directory);
	write_own(directory, key, now, NULL);
	expect_refused(directory, "ca.crt");
	write_key(directory, other, NULL);
	expect_refused(directory, "ca.key");
	write_key(directory, key, "secret");
	expect_refused(directory, "ca.key");
	write_key(directory, key, NULL);
	assert_int_equal(tls_authority_new(directory, &authority), 0);
	ca = authority_certificate(authority);
	assert_int_equal(X509_check_private_key(ca, key), 1);
	X509_free(ca);
	expect_leaf(authority, "www.example.com", "www.example.com", NULL);
	tls_authority_free(authority);
	write_own(directory, key, long_ago, NULL);
	expect_refused(directory, "ca.crt");
	write_own(directory, key, now, "Somebody else");
	expect_refused(directory, "ca.crt");
	assert_int_equal(truncate(crt, 100), 0);
	expect_refused(directory, "ca.crt");
	assert_int_equal(unlink(crt), 0);
	expect_refused(directory, "ca.key");
	/* A folder without both is filled. */
	assert_int_equal(unlink(key_path), 0);
	assert_int_equal(tls_authority_new(directory, &authority), 0);
	tls_authority_free(authority);
	assert_int_equal(unlink(crt), 0);
	assert_int_equal(unlink(key_path), 0);
	assert_int_equal(rmdir(directory), 0);
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
}

static void test_cached(void **state)
{
	struct tls_authority *authority;
	X509 *first, *again;
	char name[32];
	int i;

	(void)state;
	assert_int_equal(tls_authority_new(NULL, &authority), 0);
	first = leaf_of(authority, "a.example");
	again = leaf_of(authority, "A.example.");
	assert_ptr_equal(first, again);
	X509_free(again);
	/* Among 600 other names it is used once. */
	for (i = 0; i < 600; i++) {
		if (i == 400) {
			again = leaf_of(authority, "a.example");
			assert_ptr_equal(first, again);
			X509_free(again);
		}
		(void)snprintf(name, sizeof(name), "h%d.example", i);
		X509_free(leaf_of(authority, name));
	}
	again = leaf_of(authority, "a.example");
	assert_ptr_equal(first, again);
	X509_free(again);
	for (i = 0; i < TLS_CACHE_MAX; i++) {
		(void)snprintf(name, sizeof(name), "i%d.example", i);
		X509_free(leaf_of(authority, name));
	}
	again = leaf_of(authority, "a.example");
	assert_ptr_not_equal(first, again);
	X509_free(first);
	X509_free(again);
	tls_authority_free(authority);
}

static void test_cache(void **state)
{
	struct tls_cache *cache = tls_cache_new();
	X509 *leaf = X509_new(), *other = X509_new(), *found;
	char name[32];
	int i;

	(void)state;
	assert_null(tls_cache_find(cache, "a", 0));
	assert_int_equal(tls_cache_add(cache, "a", leaf, 1000), 0);
	found = tls_cache_find(cache, "a", 999);
	assert_ptr_equal(found, leaf);
	X509_free(found);
	/* A leaf that is about to expire is made again and replaced. */
	assert_null(tls_cache_find(cache, "a", 1000));
	assert_int_equal(tls_cache_add(cache, "a", other, 2000), 0);
	assert_int_equal(tls_cache_count(cache), 1);
	found = tls_cache_find(cache, "a", 1000);
	assert_ptr_equal(found, other);
	X509_free(found);
	for (i = 0; i < 3 * TLS_CACHE_MAX; i++) {
		(void)snprintf(name, sizeof(name), "%d", i);
		assert_int_equal(tls_cache_add(cache, name, leaf, 2000), 0);
		found = tls_cache_find(cache, "a", 1000);
		assert_ptr_equal(found, other);
		X509_free(found);
	}
	assert_int_equal(tls_cache_count(cache), TLS_CACHE_MAX);
	for (i = 0; i < 3 * TLS_CACHE_MAX; i++) {
		(void)snprintf(name, sizeof(name), "%d", i);
		found = tls_cache_find(cache, name, 1000);
		assert_int_equal(found != NULL, i >= 3 * TLS_CACHE_MAX - (TLS_CACHE_MAX - 1));
		X509_free(found);
	}
	tls_cache_free(cache);
	tls_cache_free(NULL);
	X509_free(leaf);
	X509_free(other);
}

static void *mint(void *context)
{
	char name[32];
	int i;

	for (i = 0; i < 200; i++) {
		(void)snprintf(name, sizeof(name), "t%d.example", i);
		X509_free(leaf_of(context, name));
	}
	return leaf_of(context, "t199.example");
}

static void test_threads(void **state)
{
	struct tls_authority *authority;
	pthread_t threads[4];
	X509 *leaf[4];
	size_t i;

	(void)state;
	assert_int_equal(tls_authority_new(NULL, &authority), 0);
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, mint, authority), 0);
	for (i = 0; i < ARRAY_SIZE(threads); i++) {
		void *result;

		assert_int_equal(pthread_join(threads[i], &result), 0);
		leaf[i] = result;
	}
	/* All threads got the leaf that is kept. */
	for (i = 0; i < ARRAY_SIZE(threads); i++) {
		assert_ptr_equal(leaf[i], leaf[0]);
		X509_free(leaf[i]);
	}
	tls_authority_free(authority);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_leaves),		cmocka_unit_test(test_names_refused),
		cmocka_unit_test(test_authority),	cmocka_unit_test(test_files),
		cmocka_unit_test(test_users_authority), cmocka_unit_test(test_cached),
		cmocka_unit_test(test_cache),		cmocka_unit_test(test_threads),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
