// SPDX-License-Identifier: Apache-2.0
#include "doctor/report_scrub.h"

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util.h"

/* The end of a name, and what is before its value. A JSON document in a string has \". */
#define COLON "\\\\?\"?[ \t]*[:=][ \t]*"

#define CALLED_SECRET                                                                              \
	"(passw(or)?d|secret|token|credential|api[_-]?key|access[_-]?key)[a-z0-9_-]{0,64}" COLON

/* Extended regular expressions. The first group stays, what follows it is removed. None can begin
 * at many places of a text and look far ahead from each, because applications write logs. */
static const char *const patterns[] = {
	"(-----BEGIN [A-Z ]*PRIVATE KEY-----)([^-]|-[^-]|--[^-]|---[^-]|----[^-])*",
	"((proxy-)?authorization" COLON ")[^\r\n]+",
	"((set-)?cookie2?" COLON ")[^\r\n]+",
	"(\\b(bearer|basic) +)[A-Za-z0-9._~+/=-]+",
	"(://)[^/ \t\r\n\"]+@",
	"(" CALLED_SECRET "\\\\?\")(\\\\.|[^\r\n\"\\\\])+",
	"(" CALLED_SECRET ")[^ \t\r\n\"\\\\,;&]+",
	"([a-z0-9/.:_~%-]\\?)[^ \t\r\n\"<>]+",
};

struct text {
	char *bytes; /* NUL-terminated */
	size_t used, room;
};

static int append(struct text *text, const char *bytes, size_t size)
{
	char *grown;

	if (text->used + size + 1 > text->room) {
		text->room = 2 * (text->used + size + 1);
		grown = realloc(text->bytes, text->room);
		if (!grown)
			return -ENOMEM;
		text->bytes = grown;
	}
	memcpy(text->bytes + text->used, bytes, size);
	text->used += size;
	text->bytes[text->used] = '\0';
	return 0;
}

/* Returns a copy in which each match has lost what follows its first group. */
static char *replace(const char *from, const char *pattern)
{
	struct text text = {.bytes = NULL};
	size_t size = strlen(from), at = 0;
	regmatch_t found[2];
	regex_t regex;
	int error;

	if (regcomp(&regex, pattern, REG_EXTENDED | REG_ICASE) != 0)
		return NULL;
	error = append(&text, "", 0);
	while (error == 0) {
		found[0] = (regmatch_t) {.rm_so = (regoff_t)at, .rm_eo = (regoff_t)size};
		if (regexec(&regex, from, ARRAY_SIZE(found), found, REG_STARTEND) != 0)
			break;
		error = append(&text, from + at, (size_t)found[1].rm_eo - at);
		if (error == 0)
			error = append(&text, REPORT_SCRUBBED, strlen(REPORT_SCRUBBED));
		at = (size_t)found[0].rm_eo;
	}
	if (error == 0)
		error = append(&text, from + at, size - at);
	regfree(&regex);
	if (error == 0)
		return text.bytes;
	free(text.bytes);
	return NULL;
}

char *report_scrub(const char *text, size_t size)
{
	char *clean = malloc(size + 1), *next;
	size_t i, used = 0;

	if (!clean)
		return NULL;
	for (i = 0; i < size; i++)
		if (text[i] != '\0')
			clean[used++] = text[i];
	clean[used] = '\0';
	for (i = 0; clean && i < ARRAY_SIZE(patterns); i++) {
		next = replace(clean, patterns[i]);
		free(clean);
		clean = next;
	}
	return clean;
}

static void scrub_string(json_t *value)
{
	_cleanup_free_ char *clean = report_scrub(json_string_value(value),
						  json_string_length(value));

	(void)json_string_set(value, clean ? clean : REPORT_SCRUBBED);
}

void report_scrub_json(json_t *value)
{
	const char *key;
	json_t *member;
	size_t i;

	if (json_is_string(value))
		scrub_string(value);
	json_array_foreach (value, i, member)
		report_scrub_json(member);
	json_object_foreach (value, key, member)
		report_scrub_json(member);
}
