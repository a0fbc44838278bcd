// SPDX-License-Identifier: Apache-2.0
#include "doctor/doctor_place.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "commands.h"
#include "docker/docker_about.h"
#include "doctor/doctor.h"
#include "lib/log.h"
#include "lib/netns.h"
#include "lib/util.h"
#include "net/netlink_link.h"

/* Bytes of a remedy. */
#define REMEDY_MAX 256

typedef void check(struct doctor *doctor);

/* Of the machine, before a container's namespace is entered. */
static check *const machine_checks[] = {
	doctor_check_engine,
	doctor_check_bpf,
	doctor_check_bpffs,
	doctor_check_pins,
};

/* Of the network namespace where a sidecar would steer. */
static check *const namespace_checks[] = {
	doctor_check_namespace, doctor_check_way_out, doctor_check_mtu,	     doctor_check_veths,
	doctor_check_rules,	doctor_check_loop,    doctor_check_settings, doctor_check_inner,
	doctor_check_instance,	doctor_check_owners,  doctor_check_ports,    doctor_check_resolver,
	doctor_check_clock,	doctor_check_ca,
};

/* Of the process, whose rights are the sidecar's, and of the kernel. */
static check *const process_checks[] = {
	doctor_check_rights,   doctor_check_bpf,   doctor_check_calls,	  doctor_check_kernel,
	doctor_check_programs, doctor_check_bpffs, doctor_check_nftables, doctor_check_files,
};

#define RUN(doctor, checks) run(doctor, checks, ARRAY_SIZE(checks))

static void run(struct doctor *doctor, check *const *checks, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		checks[i](doctor);
}

static int check_usage(const struct doctor_options *options)
{
	int places = (options->container != NULL) + (options->pid != 0) + options->agent +
		     (options->sidecar.bridges.count > 0);

	if (places <= 1)
		return 0;
	log_error("--container, --pid, --bridge and --agent name different places: give one of "
		  "them");
	return -EINVAL;
}

/* Whether both processes are in one network namespace. */
static bool share_network(pid_t first, pid_t second)
{
	struct stat a, b;
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)first);
	if (stat(path, &a) < 0)
		return false;
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)second);
	return stat(path, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* A container that shares another one's network loses it when that one restarts, because an engine
 * gives it a new network namespace. */
static void check_joined(struct doctor *doctor, const struct docker_engine *engine,
			 const struct docker_about_container *container)
{
	struct docker_about_container owner = {.pid = 0};
	const char *name = doctor->options->container;
	char reason[DOCKER_REASON_MAX], remedy[REMEDY_MAX];

	if (!container->joins[0])
		return;
	(void)docker_about_container(engine, container->joins, &owner, reason);
	if (owner.pid && share_network(owner.pid, container->pid))
		return;
	(void)snprintf(remedy, sizeof(remedy), "%s%.12s%sdocker restart %.64s",
		       owner.pid ? "" : "docker start ", owner.pid ? "" : container->joins,
		       owner.pid ? "" : " && ", name);
	doctor_advise(doctor, FINDING_CONTAINER_APART, remedy,
		      "%.64s was started in the network namespace of container %.12s, which %s",
		      name, container->joins, owner.pid ? "has another one now" : "does not run");
}

/* Finds the process whose network namespace is to be checked. Returns whether there is one. */
static bool find_process(struct doctor *doctor)
{
	const struct doctor_options *options = doctor->options;
	struct docker_about_container container = {.pid = 0};
	char reason[DOCKER_REASON_MAX];
	struct docker_engine engine;
	int error;

	if (options->pid) {
		doctor->process = (pid_t)options->pid;
		(void)snprintf(doctor->place, sizeof(doctor->place), "process %u", options->pid);
		return true;
	}
	error = docker_engine_init(&engine, options->sidecar.docker_socket);
	if (error == 0)
		error = docker_about_container(&engine, options->container, &container, reason);
	else
		(void)snprintf(reason, sizeof(reason), "%s", strerror(-error));
	if (error < 0 || container.pid == 0) {
		doctor_tell(doctor, FINDING_CONTAINER_NONE, "%.64s: %s", options->container,
			    error < 0 ? reason : "it does not run");
		return false;
	}
	(void)snprintf(doctor->place, sizeof(doctor->place), "container %.48s", options->container);
	doctor->process = container.pid;
	if (docker_is_gvisor(container.runtime))
		doctor_tell(doctor, FINDING_CONTAINER_GVISOR, "its runtime is %s",
			    container.runtime);
	else
		doctor_tell(doctor, FINDING_CONTAINER, "process %d, runtime %s", (int)container.pid,
			    container.runtime);
	check_joined(doctor, &engine, &container);
	return true;
}

/* Enters the process's network namespace. */
static int enter(struct doctor *doctor)
{
	_cleanup_close_ int fd = netns_open_of(doctor->process);
	int error;

	if (fd < 0)
		return fd;
	doctor->outside_fd = netns_open_own();
	if (doctor->outside_fd < 0)
		return doctor->outside_fd;
	error = doctor_read_links(&doctor->outside);
	return error < 0 ? error : netns_enter(fd);
}

static int visit_container(struct doctor *doctor)
{
	int error;

	RUN(doctor, machine_checks);
	if (!find_process(doctor))
		return 0;
	error = enter(doctor);
	if (error < 0) {
		doctor_tell(doctor, FINDING_CONTAINER_NONE, "process %d cannot be entered: %s",
			    (int)doctor->process, strerror(-error));
		return 0;
	}
	error = doctor_check_gateway(doctor);
	if (error == 0)
		RUN(doctor, namespace_checks);
	return error;
}

/* A sidecar would run here, with the rights of this process. */
static int visit_here(struct doctor *doctor)
{
	int error = doctor_check_gateway(doctor);

	if (error < 0)
		return error;
	if (doctor->options->sidecar.docker_socket)
		doctor_check_engine(doctor);
	RUN(doctor, namespace_checks);
	RUN(doctor, process_checks);
	return 0;
}

/* Bridge mode would run here. */
static int visit_host(struct doctor *doctor)
{
	int error = 0;

	doctor_check_engine(doctor);
	doctor_check_bridges(doctor);
	error = doctor_check_gateway(doctor);
	if (error < 0)
		return error;
	doctor_check_mtu(doctor);
	doctor_check_loop(doctor);
	doctor_check_owners(doctor);
	doctor_check_pins(doctor);
	doctor_check_ports(doctor);
	doctor_check_clock(doctor);
	doctor_check_ca(doctor);
	RUN(doctor, process_checks);
	return 0;
}

/* The agent would run here. It has no gateway. */
static int visit_served(struct doctor *doctor)
{
	doctor_check_engine(doctor);
	RUN(doctor, process_checks);
	doctor_check_agent(doctor);
	doctor_check_owners(doctor);
	doctor_check_pins(doctor);
	return 0;
}

static int visit_places(struct doctor *doctor)
{
	const struct doctor_options *options = doctor->options;
	int error = check_usage(options);

	if (error < 0)
		return error;
	if (options->container || options->pid)
		return visit_container(doctor);
	if (options->sidecar.bridges.count > 0) {
		doctor->kind = PROGRAMS_BRIDGE;
		return visit_host(doctor);
	}
	if (options->agent) {
		doctor->kind = PROGRAMS_SHARED;
		return visit_served(doctor);
	}
	return visit_here(doctor);
}

static int status_of(const struct doctor *doctor)
{
	if (doctor->gateway_failed)
		return STATUS_GATEWAY;
	return doctor->failed ? STATUS_FAILED : STATUS_OK;
}

json_t *doctor_examine(const struct doctor_options *options, bool prints)
{
	struct doctor doctor = {
		.options = options,
		.prints = prints,
		.outside_fd = -1,
		.outside.size = sizeof(struct netlink_link),
	};
	json_t *found = json_array();
	int error;

	doctor.found = found;
	error = found ? visit_places(&doctor) : log_errno(-ENOMEM, "no memory");
	free(doctor.outside.items);
	(void)safe_close(doctor.outside_fd);
	if (error < 0) {
		json_decref(found);
		return NULL;
	}
	return json_pack("{s:i, s:s, s:i, s:o}", "schema", DOCTOR_SCHEMA, "version",
			 SIDESTEP_VERSION, "status", status_of(&doctor), "findings", found);
}
