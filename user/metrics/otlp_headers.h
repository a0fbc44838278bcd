/* SPDX-License-Identifier: Apache-2.0 */
/* The header fields that an operator adds to the requests to an OTLP collector. They are secrets.
 */
#ifndef SIDESTEP_OTLP_HEADERS_H
#define SIDESTEP_OTLP_HEADERS_H

#include <stddef.h>

#define OTLP_HEADERS_MAX 4096

/* Lines with CR LF, as they stand in a request. Zero-initialised: none. */
struct otlp_headers {
	char lines[OTLP_HEADERS_MAX];
	size_t size;
};

/* Adds "NAME: VALUE". Returns 0 or -EINVAL: it is no field, one that the request has itself, or too
 * long. */
int otlp_headers_add(struct otlp_headers *headers, const char *text);

/* Adds "NAME=VALUE,...", with %XX for any byte of a value, as the variable
 * OTEL_EXPORTER_OTLP_HEADERS has them. Returns likewise. */
int otlp_headers_add_list(struct otlp_headers *headers, const char *text);

#endif
