/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tells which container opened a flow in a sidecar's network namespace, if one is to be named.
 *
 * The kernel tells the control group of the flow's socket, and the engine which containers use the
 * namespace. Nothing that the application chooses counts. A flow from another control group
 * than the sidecar's is another container's. Its name is known where there was one other at the
 * time. A control group's number is never used again, so it is learned once.
 */
#ifndef SIDESTEP_SIDECAR_TENANTS_H
#define SIDESTEP_SIDECAR_TENANTS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "docker/docker_tenant.h"
#include "events/event.h"

/* Containers of the namespace that are remembered, and control groups. A power of two. */
#define SIDECAR_TENANTS_MAX 64
#define SIDECAR_CGROUPS_MAX 256

struct sidecar_tenant {
	char id[65];   /* "": none */
	char name[64]; /* printable ASCII, by escape_text() */
	/* When the engine was asked for the first list with it, and for the first one without it.
	 * CLOCK_MONOTONIC, ns. @until 0: it is in the latest list. */
	uint64_t since, until;
	bool self;    /* the sidecar's own container */
	char *labels; /* in JSON; NULL: there was no memory */
};

/* The part of it that events tell. */
struct sidecar_container {
	char id[65], name[64];
	char labels[EVENT_LABELS_MAX + 1]; /* in JSON */
};

struct sidecar_tenants {
	char owner[65]; /* the namespace's container; "": not known, and no container is named */
	uint64_t own_cgroup; /* the sidecar's; 0: not known */
	/* The rest is guarded by the lock. */
	pthread_mutex_t lock;
	struct sidecar_tenant items[SIDECAR_TENANTS_MAX];
	struct {
		uint64_t cgroup; /* 0: none */
		size_t tenant;
	} learned[SIDECAR_CGROUPS_MAX];
};

/*
 * Finds the id of the container whose network namespace this process uses. Docker and Podman mount
 * that container's own files over /etc/resolv.conf, /etc/hosts and /etc/hostname of all that share
 * the namespace. @mounts: the text of /proc/self/mountinfo. Pure. False: no file is one.
 */
bool sidecar_tenants_parse_owner(const char *mounts, char ret_id[65]);

/* Learns @owner and @own_cgroup from the kernel. Reads files, so it comes before the sandbox. */
void sidecar_tenants_init(struct sidecar_tenants *tenants);

/* Takes the engine's list of containers, for which it was asked at @since_ns. Thread safe. */
void sidecar_tenants_update(struct sidecar_tenants *tenants, const struct docker_tenant *list,
			    size_t count, uint64_t since_ns);

/* Finds the container whose socket in @cgroup began a flow at @time_ns. False: it cannot be told.
 * Thread safe. */
bool sidecar_tenants_find(struct sidecar_tenants *tenants, uint64_t cgroup, uint64_t time_ns,
			  struct sidecar_container *ret_container);

void sidecar_tenants_release(struct sidecar_tenants *tenants);

#endif
