// SPDX-License-Identifier: Apache-2.0
#include "metrics/otlp_options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"

/* Returns the value of a variable; NULL: it is empty or not set, which means the same
 * (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/). */
static const char *variable(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

static const char *url_of(const struct otlp_options *options)
{
	return options->url ? options->url : variable("OTEL_EXPORTER_OTLP_ENDPOINT");
}

bool otlp_options_given(const struct otlp_options *options)
{
	return url_of(options) != NULL;
}

static int read_headers(const struct otlp_options *options, struct otlp_headers *headers)
{
	const char *list = variable("OTEL_EXPORTER_OTLP_HEADERS");
	size_t i;

	if (list && otlp_headers_add_list(headers, list) < 0) {
		log_error("OTEL_EXPORTER_OTLP_HEADERS: give NAME=VALUE,... of at most %d "
			  "characters, without the fields that every request has",
			  OTLP_HEADERS_MAX);
		return -EINVAL;
	}
	for (i = 0; i < options->headers.count; i++) {
		if (otlp_headers_add(headers, options->headers.values[i]) == 0)
			continue;
		log_error("--otlp-header: give \"NAME: VALUE\", all together at most %d "
			  "characters, without the fields that every request has",
			  OTLP_HEADERS_MAX);
		return -EINVAL;
	}
	return 0;
}

int otlp_options_read(const struct otlp_options *options, struct otlp_config *ret_config)
{
	memset(ret_config, 0, sizeof(*ret_config));
	ret_config->interval_ms = options->interval_s * 1000;
	ret_config->ca = options->ca ? options->ca : variable("OTEL_EXPORTER_OTLP_CERTIFICATE");
	if (otlp_url_parse(url_of(options), &ret_config->url) < 0) {
		log_error("--otlp: give http://HOST:PORT or https://HOST:PORT of an OTLP/HTTP "
			  "collector, with a /PATH if it has one, and no password");
		return -EINVAL;
	}
	return read_headers(options, &ret_config->headers);
}
