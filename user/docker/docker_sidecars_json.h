/* SPDX-License-Identifier: Apache-2.0 */
/* Parses a Docker engine's answers about containers. The functions are pure. Private to
 * user/docker. */
#ifndef SIDESTEP_DOCKER_SIDECARS_JSON_H
#define SIDESTEP_DOCKER_SIDECARS_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <time.h>

#include "docker/docker_json.h"

#define DOCKER_ID_MAX 64

/* Is @text a container's id, and so fit for a request's path? */
bool docker_is_id(const char *text);

/* GET /events' parameter "filters" for the events that docker_parse_container_event() reads. */
#define DOCKER_SIDECARS_EVENT_FILTERS                                                              \
	"{\"type\":[\"container\"],\"event\":[\"create\",\"start\",\"die\",\"destroy\",\"rename\"]}"

/* The facts about a container. The strings belong to the document. */
struct docker_facts {
	const char *id;		  /* hexadecimal digits, at most DOCKER_ID_MAX */
	const char *name;	  /* without the leading '/'; the id if it has none */
	const char *image;	  /* see docker_selects() */
	const char *role;	  /* DOCKER_SIDECAR_LABEL, or "" */
	const char *network_mode; /* HostConfig.NetworkMode, or "" */
	const json_t *mounts;	  /* from a list only; or NULL */
	const json_t *labels;	  /* NULL: this answer does not tell them */
	bool event;		  /* .labels are an event's attributes (docker_labels_pack()) */
	bool net_admin;		  /* from an inspection only: it may have CAP_NET_ADMIN */
	pid_t pid;		  /* from an inspection only; 0: it does not run */
	time_t started;		  /* from an inspection only; 0: unknown */
};

struct docker_document {
	json_t *root;
	struct docker_facts *facts;
	size_t count;
};

void docker_document_release(struct docker_document *document);
#define _cleanup_document_ _cleanup_(docker_document_release)

/* The following return 0 with @document filled, which the caller releases. Otherwise they return
 * -EBADMSG or -ENOMEM with the text in @reason, and there is nothing to release. */

/* Parses the answer to GET /containers/json. */
int docker_parse_containers(const char *text, size_t size, struct docker_document *document,
			    char reason[DOCKER_REASON_MAX]);

/* Parses the answer to GET /containers/ID/json: one container. */
int docker_parse_inspection(const char *text, size_t size, struct docker_document *document,
			    char reason[DOCKER_REASON_MAX]);

/* Parses one line of GET /events: its container, or none. */
int docker_parse_container_event(const char *line, size_t size, struct docker_document *document,
				 char reason[DOCKER_REASON_MAX]);

enum docker_selection {
	DOCKER_NOT_SELECTED,
	DOCKER_SELECTED,
	/* GET /containers/json gives the image's id if its name now belongs to another image (moby,
	 * daemon/list.go, refreshImage). Only the inspection gives the name. */
	DOCKER_PERHAPS_SELECTED,
};

/* Is the container a sidecar, by its label or by one of @matches (docker_sidecars_new())? */
enum docker_selection docker_selects(const struct docker_facts *facts, const char *const *matches,
				     size_t match_count);

/* Does one of @patterns match the container's name? */
bool docker_name_matches(const struct docker_facts *facts, const char *const *patterns,
			 size_t count);

/* Is something mounted in the container at @path, or above it? */
bool docker_mounts_hold(const struct docker_facts *facts, const char *path);

/* Returns the id of the container whose network namespace @facts' container shares, or NULL. */
const char *docker_network_owner(const struct docker_facts *facts);

#endif
