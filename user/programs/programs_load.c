// SPDX-License-Identifier: Apache-2.0
/*
 * The kernel's part of a load is nearly all of a start. It fills the LRU map (3 ms) and verifies
 * every path through the programs (11 ms, 30 % of it in one of them). libbpf would do one step
 * after the other.
 */
#include "programs/programs_load.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/privileges.h"
#include "lib/process.h"
#include "lib/util.h"

/* bpf/ has fewer, and each object has a map .rodata of its own. */
#define MAPS_MAX 32

/* This map takes the longest to create; a thread of its own creates it. */
#define SLOW_MAP "inbound"

struct loading {
	struct bpf_object **objects;
	int count;	 /* of objects */
	struct btf *btf; /* in the kernel, for the maps' keys and values */
	int maps[MAPS_MAX];
	int slow_error; /* the result of the other thread */
};

/* An object that a thread loads. */
struct share {
	const struct loading *loading;
	struct bpf_object *object;
	pthread_t thread;
	bool started;
	int error;
};

/* Creates @map, which is not internal, as bpf_object__load() would. */
static int create_map(const struct loading *loading, const struct bpf_map *map)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = bpf_map__map_flags(map));

	/* The kernel rejects BTF types for a sockhash. */
	if (bpf_map__type(map) != BPF_MAP_TYPE_SOCKHASH) {
		options.btf_fd = (uint32_t)btf__fd(loading->btf);
		options.btf_key_type_id = bpf_map__btf_key_type_id(map);
		options.btf_value_type_id = bpf_map__btf_value_type_id(map);
	}
	return bpf_map_create(bpf_map__type(map), bpf_map__name(map), bpf_map__key_size(map),
			      bpf_map__value_size(map), bpf_map__max_entries(map), &options);
}

/* Creates the slow map, or all others. */
static int create_maps(struct loading *loading, bool slow)
{
	const struct bpf_map *map;
	size_t i = 0;

	bpf_object__for_each_map (map, loading->objects[0]) {
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

/* All objects come from one file, so their maps have the same order. */
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

static void *load_share(void *argument)
{
	struct share *share = argument;

	share->error = load_object(share->loading, share->object);
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

/* Loads the first object in this thread, and each other one in a thread of its own. */
static int load_programs(const struct loading *loading)
{
	struct share shares[PROGRAMS_SHARES_MAX] = {
		{.loading = loading, .object = loading->objects[0]}};
	int error, i;

	for (i = 1; i < loading->count; i++)
		shares[i] = (struct share) {.loading = loading,
					    .object = loading->objects[i],
					    .error = -EAGAIN};
	for (i = 1; i < loading->count; i++)
		shares[i].started = pthread_create(&shares[i].thread, NULL, load_share,
						   &shares[i]) == 0;
	(void)load_share(&shares[0]);
	error = shares[0].error;
	for (i = 1; i < loading->count; i++) {
		if (shares[i].started)
			(void)pthread_join(shares[i].thread, NULL);
		if (error == 0)
			error = shares[i].error;
	}
	return error;
}

/* Loads a copy of the object's BTF. libbpf loads the original for the programs, and refuses one
 * that is loaded already. */
static int load_types(struct loading *loading)
{
	uint32_t size;
	const void *data = btf__raw_data(bpf_object__btf(loading->objects[0]), &size);

	loading->btf = data ? btf__new(data, size) : NULL;
	return loading->btf ? btf__load_into_kernel(loading->btf) : -errno;
}

int programs_load_shares(struct bpf_object **objects, int count)
{
	struct loading loading = {.objects = objects, .count = count};
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

struct programs_loading {
	pthread_t thread;
	sem_t asked;
	bool wanted; /* written before @asked */
	struct bpf_object *main;
	struct bpf_object *(*open)(const void *context);
	const void *context;
	struct bpf_object *object;
	int error;
};

static int share_maps(const struct bpf_object *main, struct bpf_object *later)
{
	const struct bpf_map *map;
	int error = 0;

	bpf_object__for_each_map (map, main)
		if (error == 0 && !bpf_map__is_internal(map))
			error = bpf_map__reuse_fd(bpf_object__find_map_by_name(later,
									       bpf_map__name(map)),
						  bpf_map__fd(map));
	return error;
}

static int open_and_load(struct programs_loading *loading)
{
	int error;

	loading->object = loading->open(loading->context);
	if (!loading->object)
		return -errno;
	error = share_maps(loading->main, loading->object);
	return error < 0 ? error : bpf_object__load(loading->object);
}

static void *load_later(void *argument)
{
	struct programs_loading *loading = argument;

	loading->error = privileges_keep_loading();
	while (sem_wait(&loading->asked) < 0) {
	}
	if (loading->wanted && loading->error == 0)
		loading->error = open_and_load(loading);
	return NULL;
}

int programs_load_later(struct bpf_object *main, struct bpf_object *(*open)(const void *context),
			const void *context, struct programs_loading **ret_loading)
{
	struct programs_loading *loading = calloc(1, sizeof(*loading));
	int error;

	if (!loading)
		return -ENOMEM;
	*loading = (struct programs_loading) {.main = main, .open = open, .context = context};
	(void)sem_init(&loading->asked, 0, 0);
	error = process_start_thread(&loading->thread, load_later, loading);
	if (error < 0) {
		(void)sem_destroy(&loading->asked);
		free(loading);
		return error;
	}
	*ret_loading = loading;
	return 0;
}

static void end_thread(struct programs_loading *loading, bool wanted)
{
	loading->wanted = wanted;
	(void)sem_post(&loading->asked);
	(void)pthread_join(loading->thread, NULL);
	(void)sem_destroy(&loading->asked);
	bpf_object__close(loading->main);
}

int programs_load_join(struct programs_loading *loading, struct bpf_object **ret_object)
{
	int error;

	end_thread(loading, true);
	error = loading->error;
	if (error < 0)
		bpf_object__close(loading->object);
	else
		*ret_object = loading->object;
	free(loading);
	return error;
}

void programs_load_cancel(struct programs_loading *loading)
{
	end_thread(loading, false);
	free(loading);
}
