// SPDX-License-Identifier: Apache-2.0
#include "programs/counters.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util.h"
#include "sidestep.h"

const char *const counter_names[] = {
	[SIDESTEP_LOCAL] = "local",
	[SIDESTEP_BRIDGE] = "bridge",
	[SIDESTEP_LINK] = "link",
	[SIDESTEP_REPLY] = "reply",
	[SIDESTEP_OWN] = "own",
	[SIDESTEP_STEER_TCP] = "steer_tcp",
	[SIDESTEP_STEER_DNS] = "steer_dns",
	[SIDESTEP_PASS_UDP] = "pass_udp",
	[SIDESTEP_DENY_UDP] = "deny_udp",
	[SIDESTEP_DENY_PROTOCOL] = "deny_protocol",
	[SIDESTEP_DENY_FRAGMENT] = "deny_fragment",
	[SIDESTEP_DENY_MALFORMED] = "deny_malformed",
	[SIDESTEP_DENY_ANSWER] = "deny_answer",
	[SIDESTEP_GUARD_DROPS] = "guard_drops",
	[SIDESTEP_ASSIGN_ERRORS] = "assign_errors",
	[SIDESTEP_SPOOFED] = "spoofed",
	[SIDESTEP_INBOUND_FULL] = "inbound_full",
	[SIDESTEP_TOO_BIG] = "too_big",
	[SIDESTEP_REFUSED] = "refused",
};
_Static_assert(ARRAY_SIZE(counter_names) == SIDESTEP_COUNTERS, "a name for each counter");

/* Returns a zeroed value for each possible CPU, and their number in *@ret_cpus. NULL: errno is set.
 */
static struct sidestep_counters *allocate(int *ret_cpus)
{
	int cpus = libbpf_num_possible_cpus();

	if (cpus < 0) {
		errno = -cpus;
		return NULL;
	}
	*ret_cpus = cpus;
	return calloc((size_t)cpus, sizeof(struct sidestep_counters));
}

/* The agent's map has an entry for each namespace; a sidecar's own one has a single entry. */
static uint32_t counters_key(int fd, uint32_t netns)
{
	struct bpf_map_info info = {0};
	uint32_t size = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &size) == 0 && info.type == BPF_MAP_TYPE_PERCPU_ARRAY)
		return 0;
	return netns;
}

int counters_read(int fd, uint32_t netns, uint64_t ret_sums[])
{
	_cleanup_free_ struct sidestep_counters *values = NULL;
	uint32_t key = counters_key(fd, netns);
	int cpus, cpu, counter;

	values = allocate(&cpus);
	if (!values)
		return -errno;
	if (bpf_map_lookup_elem(fd, &key, values) < 0)
		return -errno;
	for (counter = 0; counter < SIDESTEP_COUNTERS; counter++) {
		ret_sums[counter] = 0;
		for (cpu = 0; cpu < cpus; cpu++)
			ret_sums[counter] += ((const __u64 *)&values[cpu])[counter];
	}
	return 0;
}

int counters_read_cpu(int fd, uint32_t netns, unsigned int cpu, uint64_t ret_counters[])
{
	_cleanup_free_ struct sidestep_counters *values = NULL;
	uint32_t key = counters_key(fd, netns);
	int cpus;

	values = allocate(&cpus);
	if (!values)
		return -errno;
	if (cpu >= (unsigned int)cpus)
		return -EINVAL;
	if (bpf_map_lookup_elem(fd, &key, values) < 0)
		return -errno;
	memcpy(ret_counters, &values[cpu], sizeof(values[cpu]));
	return 0;
}

int counters_prepare(int fd, uint32_t netns)
{
	uint32_t key = counters_key(fd, netns);
	_cleanup_free_ struct sidestep_counters *values = NULL;
	int cpus, error;

	values = allocate(&cpus);
	if (!values)
		return -errno;
	error = bpf_map_update_elem(fd, &key, values, BPF_NOEXIST);
	return error == -EEXIST ? 0 : error;
}

void counters_remove(int fd, uint32_t netns)
{
	(void)bpf_map_delete_elem(fd, &netns);
}
