/* SPDX-License-Identifier: Apache-2.0 */
/* Asks a Docker engine what it is, and for one container by its name, for `sidestep doctor`. */
#ifndef SIDESTEP_DOCKER_ABOUT_H
#define SIDESTEP_DOCKER_ABOUT_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "docker/docker_engine.h"
#include "docker/docker_json.h"

/* Texts that are longer are cut. */
struct docker_about {
	char name[64]; /* "Docker", "Podman" */
	char version[64];
	char system[128]; /* the engine's operating system */
	char kernel[64];
	char runtime[64]; /* the default one */
	bool podman;
	bool desktop; /* Docker Desktop: in a virtual machine */
	bool wsl2;    /* Microsoft's kernel */
	bool rootless;
	bool gvisor; /* runsc is the default runtime */
};

/* Is the runtime of that name gVisor's? */
bool docker_is_gvisor(const char *runtime);

/* Parses the answers to GET /version and GET /info. Pure. Returns 0, or -EBADMSG or -ENOMEM with
 * @reason. */
int docker_about_parse(const char *version, size_t version_size, const char *info, size_t info_size,
		       struct docker_about *ret_about, char reason[DOCKER_REASON_MAX]);

/* Asks for both. Returns 0 or a negative errno with @reason, as docker_api_ask(). */
int docker_about_ask(const struct docker_engine *engine, struct docker_about *ret_about,
		     char reason[DOCKER_REASON_MAX]);

struct docker_about_container {
	pid_t pid; /* of its first process; 0: it does not run */
	char runtime[64];
	char joins[128]; /* the container whose network it shares, by id or name; "": its own */
};

/* Parses the answer to GET /containers/NAME/json. Pure. Returns 0, or -EBADMSG or -ENOMEM with
 * @reason. */
int docker_about_parse_container(const char *text, size_t size,
				 struct docker_about_container *ret_container,
				 char reason[DOCKER_REASON_MAX]);

/* Asks for the container of that name or id. Returns 0, -ENOENT: there is none, or another negative
 * errno, with @reason. */
int docker_about_container(const struct docker_engine *engine, const char *name,
			   struct docker_about_container *ret_container,
			   char reason[DOCKER_REASON_MAX]);

/*
 * Asks for the end of a container's log: its last DOCKER_LOG_LINES lines of standard output and
 * error. Stores the text, which the caller frees and which does not end with NUL, and its size.
 * Returns 0 or a negative errno with @reason.
 */
#define DOCKER_LOG_LINES "5000"
int docker_about_log(const struct docker_engine *engine, const char *name, char **ret_text,
		     size_t *ret_size, char reason[DOCKER_REASON_MAX]);

/* Takes the heads out of the frames that a log without a terminal consists of, in place. Returns
 * the size of the text. Pure. */
size_t docker_about_unframe(char *text, size_t size);

/* Finds the bridge of the Docker network of that name. Returns 0, -ENOENT: there is none, or
 * another negative errno, with @reason. */
int docker_about_bridge(const struct docker_engine *engine, const char *name,
			char ret_interface[IFNAMSIZ], char reason[DOCKER_REASON_MAX]);

#endif
