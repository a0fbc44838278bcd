/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Declares the maps. Keys and values are in include/sidestep.h; docs/MAPS.md explains them. */
#ifndef SIDESTEP_MAPS_H
#define SIDESTEP_MAPS_H

#include "vmlinux.h"

#include <asm-generic/errno-base.h>
#include <bpf/bpf_helpers.h>

#include <sidestep.h>

/* Macros and unnamed enums of the UAPI headers linux/bpf.h and linux/socket.h, which cannot be
 * included together with vmlinux.h. */
#define BPF_NOEXIST		    1
#define BPF_EXIST		    2
#define BPF_F_NO_PREALLOC	    (1U << 0)
#define BPF_F_MMAPABLE		    (1U << 10)
#define BPF_SK_STORAGE_GET_F_CREATE (1ULL << 0)
#define BPF_F_MARK_MANGLED_0	    (1ULL << 5)
#define BPF_F_RECOMPUTE_CSUM	    (1ULL << 0)
#define BPF_F_INGRESS		    (1ULL << 0)
#define BPF_F_CURRENT_NETNS	    (-1L)
#define AF_INET			    2
#define AF_INET6		    10
#define BPF_TCP_TIME_WAIT	    6
#define BPF_TCP_LISTEN		    10
#define BPF_TCP_NEW_SYN_RECV	    12

/*
 * Keys on the stack are written by 8 bytes. Before Linux 6.8 the verifier takes any other number
 * for a spilled register. Without CAP_PERFMON it then rejects a write next to it.
 */
#define KEY_ALIGNED __attribute__((aligned(8)))

/* Two words as they stand in memory. */
static __always_inline __u64 word_pair(__u32 first, __u32 second)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return (__u64)second << 32 | first;
#else
	return (__u64)first << 32 | second;
#endif
}

/* Writes the first two fields of an LPM map's key. */
static __always_inline void key_begin(void *key, __u32 prefix_length, __u32 netns)
{
	*(__u64 *)key = word_pair(prefix_length, netns);
}

#define DEFINE_LPM(name, key_type, value_type, entries)                                            \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_LPM_TRIE);                                               \
		__uint(map_flags, BPF_F_NO_PREALLOC);                                              \
		__uint(max_entries, entries);                                                      \
		__type(key, key_type);                                                             \
		__type(value, value_type);                                                         \
	} name SEC(".maps")

DEFINE_LPM(bypass4, struct sidestep_prefix4, struct sidestep_bypass, SIDESTEP_MAX_PREFIXES);
DEFINE_LPM(bypass6, struct sidestep_prefix6, struct sidestep_bypass, SIDESTEP_MAX_PREFIXES);
DEFINE_LPM(route4, struct sidestep_prefix4, struct sidestep_route, SIDESTEP_MAX_PREFIXES);
DEFINE_LPM(route6, struct sidestep_prefix6, struct sidestep_route, SIDESTEP_MAX_PREFIXES);
DEFINE_LPM(source_route4, struct sidestep_source_prefix4, struct sidestep_route,
	   SIDESTEP_MAX_PREFIXES);
DEFINE_LPM(source_route6, struct sidestep_source_prefix6, struct sidestep_route,
	   SIDESTEP_MAX_PREFIXES);

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SIDESTEP_MAX_FLOWS);
	__type(key, struct sidestep_flow_key);
	__type(value, struct sidestep_flow);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SIDESTEP_MAX_INBOUND);
	__type(key, struct sidestep_flow_key);
	__type(value, struct sidestep_inbound);
} inbound SEC(".maps");

#ifdef SIDESTEP_SHARED
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SIDESTEP_MAX_OPENERS);
	__type(key, struct sidestep_flow_key);
	__type(value, struct sidestep_process);
} openers SEC(".maps");
#else
/* The proxy is here, and takes each entry at once. A few slots stay in the processor's cache, and
 * the proxy reads them without a system call. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SIDESTEP_OPENER_SLOTS);
	__type(key, __u32);
	__type(value, struct sidestep_opener);
} openers SEC(".maps");
#endif

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
#ifdef SIDESTEP_SHARED
	__uint(max_entries, SIDESTEP_DENIALS_SIZE * 16);
#else
	__uint(max_entries, SIDESTEP_DENIALS_SIZE);
#endif
} denials SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct sidestep_owner_value);
} owners SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, SIDESTEP_MAX_NAMESPACES *SIDESTEP_LISTENERS);
	__type(key, struct sidestep_listener_key);
	__type(value, __u64);
} listeners SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SIDESTEP_MAX_NAMESPACES * 2); /* each with its outer guard */
	__type(key, __u32);
	__type(value, struct sidestep_namespace);
} namespaces SEC(".maps");

struct {
#ifdef SIDESTEP_SHARED
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SIDESTEP_MAX_NAMESPACES * 2);
#else
	/* One namespace only. The kernel inlines an array's lookup; a hash takes several calls. */
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
#endif
	__type(key, __u32);
	__type(value, struct sidestep_counters);
} counters SEC(".maps");

static __always_inline struct sidestep_counters *counters_of(__u32 netns)
{
#ifndef SIDESTEP_SHARED
	netns = 0;
#endif
	return bpf_map_lookup_elem(&counters, &netns);
}

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sidestep_arrival);
} arrivals SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sidestep_generation);
} generation SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sidestep_info);
} info SEC(".maps");

/*
 * Changes of a map return an int. Before Linux 6.4 programs call the kernel's own functions, which
 * return an int. The upper half of the register then does not hold the sign.
 */
static __always_inline int map_update(void *map, const void *key, const void *value, __u64 flags)
{
	return (int)bpf_map_update_elem(map, key, value, flags);
}

static __always_inline int map_delete(void *map, const void *key)
{
	return (int)bpf_map_delete_elem(map, key);
}

/*
 * Adds one to a counter, whose number is a constant. It is assembly because the compiler would
 * merge several additions into one with a computed address, which the verifier rejects without
 * CAP_PERFMON.
 */
#define COUNTER_ADD(counters, counter)                                                             \
	do {                                                                                       \
		__u64 sum;                                                                         \
		asm volatile("%[sum] = *(u64 *)(%[base] + %[offset]);"                             \
			     "%[sum] += 1;"                                                        \
			     "*(u64 *)(%[base] + %[offset]) = %[sum];"                             \
			     : [sum] "=&r"(sum)                                                    \
			     : [base] "r"(counters), [offset] "i"((counter) * sizeof(__u64))       \
			     : "memory");                                                          \
	} while (0)

/* Adds one to @counter: a verdict, or one of the counters behind them (enum sidestep_verdict).
 * Namespaces that nobody registered have no counters. */
__noinline int count(__u32 netns, __u32 counter)
{
	struct sidestep_counters *value;

	/* The compiler would not pass an argument that is never used, and the verifier asks for
	 * each. */
	barrier_var(netns);
	value = counters_of(netns);
	if (!value)
		return 0;
	switch (counter) {
#define CASE(name)                                                                                 \
	case name:                                                                                 \
		COUNTER_ADD(value, name);                                                          \
		break;
		CASE(SIDESTEP_LOCAL)
		CASE(SIDESTEP_BRIDGE)
		CASE(SIDESTEP_LINK)
		CASE(SIDESTEP_REPLY)
		CASE(SIDESTEP_OWN)
		CASE(SIDESTEP_STEER_TCP)
		CASE(SIDESTEP_STEER_DNS)
		CASE(SIDESTEP_PASS_UDP)
		CASE(SIDESTEP_DENY_UDP)
		CASE(SIDESTEP_DENY_PROTOCOL)
		CASE(SIDESTEP_DENY_FRAGMENT)
		CASE(SIDESTEP_DENY_MALFORMED)
		CASE(SIDESTEP_DENY_ANSWER)
		CASE(SIDESTEP_GUARD_DROPS)
		CASE(SIDESTEP_ASSIGN_ERRORS)
		CASE(SIDESTEP_SPOOFED)
		CASE(SIDESTEP_INBOUND_FULL)
		CASE(SIDESTEP_TOO_BIG)
		CASE(SIDESTEP_REFUSED)
#undef CASE
	}
	return 0;
}

/* Does the same inline, for the verdicts on most packets. @counter is a constant. */
#define COUNT_INLINE(netns, counter)                                                               \
	do {                                                                                       \
		struct sidestep_counters *value = counters_of(netns);                              \
                                                                                                   \
		if (value)                                                                         \
			COUNTER_ADD(value, counter);                                               \
	} while (0)

#endif
