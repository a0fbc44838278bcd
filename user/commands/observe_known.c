// SPDX-License-Identifier: Apache-2.0
#include "commands/observe_known.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int observe_known_add(struct observe_known *known, const char *id)
{
	if (!known->ids)
		known->ids = json_object();
	free(known->last);
	known->last = strdup(id);
	return known->last && json_object_set_new(known->ids, id, json_true()) == 0 ? 0 : -ENOMEM;
}

bool observe_known_has(struct observe_known *known, const char *id)
{
	bool has = known->ids && json_object_get(known->ids, id);

	if (has && strcmp(id, known->last) == 0)
		observe_known_free(known);
	return has;
}

void observe_known_free(struct observe_known *known)
{
	json_decref(known->ids);
	free(known->last);
	*known = (struct observe_known) {.ids = NULL};
}
