/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the BPF programs in the kernel, on made-up packets (BPF_PROG_TEST_RUN). Only for
 * test_programs*.c, behind cmocka.h. */
#ifndef SIDESTEP_TESTS_PROGRAMS_RUN_H
#define SIDESTEP_TESTS_PROGRAMS_RUN_H

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <net/ethernet.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sched.h>
#include <string.h>

#include "lib/address.h"
#include "programs/counters.h"
#include "programs/programs_private.h"
#include "sidestep.h"

#define VERDICT_NEXT (-1)
#define VERDICT_SHOT 2

static struct bpf_object *object;
static uint32_t netns; /* this process's, which the made-up packets are in */

struct frame {
	uint8_t bytes[256];
	size_t size;
};

/* What goes on top of IP. */
struct segment {
	uint8_t protocol;
	uint16_t source_port, destination_port;
	uint8_t tcp_flags; /* TH_* */
	uint8_t icmp_type;
	uint16_t fragment; /* IPv4: the whole field, host byte order */
};

static inline void put(struct frame *frame, const void *bytes, size_t size)
{
	assert_true(frame->size + size <= sizeof(frame->bytes));
	memcpy(frame->bytes + frame->size, bytes, size);
	frame->size += size;
}

static inline void put_transport(struct frame *frame, const struct segment *segment)
{
	if (segment->protocol == IPPROTO_TCP) {
		struct tcphdr tcp = {.th_sport = htons(segment->source_port),
				     .th_dport = htons(segment->destination_port),
				     .th_off = 5,
				     .th_flags = segment->tcp_flags};

		put(frame, &tcp, sizeof(tcp));
	} else if (segment->protocol == IPPROTO_UDP) {
		struct udphdr udp = {.uh_sport = htons(segment->source_port),
				     .uh_dport = htons(segment->destination_port),
				     .uh_ulen = htons(sizeof(udp))};

		put(frame, &udp, sizeof(udp));
	} else {
		struct icmphdr icmp = {.type = segment->icmp_type,
				       .un.echo.id = htons(segment->source_port)};

		put(frame, &icmp, sizeof(icmp));
	}
}

static inline void put_ip(struct frame *frame, const char *source, const char *destination,
			  const struct segment *segment)
{
	if (strchr(source, ':')) {
		struct ip6_hdr ipv6 = {.ip6_nxt = segment->protocol, .ip6_hlim = 64};

		ipv6.ip6_vfc = 0x60;
		assert_int_equal(inet_pton(AF_INET6, source, &ipv6.ip6_src), 1);
		assert_int_equal(inet_pton(AF_INET6, destination, &ipv6.ip6_dst), 1);
		put(frame, &ipv6, sizeof(ipv6));
	} else {
		struct iphdr ipv4 = {.version = 4,
				     .ihl = 5,
				     .ttl = 64,
				     .protocol = segment->protocol,
				     .frag_off = htons(segment->fragment)};

		assert_int_equal(inet_pton(AF_INET, source, &ipv4.saddr), 1);
		assert_int_equal(inet_pton(AF_INET, destination, &ipv4.daddr), 1);
		put(frame, &ipv4, sizeof(ipv4));
	}
	put_transport(frame, segment);
}

static inline struct frame make_frame(const char *source, const char *destination,
				      struct segment segment)
{
	struct ether_header ethernet = {
		.ether_type = htons(strchr(source, ':') ? ETHERTYPE_IPV6 : ETHERTYPE_IP)};
	struct frame frame = {.size = 0};

	put(&frame, &ethernet, sizeof(ethernet));
	put_ip(&frame, source, destination, &segment);
	return frame;
}

static inline int map_fd(const char *name)
{
	return bpf_object__find_map_fd_by_name(object, name);
}

static inline int program_fd(const char *name)
{
	return bpf_program__fd(bpf_object__find_program_by_name(object, name));
}

static inline int run(const char *program, const struct frame *frame)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame->bytes,
		    .data_size_in = (uint32_t)frame->size);

	assert_int_equal(bpf_prog_test_run_opts(program_fd(program), &options), 0);
	return (int)options.retval;
}

static inline uint64_t counter(enum sidestep_verdict which)
{
	uint64_t sums[SIDESTEP_COUNTERS];

	assert_int_equal(counters_read(map_fd("counters"), netns, sums), 0);
	return sums[which];
}

/* What programs_bypass_changed() does: the programs remember what the tries said. */
static inline void bypass_changed(void)
{
	static struct sidestep_generation generation;
	uint32_t zero = 0;

	generation.bypass++;
	assert_int_equal(bpf_map_update_elem(map_fd("generation"), &zero, &generation, BPF_ANY), 0);
}

/* @sources 0: removes it. */
static inline void bypass(const char *text, uint32_t sources)
{
	struct sidestep_bypass value = {.sources = sources};
	struct prefix prefix;
	int error, fd;

	assert_int_equal(prefix_parse(text, &prefix), 0);
	if (address_is_ipv4(prefix.address)) {
		struct sidestep_prefix4 key = {
			.prefix_length = SIDESTEP_NETNS_BITS + prefix.length - 96u, .netns = netns};

		memcpy(key.address, prefix.address + 12, 4);
		fd = map_fd("bypass4");
		error = sources ? bpf_map_update_elem(fd, &key, &value, BPF_ANY)
				: bpf_map_delete_elem(fd, &key);
	} else {
		struct sidestep_prefix6 key = {.prefix_length = SIDESTEP_NETNS_BITS + prefix.length,
					       .netns = netns};

		memcpy(key.address, prefix.address, 16);
		fd = map_fd("bypass6");
		error = sources ? bpf_map_update_elem(fd, &key, &value, BPF_ANY)
				: bpf_map_delete_elem(fd, &key);
	}
	assert_int_equal(error, 0);
	bypass_changed();
}

static inline int guard(const char *source, const char *destination, struct segment segment)
{
	struct frame frame = make_frame(source, destination, segment);

	return run("dev_egress", &frame);
}

static inline int arrive(const char *source, const char *destination, struct segment segment)
{
	struct frame frame = make_frame(source, destination, segment);

	return run("dev_ingress", &frame);
}

#define TCP(from, to, flags)                                                                       \
	((struct segment) {.protocol = IPPROTO_TCP,                                                \
			   .source_port = (from),                                                  \
			   .destination_port = (to),                                               \
			   .tcp_flags = (flags)})
#define UDP(from, to)                                                                              \
	((struct segment) {                                                                        \
		.protocol = IPPROTO_UDP, .source_port = (from), .destination_port = (to)})

/* The same with an option or extension header, which no program reads at fixed offsets. */
static inline struct frame with_option(const struct frame *plain)
{
	static const uint8_t nops[] = {1, 1, 1, 1}, padding[] = {0, 0, 1, 4, 0, 0, 0, 0};
	bool ipv4 = plain->bytes[ETHER_HDR_LEN] >> 4 == 4;
	size_t head = ETHER_HDR_LEN + (ipv4 ? sizeof(struct iphdr) : sizeof(struct ip6_hdr));
	struct frame frame = {.size = 0};

	put(&frame, plain->bytes, head);
	put(&frame, ipv4 ? nops : padding, ipv4 ? sizeof(nops) : sizeof(padding));
	if (ipv4) {
		frame.bytes[ETHER_HDR_LEN] = 0x46;
	} else {
		frame.bytes[head] = frame.bytes[ETHER_HDR_LEN + 6]; /* next header */
		frame.bytes[ETHER_HDR_LEN + 6] = IPPROTO_DSTOPTS;
	}
	put(&frame, plain->bytes + head, plain->size - head);
	return frame;
}

static inline int load(enum programs_kind kind)
{
	struct programs_config config = {.kind = kind};
	cpu_set_t cpu;

	/* Notes of lo_ingress are per CPU. */
	CPU_ZERO(&cpu);
	CPU_SET(sched_getcpu(), &cpu);
	if (sched_setaffinity(0, sizeof(cpu), &cpu) < 0 || programs_netns(&netns) < 0)
		return -1;
	config.netns = netns;
	object = programs_open(&config);
	if (!object || bpf_object__load(object) < 0)
		return -1;
	bypass("127.0.0.0/8", SIDESTEP_FROM_LOCAL);
	bypass("172.17.0.0/16", SIDESTEP_FROM_CONNECTED);
	bypass("172.17.0.2/32", SIDESTEP_FROM_LOCAL);
	bypass("fd00::/64", SIDESTEP_FROM_CONNECTED);
	bypass("fd00::2/128", SIDESTEP_FROM_LOCAL);
	bypass("::1/128", SIDESTEP_FROM_LOCAL);
	bypass("ff02::/16", SIDESTEP_FROM_BUILTIN);
	return counters_prepare(map_fd("counters"), netns);
}

/* The shared load finds the namespace of a packet's device by this function, of Linux 6.2. */
static inline bool kernel_has_shared(void)
{
	struct btf *btf = btf__load_vmlinux_btf();
	bool found = btf && btf__find_by_name_kind(btf, "bpf_cast_to_kern_ctx", BTF_KIND_FUNC) > 0;

	btf__free(btf);
	return found;
}

static inline void test_shared(void **state)
{
	(void)state;
	print_message("bpf_cast_to_kern_ctx (Linux 6.2) is not there\n");
	skip();
}

static inline int load_single(void **state)
{
	(void)state;
	return load(PROGRAMS_SIDECAR);
}

static inline int load_shared(void **state)
{
	(void)state;
	return load(PROGRAMS_SHARED);
}

static inline int unload(void **state)
{
	(void)state;
	bpf_object__close(object);
	return 0;
}

#endif
