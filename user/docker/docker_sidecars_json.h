/* SPDX-License-Identifier: Apache-2.0 */
/* Reads what a Docker engine says of containers: pure functions, no I/O. Private to
 * docker_containers. */
#ifndef SIDESTEP_DOCKER_SIDECARS_JSON_H
#define SIDESTEP_DOCKER_SIDECARS_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <time.h>

#include "docker/docker_json.h"

#define DOCKER_ID_MAX 64

/* Whether it is fit to become part of a request's path. */
bool docker_is_id(const char *text);

/* GET /events' parameter "filters" for what docker_parse_container_event() reads. */
#define DOCKER_CONTAINER_EVENT_FILTERS                                                             \
	"{\"type\":[\"container\"],\"event\":[\"start\",\"die\",\"destroy\",\"rename\"]}"

/* What is said of a container. The strings belong to the document. */
struct docker_facts {
	const char *id;		  /* hexadecimal digits, at most DOCKER_ID_MAX */
	const char *name;	  /* without the '/' in front; the id where there is none */
	const char *image;	  /* see docker_selects() */
	const char *role;	  /* DOCKER_SIDECAR_LABEL, or "" */
	const char *network_mode; /* HostConfig.NetworkMode, or "" */
	pid_t pid;		  /* only of an inspection; 0: it does not run */
	time_t started;		  /* only of an inspection; 0: not known */
};

struct docker_document {
	json_t *root;
	struct docker_facts *facts;
	size_t count;
};

void docker_document_release(struct docker_document *document);
#define _cleanup_document_ _cleanup_(docker_document_release)

/* All return 0 with @document filled, which is to be released, or -EBADMSG or -ENOMEM with the text
 * in @reason and nothing to release. */

/* The answer to GET /containers/json. */
int docker_parse_containers(const char *text, size_t size, struct docker_document *document,
			    char reason[DOCKER_REASON_MAX]);

/* The answer to GET /containers/ID/json: one container. */
int docker_parse_inspection(const char *text, size_t size, struct docker_document *document,
			    char reason[DOCKER_REASON_MAX]);

/* One line of GET /events: the container that it is about, or none. */
int docker_parse_container_event(const char *line, size_t size, struct docker_document *document,
				 char reason[DOCKER_REASON_MAX]);

enum docker_selection {
	DOCKER_NOT_SELECTED,
	DOCKER_SELECTED,
	/* GET /containers/json gives an image's id where its name has moved on to another image
	 * since (moby, daemon/list.go, refreshImage): only the inspection tells the name. */
	DOCKER_PERHAPS_SELECTED,
};

enum docker_selection docker_selects(const struct docker_facts *facts, const char *const *matches,
				     size_t match_count);

/* The container of which @facts shares the network namespace, or NULL: its id. */
const char *docker_network_owner(const struct docker_facts *facts);

#endif
