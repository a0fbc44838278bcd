/* SPDX-License-Identifier: Apache-2.0 */
/* The options of an OTLP exporter, which the sidecar and the agent have. */
#ifndef SIDESTEP_OTLP_OPTIONS_H
#define SIDESTEP_OTLP_OPTIONS_H

#include <stdbool.h>

#include "lib/options.h"
#include "metrics/otlp.h"

struct otlp_options {
	const char *url;
	struct option_strings headers;
	const char *ca;
	unsigned int interval_s;
};

/* Has one been asked for, by option or by the variable OTEL_EXPORTER_OTLP_ENDPOINT? */
bool otlp_options_given(const struct otlp_options *options);

/* Reads them and the variables of OpenTelemetry into an exporter's settings. Returns 0 or -EINVAL,
 * logged. No text of them is logged, because URL and headers may have secrets. */
int otlp_options_read(const struct otlp_options *options, struct otlp_config *ret_config);

#endif
