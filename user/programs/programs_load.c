// SPDX-License-Identifier: Apache-2.0
/*
 * Loading on two processors at once. The kernel does the work, and it is nearly all of a start: it
 * fills the LRU map (3 ms) and follows every way through the programs (8 ms, 40 % of it in one of
 * them). libbpf would ask for one after the other.
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "lib/util.h"
#include "programs/programs_private.h"

/* With what is in bpf/; .rodata is one of each object's own. */
#define MAPS_MAX 32

/* The map that takes longest to make; it is made beside the others. */
#define SLOW_MAP "inbound"

struct loading {
	struct bpf_object *main, *second;
	struct btf *btf; /* in the kernel, for the maps' keys and values */
	int maps[MAPS_MAX];
	int slow_error, second_error; /* what the other thread found */
};

/* As bpf_object__load() would. @map: not internal. */
static int create_map(const struct loading *loading, const struct bpf_map *map)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = bpf_map__map_flags(map));

	/* The kernel has no use for types there, and says so. */
	if (bpf_map__type(map) != BPF_MAP_TYPE_SOCKHASH) {
		options.btf_fd = (uint32_t)btf__fd(loading->btf);
		options.btf_key_type_id = bpf_map__btf_key_type_id(map);
		options.btf_value_type_id = bpf_map__btf_value_type_id(map);
	}
	return bpf_map_create(bpf_map__type(map), bpf_map__name(map), bpf_map__key_size(map),
			      bpf_map__value_size(map), bpf_map__max_entries(map), &options);
}

/* The slow one, or all others. */
static int create_maps(struct loading *loading, bool slow)
{
	const struct bpf_map *map;
	size_t i = 0;

	bpf_object__for_each_map (map, loading->main) {
		if (i == MAPS_MAX)
			return -E2BIG;
		if (!bpf_map__is_internal(map) &&
		    (strcmp(bpf_map__name(map), SLOW_MAP) == 0) == slow) {
			loading->maps[i] = create_map(loading, map);
			if (loading->maps[i] < 0)
				return loading->maps[i];
		}
		i++;
	}
	return 0;
}

/* Both objects come from one file, so their maps have one order. */
static int load_object(const struct loading *loading, struct bpf_object *object)
{
	struct bpf_map *map;
	size_t i = 0;

	bpf_object__for_each_map (map, object) {
		int error = loading->maps[i] < 0 ? 0 : bpf_map__reuse_fd(map, loading->maps[i]);

		if (error < 0)
			return error;
		i++;
	}
	return bpf_object__load(object);
}

static void *make_slow_map(void *argument)
{
	struct loading *loading = argument;

	loading->slow_error = create_maps(loading, true);
	return NULL;
}

static void *load_second(void *argument)
{
	struct loading *loading = argument;

	loading->second_error = load_object(loading, loading->second);
	return NULL;
}

static int make_maps(struct loading *loading)
{
	pthread_t thread;
	int error;

	if (pthread_create(&thread, NULL, make_slow_map, loading) != 0)
		return -EAGAIN;
	error = create_maps(loading, false);
	(void)pthread_join(thread, NULL);
	return error < 0 ? error : loading->slow_error;
}

static int load_programs(struct loading *loading)
{
	pthread_t thread;
	int error;

	if (pthread_create(&thread, NULL, load_second, loading) != 0)
		return -EAGAIN;
	error = load_object(loading, loading->main);
	(void)pthread_join(thread, NULL);
	return error < 0 ? error : loading->second_error;
}

/* A copy: libbpf loads the object's own for the programs, and refuses what is loaded already. */
static int load_types(struct loading *loading)
{
	uint32_t size;
	const void *data = btf__raw_data(bpf_object__btf(loading->main), &size);

	loading->btf = data ? btf__new(data, size) : NULL;
	return loading->btf ? btf__load_into_kernel(loading->btf) : -errno;
}

int programs_load_both(struct bpf_object *main, struct bpf_object *second)
{
	struct loading loading = {.main = main, .second = second};
	int error, i;

	for (i = 0; i < MAPS_MAX; i++)
		loading.maps[i] = -1;
	error = load_types(&loading);
	if (error == 0)
		error = make_maps(&loading);
	if (error == 0)
		error = load_programs(&loading);
	/* The objects have descriptors of their own. */
	for (i = 0; i < MAPS_MAX; i++)
		(void)safe_close(loading.maps[i]);
	btf__free(loading.btf);
	return error;
}
