// SPDX-License-Identifier: Apache-2.0
#include "lib/json_text.h"

#include <string.h>

/* Returns the size of the UTF-8 character at @text (RFC 3629 section 4), or 0 if there is none. */
static size_t utf8_size(const unsigned char *text)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t size, i;

	if (text[0] < 0x80)
		return 1;
	if (text[0] < 0xc2 || text[0] > 0xf4)
		return 0;
	size = text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : 4;
	if (text[0] == 0xe0)
		low = 0xa0;
	else if (text[0] == 0xed)
		high = 0x9f;
	else if (text[0] == 0xf0)
		low = 0x90;
	else if (text[0] == 0xf4)
		high = 0x8f;
	for (i = 1; i < size; i++) {
		if (text[i] < low || text[i] > high)
			return 0;
		low = 0x80;
		high = 0xbf;
	}
	return size;
}

/* Writes @size bytes at @out. Returns the place behind them. */
static char *put(char *out, const char *bytes, size_t size)
{
	memcpy(out, bytes, size);
	return out + size;
}

size_t json_text_write(const char *string, char *out)
{
	static const char hex[] = "0123456789abcdef";
	const unsigned char *text = (const unsigned char *)string;
	char *at = out;

	*at++ = '"';
	while (*text) {
		size_t size = utf8_size(text);

		if (*text == '"' || *text == '\\') {
			*at++ = '\\';
			*at++ = (char)*text++;
		} else if (*text < 0x20 || *text == 0x7f) {
			at = put(at, "\\u00", 4);
			*at++ = hex[*text >> 4];
			*at++ = hex[*text++ & 15];
		} else if (size > 0) {
			at = put(at, (const char *)text, size);
			text += size;
		} else {
			at = put(at, "\\ufffd", JSON_TEXT_ESCAPED);
			text++;
		}
	}
	*at++ = '"';
	return (size_t)(at - out);
}
