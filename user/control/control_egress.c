// SPDX-License-Identifier: Apache-2.0
#include "control/control_egress.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The body's own depth is 3. jansson recurses, and its limit of 2048 is more than is needed. */
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

/* Where the nesting becomes too deep, or @size. The text need not be JSON. */
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

static int parse_port(const json_t *value, struct control_change *change, char *reason)
{
	json_int_t port;

	if (!json_is_integer(value))
		return invalid(reason, "\"port\" must be an integer from 1 to 65535, not %s",
			       type_name(value));
	port = json_integer_value(value);
	if (port < 1 || port > 65535)
		return invalid(reason,
			       "\"port\" must be from 1 to 65535, not %" JSON_INTEGER_FORMAT, port);
	change->has_port = true;
	change->port = (uint16_t)port;
	return 0;
}

static int parse_internet(const json_t *value, struct control_change *change, char *reason)
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
	change->policy.has_internet = true;
	change->policy.internet = json_is_true(enabled);
	return 0;
}

static int parse_globs(const json_t *value, struct control_change *change, char *reason)
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
	change->globs = calloc(count + 1, sizeof(*change->globs));
	if (!change->globs)
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
		change->globs[i] = json_string_value(glob);
	}
	change->policy.has_allowed = true;
	change->policy.allowed = change->globs;
	change->policy.allowed_count = count;
	return 0;
}

static int parse_dns(const json_t *value, struct control_change *change, char *reason)
{
	const json_t *globs;

	if (!json_is_object(value))
		return invalid(reason, "\"dns\" must be an object, not %s", type_name(value));
	globs = json_object_get(value, "allowHostnames");
	return globs ? parse_globs(globs, change, reason) : 0;
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

int control_egress_parse(const char *body, size_t size, struct control_change *ret_change,
			 char reason[CONTROL_EGRESS_REASON_MAX])
{
	static const struct {
		const char *name;
		int (*parse)(const json_t *value, struct control_change *change, char *reason);
	} fields[] = {
		{"port", parse_port},
		{"internet", parse_internet},
		{"dns", parse_dns},
	};
	unsigned int known = 0;
	size_t i;
	int error;

	memset(ret_change, 0, sizeof(*ret_change));
	error = load(body, size, &ret_change->json, reason);
	if (error < 0)
		return error;
	if (!json_is_object(ret_change->json))
		return invalid(reason, "a JSON object is needed, not %s",
			       type_name(ret_change->json));
	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		const json_t *value = json_object_get(ret_change->json, fields[i].name);

		if (!value)
			continue;
		known++;
		error = fields[i].parse(value, ret_change, reason);
		if (error < 0)
			return error;
	}
	if (known == 0)
		return invalid(reason, "the object names nothing to change: give \"port\", "
				       "\"internet\" or \"dns\"");
	return 0;
}

void control_change_clear(struct control_change *change)
{
	json_decref(change->json);
	free(change->globs);
	memset(change, 0, sizeof(*change));
}
