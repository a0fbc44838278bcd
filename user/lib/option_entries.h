/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options that several commands have, so that each stands once. A macro is the start of a struct
 * option_entry, with the command's struct and the field in it:
 *
 *	{OPTION_ENTRY_PIN(struct settings, pin), .default_text = "/a", .help = "Pin there."},
 *	{OPTION_ENTRY_LOG_LEVEL(struct settings, log_level)},
 */
#ifndef SIDESTEP_OPTION_ENTRIES_H
#define SIDESTEP_OPTION_ENTRIES_H

#include <stddef.h>

#include "lib/options.h"

/* [enum log_level] Complete. */
#define OPTION_ENTRY_LOG_LEVEL(target, member)                                                     \
	.name = "log-level", .argument = "LEVEL", .type = OPTION_CHOICE,                           \
	.choices = (const char *const[]) {"error", "warning", "info", "debug", NULL},              \
	.offset = offsetof(target, member), .default_text = "info",                                \
	.help = "Log messages of this level and of more severe ones."

/* [enum log_format] Complete. */
#define OPTION_ENTRY_LOG_FORMAT(target, member)                                                    \
	.name = "log-format", .argument = "text|json", .type = OPTION_CHOICE,                      \
	.choices = (const char *const[]) {"text", "json", NULL},                                   \
	.offset = offsetof(target, member), .default_text = "text",                                \
	.help = "The form of the log's lines. Text has times where standard error is a file or "   \
		"a terminal. json: an object a line, with time, level and message."

/* [enum programs_way] Complete. */
#define OPTION_ENTRY_ATTACH(target, member)                                                        \
	.name = "attach", .argument = "auto|tcx|clsact", .type = OPTION_CHOICE,                    \
	.choices = (const char *const[]) {"auto", "tcx", "clsact", NULL},                          \
	.offset = offsetof(target, member), .default_text = "auto",                                \
	.help = "How TC programs are attached. auto: by clsact at once. Bridge mode and the "      \
		"agent then go over to TCX where the kernel has it (Linux 6.6)."

/* [const char *] The command adds help and a default. */
#define OPTION_ENTRY_PIN(target, member)                                                           \
	.name = "pin", .argument = "DIR", .type = OPTION_STRING, .offset = offsetof(target, member)

/* [const char *] Likewise. */
#define OPTION_ENTRY_DOCKER_SOCKET(target, member)                                                 \
	.name = "docker-socket", .argument = "PATH", .type = OPTION_STRING,                        \
	.offset = offsetof(target, member), .example = "/var/run/docker.sock"

/* [const char *] Likewise, without a default. */
#define OPTION_ENTRY_METRICS_LISTEN(target, member)                                                \
	.name = "metrics-listen", .argument = "ADDRESS", .type = OPTION_STRING,                    \
	.offset = offsetof(target, member), .default_note = "none", .example = "0.0.0.0:9093"

/* [struct option_prefixes] Complete. */
#define OPTION_ENTRY_METRICS_ALLOW(target, member)                                                 \
	.name = "metrics-allow", .argument = "CIDR", .type = OPTION_PREFIXES,                      \
	.offset = offsetof(target, member),                                                        \
	.help = "A further reader of the metrics, such as a Prometheus in a container."

/* [unsigned int] The command adds the maximum. */
#define OPTION_ENTRY_METRICS_HOSTS(target, member)                                                 \
	.name = "metrics-hosts", .argument = "N", .type = OPTION_UNSIGNED,                         \
	.offset = offsetof(target, member), .minimum = 0, .default_text = "0",                     \
	.help = "Count connections and bytes of the N busiest destinations by name, and of all "   \
		"others together. Without it no name of a host is in the metrics."

/* [const char *] Complete, as the three below are. All four are in struct otlp_options
 * (metrics/otlp_options.h). */
#define OPTION_ENTRY_OTLP(target, member)                                                          \
	.name = "otlp", .argument = "URL", .type = OPTION_STRING,                                  \
	.offset = offsetof(target, member), .default_note = "$OTEL_EXPORTER_OTLP_ENDPOINT",        \
	.example = "http://172.17.0.1:4318",                                                       \
	.help = "Send metrics and events to this OpenTelemetry collector (OTLP/HTTP, JSON): "      \
		"http://HOST:PORT or https://HOST:PORT, with a /PATH if it has one. HOST may be "  \
		"a name."

/* [struct option_strings] */
#define OPTION_ENTRY_OTLP_HEADER(target, member)                                                   \
	.name = "otlp-header", .argument = "FIELD", .type = OPTION_STRINGS,                        \
	.offset = offsetof(target, member), .example = "Authorization: Bearer x",                  \
	.help = "A header field for the collector, as NAME: VALUE. May be repeated. Other "        \
		"processes see a command line. So give secrets by OTEL_EXPORTER_OTLP_HEADERS, as " \
		"NAME=VALUE,..."

/* [const char *] */
#define OPTION_ENTRY_OTLP_CA(target, member)                                                       \
	.name = "otlp-ca", .argument = "FILE", .type = OPTION_STRING,                              \
	.offset = offsetof(target, member),                                                        \
	.default_note = "$OTEL_EXPORTER_OTLP_CERTIFICATE, or the system's",                        \
	.help = "The CAs that may have signed the certificate of an https collector, in PEM."

/* [unsigned int] */
#define OPTION_ENTRY_OTLP_INTERVAL(target, member)                                                 \
	.name = "otlp-interval", .argument = "SECONDS", .type = OPTION_UNSIGNED,                   \
	.offset = offsetof(target, member), .minimum = 1, .maximum = 3600, .default_text = "15",   \
	.help = "The time between two requests with metrics. Events are sent each second."

#endif
