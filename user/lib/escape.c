// SPDX-License-Identifier: Apache-2.0
#include "lib/escape.h"

#include <stdio.h>
#include <string.h>

const char *escape_text(char *buffer, size_t size, const char *text)
{
	size_t used = 0;

	buffer[0] = '\0';
	for (; *text; text++) {
		unsigned char byte = (unsigned char)*text;
		char shown[8];
		size_t length;

		if (byte == '\\')
			(void)snprintf(shown, sizeof(shown), "\\\\");
		else if (byte < 0x20 || byte > 0x7e)
			(void)snprintf(shown, sizeof(shown), "\\x%02x", byte);
		else
			(void)snprintf(shown, sizeof(shown), "%c", byte);
		length = strlen(shown);
		if (used + length >= size)
			break;
		memcpy(buffer + used, shown, length + 1);
		used += length;
	}
	return buffer;
}
