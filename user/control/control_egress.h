/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The body of PUT /egress:
 *
 *	{"port": 1..65535, "internet": {"enabled": bool}, "dns": {"allowHostnames": ["glob", ...]}}
 *
 * Every field may be absent, which leaves it as it is. Fields that are not known are ignored, as
 *Go's decoder does, so that a newer workerd may send more; a body in which nothing is known is an
 *error, as is a field that comes twice, null, nesting deeper than 16, or anything behind the
 *object.
 */
#ifndef SIDESTEP_CONTROL_EGRESS_H
#define SIDESTEP_CONTROL_EGRESS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/policy.h"

#define CONTROL_EGRESS_REASON_MAX 256

struct control_change {
	bool has_port;
	uint16_t port; /* host byte order */
	struct policy_change policy;
	json_t *json;	    /* owns the globs' text */
	const char **globs; /* policy.allowed */
};

/* Returns 0, -ENOMEM, or -EINVAL with the cause in @reason, naming field and position. The change
 * is to be cleared in any case. */
int control_egress_parse(const char *body, size_t size, struct control_change *ret_change,
			 char reason[CONTROL_EGRESS_REASON_MAX]);

void control_change_clear(struct control_change *change);

#endif
