// SPDX-License-Identifier: Apache-2.0
#include "commands/observe_print.h"

#include <stdio.h>
#include <string.h>

#include "events/reason.h"
#include "lib/escape.h"

#define RED    "\033[31m"
#define YELLOW "\033[33m"
#define PLAIN  "\033[0m"

#define FIELD_MAX 256

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

/* Texts come from applications, or by the agent from sidecars, and must not move the terminal's
 * cursor. */
static const char *safe(const json_t *object, const char *key, char buffer[FIELD_MAX])
{
	return escape_text(buffer, FIELD_MAX, text_of(object, key));
}

static const char *colour_of(const json_t *event)
{
	const char *type = text_of(event, "type"), *end = text_of(event, "end");

	if (strcmp(type, "lost") == 0 || strcmp(type, "denied") == 0 ||
	    strcmp(end, "reset_by_gateway") == 0)
		return YELLOW;
	return json_is_string(json_object_get(event, "message")) ? RED : "";
}

/* Prints who it was: the container's name and the process's, as far as they are known. */
static void print_origin(const json_t *event)
{
	const json_t *container = json_object_get(event, "container");
	const json_t *process = json_object_get(event, "process");
	char name[FIELD_MAX], comm[FIELD_MAX];

	if (json_is_object(container))
		(void)printf(" %s", safe(container, "name", name));
	if (json_is_object(process))
		(void)printf(" %s[%lld]", safe(process, "comm", comm),
			     (long long)json_integer_value(json_object_get(process, "pid")));
}

static void print_amounts(const json_t *event)
{
	const json_t *packets = json_object_get(event, "packets");

	if (json_is_integer(json_object_get(event, "duration_ms")))
		(void)printf("  %lld B out, %lld B in, %lld ms",
			     (long long)json_integer_value(json_object_get(event, "bytes_sent")),
			     (long long)json_integer_value(
				     json_object_get(event, "bytes_received")),
			     (long long)json_integer_value(json_object_get(event, "duration_ms")));
	if (json_is_integer(packets))
		(void)printf("  %lld packet%s", (long long)json_integer_value(packets),
			     json_integer_value(packets) == 1 ? "" : "s");
}

/* Prints what was asked, and the addresses that were made up or the code of the refusal. */
static void print_query(const json_t *query)
{
	const json_t *answers = json_object_get(query, "answers"), *answer;
	char text[FIELD_MAX];
	size_t i;

	if (!json_is_object(query))
		return;
	(void)printf("  %s", text_of(query, "type"));
	json_array_foreach (answers, i, answer)
		(void)printf(" %s", escape_text(text, sizeof(text), json_string_value(answer)));
	if (json_array_size(answers) == 0)
		(void)printf(" %s", text_of(query, "rcode"));
}

/* Prints what failed and what mends it, each on a line of its own. */
static void print_failure(const json_t *event)
{
	const char *remedy = reason_remedy(text_of(event, "reason"));
	char message[4 * FIELD_MAX];

	if (json_is_string(json_object_get(event, "message")))
		(void)printf("              %s\n",
			     escape_text(message, sizeof(message), text_of(event, "message")));
	if (remedy)
		(void)printf("              do:  %s\n", remedy);
}

void observe_print(const json_t *event, bool colours)
{
	const char *type = text_of(event, "type"), *end = text_of(event, "end");
	const char *colour = colours ? colour_of(event) : "";
	const char *day = strchr(text_of(event, "time"), 'T');
	char name[FIELD_MAX];

	/* The time of day, with milliseconds. */
	(void)printf("%s%.12s  ", colour, day ? day + 1 : "");
	if (strcmp(type, "lost") == 0) {
		(void)printf("%lld events are missing here",
			     (long long)json_integer_value(json_object_get(event, "lost")));
	} else {
		(void)printf("%-20s  %s -> %s", *end ? end : type, text_of(event, "src"),
			     text_of(event, "dst"));
		if (*safe(event, "name", name))
			(void)printf(" (%s)", name);
		print_origin(event);
		print_amounts(event);
		print_query(json_object_get(event, "query"));
		(void)printf("  %s", safe(event, "reason", name));
	}
	(void)printf("%s\n", *colour ? PLAIN : "");
	print_failure(event);
}
