// SPDX-License-Identifier: Apache-2.0
#include "doctor/report_maps.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util.h"

/* At most so many entries of a map are printed. */
#define ENTRIES_MAX 4096

/* Bytes of a key or a value that are printed. */
#define BYTES_MAX 4096

static void print(void *context, const char *format, va_list arguments)
{
	(void)vfprintf(context, format, arguments);
}

struct map {
	int fd;
	struct bpf_map_info info;
	struct btf *btf;
	struct btf_dump *dump; /* NULL: without types */
	FILE *file;
};

/* Types that the kernel does not know are printed as bytes. */
static void print_bytes(struct map *map, uint32_t type, const void *bytes, size_t size)
{
	struct btf_dump_type_data_opts options = {.sz = sizeof(options), .compact = true};
	const uint8_t *byte = bytes;
	size_t i;

	if (map->dump && type &&
	    btf_dump__dump_type_data(map->dump, type, bytes, size, &options) > 0)
		return;
	for (i = 0; i < size; i++)
		(void)fprintf(map->file, "%02x", byte[i]);
}

static void print_entries(struct map *map)
{
	char key[BYTES_MAX], next[BYTES_MAX], value[BYTES_MAX];
	const void *previous = NULL;
	unsigned int count = 0;

	while (bpf_map_get_next_key(map->fd, previous, next) == 0) {
		memcpy(key, next, map->info.key_size);
		previous = key;
		if (++count > ENTRIES_MAX || bpf_map_lookup_elem(map->fd, key, value) < 0)
			continue;
		print_bytes(map, map->info.btf_key_type_id, key, map->info.key_size);
		(void)fprintf(map->file, ": ");
		print_bytes(map, map->info.btf_value_type_id, value, map->info.value_size);
		(void)fprintf(map->file, "\n");
	}
	(void)fprintf(map->file, "%u of %u entries%s\n", count, map->info.max_entries,
		      count > ENTRIES_MAX ? ", of which the first are printed" : "");
}

static bool is_printable(const struct bpf_map_info *info)
{
	return info->key_size <= BYTES_MAX && info->value_size <= BYTES_MAX &&
	       info->type != BPF_MAP_TYPE_PERCPU_HASH && info->type != BPF_MAP_TYPE_PERCPU_ARRAY &&
	       info->type != BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

static void add_map(struct report_archive *archive, const char *path, const char *name)
{
	struct map map = {.fd = bpf_obj_get(path)};
	uint32_t size = sizeof(map.info);
	char *text = NULL;
	size_t length;

	if (map.fd < 0 || bpf_obj_get_info_by_fd(map.fd, &map.info, &size) < 0 ||
	    !is_printable(&map.info))
		goto out;
	map.file = open_memstream(&text, &length);
	if (!map.file)
		goto out;
	map.btf = map.info.btf_id ? btf__load_from_kernel_by_id(map.info.btf_id) : NULL;
	map.dump = map.btf ? btf_dump__new(map.btf, print, map.file, NULL) : NULL;
	print_entries(&map);
	btf_dump__free(map.dump);
	btf__free(map.btf);
	if (fclose(map.file) == 0)
		report_archive_text(archive, name, text, length);
	free(text);
out:
	(void)safe_close(map.fd);
}

static void add_instance(struct report_archive *archive, const char *root, const char *instance)
{
	char path[4096], name[256];
	_cleanup_closedir_ DIR *directory = NULL;
	const struct dirent *entry;

	(void)snprintf(path, sizeof(path), "%.2000s/%s", root, instance);
	directory = opendir(path);
	while (directory && (entry = readdir(directory))) {
		if (entry->d_name[0] == '.' || strcmp(entry->d_name, "links") == 0)
			continue;
		(void)snprintf(path, sizeof(path), "%.2000s/%s/%s", root, instance, entry->d_name);
		(void)snprintf(name, sizeof(name), "maps/%.100s/%.100s.txt", instance,
			       entry->d_name);
		add_map(archive, path, name);
	}
}

void report_maps(struct report_archive *archive, const char *root)
{
	_cleanup_closedir_ DIR *directory = opendir(root);
	const struct dirent *entry;

	while (directory && (entry = readdir(directory)))
		if (entry->d_name[0] != '.')
			add_instance(archive, root, entry->d_name);
}
