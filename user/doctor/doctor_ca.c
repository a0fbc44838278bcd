// SPDX-License-Identifier: Apache-2.0
/* The doctor's checks of what TLS needs: the CA, the application's trust in it, and the clock. */
#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>
#include <sys/timex.h>
#include <time.h>

#include "doctor/doctor.h"
#include "lib/util.h"

/* 2026-01-01T00:00:00Z: this program is younger. */
#define CLOCK_EARLIEST 1767225600

#define REMEDY_MAX 512

/* A longer environment is read so far. */
#define ENVIRONMENT_MAX 65536

/* The stores of Debian, Alpine, Fedora and SUSE, and of OpenSSL itself. */
static const char *const stores[] = {
	"/etc/ssl/certs/ca-certificates.crt",
	"/etc/ssl/cert.pem",
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/ssl/ca-bundle.pem",
	"/usr/lib/ssl/cert.pem",
};

/* They name a file of certificates: OpenSSL, Node.js, Python's requests, curl. */
static const char *const variables[] = {"SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS",
					"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"};

static void free_certificate(X509 **certificate)
{
	X509_free(*certificate);
}
#define _cleanup_x509_ _cleanup_(free_certificate)

void doctor_check_clock(struct doctor *doctor)
{
	struct timex clock = {.modes = 0};
	time_t now = time(NULL);
	char text[64] = "?";
	struct tm broken;

	if (!doctor->options->sidecar.ca_directory)
		return;
	if (gmtime_r(&now, &broken))
		(void)strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &broken);
	if (now < CLOCK_EARLIEST)
		doctor_tell(doctor, FINDING_CLOCK_WRONG, "it says %s", text);
	else if (adjtimex(&clock) == TIME_ERROR)
		doctor_tell(doctor, FINDING_CLOCK_UNSYNCHRONISED, "nothing keeps it right (%s)",
			    text);
	else
		doctor_tell(doctor, FINDING_CLOCK, "%s", text);
}

static bool file_has(const struct doctor *doctor, const char *path, const X509 *wanted)
{
	_cleanup_fclose_ FILE *file = doctor_open_file(doctor, path);
	bool found = false;
	X509 *certificate;

	while (file && !found && (certificate = PEM_read_X509(file, NULL, NULL, NULL))) {
		found = X509_cmp(certificate, wanted) == 0;
		X509_free(certificate);
	}
	return found;
}

/* Looks into the files that the environment of the application's process names. */
static const char *find_variable(const struct doctor *doctor, const X509 *wanted)
{
	_cleanup_free_ char *text = calloc(1, ENVIRONMENT_MAX + 1);
	_cleanup_fclose_ FILE *file = NULL;
	char path[64], *entry;
	size_t size, i;

	(void)snprintf(path, sizeof(path), "/proc/%d/environ", (int)doctor->process);
	file = fopen(path, "re");
	size = file && text ? fread(text, 1, ENVIRONMENT_MAX, file) : 0;
	for (entry = text; size > 0 && entry < text + size; entry += strlen(entry) + 1)
		for (i = 0; i < ARRAY_SIZE(variables); i++) {
			size_t length = strlen(variables[i]);

			if (strncmp(entry, variables[i], length) == 0 && entry[length] == '=' &&
			    file_has(doctor, entry + length + 1, wanted))
				return variables[i];
		}
	return NULL;
}

static const char *find_trust(const struct doctor *doctor, const X509 *wanted)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(stores); i++)
		if (file_has(doctor, stores[i], wanted))
			return stores[i];
	return find_variable(doctor, wanted);
}

static void check_trust(struct doctor *doctor, const X509 *certificate, const char *path)
{
	const char *found = find_trust(doctor, certificate);
	const char *name = doctor->options->container ? doctor->options->container : "CONTAINER";
	char remedy[REMEDY_MAX];

	if (found) {
		doctor_tell(doctor, FINDING_CA, "the application trusts it by %s", found);
		return;
	}
	(void)snprintf(remedy, sizeof(remedy),
		       "docker cp %.128s %.64s:/usr/local/share/ca-certificates/sidestep.crt && "
		       "docker exec %.64s update-ca-certificates",
		       path, name, name);
	doctor_advise(doctor, FINDING_CA_UNTRUSTED, remedy,
		      "no store of the application has %.128s", path);
}

void doctor_check_ca(struct doctor *doctor)
{
	const char *directory = doctor->options->sidecar.ca_directory;
	_cleanup_x509_ X509 *certificate = NULL;
	_cleanup_fclose_ FILE *file = NULL;
	char path[4096];

	if (!directory)
		return;
	(void)snprintf(path, sizeof(path), "%s/ca.crt", directory);
	file = fopen(path, "re");
	certificate = file ? PEM_read_X509(file, NULL, NULL, NULL) : NULL;
	if (!certificate)
		doctor_tell(doctor, FINDING_CA_MISSING, "no certificate is in %.128s", path);
	else if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0)
		doctor_tell(doctor, FINDING_CA_DATES, "%.128s is not valid yet", path);
	else if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0)
		doctor_tell(doctor, FINDING_CA_DATES, "%.128s has expired", path);
	else if (doctor->process)
		check_trust(doctor, certificate, path);
	else
		doctor_tell(doctor, FINDING_CA, "%.128s is valid", path);
}
