// SPDX-License-Identifier: Apache-2.0
#include "support/programs_run.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <net/ethernet.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "lib/address.h"
#include "programs/counters.h"
#include "programs/programs_private.h"

static struct bpf_object *object;
static uint32_t netns;

uint32_t run_netns(void)
{
	return netns;
}

void run_as(uint32_t number)
{
	netns = number;
}

void frame_put(struct frame *frame, const void *bytes, size_t size)
{
	assert_true(frame->size + size <= sizeof(frame->bytes));
	memcpy(frame->bytes + frame->size, bytes, size);
	frame->size += size;
}

static void put_transport(struct frame *frame, const struct segment *segment)
{
	if (segment->protocol == IPPROTO_TCP) {
		struct tcphdr tcp = {.th_sport = htons(segment->source_port),
				     .th_dport = htons(segment->destination_port),
				     .th_off = 5,
				     .th_flags = segment->tcp_flags};

		frame_put(frame, &tcp, sizeof(tcp));
	} else if (segment->protocol == IPPROTO_UDP) {
		struct udphdr udp = {.uh_sport = htons(segment->source_port),
				     .uh_dport = htons(segment->destination_port),
				     .uh_ulen = htons(sizeof(udp))};

		frame_put(frame, &udp, sizeof(udp));
	} else {
		struct icmphdr icmp = {.type = segment->icmp_type,
				       .un.echo.id = htons(segment->source_port)};

		frame_put(frame, &icmp, sizeof(icmp));
	}
}

void frame_put_ip(struct frame *frame, const char *source, const char *destination,
		  const struct segment *segment)
{
	if (strchr(source, ':')) {
		struct ip6_hdr ipv6 = {.ip6_nxt = segment->protocol, .ip6_hlim = 64};

		ipv6.ip6_vfc = 0x60;
		assert_int_equal(inet_pton(AF_INET6, source, &ipv6.ip6_src), 1);
		assert_int_equal(inet_pton(AF_INET6, destination, &ipv6.ip6_dst), 1);
		frame_put(frame, &ipv6, sizeof(ipv6));
	} else {
		struct iphdr ipv4 = {.version = 4,
				     .ihl = 5,
				     .ttl = 64,
				     .protocol = segment->protocol,
				     .frag_off = htons(segment->fragment)};

		assert_int_equal(inet_pton(AF_INET, source, &ipv4.saddr), 1);
		assert_int_equal(inet_pton(AF_INET, destination, &ipv4.daddr), 1);
		frame_put(frame, &ipv4, sizeof(ipv4));
	}
	put_transport(frame, segment);
}

struct frame frame_make(const char *source, const char *destination, struct segment segment)
{
	struct ether_header ethernet = {
		.ether_type = htons(strchr(source, ':') ? ETHERTYPE_IPV6 : ETHERTYPE_IP)};
	struct frame frame = {.size = 0};

	frame_put(&frame, &ethernet, sizeof(ethernet));
	frame_put_ip(&frame, source, destination, &segment);
	return frame;
}

int run_map_fd(const char *name)
{
	return bpf_object__find_map_fd_by_name(object, name);
}

int run_program_fd(const char *name)
{
	return bpf_program__fd(bpf_object__find_program_by_name(object, name));
}

int run_program_out(const char *program, const struct frame *frame, struct frame *ret_frame)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame->bytes,
		    .data_size_in = (uint32_t)frame->size, .data_out = ret_frame->bytes,
		    .data_size_out = sizeof(ret_frame->bytes));

	assert_int_equal(bpf_prog_test_run_opts(run_program_fd(program), &options), 0);
	ret_frame->size = options.data_size_out;
	return (int)options.retval;
}

int run_program(const char *program, const struct frame *frame)
{
	struct frame out;

	return run_program_out(program, frame, &out);
}

void run_refill_budget(void)
{
	const uint64_t full[2] = {0};
	int fd = run_map_fd("budgets");
	struct bpf_map_info info = {0};
	uint32_t size = sizeof(info), slot;

	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &size), 0);
	slot = netns % info.max_entries;
	assert_int_equal(bpf_map_update_elem(fd, &slot, full, BPF_ANY), 0);
}

uint64_t run_counter(enum sidestep_verdict which)
{
	uint64_t sums[SIDESTEP_COUNTERS];

	assert_int_equal(counters_read(run_map_fd("counters"), netns, sums), 0);
	return sums[which];
}

int run_judged(const char *program, const struct frame *frame, uint64_t moved[SIDESTEP_COUNTERS])
{
	uint64_t before[SIDESTEP_COUNTERS], after[SIDESTEP_COUNTERS];
	int verdict, i;

	run_refill_budget();
	assert_int_equal(counters_read(run_map_fd("counters"), netns, before), 0);
	verdict = run_program(program, frame);
	assert_int_equal(counters_read(run_map_fd("counters"), netns, after), 0);
	for (i = 0; i < SIDESTEP_COUNTERS; i++)
		moved[i] = after[i] - before[i];
	return verdict;
}

void run_bypass_changed(void)
{
	static struct sidestep_generation generation;
	uint32_t zero = 0;

	generation.bypass++;
	assert_int_equal(bpf_map_update_elem(run_map_fd("generation"), &zero, &generation, BPF_ANY),
			 0);
}

void run_bypass(const char *text, uint32_t sources)
{
	struct sidestep_bypass value = {.sources = sources};
	struct prefix prefix;
	int error, fd;

	assert_int_equal(prefix_parse(text, &prefix), 0);
	if (address_is_ipv4(prefix.address)) {
		struct sidestep_prefix4 key = {
			.prefix_length = SIDESTEP_NETNS_BITS + prefix.length - 96u, .netns = netns};

		memcpy(key.address, prefix.address + 12, 4);
		fd = run_map_fd("bypass4");
		error = sources ? bpf_map_update_elem(fd, &key, &value, BPF_ANY)
				: bpf_map_delete_elem(fd, &key);
	} else {
		struct sidestep_prefix6 key = {.prefix_length = SIDESTEP_NETNS_BITS + prefix.length,
					       .netns = netns};

		memcpy(key.address, prefix.address, 16);
		fd = run_map_fd("bypass6");
		error = sources ? bpf_map_update_elem(fd, &key, &value, BPF_ANY)
				: bpf_map_delete_elem(fd, &key);
	}
	assert_int_equal(error, 0);
	run_bypass_changed();
}

void run_route(const char *text, uint32_t mtu)
{
	struct sidestep_route value = {.ifindex = LOOPBACK_IFINDEX, .mtu = mtu};
	struct prefix prefix;

	assert_int_equal(prefix_parse(text, &prefix), 0);
	if (address_is_ipv4(prefix.address)) {
		struct sidestep_prefix4 key = {
			.prefix_length = SIDESTEP_NETNS_BITS + prefix.length - 96u, .netns = netns};

		memcpy(key.address, prefix.address + 12, 4);
		assert_int_equal(bpf_map_update_elem(run_map_fd("route4"), &key, &value, BPF_ANY),
				 0);
	} else {
		struct sidestep_prefix6 key = {.prefix_length = SIDESTEP_NETNS_BITS + prefix.length,
					       .netns = netns};

		memcpy(key.address, prefix.address, 16);
		assert_int_equal(bpf_map_update_elem(run_map_fd("route6"), &key, &value, BPF_ANY),
				 0);
	}
}

int run_guard(const char *source, const char *destination, struct segment segment)
{
	struct frame frame = frame_make(source, destination, segment);

	return run_program("dev_egress", &frame);
}

int run_arrive(const char *source, const char *destination, struct segment segment)
{
	struct frame frame = frame_make(source, destination, segment);

	return run_program("dev_ingress", &frame);
}

struct frame frame_with_option(const struct frame *plain)
{
	static const uint8_t nops[] = {1, 1, 1, 1}, padding[] = {0, 0, 1, 4, 0, 0, 0, 0};
	bool ipv4 = plain->bytes[ETHER_HDR_LEN] >> 4 == 4;
	size_t head = ETHER_HDR_LEN + (ipv4 ? sizeof(struct iphdr) : sizeof(struct ip6_hdr));
	struct frame frame = {.size = 0};

	frame_put(&frame, plain->bytes, head);
	frame_put(&frame, ipv4 ? nops : padding, ipv4 ? sizeof(nops) : sizeof(padding));
	if (ipv4) {
		frame.bytes[ETHER_HDR_LEN] = 0x46;
	} else {
		frame.bytes[head] = frame.bytes[ETHER_HDR_LEN + 6]; /* next header */
		frame.bytes[ETHER_HDR_LEN + 6] = IPPROTO_DSTOPTS;
	}
	frame_put(&frame, plain->bytes + head, plain->size - head);
	return frame;
}

static int run_load(enum programs_kind kind)
{
	struct programs_config config = {.kind = kind};
	cpu_set_t cpu;

	/* lo_ingress writes its notes per CPU. */
	CPU_ZERO(&cpu);
	CPU_SET(sched_getcpu(), &cpu);
	if (sched_setaffinity(0, sizeof(cpu), &cpu) < 0 || programs_netns(&netns) < 0)
		return -1;
	config.netns = netns;
	object = programs_open(&config);
	if (!object || bpf_object__load(object) < 0)
		return -1;
	run_bypass("127.0.0.0/8", SIDESTEP_FROM_LOCAL);
	run_bypass("172.17.0.0/16", SIDESTEP_FROM_CONNECTED);
	run_bypass("172.17.0.2/32", SIDESTEP_FROM_LOCAL);
	run_bypass("fd00::/64", SIDESTEP_FROM_CONNECTED);
	run_bypass("fd00::2/128", SIDESTEP_FROM_LOCAL);
	run_bypass("::1/128", SIDESTEP_FROM_LOCAL);
	run_bypass("ff02::/16", SIDESTEP_FROM_BUILTIN);
	return counters_prepare(run_map_fd("counters"), netns);
}

/* The shared programs find the namespace of a packet's device with this kernel function. */
bool run_has_shared(void)
{
	struct btf *btf = btf__load_vmlinux_btf();
	bool found = btf && btf__find_by_name_kind(btf, "bpf_cast_to_kern_ctx", BTF_KIND_FUNC) > 0;

	btf__free(btf);
	return found;
}

void run_skip_shared(void **state)
{
	(void)state;
	print_message("bpf_cast_to_kern_ctx (Linux 6.2) is not there\n");
	skip();
}

int run_load_single(void **state)
{
	(void)state;
	return run_load(PROGRAMS_SIDECAR);
}

int run_load_shared(void **state)
{
	(void)state;
	return run_load(PROGRAMS_SHARED);
}

int run_load_bridge(void **state)
{
	(void)state;
	return run_load(PROGRAMS_BRIDGE);
}

int run_unload(void **state)
{
	(void)state;
	bpf_object__close(object);
	return 0;
}
