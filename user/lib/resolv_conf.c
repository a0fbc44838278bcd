// SPDX-License-Identifier: Apache-2.0
#include "lib/resolv_conf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/address.h"
#include "lib/name_files.h"
#include "lib/util.h"

#define SPACE	  " \t\r\n"
#define NDOTS	  "ndots:"
#define NDOTS_MAX 15 /* as glibc has it (RES_MAXNDOTS) */

static void take_options(struct resolv_conf *conf, char **position)
{
	const char *word;

	while ((word = strtok_r(NULL, SPACE, position))) {
		unsigned long ndots;

		if (strncmp(word, NDOTS, strlen(NDOTS)) != 0)
			continue;
		ndots = strtoul(word + strlen(NDOTS), NULL, 10);
		conf->ndots = ndots > NDOTS_MAX ? NDOTS_MAX : (unsigned int)ndots;
	}
}

static void take_line(struct resolv_conf *conf, char *line)
{
	char *position, *word = strtok_r(line, SPACE, &position);

	if (!word)
		return;
	if (strcmp(word, "options") == 0) {
		take_options(conf, &position);
	} else if (strcmp(word, "nameserver") == 0 &&
		   conf->server_count < RESOLV_CONF_SERVERS_MAX &&
		   (word = strtok_r(NULL, SPACE, &position)) &&
		   address_parse(word, conf->servers[conf->server_count]) == 0) {
		conf->server_count++;
	}
}

int resolv_conf_read(const char *path, struct resolv_conf *conf)
{
	_cleanup_fclose_ FILE *file = name_files_open(path);
	struct resolv_conf read = {.ndots = 1};
	char line[1024];
	int error;

	if (!file)
		return -errno;
	error = search_list_read(path, &read.search);
	if (error < 0) {
		search_list_clear(&read.search);
		return error;
	}
	while (fgets(line, sizeof(line), file))
		take_line(&read, line);
	if (read.server_count == 0)
		(void)address_parse("127.0.0.1", read.servers[read.server_count++]);
	resolv_conf_clear(conf);
	*conf = read;
	return 0;
}

void resolv_conf_clear(struct resolv_conf *conf)
{
	search_list_clear(&conf->search);
	memset(conf, 0, sizeof(*conf));
}
