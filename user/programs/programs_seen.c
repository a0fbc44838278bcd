// SPDX-License-Identifier: Apache-2.0
#include "programs/programs_seen.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util.h"
#include "programs/programs_attach.h"
#include "programs/programs_maps.h"
#include "programs/programs_view_private.h"

/* More programs on one hook, and more maps of one program, are not looked at. */
#define HOOK_PROGRAMS_MAX 64
#define VIEW_MAPS_MAX	  64

/* The process that opens what the kernel does not open for this one. */
static struct {
	programs_opener *open; /* NULL: there is none */
	void *context;
} other;

void programs_seen_set_opener(programs_opener *opener, void *context)
{
	other.open = opener;
	other.context = context;
}

/* Opens a program or a map. */
static int open_object(bool map, uint32_t id)
{
	int fd = map ? bpf_map_get_fd_by_id(id) : bpf_prog_get_fd_by_id(id);

	return fd == -EPERM && other.open ? other.open(other.context, map, id) : fd;
}

static int read_info(int program_fd, struct bpf_prog_info *ret_info, uint32_t *maps, uint32_t room)
{
	uint32_t size = sizeof(*ret_info);

	*ret_info = (struct bpf_prog_info) {
		.nr_map_ids = room,
		.map_ids = (uint64_t)(uintptr_t)maps,
	};
	return bpf_obj_get_info_by_fd(program_fd, ret_info, &size);
}

/* The number of maps that read_info() stored. */
static uint32_t maps_read(const struct bpf_prog_info *info)
{
	return info->nr_map_ids < VIEW_MAPS_MAX ? info->nr_map_ids : VIEW_MAPS_MAX;
}

/* Opens the map of that name, or returns a negative errno. */
static int open_map(const uint32_t *maps, uint32_t count, const char *name, uint32_t *ret_id)
{
	uint32_t i;

	for (i = 0; i < count; i++) {
		_cleanup_close_ int fd = open_object(true, maps[i]);
		struct bpf_map_info info = {0};
		uint32_t size = sizeof(info);

		if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &size) == 0 &&
		    strncmp(info.name, name, sizeof(info.name) - 1) == 0) {
			*ret_id = maps[i];
			return TAKE_FD(fd);
		}
	}
	return -ENOENT;
}

/* Is there a map that every program of ours uses one of? */
static bool has_our_maps(const uint32_t *maps, uint32_t count)
{
	uint32_t id;
	_cleanup_close_ int counters = open_map(maps, count, "counters", &id);
	_cleanup_close_ int arrivals = open_map(maps, count, "arrivals", &id);

	return counters >= 0 || arrivals >= 0;
}

/* Opens a program if it is one of ours, by its name and its maps. */
static int open_ours(uint32_t id, struct programs_seen *ret_seen)
{
	_cleanup_close_ int fd = open_object(false, id);
	uint32_t maps[VIEW_MAPS_MAX];
	enum programs_program program;
	struct bpf_prog_info info;
	int error = fd < 0 ? fd : read_info(fd, &info, maps, ARRAY_SIZE(maps));

	if (error < 0)
		return error;
	program = programs_by_name(info.name);
	if (program == PROGRAMS || !has_our_maps(maps, maps_read(&info)))
		return -ENOENT;
	*ret_seen = (struct programs_seen) {.id = id, .fd = TAKE_FD(fd), .program = program};
	return 0;
}

/* Opens those that are ours, behind the @found ones. Returns the number of all, or a negative errno
 * if there is none. */
static int open_all(const uint32_t *ids, uint32_t count, struct programs_seen *seen, int found)
{
	int error = 0;
	uint32_t i;

	for (i = 0; i < count && i < HOOK_PROGRAMS_MAX && found < PROGRAMS_SEEN_MAX; i++) {
		int opened = open_ours(ids[i], &seen[found]);

		if (opened == 0)
			found++;
		else if (opened != -ENOENT)
			error = opened;
	}
	return found ? found : error;
}

/* Opens those that are attached by TCX. Returns their number, or a negative errno. */
static int open_links(uint32_t ifindex, bool egress, struct programs_seen ret[PROGRAMS_SEEN_MAX])
{
	uint32_t ids[HOOK_PROGRAMS_MAX], count = ARRAY_SIZE(ids);
	enum bpf_attach_type type = egress ? ATTACH_TYPE_TCX_EGRESS : ATTACH_TYPE_TCX_INGRESS;
	int error = bpf_prog_query((int)ifindex, type, 0, NULL, ids, &count);

	/* A kernel without TCX does not know the attach type. */
	if (error == -EINVAL || error == -EOPNOTSUPP)
		return 0;
	return error < 0 ? error : open_all(ids, count, ret, 0);
}

int programs_seen_tc(uint32_t ifindex, bool egress, struct programs_seen ret[PROGRAMS_SEEN_MAX])
{
	int found = open_links(ifindex, egress, ret), error;
	uint32_t id;

	if (found < 0)
		return found;
	error = programs_attach_query_filter(ifindex, egress, &id);
	if (error == 0)
		return open_all(&id, 1, ret, found);
	if (found > 0 || error != -ENOENT)
		return found > 0 ? found : error;
	/* A link that takes a filter's place is there before the filter goes, and so it may be now.
	 */
	return open_links(ifindex, egress, ret);
}

int programs_seen_steer(int netns_fd, struct programs_seen ret[PROGRAMS_SEEN_MAX])
{
	uint32_t ids[HOOK_PROGRAMS_MAX], count = ARRAY_SIZE(ids);
	int error = bpf_prog_query(netns_fd, BPF_SK_LOOKUP, 0, NULL, ids, &count);

	return error < 0 ? error : open_all(ids, count, ret, 0);
}

void programs_seen_close(struct programs_seen *seen)
{
	if (seen->id)
		(void)safe_close(seen->fd);
	*seen = (struct programs_seen) {.id = 0};
}

int programs_view_new(const struct programs_seen *seen, uint32_t netns,
		      struct programs_view **ret_view)
{
	struct programs_view *view = calloc(1, sizeof(*view));
	uint32_t maps[VIEW_MAPS_MAX], id;
	struct bpf_prog_info info;
	int error, i;

	if (!view)
		return -ENOMEM;
	view->netns = netns;
	for (i = 0; i < PROGRAMS_MAPS; i++)
		view->programs.maps[i] = -1;
	error = read_info(seen->fd, &info, maps, ARRAY_SIZE(maps));
	if (error < 0) {
		programs_view_free(view);
		return error;
	}
	for (i = 0; i < PROGRAMS_MAPS; i++) {
		view->programs.maps[i] = open_map(maps, maps_read(&info), programs_map_name(i),
						  &id);
		if (i == MAP_LISTENERS && view->programs.maps[i] >= 0)
			view->listeners = id;
	}
	*ret_view = view;
	return 0;
}

void programs_view_free(struct programs_view *view)
{
	int i;

	if (!view)
		return;
	for (i = 0; i < PROGRAMS_MAPS; i++)
		(void)safe_close(view->programs.maps[i]);
	free(view);
}

bool programs_view_steer(const struct programs_view *view, struct programs_seen *ret_seen)
{
	uint32_t id = 0, i, maps[VIEW_MAPS_MAX];

	while (bpf_prog_get_next_id(id, &id) == 0) {
		_cleanup_seen_ struct programs_seen seen = {.id = 0};
		struct bpf_prog_info info;

		if (open_ours(id, &seen) < 0 || seen.program != PROGRAM_STEER ||
		    read_info(seen.fd, &info, maps, ARRAY_SIZE(maps)) < 0)
			continue;
		for (i = 0; i < maps_read(&info); i++) {
			if (maps[i] != view->listeners)
				continue;
			*ret_seen = seen;
			seen.id = 0;
			return true;
		}
	}
	return false;
}

bool programs_view_is_shared(const struct programs_view *view)
{
	struct bpf_map_info info = {0};
	uint32_t size = sizeof(info);

	/* A sidecar's own map has a single entry (user/programs/counters.c). */
	return bpf_obj_get_info_by_fd(view->programs.maps[MAP_COUNTERS], &info, &size) == 0 &&
	       info.type != BPF_MAP_TYPE_PERCPU_ARRAY;
}

int programs_view_namespace(const struct programs_view *view, struct sidestep_namespace *ret_value)
{
	return bpf_map_lookup_elem(view->programs.maps[MAP_NAMESPACES], &view->netns, ret_value);
}

/* Stores the prefix of a key of `bypass4` (@ipv4) or `bypass6`. */
static void read_prefix(const void *key, bool ipv4, struct prefix *ret_prefix)
{
	const struct sidestep_prefix4 *key4 = key;
	const struct sidestep_prefix6 *key6 = key;

	address_from_bytes(ipv4 ? AF_INET : AF_INET6, ipv4 ? key4->address : key6->address,
			   ret_prefix->address);
	ret_prefix->length = (uint8_t)(key6->prefix_length - SIDESTEP_NETNS_BITS + (ipv4 ? 96 : 0));
}

int programs_view_bypass(const struct programs_view *view, const uint8_t address[16],
			 struct prefix *ret_prefix, struct sidestep_bypass *ret_value)
{
	bool ipv4 = address_is_ipv4(address), found = false;
	int fd = view->programs.maps[ipv4 ? MAP_BYPASS4 : MAP_BYPASS6];
	struct sidestep_prefix6 key, next; /* which begin as those of IPv4 do */
	struct sidestep_bypass value;
	void *previous = NULL;
	struct prefix prefix;

	/* A lookup would tell the value and not the prefix. */
	while (bpf_map_get_next_key(fd, previous, &next) == 0) {
		key = next;
		previous = &key;
		read_prefix(&key, ipv4, &prefix);
		if (key.netns != view->netns || !prefix_contains(&prefix, address) ||
		    (found && prefix.length < ret_prefix->length) ||
		    bpf_map_lookup_elem(fd, &key, &value) < 0)
			continue;
		found = true;
		*ret_prefix = prefix;
		*ret_value = value;
	}
	return found ? 0 : -ENOENT;
}

int programs_view_route(const struct programs_view *view, const uint8_t source[16],
			const uint8_t destination[16], struct sidestep_route *ret_route)
{
	int error = programs_route_get(&view->programs, view->netns, NULL, destination, ret_route);

	if (error < 0 || !ret_route->by_source)
		return error;
	(void)programs_route_get(&view->programs, view->netns, source, destination, ret_route);
	return 0;
}

int programs_view_outer(const struct programs_view *view, uint32_t ifindex, uint32_t *ret_host)
{
	int fd = view->programs.maps[MAP_OUTER];
	uint32_t key, next, *previous = NULL;
	struct sidestep_outer end;

	while (fd >= 0 && bpf_map_get_next_key(fd, previous, &next) == 0) {
		key = next;
		previous = &key;
		if (bpf_map_lookup_elem(fd, &key, &end) == 0 && end.ifindex == ifindex &&
		    end.netns == (view->netns | SIDESTEP_OUTER)) {
			*ret_host = key;
			return 0;
		}
	}
	return -ENOENT;
}

int programs_view_own_socket(const struct programs_view *view, int fd)
{
	return programs_own_socket(&view->programs, fd, false);
}

static bool has_id(int fd, bool map, uint32_t id)
{
	struct bpf_prog_info program = {0};
	struct bpf_map_info info = {0};
	uint32_t size = map ? sizeof(info) : sizeof(program);

	return bpf_obj_get_info_by_fd(fd, map ? (void *)&info : (void *)&program, &size) == 0 &&
	       (map ? info.id : program.id) == id;
}

int programs_find(const struct programs *programs, bool map, uint32_t id)
{
	const int *fds = map ? programs->maps : programs->programs;
	int i;

	for (i = 0; i < (map ? (int)PROGRAMS_MAPS : (int)PROGRAMS); i++)
		if (fds[i] >= 0 && has_id(fds[i], map, id))
			return fds[i];
	return -ENOENT;
}
