// SPDX-License-Identifier: Apache-2.0
#include "proto/hostname.h"

#include <string.h>

bool hostname_has(char letter)
{
	return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
	       (letter >= '0' && letter <= '9') || letter == '-' || letter == '_';
}

char hostname_lower(char letter)
{
	return letter >= 'A' && letter <= 'Z' ? (char)(letter - 'A' + 'a') : letter;
}

size_t hostname_length(const char *name)
{
	size_t length = strlen(name);

	return length > 0 && name[length - 1] == '.' ? length - 1 : length;
}

/* @more: the characters that are allowed besides those of a label. */
static bool has_only(const char *name, size_t size, const char *more)
{
	size_t i;

	for (i = 0; i < size; i++) {
		if (!hostname_has(name[i]) && (!name[i] || !strchr(more, name[i])))
			return false;
	}
	return true;
}

bool hostname_valid(const char *name, size_t size)
{
	return size > 0 && size <= HOSTNAME_MAX && has_only(name, size, ".");
}

bool hostname_valid_with_port(const char *name, size_t size)
{
	return size > 0 && size <= HOSTNAME_PORT_MAX && has_only(name, size, ".:[]");
}

size_t hostname_length_without_port(const char *name)
{
	const char *colon = strrchr(name, ':');
	bool alone = colon && colon > name && (strchr(name, ':') == colon || colon[-1] == ']');

	return alone ? (size_t)(colon - name) : strlen(name);
}
