/* SPDX-License-Identifier: Apache-2.0 */
/* Reads what a Docker engine answers: pure functions, no I/O. Private to docker. */
#ifndef SIDESTEP_DOCKER_JSON_H
#define SIDESTEP_DOCKER_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "docker/docker_networks.h"
#include "lib/util.h"

#define DOCKER_REASON_MAX 256

/* The answers to GET /networks and GET /containers/json, combined; the latter because the former
 * lists no containers (since API 1.28). Returns 0, or -EBADMSG, -E2BIG or -ENOMEM with the text,
 * its place included, in @reason. Free with docker_networks_free(). */
int docker_parse_state(const char *networks, size_t networks_size, const char *containers,
		       size_t containers_size, struct docker_network **ret_networks,
		       size_t *ret_count, char reason[DOCKER_REASON_MAX]);

void docker_networks_free(struct docker_network *networks, size_t count);

/* What an event means for the state that was read before it. */
enum docker_event_effect {
	DOCKER_EVENT_NOTHING,
	DOCKER_EVENT_CHANGED, /* read it again */
	/* Read it again at once and once more a little later: the engine tells of a container that
	 * joins or leaves a network before GET /containers/json shows it (moby,
	 * daemon/container_operations.go: the event is logged before the container's CheckpointTo).
	 */
	DOCKER_EVENT_CHANGING,
};

/* One line of GET /events. Returns 0, or -EBADMSG with @reason. */
int docker_parse_event(const char *line, size_t size, enum docker_event_effect *ret_effect,
		       char reason[DOCKER_REASON_MAX]);

/* The "message" of an error answer, or "" when there is none. Cut to fit. */
void docker_parse_error(const char *body, size_t size, char reason[DOCKER_REASON_MAX]);

/* GET /events' parameter "filters" for what docker_parse_event() knows. The actions too: a health
 * check alone makes three container events each time. */
#define DOCKER_EVENT_FILTERS                                                                       \
	"{\"type\":[\"network\",\"container\",\"daemon\"],"                                        \
	"\"event\":[\"create\",\"connect\",\"disconnect\",\"destroy\",\"remove\",\"update\","      \
	"\"start\",\"die\",\"rename\",\"reload\"]}"

/* For all that reads what the engine says: */

static inline void cleanup_json(json_t **value)
{
	json_decref(*value);
}

#define _cleanup_json_ _cleanup_(cleanup_json)

/* Writes @reason and evaluates to @error. */
int docker_refuse(int error, char reason[DOCKER_REASON_MAX], const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Returns NULL with the text, which begins with @what, in @reason when it is not JSON. */
json_t *docker_load(const char *what, const char *text, size_t size,
		    char reason[DOCKER_REASON_MAX]);

#endif
