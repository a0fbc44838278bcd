// SPDX-License-Identifier: Apache-2.0
#include "lib/hosts_file.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/address.h"
#include "lib/name_files.h"
#include "lib/util.h"

#define SPACE " \t\r\n"

/* Tells whether the line gives the name an address of the family. @line is taken apart. */
static bool line_has(char *line, const char *name, bool ipv4, uint8_t ret_address[16])
{
	char *position, *word;

	line[strcspn(line, "#")] = '\0';
	word = strtok_r(line, SPACE, &position);
	if (!word || address_parse(word, ret_address) < 0 || address_is_ipv4(ret_address) != ipv4)
		return false;
	while ((word = strtok_r(NULL, SPACE, &position)))
		if (strcasecmp(word, name) == 0)
			return true;
	return false;
}

size_t hosts_file_find(const char *path, const char *name, uint8_t (*ret_addresses)[16], size_t max)
{
	_cleanup_fclose_ FILE *file = name_files_open(path);
	char line[1024];
	size_t count = 0;
	int pass;

	for (pass = 0; file && pass < 2; pass++) {
		rewind(file);
		while (count < max && fgets(line, sizeof(line), file))
			count += line_has(line, name, pass == 0, ret_addresses[count]);
	}
	return count;
}
