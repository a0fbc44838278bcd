// SPDX-License-Identifier: Apache-2.0
#include "commands/observe_filter.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "events/reason.h"
#include "lib/log.h"
#include "lib/nearest.h"
#include "lib/util.h"
#include "programs/counters.h"
#include "sidestep.h"

static const char *verdict_at(size_t index)
{
	return index < SIDESTEP_COUNTERS ? counter_names[index] : NULL;
}

/* Is the value of @option one of the names, which @page lists, or not given? If not, that is
 * logged. */
static bool is_name(const char *option, const char *value, const char *page,
		    const char *(*name_at)(size_t index))
{
	struct nearest nearest = {.name = value};
	const char *name;
	size_t i;

	for (i = 0; value && (name = name_at(i)); i++) {
		if (strcmp(name, value) == 0)
			return true;
		nearest_consider(&nearest, name);
	}
	if (!value)
		return true;
	log_error("--%s: there is no %s '%.80s'; %s%s%s%s lists all", option, option, value,
		  nearest.best ? "did you mean '" : "", nearest.best ? nearest.best : "",
		  nearest.best ? "'? " : "", page);
	return false;
}

/* A name has letters, and neither a colon nor a slash. Anything else that is no subnet is a slip.
 */
static bool is_destination(const char *to)
{
	if (!strpbrk(to, "/:") && strspn(to, "0123456789.") < strlen(to))
		return true;
	log_error("--to: '%.80s' is neither a name nor a subnet; for example '*.example.com' or "
		  "203.0.113.0/24, and a port is given by --port",
		  to);
	return false;
}

int observe_filter_init(struct observe_filter *filter, const struct observe_options *options)
{
	filter->options = options;
	filter->has_prefix = options->to && prefix_parse_lenient(options->to, &filter->prefix) == 0;
	if (options->to && !filter->has_prefix && !is_destination(options->to))
		return -EINVAL;
	return is_name("verdict", options->verdict, "sidestep status", verdict_at) &&
			       is_name("reason", options->reason, "docs/EVENTS.md", reason_at)
		       ? 0
		       : -EINVAL;
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
	const char *name;
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
	/* Names are alike in capitals (RFC 4343), and events have them as the application wrote
	 * them. */
	name = text_of(event, "name");
	return name && fnmatch(options->to, name, FNM_CASEFOLD) == 0;
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
	if (end == text || *text < '0' || *text > '9' || errno != 0 || number == 0 ||
	    number > 1000000 || *end == '\0' || end[1] != '\0')
		return -EINVAL;
	for (i = 0; i < ARRAY_SIZE(units); i++) {
		if (*end == units[i].unit) {
			*ret_ms = number * units[i].ms;
			return 0;
		}
	}
	return -EINVAL;
}
