/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the search list of resolv.conf(5), whose domains a resolver's client appends to names. */
#ifndef SIDESTEP_SEARCH_LIST_H
#define SIDESTEP_SEARCH_LIST_H

#include <stddef.h>

/* glibc before 2.26 takes 6 domains and later ones any number. */
#define SEARCH_LIST_MAX 64
/* Characters of a domain. Longer ones are left out. */
#define SEARCH_LIST_DOMAIN_MAX 255

struct search_list {
	char *line; /* owns the domains' text */
	const char *domains[SEARCH_LIST_MAX];
	size_t count;
};

/* Reads the last "search" or "domain" line of the file @path. A file that cannot be read has no
 * domains. Returns 0 or -ENOMEM. The caller clears @ret_list in any case. */
int search_list_read(const char *path, struct search_list *ret_list);

void search_list_clear(struct search_list *list);

#endif
