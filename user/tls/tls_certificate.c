// SPDX-License-Identifier: Apache-2.0
#include "tls/tls_certificate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "proto/hostname.h"

/* RFC 5280 appendix A.1: ub-common-name. */
#define COMMON_NAME_MAX 64
/* RFC 5280 section 4.1.2.2: positive and at most 20 octets. */
#define SERIAL_BYTES 16
/* The common name of an authority starts so. */
#define OWN_NAME "Sidestep TLS interception "

const char *tls_error_text(void)
{
	const char *text = ERR_reason_error_string(ERR_peek_last_error());

	ERR_clear_error();
	return text ? text : "out of memory";
}

int tls_name_parse(const char *text, struct tls_name *ret_name)
{
	struct tls_name name = {0};
	size_t size, i;
	unsigned char address[sizeof(struct in6_addr)];
	int family = strchr(text, ':') ? AF_INET6 : AF_INET;

	if (inet_pton(family, text, address) == 1) {
		name.is_address = true;
		if (!inet_ntop(family, address, name.text, sizeof(name.text)))
			return -EINVAL;
		*ret_name = name;
		return 0;
	}
	/* Neither the server name extension (RFC 6066 section 3) nor certificates have the dot. */
	size = hostname_length(text);
	if (!hostname_valid(text, size))
		return -EINVAL;
	for (i = 0; i < size; i++)
		name.text[i] = hostname_lower(text[i]);
	*ret_name = name;
	return 0;
}

static bool set_serial(X509 *certificate)
{
	unsigned char bytes[SERIAL_BYTES];
	BIGNUM *number = NULL;
	bool done;

	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		return false;
	/* Makes it positive and of full length. */
	bytes[0] = (unsigned char)((bytes[0] & 0x3f) | 0x40);
	number = BN_bin2bn(bytes, sizeof(bytes), NULL);
	done = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
	BN_free(number);
	return done;
}

static bool set_common_name(X509_NAME *subject, const char *text)
{
	return X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8,
					  (const unsigned char *)text, -1, -1, 0) == 1;
}

/* @value has the syntax of x509v3_config(5). */
static bool add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *extension;
	X509V3_CTX context;
	bool added;

	X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	added = extension && X509_add_ext(certificate, extension, -1) == 1;
	X509_EXTENSION_free(extension);
	return added;
}

/* Avoids x509v3_config(5), because a name could contain its syntax. */
static bool add_name(X509 *certificate, const struct tls_name *name, bool critical)
{
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	GENERAL_NAME *entry = GENERAL_NAME_new();
	ASN1_STRING *value = NULL;
	bool added = false;

	if (!names || !entry)
		goto out;
	if (name->is_address) {
		value = a2i_IPADDRESS(name->text);
	} else {
		value = ASN1_IA5STRING_new();
		if (value && ASN1_STRING_set(value, name->text, -1) != 1) {
			ASN1_STRING_free(value);
			value = NULL;
		}
	}
	if (!value)
		goto out;
	GENERAL_NAME_set0_value(entry, name->is_address ? GEN_IPADD : GEN_DNS, value);
	if (sk_GENERAL_NAME_push(names, entry) == 0)
		goto out;
	entry = NULL;
	added = X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, critical, 0) == 1;
out:
	GENERAL_NAME_free(entry);
	GENERAL_NAMES_free(names);
	return added;
}

/* EdDSA has no digest of its own choice (RFC 8410 section 3). */
static const EVP_MD *digest_for(const EVP_PKEY *key)
{
	return EVP_PKEY_is_a(key, "ED25519") || EVP_PKEY_is_a(key, "ED448") ? NULL : EVP_sha256();
}

/* Makes the part that both kinds have, without names and extensions. */
static X509 *certificate_new(EVP_PKEY *key, time_t now, long valid_s)
{
	_cleanup_x509_ X509 *certificate = X509_new();

	if (!certificate || X509_set_version(certificate, X509_VERSION_3) != 1 ||
	    !set_serial(certificate) ||
	    !X509_time_adj_ex(X509_getm_notBefore(certificate), 0, -TLS_BACKDATE_S, &now) ||
	    !X509_time_adj_ex(X509_getm_notAfter(certificate), (int)(valid_s / 86400),
			      valid_s % 86400, &now) ||
	    X509_set_pubkey(certificate, key) != 1)
		return NULL;
	return TAKE_PTR(certificate);
}

X509 *tls_certificate_authority(EVP_PKEY *key, time_t now)
{
	_cleanup_x509_ X509 *certificate = certificate_new(key, now, TLS_CA_S);
	char name[COMMON_NAME_MAX + 1];
	unsigned char id[4];

	/* The id keeps the authorities of two sidecars apart in stores that find issuers by name.
	 */
	if (!certificate || RAND_bytes(id, sizeof(id)) != 1)
		return NULL;
	(void)snprintf(name, sizeof(name), OWN_NAME "%02x%02x%02x%02x", id[0], id[1], id[2], id[3]);
	if (!set_common_name(X509_get_subject_name(certificate), name) ||
	    X509_set_issuer_name(certificate, X509_get_subject_name(certificate)) != 1 ||
	    !add_extension(certificate, certificate, NID_basic_constraints,
			   "critical,CA:TRUE,pathlen:0") ||
	    !add_extension(certificate, certificate, NID_key_usage,
			   "critical,keyCertSign,cRLSign") ||
	    !add_extension(certificate, certificate, NID_subject_key_identifier, "hash") ||
	    !add_extension(certificate, certificate, NID_authority_key_identifier,
			   "keyid:always") ||
	    X509_sign(certificate, key, EVP_sha256()) == 0)
		return NULL;
	return TAKE_PTR(certificate);
}

bool tls_certificate_is_own(const X509 *certificate)
{
	char name[COMMON_NAME_MAX + 1];
	int size = X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName,
					     name, sizeof(name));

	return size > 0 && strncmp(name, OWN_NAME, strlen(OWN_NAME)) == 0;
}

X509 *tls_certificate_leaf(X509 *authority, EVP_PKEY *authority_key, EVP_PKEY *key,
			   const struct tls_name *name, time_t now)
{
	_cleanup_x509_ X509 *certificate = certificate_new(key, now, TLS_LEAF_S);
	/* A longer name does not fit the subject. An empty subject makes the SAN critical (RFC 5280
	 * section 4.2.1.6). */
	bool short_name = strlen(name->text) <= COMMON_NAME_MAX;

	if (!certificate ||
	    (short_name && !set_common_name(X509_get_subject_name(certificate), name->text)) ||
	    X509_set_issuer_name(certificate, X509_get_subject_name(authority)) != 1 ||
	    !add_extension(certificate, authority, NID_basic_constraints, "critical,CA:FALSE") ||
	    !add_extension(certificate, authority, NID_key_usage, "critical,digitalSignature") ||
	    !add_extension(certificate, authority, NID_ext_key_usage, "serverAuth") ||
	    !add_extension(certificate, authority, NID_subject_key_identifier, "hash") ||
	    !add_extension(certificate, authority, NID_authority_key_identifier, "keyid:always") ||
	    !add_name(certificate, name, !short_name) ||
	    X509_sign(certificate, authority_key, digest_for(authority_key)) == 0)
		return NULL;
	return TAKE_PTR(certificate);
}
