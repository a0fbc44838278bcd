/* SPDX-License-Identifier: Apache-2.0 */
/* Releases JSON values (jansson) at the end of a scope. */
#ifndef SIDESTEP_JSON_H
#define SIDESTEP_JSON_H

#include <jansson.h>

static inline void cleanup_json(json_t **value)
{
	json_decref(*value);
}

#define _cleanup_json_ __attribute__((cleanup(cleanup_json)))

#endif
