// SPDX-License-Identifier: Apache-2.0
/* The doctor's checks of the Docker engine. */
#include <errno.h>
#include <string.h>

#include "docker/docker_about.h"
#include "doctor/doctor.h"
#include "lib/util.h"

static void tell_kind(struct doctor *doctor, const struct docker_about *about)
{
	const struct {
		bool holds;
		enum finding_id id;
		const char *text;
	} kinds[] = {
		{about->podman, FINDING_ENGINE_PODMAN, "it is Podman"},
		{about->desktop, FINDING_ENGINE_DESKTOP, "it is Docker Desktop"},
		{about->wsl2, FINDING_ENGINE_WSL2, "it runs on Windows (WSL2)"},
		{about->rootless, FINDING_ENGINE_ROOTLESS, "it runs without root"},
		{about->gvisor, FINDING_ENGINE_GVISOR, "its default runtime is gVisor"},
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].holds)
			doctor_tell(doctor, kinds[i].id, "%s", kinds[i].text);
}

static void tell_failure(struct doctor *doctor, const char *path, int error, const char *reason)
{
	if (error == -ENOENT)
		doctor_tell(doctor, FINDING_ENGINE_SOCKET, "no socket at %s", path);
	else if (error == -EACCES || error == -EPERM)
		doctor_tell(doctor, FINDING_ENGINE_DENIED, "%s may not be used: %s", path,
			    strerror(-error));
	else
		doctor_tell(doctor, FINDING_ENGINE_SILENT, "%s: %s", path, reason);
}

void doctor_check_engine(struct doctor *doctor)
{
	char reason[DOCKER_REASON_MAX] = "";
	struct docker_engine engine;
	struct docker_about about;
	int fd, error;

	if (docker_engine_init(&engine, doctor->options->sidecar.docker_socket) < 0)
		return;
	fd = docker_engine_connect(&engine);
	(void)safe_close(fd);
	error = fd < 0 ? fd : docker_about_ask(&engine, &about, reason);
	if (error < 0) {
		tell_failure(doctor, engine.socket_path, error,
			     reason[0] ? reason : strerror(-error));
		return;
	}
	doctor_tell(doctor, FINDING_ENGINE, "%s %s, %s, Linux %s", about.name, about.version,
		    about.system, about.kernel);
	tell_kind(doctor, &about);
}
