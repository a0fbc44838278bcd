// SPDX-License-Identifier: Apache-2.0
#include "control/control_egress.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "lib/socket_address.h"
#include "lib/util.h"

/* The body needs a depth of 3. jansson recurses, and its own limit is 2048. */
#define DEPTH_MAX 16

static int invalid(char reason[CONTROL_EGRESS_REASON_MAX], const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static int invalid(char reason[CONTROL_EGRESS_REASON_MAX], const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(reason, CONTROL_EGRESS_REASON_MAX, format, arguments);
	va_end(arguments);
	return -EINVAL;
}

/* Returns the offset at which the nesting becomes too deep, or @size. Any text is allowed. */
static size_t find_too_deep(const char *text, size_t size)
{
	unsigned int depth = 0;
	bool string = false;
	size_t i;

	for (i = 0; i < size; i++) {
		if (string && text[i] == '\\')
			i++;
		else if (text[i] == '"')
			string = !string;
		else if (string)
			continue;
		else if ((text[i] == '{' || text[i] == '[') && ++depth > DEPTH_MAX)
			return i;
		else if ((text[i] == '}' || text[i] == ']') && depth > 0)
			depth--;
	}
	return size;
}

static const char *type_name(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "an array";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
		return "a number";
	case JSON_REAL:
		return "a number that is not an integer";
	case JSON_TRUE:
	case JSON_FALSE:
		return "a boolean";
	default:
		return "null";
	}
}

static int parse_port(const json_t *value, struct control_egress *egress, char *reason)
{
	json_int_t port;

	if (!json_is_integer(value))
		return invalid(reason, "\"port\" must be an integer from 1 to 65535, not %s",
			       type_name(value));
	port = json_integer_value(value);
	if (port < 1 || port > 65535)
		return invalid(reason,
			       "\"port\" must be from 1 to 65535, not %" JSON_INTEGER_FORMAT, port);
	egress->has_port = true;
	egress->port = (uint16_t)port;
	return 0;
}

static int parse_internet(const json_t *value, struct control_egress *egress, char *reason)
{
	const json_t *enabled;

	if (!json_is_object(value))
		return invalid(reason, "\"internet\" must be an object, not %s", type_name(value));
	enabled = json_object_get(value, "enabled");
	if (!enabled)
		return 0;
	if (!json_is_boolean(enabled))
		return invalid(reason, "\"internet.enabled\" must be true or false, not %s",
			       type_name(enabled));
	egress->policy.has_internet = true;
	egress->policy.internet = json_is_true(enabled);
	return 0;
}

static int parse_globs(const json_t *value, struct control_egress *egress, char *reason)
{
	size_t i, count = json_array_size(value);

	if (!json_is_array(value))
		return invalid(reason, "\"dns.allowHostnames\" must be an array of strings, not %s",
			       type_name(value));
	if (count > POLICY_GLOBS_MAX)
		return invalid(reason,
			       "\"dns.allowHostnames\" has %zu entries, at most %d are "
			       "possible",
			       count, POLICY_GLOBS_MAX);
	egress->globs = calloc(count + 1, sizeof(*egress->globs));
	if (!egress->globs)
		return -ENOMEM;
	for (i = 0; i < count; i++) {
		const json_t *glob = json_array_get(value, i);
		size_t length = json_string_length(glob);

		if (!json_is_string(glob))
			return invalid(reason,
				       "\"dns.allowHostnames[%zu]\" must be a string, not %s", i,
				       type_name(glob));
		if (length == 0 || length > POLICY_GLOB_MAX)
			return invalid(reason,
				       "\"dns.allowHostnames[%zu]\" has %zu bytes, 1 to %d are "
				       "possible",
				       i, length, POLICY_GLOB_MAX);
		egress->globs[i] = json_string_value(glob);
	}
	egress->policy.has_allowed = true;
	egress->policy.allowed = egress->globs;
	egress->policy.allowed_count = count;
	return 0;
}

static int parse_dns(const json_t *value, struct control_egress *egress, char *reason)
{
	const json_t *globs;

	if (!json_is_object(value))
		return invalid(reason, "\"dns\" must be an object, not %s", type_name(value));
	globs = json_object_get(value, "allowHostnames");
	return globs ? parse_globs(globs, egress, reason) : 0;
}

static int load(const char *body, size_t size, json_t **ret_json, char *reason)
{
	size_t deep = find_too_deep(body, size);
	json_error_t error;

	if (size == 0)
		return invalid(reason, "the body is empty, a JSON object is needed, such as "
				       "{\"port\":8080}");
	if (deep < size)
		return invalid(reason, "JSON: nested deeper than %d at byte %zu", DEPTH_MAX, deep);
	*ret_json = json_loadb(body, size, JSON_REJECT_DUPLICATES, &error);
	if (*ret_json)
		return 0;
	if (json_error_code(&error) == json_error_out_of_memory)
		return -ENOMEM;
	return invalid(reason, "JSON: line %d, column %d: %s", error.line, error.column,
		       error.text);
}

int control_egress_parse(const char *body, size_t size, struct control_egress *ret_egress,
			 char reason[CONTROL_EGRESS_REASON_MAX])
{
	static const struct {
		const char *name;
		int (*parse)(const json_t *value, struct control_egress *egress, char *reason);
	} fields[] = {
		{"port", parse_port},
		{"internet", parse_internet},
		{"dns", parse_dns},
	};
	unsigned int known = 0;
	size_t i;
	int error;

	memset(ret_egress, 0, sizeof(*ret_egress));
	ret_egress->policy.origin = CONTROL_EGRESS_ORIGIN;
	error = load(body, size, &ret_egress->json, reason);
	if (error < 0)
		return error;
	if (!json_is_object(ret_egress->json))
		return invalid(reason, "a JSON object is needed, not %s",
			       type_name(ret_egress->json));
	for (i = 0; i < ARRAY_SIZE(fields); i++) {
		const json_t *value = json_object_get(ret_egress->json, fields[i].name);

		if (!value)
			continue;
		known++;
		error = fields[i].parse(value, ret_egress, reason);
		if (error < 0)
			return error;
	}
	if (known == 0)
		return invalid(reason, "the object names nothing to change: give \"port\", "
				       "\"internet\" or \"dns\"");
	return 0;
}

/* Has DNS steered before the internet is off, and no longer than that. */
static int apply_policy(const struct policy_change *change, const struct control_config *config,
			char reason[CONTROL_EGRESS_REASON_MAX])
{
	bool steers = change->has_internet && config->set_internet;
	int error = 0;

	if (steers && !change->internet)
		error = config->set_internet(config->context, false, reason,
					     CONTROL_EGRESS_REASON_MAX);
	if (error < 0)
		return error;
	error = policy_apply(config->policy, change);
	if (steers && policy_internet(config->policy))
		(void)config->set_internet(config->context, true, reason,
					   CONTROL_EGRESS_REASON_MAX);
	if (error == -EINVAL || error == -E2BIG)
		return invalid(reason,
			       "\"dns.allowHostnames\" holds a pattern that is empty or too long");
	return error;
}

int control_egress_apply(const struct control_egress *egress, struct control_config *config,
			 char reason[CONTROL_EGRESS_REASON_MAX])
{
	struct socket_address gateway;
	const in_port_t *port = NULL;
	int error;

	if (egress->has_port) {
		gateway = proxy_gateway(config->proxy);
		port = socket_address_port(&gateway);
	}
	if (egress->has_port && !port)
		return invalid(reason, "\"port\" cannot be set: the gateway is a unix socket");
	/* The policy goes first: it may fail, and until then nothing has changed. */
	error = apply_policy(&egress->policy, config, reason);
	if (error < 0 || !port || *port == htons(egress->port))
		return error;
	proxy_set_gateway_port(config->proxy, htons(egress->port), CONTROL_EGRESS_ORIGIN);
	if (config->gateway_changed)
		config->gateway_changed(config->context);
	return 0;
}

void control_egress_log(const struct control_egress *egress, const char *peer)
{
	char port[32] = "", internet[32] = "", names[64] = "";

	if (egress->has_port)
		(void)snprintf(port, sizeof(port), " port %u", egress->port);
	if (egress->policy.has_internet)
		(void)snprintf(internet, sizeof(internet), " internet %s",
			       egress->policy.internet ? "on" : "off");
	if (egress->policy.has_allowed)
		(void)snprintf(names, sizeof(names), " %zu patterns of host names",
			       egress->policy.allowed_count);
	log_info("control: egress set by %s:%s%s%s", peer, port, internet, names);
}

void control_egress_clear(struct control_egress *egress)
{
	json_decref(egress->json);
	free(egress->globs);
	memset(egress, 0, sizeof(*egress));
}
