// SPDX-License-Identifier: Apache-2.0
#include "commands/observe_filter.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util.h"

void observe_filter_init(struct observe_filter *filter, const struct observe_options *options)
{
	filter->options = options;
	filter->has_prefix = options->to && prefix_parse_lenient(options->to, &filter->prefix) == 0;
}

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

/* Tells whether the glob matches the text, which may be NULL. */
static bool matches(const char *glob, const char *text)
{
	return text && fnmatch(glob, text, 0) == 0;
}

static bool is_equal(const char *wanted, const char *text)
{
	return !wanted || (text && strcmp(wanted, text) == 0);
}

/* A container is selected by its name or the beginning of its ID, a process by comm or exe. */
static bool selects_origin(const struct observe_options *options, const json_t *event)
{
	const json_t *container = json_object_get(event, "container");
	const json_t *process = json_object_get(event, "process");
	const char *id = text_of(container, "id");

	if (options->container && !matches(options->container, text_of(container, "name")) &&
	    !(id && strncmp(id, options->container, strlen(options->container)) == 0))
		return false;
	return !options->process || matches(options->process, text_of(process, "comm")) ||
	       matches(options->process, text_of(process, "exe"));
}

/* Reads "IP:PORT", "[IPv6]:PORT" or an address alone. The port is 0 then. */
static int parse_destination(const char *text, uint8_t ret_address[16], uint16_t *ret_port)
{
	struct endpoint endpoint;

	*ret_port = 0;
	if (!text)
		return -EINVAL;
	if (endpoint_parse(text, &endpoint) < 0)
		return address_parse(text, ret_address);
	address_from_sockaddr((const struct sockaddr *)&endpoint.address, ret_address);
	*ret_port = ntohs(endpoint.address.ss_family == AF_INET6
				  ? ((const struct sockaddr_in6 *)&endpoint.address)->sin6_port
				  : ((const struct sockaddr_in *)&endpoint.address)->sin_port);
	return 0;
}

static bool selects_destination(const struct observe_filter *filter, const json_t *event)
{
	const struct observe_options *options = filter->options;
	uint8_t address[16];
	uint16_t port;
	int error;

	if (!options->to && !options->port)
		return true;
	error = parse_destination(text_of(event, "dst"), address, &port);
	if (options->port && (error < 0 || port != options->port))
		return false;
	if (!options->to)
		return true;
	if (filter->has_prefix)
		return error == 0 && prefix_contains(&filter->prefix, address);
	return matches(options->to, text_of(event, "name"));
}

bool observe_filter_selects(const struct observe_filter *filter, const json_t *event)
{
	const struct observe_options *options = filter->options;

	if (is_equal("lost", text_of(event, "type")))
		return true;
	return is_equal(options->verdict, text_of(event, "verdict")) &&
	       is_equal(options->reason, text_of(event, "reason")) &&
	       selects_origin(options, event) && selects_destination(filter, event);
}

int observe_parse_since(const char *text, uint64_t *ret_ms)
{
	static const struct {
		char unit;
		uint64_t ms;
	} units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}};
	char *end;
	unsigned long number;
	size_t i;

	errno = 0;
	number = strtoul(text, &end, 10);
	if (end == text || *text < '0' || *text > '9' || errno != 0 || number > 1000000 ||
	    *end == '\0' || end[1] != '\0')
		return -EINVAL;
	for (i = 0; i < ARRAY_SIZE(units); i++) {
		if (*end == units[i].unit) {
			*ret_ms = number * units[i].ms;
			return 0;
		}
	}
	return -EINVAL;
}
