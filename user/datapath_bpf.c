// SPDX-License-Identifier: Apache-2.0
#include "datapath_bpf.h"

#include "cleanup.h"
#include "counters.h"
#include "log.h"
#include "sidestep.skel.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <linux/magic.h>

/* Newer than the headers of the oldest systems that this builds on (Linux 6.6). */
#define ATTACH_TYPE_TCX_INGRESS ((enum bpf_attach_type)46)
#define ATTACH_TYPE_TCX_EGRESS	((enum bpf_attach_type)47)

/* How our clsact filters are told from others, to be replaced after a SIGKILL. */
#define CLSACT_PRIORITY 9300
#define CLSACT_HANDLE	93

#define MAX_DEVICES 256

#define LOOPBACK_IFINDEX 1

/* A TC program on a device: a TCX link, or a clsact filter, which outlives the process. */
struct attachment {
	int link_fd; /* -1: clsact */
	uint32_t ifindex;
	enum bpf_tc_attach_point point;
};

struct device {
	uint32_t ifindex;
	struct attachment ingress;
	struct attachment egress;
};

struct datapath_bpf {
	struct datapath base;
	struct sidestep_bpf *skeleton;
	struct datapath_bpf_config config;
	struct bpf_link *steer_link;
	struct attachment loopback;
	struct attachment veth;
	struct device devices[MAX_DEVICES];
	unsigned int device_count;
	char *pin;
};

static struct datapath_bpf *self(struct datapath *base)
{
	return (struct datapath_bpf *)base;
}

static int print_nothing(enum libbpf_print_level level, const char *format, va_list arguments)
{
	(void)level;
	(void)format;
	(void)arguments;
	return 0;
}

static int map_fd(const struct bpf_map *map)
{
	return bpf_map__fd(map);
}

/* Programs of the other mode stay unloaded. */
static void choose_programs(struct datapath_bpf *datapath)
{
	bool bridge = datapath->config.mode == SIDESTEP_MODE_BRIDGE;
	struct sidestep_bpf *skeleton = datapath->skeleton;

	bpf_program__set_autoload(skeleton->progs.lo_egress, !bridge);
	bpf_program__set_autoload(skeleton->progs.dev_ingress, !bridge);
	bpf_program__set_autoload(skeleton->progs.dev_egress, !bridge);
	bpf_program__set_autoload(skeleton->progs.bridge_ingress, bridge);
	bpf_program__set_autoload(skeleton->progs.bridge_egress, bridge);
	bpf_program__set_autoload(skeleton->progs.veth_ingress, bridge);
}

static int make_pin_directory(const char *path)
{
	_cleanup_free_ char *parent = strdup(path);
	struct statfs filesystem;
	char *slash;

	if (!parent)
		return -ENOMEM;
	slash = strrchr(parent, '/');
	if (!slash || slash == parent)
		return log_errno(-EINVAL,
				 "cannot pin maps in \"%s\": give a directory below a "
				 "mounted bpffs, such as /sys/fs/bpf/sidestep/NAME",
				 path);
	*slash = '\0';
	if ((mkdir(parent, 0755) < 0 && errno != EEXIST) ||
	    (mkdir(path, 0755) < 0 && errno != EEXIST))
		return log_errno(-errno, "cannot make the directory %s to pin maps in", path);
	if (statfs(path, &filesystem) < 0)
		return log_errno(-errno, "cannot look at %s", path);
	if (filesystem.f_type == BPF_FS_MAGIC)
		return 0;
	(void)rmdir(path);
	return log_errno(-EMEDIUMTYPE,
			 "cannot pin maps in %s, which is not on a bpffs (mount -t bpf bpf "
			 "/sys/fs/bpf, and for a container: -v /sys/fs/bpf:/sys/fs/bpf)",
			 path);
}

static void pin_path(const struct datapath_bpf *datapath, const struct bpf_map *map, char *path,
		     size_t size)
{
	(void)snprintf(path, size, "%s/%s", datapath->pin, bpf_map__name(map));
}

/* rodata and its like have names with dots, which a bpffs refuses; nobody looks for them. */
static bool map_is_ours(const struct bpf_map *map)
{
	return !strchr(bpf_map__name(map), '.');
}

static int pin_maps(struct datapath_bpf *datapath)
{
	struct bpf_map *map;
	int error;

	error = make_pin_directory(datapath->config.pin);
	if (error < 0)
		return error;
	datapath->pin = strdup(datapath->config.pin);
	if (!datapath->pin)
		return -ENOMEM;
	bpf_object__for_each_map (map, datapath->skeleton->obj) {
		char path[4096];

		if (!map_is_ours(map))
			continue;
		pin_path(datapath, map, path, sizeof(path));
		(void)unlink(path); /* left by a killed predecessor */
		error = bpf_obj_pin(map_fd(map), path);
		if (error < 0)
			return log_errno(error, "cannot pin the map %s", path);
	}
	return 0;
}

static void unpin_maps(struct datapath_bpf *datapath)
{
	struct bpf_map *map;

	if (!datapath->pin)
		return;
	bpf_object__for_each_map (map, datapath->skeleton->obj) {
		char path[4096];

		pin_path(datapath, map, path, sizeof(path));
		if (map_is_ours(map))
			(void)unlink(path);
	}
	(void)rmdir(datapath->pin);
}

/* Before Linux 5.11 maps are charged to RLIMIT_MEMLOCK; later it does not matter. */
static void raise_memlock(void)
{
	struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};

	(void)setrlimit(RLIMIT_MEMLOCK, &limit);
}

static int load(struct datapath_bpf *datapath)
{
	const struct datapath_bpf_config *config = &datapath->config;
	int error;

	datapath->skeleton = sidestep_bpf__open();
	if (!datapath->skeleton)
		return log_errno(-errno, "cannot open the BPF programs inside this binary");
	choose_programs(datapath);
	datapath->skeleton->rodata->config_udp_pass = config->udp_pass;
	datapath->skeleton->rodata->config_veth_ifindex = config->veth_ifindex;
	error = sidestep_bpf__load(datapath->skeleton);
	if (error == -EPERM)
		return log_errno(error, "cannot load the BPF programs: CAP_BPF and CAP_NET_ADMIN "
					"are needed, and a seccomp profile that allows bpf(2) "
					"(docker run --privileged, or --cap-add BPF --cap-add "
					"NET_ADMIN)");
	if (error < 0)
		return log_errno(error,
				 "cannot load the BPF programs (Linux 5.10 or newer is needed; "
				 "--log-level debug shows what the kernel's verifier says)");
	return 0;
}

static int clsact_attach(struct attachment *attachment, int program_fd)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)attachment->ifindex,
		    .attach_point = attachment->point);
	LIBBPF_OPTS(bpf_tc_opts, options, .handle = CLSACT_HANDLE, .priority = CLSACT_PRIORITY,
		    .prog_fd = program_fd, .flags = BPF_TC_F_REPLACE);
	int error;

	error = bpf_tc_hook_create(&hook);
	if (error < 0 && error != -EEXIST)
		return error;
	return bpf_tc_attach(&hook, &options);
}

static void clsact_detach(const struct attachment *attachment)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)attachment->ifindex,
		    .attach_point = attachment->point);
	LIBBPF_OPTS(bpf_tc_opts, options, .handle = CLSACT_HANDLE, .priority = CLSACT_PRIORITY);

	/* The qdisc itself stays: somebody else may have filters on it by now. */
	(void)bpf_tc_detach(&hook, &options);
}

/* Leaves @attachment empty when it fails. The device's name is only for the message. */
static int attach_tc(struct datapath_bpf *datapath, const struct bpf_program *program,
		     uint32_t ifindex, enum bpf_tc_attach_point point,
		     struct attachment *attachment)
{
	enum bpf_attach_type type = point == BPF_TC_INGRESS ? ATTACH_TYPE_TCX_INGRESS
							    : ATTACH_TYPE_TCX_EGRESS;
	struct attachment result = {.link_fd = -1, .ifindex = ifindex, .point = point};
	char name[IF_NAMESIZE] = "?";
	int error = -EOPNOTSUPP;

	if (datapath->config.attach != DATAPATH_ATTACH_CLSACT) {
		result.link_fd = bpf_link_create(bpf_program__fd(program), (int)ifindex, type,
						 NULL);
		error = result.link_fd < 0 ? result.link_fd : 0;
	}
	/* A killed predecessor may have used the other way, whose filters outlive their process. */
	if (error == 0)
		clsact_detach(&result);
	/* A kernel without TCX knows no such attach type: EINVAL. */
	if ((error == -EINVAL || error == -EOPNOTSUPP) &&
	    datapath->config.attach != DATAPATH_ATTACH_TCX)
		error = clsact_attach(&result, bpf_program__fd(program));
	(void)if_indextoname(ifindex, name);
	if (error == -ENODEV)
		return error; /* the device went meanwhile: not worth a message */
	if (error < 0)
		return log_errno(error, "cannot attach the BPF program %s to %s",
				 bpf_program__name(program), name);
	log_debug("%s attached to %s (%s)", bpf_program__name(program), name,
		  result.link_fd >= 0 ? "TCX" : "clsact");
	*attachment = result;
	return 0;
}

static void detach_tc(struct attachment *attachment)
{
	if (!attachment->ifindex)
		return;
	if (attachment->link_fd >= 0)
		(void)close(attachment->link_fd);
	else
		clsact_detach(attachment);
	*attachment = (struct attachment) {.link_fd = -1};
}

static int bpf_set_listener(struct datapath *base, enum sidestep_listener slot, int fd)
{
	struct datapath_bpf *datapath = self(base);
	uint32_t key = slot;
	uint64_t value = (uint64_t)fd;

	return bpf_map_update_elem(map_fd(datapath->skeleton->maps.listeners), &key, &value,
				   BPF_ANY);
}

static int bpf_set_gateway(struct datapath *base, const char *gateway)
{
	struct datapath_bpf *datapath = self(base);
	struct sidestep_info info = {
		.abi_version = SIDESTEP_ABI_VERSION,
		.mode = datapath->config.mode,
		.pid = (uint32_t)getpid(),
		.version = SIDESTEP_VERSION,
	};
	struct timespec now;
	uint32_t zero = 0;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	info.start = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	(void)snprintf(info.gateway, sizeof(info.gateway), "%s", gateway);
	return bpf_map_update_elem(map_fd(datapath->skeleton->maps.info), &zero, &info, BPF_ANY);
}

static int bpf_attach(struct datapath *base)
{
	struct datapath_bpf *datapath = self(base);
	struct sidestep_bpf *skeleton = datapath->skeleton;

	datapath->steer_link = bpf_program__attach_netns(skeleton->progs.steer,
							 datapath->config.netns_fd);
	if (!datapath->steer_link)
		return log_errno(-errno, "cannot attach the BPF program steer (sk_lookup) to the "
					 "network namespace");
	if (datapath->config.mode == SIDESTEP_MODE_BRIDGE)
		return attach_tc(datapath, skeleton->progs.veth_ingress,
				 datapath->config.veth_ifindex, BPF_TC_INGRESS, &datapath->veth);
	return attach_tc(datapath, skeleton->progs.lo_egress, LOOPBACK_IFINDEX, BPF_TC_EGRESS,
			 &datapath->loopback);
}

static struct device *find_device(struct datapath_bpf *datapath, uint32_t ifindex)
{
	unsigned int i;

	for (i = 0; i < datapath->device_count; i++)
		if (datapath->devices[i].ifindex == ifindex)
			return &datapath->devices[i];
	return NULL;
}

static int bpf_attach_device(struct datapath *base, uint32_t ifindex)
{
	struct datapath_bpf *datapath = self(base);
	bool bridge = datapath->config.mode == SIDESTEP_MODE_BRIDGE;
	struct sidestep_bpf *skeleton = datapath->skeleton;
	struct device device = {.ifindex = ifindex};
	int error;

	if (find_device(datapath, ifindex))
		return 0;
	if (datapath->device_count == MAX_DEVICES)
		return log_errno(-ENOSPC, "cannot attach to a further device: %d are the limit",
				 MAX_DEVICES);
	/* What comes in is remembered before anything that goes out is judged. */
	error = attach_tc(datapath,
			  bridge ? skeleton->progs.bridge_egress : skeleton->progs.dev_ingress,
			  ifindex, bridge ? BPF_TC_EGRESS : BPF_TC_INGRESS, &device.ingress);
	if (error < 0)
		return error;
	error = attach_tc(datapath,
			  bridge ? skeleton->progs.bridge_ingress : skeleton->progs.dev_egress,
			  ifindex, bridge ? BPF_TC_INGRESS : BPF_TC_EGRESS, &device.egress);
	if (error < 0) {
		detach_tc(&device.ingress);
		return error;
	}
	datapath->devices[datapath->device_count++] = device;
	return 0;
}

static void bpf_detach_device(struct datapath *base, uint32_t ifindex)
{
	struct datapath_bpf *datapath = self(base);
	struct device *device = find_device(datapath, ifindex);

	if (!device)
		return;
	detach_tc(&device->egress);
	detach_tc(&device->ingress);
	*device = datapath->devices[--datapath->device_count];
}

static void bpf_free(struct datapath *base)
{
	struct datapath_bpf *datapath = self(base);
	while (datapath->device_count > 0)
		bpf_detach_device(base, datapath->devices[0].ifindex);
	detach_tc(&datapath->loopback);
	detach_tc(&datapath->veth);
	bpf_link__destroy(datapath->steer_link);
	if (datapath->skeleton)
		unpin_maps(datapath);
	sidestep_bpf__destroy(datapath->skeleton);
	free(datapath->pin);
	free(datapath);
}

/* A key of the LPM map for the prefix's family. */
union lpm_key {
	struct sidestep_prefix4 prefix4;
	struct sidestep_prefix6 prefix6;
};

static int lpm_key(const struct prefix *prefix, const struct bpf_map *map4,
		   const struct bpf_map *map6, union lpm_key *key)
{
	if (address_is_ipv4(prefix->address) && prefix->length >= 96) {
		key->prefix4.prefix_length = prefix->length - 96u;
		memcpy(key->prefix4.address, prefix->address + 12, 4);
		return map_fd(map4);
	}
	key->prefix6.prefix_length = prefix->length;
	memcpy(key->prefix6.address, prefix->address, 16);
	return map_fd(map6);
}

static int lpm_set(const struct prefix *prefix, const struct bpf_map *map4,
		   const struct bpf_map *map6, const void *value)
{
	union lpm_key key;
	int fd = lpm_key(prefix, map4, map6, &key);

	return bpf_map_update_elem(fd, &key, value, BPF_ANY);
}

static int lpm_remove(const struct prefix *prefix, const struct bpf_map *map4,
		      const struct bpf_map *map6)
{
	union lpm_key key;
	int error = bpf_map_delete_elem(lpm_key(prefix, map4, map6, &key), &key);

	return error == -ENOENT ? 0 : error;
}

static int bpf_bypass_set(struct datapath *base, const struct prefix *prefix,
			  const struct sidestep_bypass *value)
{
	struct datapath_bpf *datapath = self(base);
	return lpm_set(prefix, datapath->skeleton->maps.bypass4, datapath->skeleton->maps.bypass6,
		       value);
}

static int bpf_bypass_remove(struct datapath *base, const struct prefix *prefix)
{
	struct datapath_bpf *datapath = self(base);
	return lpm_remove(prefix, datapath->skeleton->maps.bypass4,
			  datapath->skeleton->maps.bypass6);
}

static int bpf_route_set(struct datapath *base, const struct prefix *prefix,
			 const struct sidestep_route *value)
{
	struct datapath_bpf *datapath = self(base);
	struct sidestep_route route = *value;

	/* The programs read 4 bytes from the front where the address is IPv4. */
	if (route.has_gateway && address_is_ipv4(value->gateway)) {
		memset(route.gateway, 0, sizeof(route.gateway));
		memcpy(route.gateway, value->gateway + 12, 4);
	}
	return lpm_set(prefix, datapath->skeleton->maps.route4, datapath->skeleton->maps.route6,
		       &route);
}

static int bpf_route_remove(struct datapath *base, const struct prefix *prefix)
{
	struct datapath_bpf *datapath = self(base);
	return lpm_remove(prefix, datapath->skeleton->maps.route4, datapath->skeleton->maps.route6);
}

static int bpf_inbound_add(struct datapath *base, const struct sidestep_flow_key *key)
{
	struct datapath_bpf *datapath = self(base);
	struct sidestep_inbound value = {0};

	return bpf_map_update_elem(map_fd(datapath->skeleton->maps.inbound), key, &value, BPF_ANY);
}

static int bpf_own_socket(struct datapath *base, int fd, const struct sockaddr *destination)
{
	struct sidestep_owner_value value = {.owner = SIDESTEP_OWNER_PROXY};
	struct datapath_bpf *datapath = self(base);

	(void)destination;
	return bpf_map_update_elem(map_fd(datapath->skeleton->maps.owners), &fd, &value, BPF_ANY);
}

static void flow_key(const struct proxy_flow *flow, struct sidestep_flow_key *key)
{
	const struct sockaddr_in *local = (const struct sockaddr_in *)&flow->source;
	const struct sockaddr_in *remote = (const struct sockaddr_in *)&flow->destination;

	memset(key, 0, sizeof(*key));
	address_from_sockaddr((const struct sockaddr *)&flow->source, key->local_address);
	address_from_sockaddr((const struct sockaddr *)&flow->destination, key->remote_address);
	/* The port stands at the same place in both families' socket addresses. */
	key->local_port = ntohs(local->sin_port);
	key->remote_port = ntohs(remote->sin_port);
	key->protocol = IPPROTO_TCP;
}

static void bpf_flow_update(struct datapath *base, const struct proxy_flow *flow)
{
	struct datapath_bpf *datapath = self(base);
	int fd = map_fd(datapath->skeleton->maps.flows);
	struct sidestep_flow_key key;
	struct sidestep_flow value;

	flow_key(flow, &key);
	/* Gone from the map: it was full, and this flow the least recently used. */
	if (bpf_map_lookup_elem(fd, &key, &value) < 0)
		return;
	value.bytes_sent = flow->sent;
	value.bytes_received = flow->received;
	(void)bpf_map_update_elem(fd, &key, &value, BPF_EXIST);
}

static void bpf_flow_close(struct datapath *base, const struct proxy_flow *flow)
{
	struct datapath_bpf *datapath = self(base);
	struct sidestep_flow_key key;

	flow_key(flow, &key);
	(void)bpf_map_delete_elem(map_fd(datapath->skeleton->maps.flows), &key);
}

/* Everything is in force as it is set. */
static int bpf_commit(struct datapath *base)
{
	(void)base;
	return 0;
}

static const struct datapath_ops ops = {
	.name = "bpf",
	.free = bpf_free,
	.set_listener = bpf_set_listener,
	.set_gateway = bpf_set_gateway,
	.attach = bpf_attach,
	.attach_device = bpf_attach_device,
	.detach_device = bpf_detach_device,
	.bypass_set = bpf_bypass_set,
	.bypass_remove = bpf_bypass_remove,
	.route_set = bpf_route_set,
	.route_remove = bpf_route_remove,
	.inbound_add = bpf_inbound_add,
	.commit = bpf_commit,
	.own_socket = bpf_own_socket,
	.flow_update = bpf_flow_update,
	.flow_close = bpf_flow_close,
};

int datapath_bpf_new(const struct datapath_bpf_config *config, struct datapath **ret_datapath)
{
	struct datapath_bpf *datapath = calloc(1, sizeof(*datapath));
	int error;

	if (!datapath)
		return -ENOMEM;
	datapath->base.ops = &ops;
	datapath->config = *config;
	datapath->loopback.link_fd = -1;
	datapath->veth.link_fd = -1;
	if (!log_enabled(LOG_DEBUG))
		libbpf_set_print(print_nothing);
	raise_memlock();
	error = load(datapath);
	if (error == 0)
		error = counters_reset(map_fd(datapath->skeleton->maps.counters));
	if (error == 0 && config->pin)
		error = pin_maps(datapath);
	if (error < 0) {
		bpf_free(&datapath->base);
		return error;
	}
	*ret_datapath = &datapath->base;
	return 0;
}
