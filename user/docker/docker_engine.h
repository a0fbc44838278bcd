/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How requests reach a Docker engine: by its unix socket, or by another process that may use it.
 */
#ifndef SIDESTEP_DOCKER_ENGINE_H
#define SIDESTEP_DOCKER_ENGINE_H

#include <sys/un.h>

#define DOCKER_SOCKET_DEFAULT "/var/run/docker.sock"

#define DOCKER_SOCKET_PATH_MAX sizeof(((struct sockaddr_un *)NULL)->sun_path)

/* A request of a process that may not use the socket. The texts end with NUL. */
struct docker_ask {
	char method[8];
	char path[96];
	char query[512]; /* URL encoded; "": none */
};

struct docker_engine {
	char socket_path[DOCKER_SOCKET_PATH_MAX];
	/* Unless NULL: has @ask sent by another process. Returns a nonblocking descriptor from
	 * which the answer is read, the caller's, or a negative errno. Any thread calls it. */
	int (*ask)(const struct docker_ask *ask, void *context);
	void *context;
};

/* Zeroes *@engine and resolves @path, in the form that docker_networks_new() takes. Returns 0,
 * -EINVAL or -ENAMETOOLONG, logged. */
int docker_engine_init(struct docker_engine *engine, const char *path);

/* Formats an HTTP/1.1 request. @query is NULL or "" without one. Returns its text, which the caller
 * frees, or NULL: no memory. */
char *docker_engine_format(const char *method, const char *path, const char *query);

/* Connects to the engine's socket, whatever .ask says. Returns a nonblocking descriptor, the
 * caller's, or a negative errno. connect(2) to a unix socket does not wait for accept(2). */
int docker_engine_connect(const struct docker_engine *engine);

/* Passes a request to .ask. Returns as that, or -EMSGSIZE. */
int docker_engine_ask(const struct docker_engine *engine, const char *method, const char *path,
		      const char *query);

#endif
