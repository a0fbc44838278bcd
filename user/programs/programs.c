// SPDX-License-Identifier: Apache-2.0
#include "programs/programs.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/kernel.h"
#include "lib/log.h"
#include "lib/netns.h"
#include "lib/util.h"
#include "programs/bpffs.h"
#include "programs/programs_helpers.h"
#include "programs/programs_load.h"
#include "programs/programs_private.h"
#include "programs/programs_rights.h"
#include "shared.skel.h"
#include "sidestep.skel.h"

/* These maps are pinned; the programs use the others only by themselves. */
static const char *const map_names[] = {
	[MAP_BYPASS4] = "bypass4",
	[MAP_BYPASS6] = "bypass6",
	[MAP_ROUTE4] = "route4",
	[MAP_ROUTE6] = "route6",
	[MAP_SOURCE_ROUTE4] = "source_route4",
	[MAP_SOURCE_ROUTE6] = "source_route6",
	[MAP_FLOWS] = "flows",
	[MAP_INBOUND] = "inbound",
	[MAP_OPENERS] = "openers",
	[MAP_DENIALS] = "denials",
	[MAP_STARTERS] = "starters", /* of PROGRAMS_SHARED alone */
	[MAP_OWNERS] = "owners",
	[MAP_LISTENERS] = "listeners",
	[MAP_COUNTERS] = "counters",
	[MAP_INFO] = "info",
	[MAP_NAMESPACES] = "namespaces",
	/* Programs pass notes in it, so an old and a new program must share it. */
	[MAP_ARRIVALS] = "arrivals",
	[MAP_GENERATION] = "generation",
	[MAP_OUTER] = "outer", /* of PROGRAMS_SHARED alone */
};
_Static_assert(ARRAY_SIZE(map_names) == PROGRAMS_MAPS, "a name for each map");

static const struct {
	const char *name;
	unsigned int kinds; /* bits, 1 << enum programs_kind: the kinds that load it */
	unsigned int later; /* likewise: the kinds that load it in programs_await() */
	int share; /* each is verified on a processor of its own, and takes about as long */
} program_table[PROGRAMS] = {
#define SIDECAR (1 << PROGRAMS_SIDECAR)
#define BRIDGE	(1 << PROGRAMS_BRIDGE)
#define SHARED	(1 << PROGRAMS_SHARED)
	[PROGRAM_STEER] = {"steer", SIDECAR | BRIDGE | SHARED, .share = 1},
	[PROGRAM_LO_EGRESS] = {"lo_egress", SIDECAR | SHARED, .share = 1},
	[PROGRAM_LO_INGRESS] = {"lo_ingress", SHARED},
	[PROGRAM_DEV_INGRESS] = {"dev_ingress", SIDECAR | SHARED},
	[PROGRAM_DEV_EGRESS] = {"dev_egress", SIDECAR | SHARED},
	[PROGRAM_L3_INGRESS] = {"l3_ingress", SHARED, SIDECAR},
	[PROGRAM_L3_EGRESS] = {"l3_egress", SHARED, SIDECAR},
	[PROGRAM_BRIDGE_INGRESS] = {"bridge_ingress", BRIDGE | SHARED, SIDECAR, .share = 1},
	[PROGRAM_BRIDGE_EGRESS] = {"bridge_egress", BRIDGE | SHARED, SIDECAR},
	[PROGRAM_VETH_INGRESS] = {"veth_ingress", BRIDGE},
	[PROGRAM_HOST_INGRESS] = {"host_ingress", SHARED},
	[PROGRAM_HOST_EGRESS] = {"host_egress", SHARED},
	[PROGRAM_SHUT] = {"shut", SIDECAR},
};

const char *programs_map_name(enum programs_map map)
{
	return map_names[map];
}

const char *programs_name(enum programs_program program)
{
	return program_table[program].name;
}

enum programs_program programs_by_name(const char *name)
{
	int i;

	for (i = 0; i < PROGRAMS; i++)
		if (strcmp(program_table[i].name, name) == 0)
			return (enum programs_program)i;
	return PROGRAMS;
}

static int print_nothing(enum libbpf_print_level level, const char *format, va_list arguments)
{
	(void)level;
	(void)format;
	(void)arguments;
	return 0;
}

void programs_silence(void)
{
	if (!log_enabled(LOG_DEBUG))
		(void)libbpf_set_print(print_nothing);
}

static void pin_path(const char *directory, enum programs_map map, char path[4096])
{
	(void)snprintf(path, 4096, "%s/%s", directory, map_names[map]);
}

/* Refuses the pinned maps of another version. Returns 0 also where nothing is pinned. */
static int check_pinned_version(const char *directory)
{
	struct sidestep_info info;
	uint32_t zero = 0;
	char path[4096];
	_cleanup_close_ int fd = -1;

	pin_path(directory, MAP_INFO, path);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return 0;
	if (bpf_map_lookup_elem(fd, &zero, &info) == 0 && info.abi_version == SIDESTEP_ABI_VERSION)
		return 0;
	return log_errno(-EPROTO,
			 "the maps pinned in %s have version %u, this sidestep (%s) needs version "
			 "%d. Stop the containers that they serve and remove the directory, or "
			 "run the sidestep that made them",
			 directory, info.abi_version, SIDESTEP_VERSION, SIDESTEP_ABI_VERSION);
}

/* Gives each map a path. libbpf pins the map there, or reuses the one that is pinned there. */
static int choose_pins(struct programs *programs, struct bpf_object *object)
{
	int error, i;

	if (!programs->config.pin)
		return 0;
	error = bpffs_make_directory(programs->config.pin);
	if (error < 0)
		return error;
	programs->pin = strdup(programs->config.pin);
	if (!programs->pin)
		return -ENOMEM;
	if (programs->config.adopt && (error = check_pinned_version(programs->pin)) < 0)
		return error;
	for (i = 0; i < PROGRAMS_MAPS; i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(object, map_names[i]);
		char path[4096];

		if (!map)
			continue;
		pin_path(programs->pin, i, path);
		if (!programs->config.adopt)
			(void)unlink(path); /* left by a killed predecessor */
		error = bpf_map__set_pin_path(map, path);
		if (error < 0)
			return log_errno(error, "cannot choose %s for a map", path);
	}
	return 0;
}

static void unpin_maps(struct programs *programs)
{
	int i;

	if (!programs->pin || programs->config.adopt)
		return;
	for (i = 0; i < PROGRAMS_MAPS; i++) {
		char path[4096];

		pin_path(programs->pin, i, path);
		(void)unlink(path);
	}
	(void)rmdir(programs->pin);
}

static const char *version_wanted(const struct programs_config *config)
{
	return config->kind == PROGRAMS_SHARED ? "6.6" : "5.10";
}

/* Keeps the maps' file descriptors; the rest of @object is not needed any more. */
static int take_maps(struct programs *programs, const struct bpf_object *object)
{
	int i;

	for (i = 0; i < PROGRAMS_MAPS; i++) {
		const struct bpf_map *map = bpf_object__find_map_by_name(object, map_names[i]);

		if (!map)
			continue;
		programs->maps[i] = fcntl(bpf_map__fd(map), F_DUPFD_CLOEXEC, 0);
		if (programs->maps[i] < 0)
			return -errno;
	}
	return 0;
}

/* Keeps the descriptors of the programs that @object has loaded. */
static int take_programs(struct programs *programs, const struct bpf_object *object)
{
	int i;

	for (i = 0; i < PROGRAMS; i++) {
		const struct bpf_program *program =
			bpf_object__find_program_by_name(object, program_table[i].name);

		if (!program || !bpf_program__autoload(program))
			continue;
		programs->programs[i] = fcntl(bpf_program__fd(program), F_DUPFD_CLOEXEC, 0);
		if (programs->programs[i] < 0)
			return -errno;
	}
	return 0;
}

/* Sets the programs' constants (const volatile in bpf/). */
static int configure(struct bpf_object *object, const struct programs_config *config)
{
	struct sidestep_bpf__rodata constants = {
		.config_netns = config->netns,
		.config_veth_ifindex = config->veth_ifindex,
		.config_openers = config->openers,
		.config_lookup_has_ifindex = kernel_is(5, 17),
	};
	struct bpf_map *map = bpf_object__find_map_by_name(object, ".rodata");

	/* The agent's programs have no constants. */
	if (config->kind == PROGRAMS_SHARED)
		return 0;
	return map ? bpf_map__set_initial_value(map, &constants, sizeof(constants)) : -ENOENT;
}

struct bpf_object *programs_open(const struct programs_config *config)
{
	LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = "sidestep");
	bool shared = config->kind == PROGRAMS_SHARED;
	struct bpf_object *object;
	const void *elf;
	size_t size;
	int error, i;

	programs_helpers_prepare();
	elf = shared ? shared_bpf__elf_bytes(&size) : sidestep_bpf__elf_bytes(&size);
	object = bpf_object__open_mem(elf, size, &options);
	if (!object)
		return NULL;
	for (i = 0; i < PROGRAMS; i++) {
		struct bpf_program *program =
			bpf_object__find_program_by_name(object, program_table[i].name);

		if (program)
			(void)bpf_program__set_autoload(program, (program_table[i].kinds |
								  program_table[i].later) &
									 1U << config->kind);
	}
	error = configure(object, config);
	if (error < 0) {
		bpf_object__close(object);
		errno = -error;
		return NULL;
	}
	return object;
}

static bool is_inner(enum programs_program program)
{
	return program == PROGRAM_BRIDGE_INGRESS || program == PROGRAM_BRIDGE_EGRESS;
}

/* The programs that load in programs_await(). */
#define SHARE_LATER (-1)

static bool is_chosen(const struct programs_config *config, enum programs_program program,
		      int share)
{
	if (share == SHARE_LATER)
		return program_table[program].later & 1U << config->kind &&
		       (config->inner || !is_inner(program));
	return program_table[program].kinds & 1U << config->kind &&
	       program_table[program].share == share;
}

/* Has @object load only the programs of a share. */
static void choose_programs(struct bpf_object *object, const struct programs_config *config,
			    int share)
{
	int i;

	for (i = 0; i < PROGRAMS; i++) {
		struct bpf_program *program =
			bpf_object__find_program_by_name(object, program_table[i].name);

		if (program)
			(void)bpf_program__set_autoload(program, is_chosen(config, i, share));
	}
}

static int share_count(enum programs_kind kind)
{
	int last = 0, i;

	for (i = 0; i < PROGRAMS; i++)
		if (program_table[i].kinds & 1U << kind && program_table[i].share > last)
			last = program_table[i].share;
	return last + 1;
}

static void close_objects(struct bpf_object *(*objects)[PROGRAMS_SHARES_MAX])
{
	int i;

	for (i = 0; i < PROGRAMS_SHARES_MAX; i++)
		bpf_object__close((*objects)[i]);
}

/* Loads the programs in shares, whose objects it opens. The agent is in no hurry, and its maps may
 * exist already. */
static int load_objects(const struct programs_config *config,
			struct bpf_object *objects[PROGRAMS_SHARES_MAX])
{
	int count = share_count(config->kind), i;

	if (config->kind == PROGRAMS_SHARED)
		return bpf_object__load(objects[0]);
	for (i = 0; i < count; i++) {
		if (i > 0)
			objects[i] = programs_open(config);
		if (!objects[i])
			return -errno;
		choose_programs(objects[i], config, i);
	}
	return programs_load_shares(objects, count);
}

static struct bpf_object *open_later(const void *context)
{
	const struct programs_config *config = context;
	struct bpf_object *later = programs_open(config);

	if (later)
		choose_programs(later, config, SHARE_LATER);
	return later;
}

static int load(struct programs *programs, bool quiet)
{
	const struct programs_config *config = &programs->config;
	_cleanup_(close_objects) struct bpf_object *objects[PROGRAMS_SHARES_MAX] = {0};
	int error, i;

	objects[0] = programs_open(config);
	if (!objects[0])
		return log_errno(-errno, "cannot open the BPF programs inside this binary");
	error = choose_pins(programs, objects[0]);
	if (error < 0)
		return error;
	error = load_objects(config, objects);
	if (error < 0)
		return programs_rights_complain(error, version_wanted(config), quiet);
	error = take_maps(programs, objects[0]);
	for (i = 0; i < PROGRAMS_SHARES_MAX && objects[i] && error == 0; i++)
		error = take_programs(programs, objects[i]);
	if (error < 0 || config->kind != PROGRAMS_SIDECAR)
		return error;
	error = programs_load_later(objects[0], open_later, config, &programs->loading);
	if (error == 0)
		objects[0] = NULL;
	return error;
}

static void close_object(struct bpf_object **object)
{
	bpf_object__close(*object);
}

int programs_await(struct programs *programs)
{
	_cleanup_(close_object) struct bpf_object *object = NULL;
	int error;

	if (!programs->loading)
		return programs->later_error;
	error = programs_load_join(programs->loading, &object);
	programs->loading = NULL;
	if (error == 0)
		error = take_programs(programs, object);
	if (error < 0)
		error = programs_rights_complain(error, version_wanted(&programs->config), false);
	programs->later_error = error;
	return error;
}

static int describe(const struct programs *programs)
{
	struct sidestep_info info = {
		.abi_version = SIDESTEP_ABI_VERSION,
		.pid = (uint32_t)getpid(),
		.version = SIDESTEP_VERSION,
	};
	uint32_t zero = 0;

	return bpf_map_update_elem(programs->maps[MAP_INFO], &zero, &info, BPF_ANY);
}

int programs_load(const struct programs_config *config, bool quiet, struct programs **ret_programs)
{
	struct programs *programs = calloc(1, sizeof(*programs));
	int error, i;

	if (!programs)
		return -ENOMEM;
	programs->config = *config;
	for (i = 0; i < PROGRAMS_MAPS; i++)
		programs->maps[i] = -1;
	for (i = 0; i < PROGRAMS; i++)
		programs->programs[i] = -1;
	programs_silence();
	programs_rights_raise();
	error = load(programs, quiet);
	if (error == 0)
		error = programs_memory_map(programs);
	if (error == 0)
		error = describe(programs);
	if (error < 0) {
		programs_free(programs);
		return error;
	}
	*ret_programs = programs;
	return 0;
}

void programs_free(struct programs *programs)
{
	int i;

	if (!programs)
		return;
	if (programs->loading)
		programs_load_cancel(programs->loading);
	unpin_maps(programs);
	programs_memory_unmap(programs);
	for (i = 0; i < PROGRAMS_MAPS; i++)
		(void)safe_close(programs->maps[i]);
	for (i = 0; i < PROGRAMS; i++)
		(void)safe_close(programs->programs[i]);
	free(programs->pin);
	free(programs);
}

int programs_netns(uint32_t *ret_netns)
{
	uint64_t cookie;
	int error = netns_cookie_own(&cookie);

	if (error == -ENOPROTOOPT)
		cookie = 1;
	else if (error < 0)
		return error;
	if (cookie >= SIDESTEP_OUTER)
		return -EOVERFLOW;
	*ret_netns = (uint32_t)cookie;
	return 0;
}
