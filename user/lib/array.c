// SPDX-License-Identifier: Apache-2.0
#include "lib/array.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int array_append(struct array *array, const void *item)
{
	void *items;

	if (array->limit && array->count == array->limit)
		return -ENOSPC;
	/* The room doubles: a power of two is full. */
	if ((array->count & (array->count - 1)) == 0) {
		size_t room = array->count ? 2 * array->count : 1;

		items = reallocarray(array->items, room, array->size);
		if (!items)
			return -ENOMEM;
		array->items = items;
	}
	memcpy((char *)array->items + array->count++ * array->size, item, array->size);
	return 0;
}
