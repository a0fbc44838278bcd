/* SPDX-License-Identifier: Apache-2.0 */
/* Collects items of one size in memory that grows. */
#ifndef SIDESTEP_ARRAY_H
#define SIDESTEP_ARRAY_H

#include <stddef.h>

/* Initialise .size, and .limit or 0. The user frees .items. */
struct array {
	void *items; /* contiguous */
	size_t count;
	size_t size;  /* of an item, bytes */
	size_t limit; /* of ->count; 0: none */
};

/* Copies @item behind the last one. Returns 0, -ENOSPC at the limit, or -ENOMEM. */
int array_append(struct array *array, const void *item);

#endif
