// SPDX-License-Identifier: Apache-2.0
#include "docker/docker_about.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "docker/docker_api.h"
#include "lib/util.h"

#define COPY(target, text) ((void)snprintf(target, sizeof(target), "%s", text))

/* Docker's first component is "Engine", Podman's "Podman Engine". */
static void judge_components(const json_t *version, struct docker_about *about)
{
	const json_t *components = json_object_get(version, "Components"), *component;
	size_t i;

	COPY(about->name, "Docker");
	json_array_foreach (components, i, component) {
		const char *name = json_string_value(json_object_get(component, "Name"));

		about->podman |= name && strcmp(name, "Podman Engine") == 0;
	}
	if (about->podman)
		COPY(about->name, "Podman");
}

/* They are "name=seccomp,profile=builtin", "name=rootless", ... */
static void judge_security(const json_t *info, struct docker_about *about)
{
	const json_t *options = json_object_get(info, "SecurityOptions"), *option;
	size_t i;

	json_array_foreach (options, i, option) {
		const char *text = json_string_value(option);

		about->rootless |= text && strncmp(text, "name=rootless", 13) == 0;
	}
}

bool docker_is_gvisor(const char *runtime)
{
	return strncmp(runtime, "runsc", 5) == 0 || strstr(runtime, "gvisor") != NULL;
}

int docker_about_parse(const char *version_text, size_t version_size, const char *info_text,
		       size_t info_size, struct docker_about *ret_about,
		       char reason[DOCKER_REASON_MAX])
{
	_cleanup_json_ json_t *version = docker_load("GET /version", version_text, version_size,
						     reason);
	_cleanup_json_ json_t *info =
		version ? docker_load("GET /info", info_text, info_size, reason) : NULL;
	const char *number = "", *system = "", *kernel = "", *runtime = "";
	struct docker_about about = {.podman = false};
	json_error_t error;

	if (!version || !info)
		return -EBADMSG;
	if (json_unpack_ex(version, &error, 0, "{s?s}", "Version", &number) < 0)
		return docker_refuse(-EBADMSG, reason, "GET /version: %s", error.text);
	if (json_unpack_ex(info, &error, 0, "{s?s, s?s, s?s}", "OperatingSystem", &system,
			   "KernelVersion", &kernel, "DefaultRuntime", &runtime) < 0)
		return docker_refuse(-EBADMSG, reason, "GET /info: %s", error.text);
	COPY(about.version, number);
	COPY(about.system, system);
	COPY(about.kernel, kernel);
	COPY(about.runtime, runtime);
	judge_components(version, &about);
	judge_security(info, &about);
	about.desktop = strcmp(system, "Docker Desktop") == 0;
	about.wsl2 = strstr(kernel, "microsoft") != NULL;
	about.gvisor = docker_is_gvisor(runtime);
	*ret_about = about;
	return 0;
}

int docker_about_ask(const struct docker_engine *engine, struct docker_about *ret_about,
		     char reason[DOCKER_REASON_MAX])
{
	struct docker_buffer version = {0}, info = {0};
	int error = docker_api_ask(engine, "GET", "/version", NULL, &version, reason);

	if (error == 0)
		error = docker_api_ask(engine, "GET", "/info", NULL, &info, reason);
	if (error == 0)
		error = docker_about_parse(version.data, version.used, info.data, info.used,
					   ret_about, reason);
	docker_buffer_release(&version);
	docker_buffer_release(&info);
	return error;
}

int docker_about_parse_container(const char *text, size_t size,
				 struct docker_about_container *ret_container,
				 char reason[DOCKER_REASON_MAX])
{
	static const char joins[] = "container:";
	_cleanup_json_ json_t *answer = docker_load("GET /containers/NAME/json", text, size,
						    reason);
	const char *runtime = "", *network = "";
	json_error_t error;
	int pid = 0;

	if (!answer)
		return -EBADMSG;
	if (json_unpack_ex(answer, &error, 0, "{s:{s:i}, s?{s?s, s?s}}", "State", "Pid", &pid,
			   "HostConfig", "Runtime", &runtime, "NetworkMode", &network) < 0)
		return docker_refuse(-EBADMSG, reason, "GET /containers/NAME/json: %s", error.text);
	*ret_container = (struct docker_about_container) {.pid = pid > 0 ? pid : 0};
	COPY(ret_container->runtime, runtime);
	if (strncmp(network, joins, strlen(joins)) == 0)
		COPY(ret_container->joins, network + strlen(joins));
	return 0;
}

int docker_about_container(const struct docker_engine *engine, const char *name,
			   struct docker_about_container *ret_container,
			   char reason[DOCKER_REASON_MAX])
{
	_cleanup_free_ char *encoded = docker_url_encode(name), *path = NULL;
	struct docker_buffer body = {0};
	int error;

	if (!encoded || asprintf(&path, "/containers/%s/json", encoded) < 0)
		return docker_refuse(-ENOMEM, reason, "out of memory");
	error = docker_api_ask(engine, "GET", path, NULL, &body, reason);
	if (error == 0)
		error = docker_about_parse_container(body.data, body.used, ret_container, reason);
	docker_buffer_release(&body);
	return error;
}

/* The head of a frame: the stream (0 to 2), three zeroes, and the size in network byte order
 * (Docker's API, "attach to a container"). */
#define FRAME_HEAD 8

static bool is_frame(const unsigned char *head, size_t left, size_t *ret_size)
{
	static const unsigned char zeroes[3];

	if (left < FRAME_HEAD || head[0] > 2 || memcmp(head + 1, zeroes, sizeof(zeroes)) != 0)
		return false;
	*ret_size = (size_t)head[4] << 24 | (size_t)head[5] << 16 | (size_t)head[6] << 8 | head[7];
	return true;
}

size_t docker_about_unframe(char *text, size_t size)
{
	size_t read = 0, written = 0, length;

	while (is_frame((const unsigned char *)text + read, size - read, &length)) {
		read += FRAME_HEAD;
		if (length > size - read)
			length = size - read;
		memmove(text + written, text + read, length);
		read += length;
		written += length;
	}
	/* A log with a terminal has no frames. */
	return read == 0 ? size : written;
}

int docker_about_log(const struct docker_engine *engine, const char *name, char **ret_text,
		     size_t *ret_size, char reason[DOCKER_REASON_MAX])
{
	_cleanup_free_ char *encoded = docker_url_encode(name), *path = NULL;
	struct docker_buffer body = {0};
	int error;

	if (!encoded || asprintf(&path, "/containers/%s/logs", encoded) < 0)
		return docker_refuse(-ENOMEM, reason, "out of memory");
	error = docker_api_ask(engine, "GET", path, "stdout=1&stderr=1&tail=" DOCKER_LOG_LINES,
			       &body, reason);
	if (error < 0) {
		docker_buffer_release(&body);
		return error;
	}
	*ret_size = docker_about_unframe(body.data, body.used);
	*ret_text = body.data;
	return 0;
}

int docker_about_bridge(const struct docker_engine *engine, const char *name,
			char ret_interface[IFNAMSIZ], char reason[DOCKER_REASON_MAX])
{
	struct docker_network *networks = NULL;
	struct docker_buffer body = {0};
	size_t count = 0, i;
	int error = docker_api_ask(engine, "GET", "/networks", NULL, &body, reason);

	if (error == 0)
		error = docker_parse_state(body.data, body.used, "[]", 2, &networks, &count,
					   reason);
	docker_buffer_release(&body);
	if (error < 0)
		return error;
	error = docker_refuse(-ENOENT, reason, "no network %.64s has a bridge", name);
	for (i = 0; i < count; i++)
		if (strcmp(networks[i].name, name) == 0 && networks[i].interface[0]) {
			memcpy(ret_interface, networks[i].interface, IFNAMSIZ);
			error = 0;
		}
	docker_state_free(networks, count);
	return error;
}
