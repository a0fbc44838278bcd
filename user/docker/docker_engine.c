// SPDX-License-Identifier: Apache-2.0
#include "docker/docker_engine.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/log.h"
#include "lib/util.h"

int docker_engine_init(struct docker_engine *engine, const char *path)
{
	*engine = (struct docker_engine) {.ask = NULL};
	if (!path || !*path)
		path = DOCKER_SOCKET_DEFAULT;
	if (strncmp(path, "unix://", 7) == 0)
		path += 7;
	if (strstr(path, "://")) {
		log_error(
			"docker: %.200s: only unix sockets are supported; for example: " DOCKER_SOCKET_DEFAULT,
			path);
		return -EINVAL;
	}
	if (strlen(path) >= sizeof(engine->socket_path))
		return log_errno(-ENAMETOOLONG, "docker: socket path %.200s", path);
	memcpy(engine->socket_path, path, strlen(path) + 1);
	return 0;
}

char *docker_engine_format(const char *method, const char *path, const char *query)
{
	bool has_query = query && *query;
	char *text;

	/* HTTP/1.1 requires a Host, although nothing resolves it. */
	if (asprintf(&text,
		     "%s %s%s%s HTTP/1.1\r\n"
		     "Host: docker\r\n"
		     "User-Agent: sidestep/" SIDESTEP_VERSION "\r\n"
		     "Accept: application/json\r\n"
		     "Connection: close\r\n\r\n",
		     method, path, has_query ? "?" : "", has_query ? query : "") < 0)
		return NULL;
	return text;
}

int docker_engine_connect(const struct docker_engine *engine)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", engine->socket_path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return TAKE_FD(fd);
}

int docker_engine_ask(const struct docker_engine *engine, const char *method, const char *path,
		      const char *query)
{
	struct docker_ask ask = {.method = ""};

	if (strlen(method) >= sizeof(ask.method) || strlen(path) >= sizeof(ask.path) ||
	    (query && strlen(query) >= sizeof(ask.query)))
		return -EMSGSIZE;
	(void)snprintf(ask.method, sizeof(ask.method), "%s", method);
	(void)snprintf(ask.path, sizeof(ask.path), "%s", path);
	(void)snprintf(ask.query, sizeof(ask.query), "%s", query ? query : "");
	return engine->ask(&ask, engine->context);
}
