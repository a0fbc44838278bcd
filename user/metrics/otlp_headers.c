// SPDX-License-Identifier: Apache-2.0
#include "metrics/otlp_headers.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/util.h"

#define BLANKS " \t"

/* The request has these itself, or they would change what it means. */
static bool is_reserved(const char *name)
{
	static const char *const names[] = {"host",	  "content-length",    "content-type",
					    "connection", "transfer-encoding", "content-encoding",
					    "expect",	  "upgrade",	       "user-agent"};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (strcasecmp(name, names[i]) == 0)
			return true;
	return false;
}

/* Is it a token (RFC 9110 section 5.6.2)? */
static bool is_name(const char *name)
{
	static const char characters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					 "0123456789!#$%&'*+-.^_`|~";

	return name[0] && name[strspn(name, characters)] == '\0';
}

static bool is_value(const char *value)
{
	for (; *value; value++)
		if ((unsigned char)*value < ' ' || *value == 0x7f)
			return false;
	return true;
}

/* Cuts blanks off both ends, in place. */
static char *trim(char *text)
{
	size_t length;

	text += strspn(text, BLANKS);
	length = strlen(text);
	while (length > 0 && strchr(BLANKS, text[length - 1]))
		length--;
	text[length] = '\0';
	return text;
}

static int add(struct otlp_headers *headers, const char *name, const char *value)
{
	size_t room = sizeof(headers->lines) - headers->size;
	int size;

	if (!is_name(name) || !is_value(value) || is_reserved(name))
		return -EINVAL;
	size = snprintf(headers->lines + headers->size, room, "%s: %s\r\n", name, value);
	if ((size_t)size >= room) {
		headers->lines[headers->size] = '\0';
		return -EINVAL;
	}
	headers->size += (size_t)size;
	return 0;
}

int otlp_headers_add(struct otlp_headers *headers, const char *text)
{
	_cleanup_free_ char *copy = strdup(text);
	char *colon = copy ? strchr(copy, ':') : NULL;

	if (!colon)
		return -EINVAL;
	*colon = '\0';
	return add(headers, copy, trim(colon + 1));
}

static int hex_value(char digit)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	const char *at = digit ? strchr(digits, digit) : NULL;

	return at ? (int)(at - digits) % 16 : -1;
}

/* Decodes %XX in place. False: a % stands alone, or the byte is NUL. */
static bool decode(char *text)
{
	char *out = text;

	while (*text) {
		int high, low;

		if (*text != '%') {
			*out++ = *text++;
			continue;
		}
		high = hex_value(text[1]);
		low = high < 0 ? -1 : hex_value(text[2]);
		if (low < 0 || (high == 0 && low == 0))
			return false;
		*out++ = (char)(high * 16 + low);
		text += 3;
	}
	*out = '\0';
	return true;
}

int otlp_headers_add_list(struct otlp_headers *headers, const char *text)
{
	_cleanup_free_ char *copy = strdup(text);
	char *rest = copy, *entry;

	while ((entry = strsep(&rest, ","))) {
		char *equals = strchr(entry, '=');

		/* A list may end with a comma. */
		if (*trim(entry) == '\0')
			continue;
		if (!equals)
			return -EINVAL;
		*equals = '\0';
		if (!decode(equals + 1) || add(headers, trim(entry), trim(equals + 1)) < 0)
			return -EINVAL;
	}
	return copy ? 0 : -EINVAL;
}
