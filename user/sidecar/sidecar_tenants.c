// SPDX-License-Identifier: Apache-2.0
#include "sidecar/sidecar_tenants.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "docker/docker_labels.h"
#include "events/event_labels.h"
#include "lib/escape.h"
#include "lib/log.h"
#include "lib/util.h"
#include "net/socket_owner.h"

#define ID_DIGITS 64
/* The number of the root of all control groups (Linux, kernel/cgroup/cgroup.c). */
#define ROOT_CGROUP 1
/* A list may come so long after the start of a container that was not new. */
#define LAG_NS 1000000000ULL

/* Finds a folder whose name is a container's id. */
static bool find_id(const char *path, char ret_id[65])
{
	for (; path; path = strchr(path, '/')) {
		path += *path == '/';
		if (strspn(path, "0123456789abcdef") != ID_DIGITS || path[ID_DIGITS] != '/')
			continue;
		memcpy(ret_id, path, ID_DIGITS);
		ret_id[ID_DIGITS] = '\0';
		return true;
	}
	return false;
}

/* proc_pid_mountinfo(5): the fourth field is the folder or file that is mounted, the fifth the
 * place. */
bool sidecar_tenants_parse_owner(const char *mounts, char ret_id[65])
{
	static const char *const files[] = {"/etc/resolv.conf", "/etc/hosts", "/etc/hostname"};
	char root[512], place[64];
	size_t i;

	for (; mounts; mounts = strchr(mounts, '\n')) {
		mounts += *mounts == '\n';
		if (sscanf(mounts, "%*d %*d %*s %511s %63s", root, place) != 2)
			continue;
		for (i = 0; i < ARRAY_SIZE(files); i++)
			if (strcmp(place, files[i]) == 0 && find_id(root, ret_id))
				return true;
	}
	return false;
}

void sidecar_tenants_init(struct sidecar_tenants *tenants)
{
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	FILE *mounts = fopen("/proc/self/mountinfo", "re");

	(void)pthread_mutex_init(&tenants->lock, NULL);
	/* A NUL never occurs, so that the whole file is one "line". */
	if (!mounts || getdelim(&text, &size, '\0', mounts) <= 0 ||
	    !sidecar_tenants_parse_owner(text, tenants->owner))
		log_debug("this network namespace is no container's: events name none");
	if (mounts)
		(void)fclose(mounts);
	if (socket_owners_self(&tenants->own_cgroup) < 0)
		log_debug("the kernel does not tell our control group: events name no container");
}

/* Marks the containers in @list that use the namespace, also by way of each other. */
static void mark_members(const struct sidecar_tenants *tenants, const struct docker_tenant *list,
			 size_t count, bool *members)
{
	const char *joined[SIDECAR_TENANTS_MAX] = {tenants->owner};
	size_t known = 1, done, i;

	for (i = 0; i < count; i++)
		members[i] = strcmp(list[i].id, tenants->owner) == 0;
	for (done = 0; done < known; done++) {
		for (i = 0; i < count; i++) {
			if (members[i] || !list[i].owner ||
			    strcmp(list[i].owner, joined[done]) != 0)
				continue;
			members[i] = true;
			if (known < SIDECAR_TENANTS_MAX)
				joined[known++] = list[i].id;
		}
	}
}

/* Returns the present one with that id, or NULL. */
static struct sidecar_tenant *find_present(struct sidecar_tenants *tenants, const char *id)
{
	size_t i;

	for (i = 0; i < SIDECAR_TENANTS_MAX; i++)
		if (tenants->items[i].until == 0 && strcmp(tenants->items[i].id, id) == 0)
			return &tenants->items[i];
	return NULL;
}

static void forget(struct sidecar_tenants *tenants, const struct sidecar_tenant *tenant)
{
	size_t place = (size_t)(tenant - tenants->items), i;

	for (i = 0; i < SIDECAR_CGROUPS_MAX; i++)
		if (tenants->learned[i].tenant == place)
			tenants->learned[i].cgroup = 0;
}

/* Returns a free place, or that of the one that left first. NULL: all are present. */
static struct sidecar_tenant *make_room(struct sidecar_tenants *tenants)
{
	struct sidecar_tenant *oldest = NULL;
	size_t i;

	for (i = 0; i < SIDECAR_TENANTS_MAX; i++) {
		struct sidecar_tenant *item = &tenants->items[i];

		if (item->id[0] == '\0')
			return item;
		if (item->until > 0 && (!oldest || item->until < oldest->until))
			oldest = item;
	}
	if (oldest)
		forget(tenants, oldest);
	return oldest;
}

static char *write_labels(const json_t *labels)
{
	char packed[DOCKER_LABELS_MAX], json[EVENT_LABELS_MAX + 1];

	docker_labels_pack(labels, false, packed);
	event_labels_write(packed, sizeof(packed), json);
	return strdup(json);
}

static void note(struct sidecar_tenants *tenants, const struct docker_tenant *listed, bool self,
		 uint64_t since_ns)
{
	struct sidecar_tenant *item = find_present(tenants, listed->id);

	if (!item) {
		item = make_room(tenants);
		if (!item)
			return;
		free(item->labels);
		/* A container keeps its labels. */
		*item = (struct sidecar_tenant) {.since = since_ns,
						 .labels = write_labels(listed->labels)};
		(void)snprintf(item->id, sizeof(item->id), "%s", listed->id);
	}
	item->self = self;
	(void)escape_text(item->name, sizeof(item->name), listed->name);
}

/* The sidecar's own container is the one into which its engine's socket was mounted. It is not
 * known if that holds for several. */
static const struct docker_tenant *find_self(const struct docker_tenant *list, size_t count,
					     const bool *members)
{
	const struct docker_tenant *self = NULL;
	size_t i;

	for (i = 0; i < count; i++) {
		if (!members[i] || !list[i].has_engine)
			continue;
		if (self)
			return NULL;
		self = &list[i];
	}
	return self;
}

void sidecar_tenants_update(struct sidecar_tenants *tenants, const struct docker_tenant *list,
			    size_t count, uint64_t since_ns)
{
	_cleanup_free_ bool *members = calloc(count + 1, sizeof(*members));
	const struct docker_tenant *self;
	size_t i, j;

	if (tenants->owner[0] == '\0' || !members)
		return;
	mark_members(tenants, list, count, members);
	self = find_self(list, count, members);
	(void)pthread_mutex_lock(&tenants->lock);
	for (i = 0; i < SIDECAR_TENANTS_MAX; i++) {
		struct sidecar_tenant *item = &tenants->items[i];

		for (j = 0; j < count && !(members[j] && strcmp(list[j].id, item->id) == 0); j++)
			;
		if (j == count && item->until == 0 && item->id[0] != '\0')
			item->until = since_ns;
	}
	for (i = 0; i < count; i++)
		if (members[i])
			note(tenants, &list[i], &list[i] == self, since_ns);
	(void)pthread_mutex_unlock(&tenants->lock);
}

/* Returns the present one that is the sidecar's own container, or NULL. */
static struct sidecar_tenant *own(struct sidecar_tenants *tenants)
{
	size_t i;

	for (i = 0; i < SIDECAR_TENANTS_MAX; i++)
		if (tenants->items[i].self && tenants->items[i].until == 0)
			return &tenants->items[i];
	return NULL;
}

/* Returns the only other one that was listed at @time, or NULL. If there was none, one that was
 * listed soon after counts. */
static struct sidecar_tenant *only_other(struct sidecar_tenants *tenants, uint64_t time)
{
	struct sidecar_tenant *then = NULL, *later = NULL;
	size_t then_count = 0, later_count = 0, i;

	for (i = 0; i < SIDECAR_TENANTS_MAX; i++) {
		struct sidecar_tenant *item = &tenants->items[i];

		if (item->id[0] == '\0' || item->self || (item->until > 0 && item->until <= time))
			continue;
		if (item->since <= time) {
			then = item;
			then_count++;
		} else if (item->since - time < LAG_NS) {
			later = item;
			later_count++;
		}
	}
	if (then_count > 0)
		return then_count == 1 ? then : NULL;
	return later_count == 1 ? later : NULL;
}

static struct sidecar_tenant *judge(struct sidecar_tenants *tenants, uint64_t cgroup,
				    uint64_t time_ns)
{
	struct sidecar_tenant *self = own(tenants), *other;
	size_t place = cgroup % SIDECAR_CGROUPS_MAX;

	if (tenants->learned[place].cgroup == cgroup)
		return &tenants->items[tenants->learned[place].tenant];
	if (!self)
		return NULL;
	if (cgroup == tenants->own_cgroup)
		return self;
	other = only_other(tenants, time_ns);
	if (other) {
		tenants->learned[place].cgroup = cgroup;
		tenants->learned[place].tenant = (size_t)(other - tenants->items);
	}
	return other;
}

static void describe(const struct sidecar_tenant *tenant, struct sidecar_container *ret_container)
{
	memcpy(ret_container->id, tenant->id, sizeof(ret_container->id));
	memcpy(ret_container->name, tenant->name, sizeof(ret_container->name));
	(void)snprintf(ret_container->labels, sizeof(ret_container->labels), "%s",
		       tenant->labels ? tenant->labels : "{}");
}

bool sidecar_tenants_find(struct sidecar_tenants *tenants, uint64_t cgroup, uint64_t time_ns,
			  struct sidecar_container *ret_container)
{
	const struct sidecar_tenant *found;

	/* Where the engine makes no groups of version 2, all are in the root. */
	if (tenants->owner[0] == '\0' || tenants->own_cgroup <= ROOT_CGROUP ||
	    cgroup <= ROOT_CGROUP)
		return false;
	(void)pthread_mutex_lock(&tenants->lock);
	found = judge(tenants, cgroup, time_ns);
	if (found)
		describe(found, ret_container);
	(void)pthread_mutex_unlock(&tenants->lock);
	return found != NULL;
}

void sidecar_tenants_release(struct sidecar_tenants *tenants)
{
	size_t i;

	for (i = 0; i < SIDECAR_TENANTS_MAX; i++)
		free(tenants->items[i].labels);
}
