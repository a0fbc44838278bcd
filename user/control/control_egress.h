/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The body of PUT /egress:
 *
 *	{"port": 1..65535, "internet": {"enabled": bool}, "dns": {"allowHostnames": ["glob", ...]}}
 *
 * Every field may be absent, and then stays as it is. Unknown fields are ignored, as Go's decoder
 * ignores them, because a newer workerd may send more. A body without any known field is an error.
 * So is a field that comes twice or is null, a nesting deeper than 16, and anything behind the
 * object.
 */
#ifndef SIDESTEP_CONTROL_EGRESS_H
#define SIDESTEP_CONTROL_EGRESS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/control_config.h"
#include "proxy/policy.h"

#define CONTROL_EGRESS_REASON_MAX 256
/* As events name it. */
#define CONTROL_EGRESS_ORIGIN "PUT /egress"

/* The change that a body asks for. */
struct control_egress {
	bool has_port;
	uint16_t port; /* host byte order */
	struct policy_change policy;
	json_t *json;	    /* owns the globs' text */
	const char **globs; /* policy.allowed */
};

/* Returns 0, -ENOMEM, or -EINVAL with the cause in @reason, which names field and position. The
 * caller clears @ret_egress in any case. */
int control_egress_parse(const char *body, size_t size, struct control_egress *ret_egress,
			 char reason[CONTROL_EGRESS_REASON_MAX]);

/* Changes the policy and the gateway's port: all of it, or nothing. Returns 0, or with the cause in
 * @reason -ENOMEM, -EINVAL or the error of config->set_internet(). */
int control_egress_apply(const struct control_egress *egress, struct control_config *config,
			 char reason[CONTROL_EGRESS_REASON_MAX]);

/* Logs the change as the one of @peer. */
void control_egress_log(const struct control_egress *egress, const char *peer);

void control_egress_clear(struct control_egress *egress);

#endif
