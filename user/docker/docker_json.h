/* SPDX-License-Identifier: Apache-2.0 */
/* Parses a Docker engine's answers about networks. The functions are pure. Private to user/docker.
 */
#ifndef SIDESTEP_DOCKER_JSON_H
#define SIDESTEP_DOCKER_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "docker/docker_network.h"
#include "lib/json.h"
#include "lib/util.h"

#define DOCKER_REASON_MAX 256

/* The engine's answer is refused if it has more networks. */
#define DOCKER_NETWORKS_MAX 4096

/* Combines the answers to GET /networks and GET /containers/json; since API 1.28 the former lists
 * no containers. Returns 0, or -EBADMSG, -E2BIG or -ENOMEM with the text and its place in @reason.
 * The caller frees the networks with docker_state_free(). */
int docker_parse_state(const char *networks, size_t networks_size, const char *containers,
		       size_t containers_size, struct docker_network **ret_networks,
		       size_t *ret_count, char reason[DOCKER_REASON_MAX]);

void docker_state_free(struct docker_network *networks, size_t count);

/* The effect of an event on the state that was read before it. */
enum docker_event_effect {
	DOCKER_EVENT_NOTHING,
	DOCKER_EVENT_CHANGED, /* read it again */
	/* Read it again at once and a little later. A container joins or leaves a network, and the
	 * engine sends the event before GET /containers/json shows it. (moby,
	 * daemon/container_operations.go: the event precedes the container's CheckpointTo.) */
	DOCKER_EVENT_CHANGING,
};

/* Parses one line of GET /events. Returns 0, or -EBADMSG with @reason. */
int docker_parse_event(const char *line, size_t size, enum docker_event_effect *ret_effect,
		       char reason[DOCKER_REASON_MAX]);

/* Returns the "message" of an error answer in @reason, truncated, or "" if it has none. */
void docker_parse_error(const char *body, size_t size, char reason[DOCKER_REASON_MAX]);

/* GET /events' parameter "filters" for the events that docker_parse_event() knows. It filters
 * actions too, because each health check alone sends three container events. */
#define DOCKER_NETWORKS_EVENT_FILTERS                                                              \
	"{\"type\":[\"network\",\"container\",\"daemon\"],"                                        \
	"\"event\":[\"create\",\"connect\",\"disconnect\",\"destroy\",\"remove\",\"update\","      \
	"\"start\",\"die\",\"rename\",\"reload\"]}"

/* The following serve docker_sidecars_json too. */

/* Writes @reason and evaluates to @error. */
int docker_refuse(int error, char reason[DOCKER_REASON_MAX], const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Parses JSON. On failure it returns NULL with a text in @reason that begins with @what. */
json_t *docker_load(const char *what, const char *text, size_t size,
		    char reason[DOCKER_REASON_MAX]);

#endif
