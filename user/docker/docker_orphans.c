// SPDX-License-Identifier: Apache-2.0
#include "docker/docker_orphans.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "docker/docker_api.h"
#include "docker/docker_sidecars_json.h"
#include "lib/log.h"

bool docker_orphans_match(const struct docker_sidecar *sidecar, int64_t now_ms, int64_t age_ms)
{
	static const char suffix[] = "-proxy";
	size_t length = strlen(sidecar->name);

	if (length < sizeof(suffix) ||
	    strcmp(sidecar->name + length + 1 - sizeof(suffix), suffix) != 0)
		return false;
	return sidecar->unused_since_ms && now_ms - sidecar->unused_since_ms >= age_ms;
}

/* Returns 1 when another running container shares the network namespace of @id, 0 when none does,
 * or a negative errno with @reason. */
static int is_used(const struct docker_engine *engine, const char *id,
		   char reason[DOCKER_REASON_MAX])
{
	_cleanup_document_ struct docker_document list = {0};
	struct docker_buffer body = {0};
	int result;
	size_t i;

	result = docker_api_ask(engine, "GET", "/containers/json", NULL, &body, reason);
	if (result == 0)
		result = docker_parse_containers(body.data, body.used, &list, reason);
	docker_buffer_release(&body);
	for (i = 0; i < list.count; i++) {
		const char *owner = docker_network_owner(&list.facts[i]);

		if (owner && strcmp(owner, id) == 0)
			return 1;
	}
	return result;
}

int docker_orphans_remove(const struct docker_engine *engine, const char *id)
{
	struct docker_buffer body = {0};
	char path[sizeof("/containers/") + DOCKER_ID_MAX];
	char reason[DOCKER_REASON_MAX];
	int result;

	if (!docker_is_id(id))
		return log_errno(-EINVAL, "docker: cannot remove the container '%.80s'", id);
	result = is_used(engine, id, reason);
	if (result > 0)
		return -EBUSY;
	if (result == 0) {
		(void)snprintf(path, sizeof(path), "/containers/%s", id);
		result = docker_api_ask(engine, "DELETE", path, "force=1", &body, reason);
		docker_buffer_release(&body);
		if (result == -ENOENT)
			result = 0;
	}
	if (result < 0)
		log_error("docker: cannot remove the container %.12s: %s", id, reason);
	return result;
}
