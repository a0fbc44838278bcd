// SPDX-License-Identifier: Apache-2.0
#include "lib/search_list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/name_files.h"
#include "lib/util.h"

#define SPACE " \t\r\n"

/* Takes the domains of @line, which becomes the list's, if it is a line of them. */
static void take_line(struct search_list *list, char *line)
{
	char *position, *word = strtok_r(line, SPACE, &position);

	if (!word || (strcmp(word, "search") != 0 && strcmp(word, "domain") != 0)) {
		free(line);
		return;
	}
	search_list_clear(list);
	list->line = line;
	while (list->count < SEARCH_LIST_MAX && (word = strtok_r(NULL, SPACE, &position))) {
		if (strcmp(word, ".") != 0 && strlen(word) <= SEARCH_LIST_DOMAIN_MAX)
			list->domains[list->count++] = word;
	}
}

int search_list_read(const char *path, struct search_list *ret_list)
{
	_cleanup_fclose_ FILE *file = name_files_open(path);

	memset(ret_list, 0, sizeof(*ret_list));
	while (file) {
		char *line = NULL;
		size_t room = 0;

		errno = 0;
		if (getline(&line, &room, file) < 0) {
			free(line);
			return errno == ENOMEM ? -ENOMEM : 0;
		}
		take_line(ret_list, line);
	}
	return 0;
}

void search_list_clear(struct search_list *list)
{
	free(list->line);
	memset(list, 0, sizeof(*list));
}
