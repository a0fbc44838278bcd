// SPDX-License-Identifier: Apache-2.0
#include "counters.h"

#include "cleanup.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>

#include <sidestep.h>

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
	[SIDESTEP_GUARD_DROPS] = "guard_drops",
	[SIDESTEP_ASSIGN_ERRORS] = "assign_errors",
	[SIDESTEP_SPOOFED] = "spoofed",
	[SIDESTEP_INBOUND_FULL] = "inbound_full",
};
_Static_assert(ARRAY_SIZE(counter_names) == SIDESTEP_COUNTERS, "a name for each counter");

/* One value for each possible CPU. *@ret_cpus: how many. NULL: errno is set. */
static struct sidestep_counter *allocate(int *ret_cpus)
{
	int cpus = libbpf_num_possible_cpus();

	if (cpus < 0) {
		errno = -cpus;
		return NULL;
	}
	*ret_cpus = cpus;
	return calloc((size_t)cpus, sizeof(struct sidestep_counter));
}

int counters_read(int fd, uint32_t netns, uint64_t ret_sums[])
{
	struct sidestep_counter_key key = {.netns = netns};
	_cleanup_free_ struct sidestep_counter *values = NULL;
	int cpus, cpu;

	values = allocate(&cpus);
	if (!values)
		return -errno;
	for (key.counter = 0; key.counter < SIDESTEP_COUNTERS; key.counter++) {
		if (bpf_map_lookup_elem(fd, &key, values) < 0)
			return -errno;
		ret_sums[key.counter] = 0;
		for (cpu = 0; cpu < cpus; cpu++)
			ret_sums[key.counter] += values[cpu].count;
	}
	return 0;
}

int counters_prepare(int fd, uint32_t netns)
{
	struct sidestep_counter_key key = {.netns = netns};
	_cleanup_free_ struct sidestep_counter *values = NULL;
	int cpus, cpu, error;

	values = allocate(&cpus);
	if (!values)
		return -errno;
	for (key.counter = 0; key.counter < SIDESTEP_COUNTERS; key.counter++) {
		for (cpu = 0; cpu < cpus; cpu++)
			(void)snprintf(values[cpu].name, sizeof(values[cpu].name), "%s",
				       counter_names[key.counter]);
		error = bpf_map_update_elem(fd, &key, values, BPF_NOEXIST);
		if (error < 0 && error != -EEXIST)
			return error;
	}
	return 0;
}

void counters_remove(int fd, uint32_t netns)
{
	struct sidestep_counter_key key = {.netns = netns};

	for (key.counter = 0; key.counter < SIDESTEP_COUNTERS; key.counter++)
		(void)bpf_map_delete_elem(fd, &key);
}
