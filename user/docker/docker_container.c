// SPDX-License-Identifier: Apache-2.0
#include "docker/docker_container.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "docker/docker_api.h"
#include "docker/docker_sidecars_json.h"
#include "lib/log.h"

/* Of a name; the engine allows 255 bytes. */
#define NAME_MAX_BYTES 255

/* May it stand in a request's path? Those are the characters that a name may have (moby,
 * daemon/names). */
static bool is_name(const char *text)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789_.-";

	return *text && *text != '.' && strlen(text) <= NAME_MAX_BYTES &&
	       text[strspn(text, allowed)] == '\0';
}

pid_t docker_container_process(const struct docker_engine *engine, const char *name)
{
	_cleanup_document_ struct docker_document document = {0};
	char path[sizeof("/containers//json") + NAME_MAX_BYTES], reason[DOCKER_REASON_MAX];
	struct docker_buffer body = {0};
	pid_t pid = 0;
	int error;

	if (!is_name(name))
		return log_errno(-EINVAL, "'%.80s' is not a container's name", name);
	(void)snprintf(path, sizeof(path), "/containers/%s/json", name);
	error = docker_api_ask(engine, "GET", path, NULL, &body, reason);
	if (error == 0)
		error = docker_parse_inspection(body.data, body.used, &document, reason);
	docker_buffer_release(&body);
	if (error < 0 || !document.facts) {
		log_error("docker: cannot find the container '%.80s': %s", name, reason);
		return error;
	}
	pid = document.facts->pid;
	return pid ? pid : log_errno(-ENOENT, "the container '%.80s' does not run", name);
}
