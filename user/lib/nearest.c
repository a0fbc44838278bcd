// SPDX-License-Identifier: Apache-2.0
#include "lib/nearest.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* The longest name that is compared. */
#define NAME_MAX_COMPARED 64

static unsigned int minimum_of(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

/* Computes Levenshtein's edit distance, keeping one row of its table. */
static unsigned int name_distance(const char *a, const char *b)
{
	unsigned int row[NAME_MAX_COMPARED + 1];
	size_t length = strlen(b);
	unsigned int above, left;
	size_t i, j;

	if (strlen(a) > NAME_MAX_COMPARED || length > NAME_MAX_COMPARED)
		return UINT_MAX;
	for (j = 0; j <= length; j++)
		row[j] = (unsigned int)j;
	for (i = 0; a[i]; i++) {
		left = row[0];
		row[0] = (unsigned int)i + 1;
		for (j = 0; j < length; j++) {
			above = row[j + 1];
			row[j + 1] = minimum_of(minimum_of(above, row[j]) + 1,
						left + (a[i] != b[j]));
			left = above;
		}
	}
	return row[length];
}

void nearest_consider(struct nearest *nearest, const char *known)
{
	size_t length = strlen(nearest->name);
	unsigned int distance = name_distance(nearest->name, known);
	bool near = distance <= 2 || distance <= length / 3;

	/* A beginning is near as well: "--http-egress" for "--http-egress-port". */
	if (length >= 3 && strncmp(nearest->name, known, length) == 0)
		near = true;
	if (near && (!nearest->best || distance < nearest->distance)) {
		nearest->best = known;
		nearest->distance = distance;
	}
}
