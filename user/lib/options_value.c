// SPDX-License-Identifier: Apache-2.0
#include "lib/options_value.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "lib/util.h"

static unsigned int entry_maximum(const struct option_entry *entry)
{
	return entry->maximum ? entry->maximum : UINT_MAX;
}

const char *option_example_of(const struct option_entry *entry)
{
	if (entry->example)
		return entry->example;
	if (entry->default_text && *entry->default_text)
		return entry->default_text;
	switch (entry->type) {
	case OPTION_BOOL:
		return "true";
	case OPTION_CHOICE:
		return entry->choices[0];
	case OPTION_ADDRESS:
		return "192.0.2.1";
	case OPTION_ENDPOINT:
		return "127.0.0.1:8080";
	case OPTION_PREFIX:
	case OPTION_PREFIXES:
		return "172.17.0.0/16";
	case OPTION_UNSIGNED:
	case OPTION_STRING:
	case OPTION_STRINGS:
		break;
	}
	return NULL;
}

/* Go's strconv.ParseBool takes these values. */
static int bool_parse(const char *text, bool *ret_value)
{
	static const char *const spellings[2][6] = {
		{"0", "f", "F", "false", "False", "FALSE"},
		{"1", "t", "T", "true", "True", "TRUE"},
	};
	size_t i;

	for (i = 0; i < 2 * ARRAY_SIZE(spellings[0]); i++) {
		if (strcmp(text, spellings[i % 2][i / 2]) == 0) {
			*ret_value = i % 2;
			return 0;
		}
	}
	return -EINVAL;
}

static int unsigned_parse(const char *text, unsigned int minimum, unsigned int maximum,
			  unsigned int *ret_value)
{
	unsigned long long value = 0;

	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		value = value * 10 + (unsigned long long)(*text - '0');
		if (value > maximum)
			return -EINVAL;
	}
	if (value < minimum)
		return -EINVAL;
	*ret_value = (unsigned int)value;
	return 0;
}

static int choice_parse(const struct option_entry *entry, const char *text, unsigned int *ret_value)
{
	unsigned int i;

	for (i = 0; entry->choices[i]; i++) {
		if (strcmp(text, entry->choices[i]) == 0) {
			*ret_value = i;
			return 0;
		}
	}
	return -EINVAL;
}

static int entry_parse_prefix(const struct option_entry *entry, const char *text,
			      struct prefix *ret_prefix)
{
	if (entry->flags & OPTION_LENIENT)
		return prefix_parse_lenient(text, ret_prefix);
	return prefix_parse(text, ret_prefix);
}

/* Makes room for one more value of @size bytes at the end of @values. */
static int list_grow(void **values, size_t count, size_t size)
{
	void *grown;

	if (count >= OPTION_LIST_MAX)
		return -E2BIG;
	grown = reallocarray(*values, count + 1, size);
	if (!grown)
		return -ENOMEM;
	*values = grown;
	return 0;
}

static int strings_append(struct option_strings *list, const char *text)
{
	void *values = list->values;
	int error = list_grow(&values, list->count, sizeof(*list->values));

	if (error < 0)
		return error;
	list->values = values;
	list->values[list->count++] = text;
	return 0;
}

static int prefixes_append(struct option_prefixes *list, const struct prefix *prefix)
{
	void *values = list->values;
	int error = list_grow(&values, list->count, sizeof(*list->values));

	if (error < 0)
		return error;
	list->values = values;
	list->values[list->count++] = *prefix;
	return 0;
}

int option_store(const struct option_entry *entry, const char *text, void *field)
{
	struct option_address *address = field;
	struct option_prefix *prefix = field;
	struct prefix item;
	int error;

	switch (entry->type) {
	case OPTION_BOOL:
		return bool_parse(text, field);
	case OPTION_UNSIGNED:
		return unsigned_parse(text, entry->minimum, entry_maximum(entry), field);
	case OPTION_CHOICE:
		return choice_parse(entry, text, field);
	case OPTION_STRING:
		*(const char **)field = text;
		return 0;
	case OPTION_ADDRESS:
		error = address_parse(text, address->address);
		address->given = error == 0;
		return error;
	case OPTION_ENDPOINT:
		return endpoint_parse(text, field);
	case OPTION_PREFIX:
		error = entry_parse_prefix(entry, text, &prefix->prefix);
		prefix->given = error == 0;
		return error;
	case OPTION_STRINGS:
		return strings_append(field, text);
	case OPTION_PREFIXES:
		error = entry_parse_prefix(entry, text, &item);
		return error < 0 ? error : prefixes_append(field, &item);
	}
	return -EINVAL;
}

void option_clear(const struct option_entry *entry, void *field)
{
	static const size_t sizes[] = {
		[OPTION_BOOL] = sizeof(bool),
		[OPTION_UNSIGNED] = sizeof(unsigned int),
		[OPTION_CHOICE] = sizeof(unsigned int),
		[OPTION_STRING] = sizeof(const char *),
		[OPTION_ADDRESS] = sizeof(struct option_address),
		[OPTION_ENDPOINT] = sizeof(struct endpoint),
		[OPTION_PREFIX] = sizeof(struct option_prefix),
		[OPTION_STRINGS] = sizeof(struct option_strings),
		[OPTION_PREFIXES] = sizeof(struct option_prefixes),
	};

	memset(field, 0, sizes[entry->type]);
}

void option_describe_expected(const struct option_entry *entry, char *text, size_t size)
{
	size_t used = 0;
	unsigned int i;

	switch (entry->type) {
	case OPTION_BOOL:
		(void)snprintf(text, size, "true or false");
		return;
	case OPTION_UNSIGNED:
		if (entry->maximum)
			(void)snprintf(text, size, "a number from %u to %u", entry->minimum,
				       entry->maximum);
		else
			(void)snprintf(text, size, "a number of at least %u", entry->minimum);
		return;
	case OPTION_CHOICE:
		(void)snprintf(text, size, "one of");
		for (i = 0; entry->choices[i]; i++) {
			used = strlen(text);
			(void)snprintf(text + used, size - used, "%s %s", i ? "," : "",
				       entry->choices[i]);
		}
		return;
	case OPTION_ADDRESS:
		(void)snprintf(text, size, "an IPv4 or IPv6 address (names are not looked up)");
		return;
	case OPTION_ENDPOINT:
		(void)snprintf(text, size, "ADDRESS:PORT with a literal address, IPv6 in brackets");
		return;
	case OPTION_PREFIX:
	case OPTION_PREFIXES:
		(void)snprintf(text, size, "an IPv4 or IPv6 prefix");
		return;
	case OPTION_STRING:
	case OPTION_STRINGS:
		(void)snprintf(text, size, "a text");
		return;
	}
}

int option_report_bad_value(const struct option_entry *entry, const char *value, int error)
{
	const char *example = option_example_of(entry);
	char expected[256];
	char corrected[ADDRESS_TEXT_MAX];
	struct prefix prefix;

	if (error == -ENOMEM)
		return log_errno(error, "cannot keep the values of --%s", entry->name);
	if (error == -E2BIG) {
		log_error("--%s: given more than %d times", entry->name, OPTION_LIST_MAX);
		return -EINVAL;
	}
	if (error == -ERANGE && prefix_parse_lenient(value, &prefix) == 0) {
		log_error("--%s: '%.200s' has bits set behind its prefix length; did you mean %s?",
			  entry->name, value, prefix_format(&prefix, corrected));
		return -EINVAL;
	}
	option_describe_expected(entry, expected, sizeof(expected));
	log_error("--%s: '%.200s' is not %s%s%s%s%s", entry->name, value, expected,
		  example ? "; for example: --" : "", example ? entry->name : "",
		  example ? "=" : "", example ? example : "");
	return -EINVAL;
}
