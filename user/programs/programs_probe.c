// SPDX-License-Identifier: Apache-2.0
#include "programs/programs_probe.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <net/ethernet.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>

#include "programs/counters.h"
#include "programs/programs_view_private.h"

/* Results of TC programs (linux/pkt_cls.h). TC_NEXT is bpf/refuse.h's. */
#define TC_NEXT		((uint32_t)-1)
#define TC_ACT_REDIRECT 7

/* The kernel cannot run programs of this type. Or the program has run, and has chosen a socket of a
 * SO_REUSEPORT group (bpf_prog_test_run_sk_lookup(), net/bpf/test_run.c). */
#define CANNOT_RUN	(-524) /* ENOTSUPP */
#define CHOSEN_OF_GROUP (-EOPNOTSUPP)

struct frame {
	uint8_t bytes[PROBE_FRAME_MAX];
	uint32_t size;
};

static void put(struct frame *frame, const void *bytes, size_t size)
{
	memcpy(frame->bytes + frame->size, bytes, size);
	frame->size += (uint32_t)size;
}

static void put_transport(struct frame *frame, const struct probe_packet *packet)
{
	const struct tcphdr tcp = {
		.th_sport = htons(packet->source_port),
		.th_dport = htons(packet->destination_port),
		.th_off = sizeof(tcp) / 4,
		.th_flags = TH_SYN,
		.th_win = htons(65535),
	};
	const struct udphdr udp = {
		.uh_sport = htons(packet->source_port),
		.uh_dport = htons(packet->destination_port),
		.uh_ulen = htons(sizeof(udp) + sizeof(tcp) - sizeof(udp)),
	};
	static const uint8_t data[sizeof(tcp)];

	if (packet->protocol == IPPROTO_TCP) {
		put(frame, &tcp, sizeof(tcp));
		return;
	}
	/* As long as a TCP header, so that the programs read it at fixed offsets (bpf/plain.h). */
	put(frame, &udp, sizeof(udp));
	put(frame, data, sizeof(tcp) - sizeof(udp));
}

/* Makes the frame. Nobody looks at checksums that no card has to write. */
static struct frame make_frame(const struct probe_packet *packet)
{
	bool ipv4 = address_is_ipv4(packet->destination);
	struct ether_header ethernet = {
		.ether_type = htons(ipv4 ? ETHERTYPE_IP : ETHERTYPE_IPV6),
	};
	struct iphdr ip4 = {
		.version = 4,
		.ihl = sizeof(ip4) / 4,
		.tot_len = htons(sizeof(ip4) + sizeof(struct tcphdr)),
		.ttl = 64,
		.protocol = packet->protocol,
	};
	struct ip6_hdr ip6 = {
		.ip6_flow = htonl(6u << 28),
		.ip6_plen = htons(sizeof(struct tcphdr)),
		.ip6_nxt = packet->protocol,
		.ip6_hlim = 64,
	};
	struct frame frame = {.size = 0};

	put(&frame, &ethernet, sizeof(ethernet));
	if (ipv4) {
		memcpy(&ip4.saddr, packet->source + 12, sizeof(ip4.saddr));
		memcpy(&ip4.daddr, packet->destination + 12, sizeof(ip4.daddr));
		put(&frame, &ip4, sizeof(ip4));
	} else {
		memcpy(&ip6.ip6_src, packet->source, sizeof(ip6.ip6_src));
		memcpy(&ip6.ip6_dst, packet->destination, sizeof(ip6.ip6_dst));
		put(&frame, &ip6, sizeof(ip6));
	}
	put_transport(&frame, packet);
	return frame;
}

/* Does the frame go back to the sender of @packet? Then its protocol is in *@ret_protocol. */
static bool turned_around(const struct frame *frame, const struct probe_packet *packet,
			  uint8_t *ret_protocol)
{
	const uint8_t *network = frame->bytes + sizeof(struct ether_header);
	bool ipv4 = address_is_ipv4(packet->destination);
	size_t needed = ipv4 ? sizeof(struct iphdr) : sizeof(struct ip6_hdr);

	if (frame->size < sizeof(struct ether_header) + needed)
		return false;
	*ret_protocol = network[ipv4 ? offsetof(struct iphdr, protocol)
				     : offsetof(struct ip6_hdr, ip6_nxt)];
	return ipv4 ? memcmp(network + offsetof(struct iphdr, daddr), packet->source + 12, 4) == 0
		    : memcmp(network + offsetof(struct ip6_hdr, ip6_dst), packet->source, 16) == 0;
}

static int run_tc(const struct programs_seen *seen, const struct probe_packet *packet,
		  uint32_t ifindex, enum probe_fate *ret_fate)
{
	struct frame frame = make_frame(packet), out = {.size = 0};
	struct __sk_buff context = {.ifindex = ifindex};
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.bytes, .data_size_in = frame.size,
		    .data_out = out.bytes, .data_size_out = sizeof(out.bytes), .ctx_in = &context,
		    .ctx_size_in = sizeof(context));
	int error = bpf_prog_test_run_opts(seen->fd, &options);
	uint8_t protocol = 0;

	if (error < 0)
		return error;
	out.size = options.data_size_out;
	if (turned_around(&out, packet, &protocol) &&
	    memcmp(packet->source, packet->destination, sizeof(packet->source)) != 0)
		*ret_fate = protocol == IPPROTO_TCP ? PROBE_RESET : PROBE_REFUSED;
	else
		*ret_fate = options.retval == TC_NEXT		? PROBE_NEXT
			    : options.retval == TC_ACT_REDIRECT ? PROBE_REDIRECTED
								: PROBE_DROPPED;
	return 0;
}

static int run_steer(const struct programs_seen *seen, const struct probe_packet *packet,
		     struct probe_result *result)
{
	bool ipv4 = address_is_ipv4(packet->destination);
	/* The kernel takes no input interface in a test. */
	struct bpf_sk_lookup context = {
		.family = ipv4 ? AF_INET : AF_INET6,
		.protocol = packet->protocol,
		.remote_port = htons(packet->source_port),
		.local_port = packet->destination_port,
	};
	LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &context, .ctx_size_in = sizeof(context),
		    .ctx_out = &context, .ctx_size_out = sizeof(context));
	int error;

	if (ipv4) {
		memcpy(&context.remote_ip4, packet->source + 12, sizeof(context.remote_ip4));
		memcpy(&context.local_ip4, packet->destination + 12, sizeof(context.local_ip4));
	} else {
		memcpy(context.remote_ip6, packet->source, sizeof(context.remote_ip6));
		memcpy(context.local_ip6, packet->destination, sizeof(context.local_ip6));
	}
	error = bpf_prog_test_run_opts(seen->fd, &options);
	if (error < 0 && error != CHOSEN_OF_GROUP)
		return error == CANNOT_RUN ? -EOPNOTSUPP : error;
	result->fate = error == CHOSEN_OF_GROUP || (options.retval == SK_PASS && context.cookie)
			       ? PROBE_ASSIGNED
		       : options.retval == SK_PASS ? PROBE_NEXT
						   : PROBE_DROPPED;
	return 0;
}

/* Does what one run does. @lo_ingress notes the packet, on this processor, for the lookup. */
static int run_once(const struct programs_seen *seen, const struct programs_seen *lo_ingress,
		    const struct probe_packet *packet, uint32_t ifindex,
		    struct probe_result *result)
{
	enum probe_fate fate;
	int error;

	if (seen->program != PROGRAM_STEER)
		return run_tc(seen, packet, ifindex, &result->fate);
	error = lo_ingress ? run_tc(lo_ingress, packet, LOOPBACK_IFINDEX, &fate) : 0;
	return error < 0 ? error : run_steer(seen, packet, result);
}

/* Keeps the thread on its present processor, whose counters move. Returns that, or negative errno.
 */
static int stay_here(cpu_set_t *ret_before)
{
	int cpu = sched_getcpu();
	cpu_set_t here;

	if (cpu < 0 || sched_getaffinity(0, sizeof(*ret_before), ret_before) < 0)
		return -errno;
	CPU_ZERO(&here);
	CPU_SET((size_t)cpu, &here);
	return sched_setaffinity(0, sizeof(here), &here) < 0 ? -errno : cpu;
}

/* Fills .counted and .verdict from @least, what each of the runs has counted. */
static void tell_counted(const uint64_t least[SIDESTEP_COUNTERS], struct probe_result *result)
{
	int i;

	result->verdict = -1;
	for (i = 0; i < SIDESTEP_COUNTERS; i++) {
		result->counted[i] = least[i] * PROBE_RUNS;
		/* It says that there was an answer, which the frame shows as well. */
		if (least[i] && i != SIDESTEP_REFUSED)
			result->verdict = i;
	}
}

static int run_all(const struct programs_view *view, const struct programs_seen *seen,
		   const struct programs_seen *lo_ingress, const struct probe_packet *packet,
		   uint32_t ifindex, struct probe_result *ret)
{
	uint32_t netns = seen->program == PROGRAM_HOST_INGRESS ? view->netns | SIDESTEP_OUTER
							       : view->netns;
	uint64_t before[SIDESTEP_COUNTERS], after[SIDESTEP_COUNTERS], least[SIDESTEP_COUNTERS];
	int fd = view->programs.maps[MAP_COUNTERS], cpu, run, i, error = 0;
	cpu_set_t affinity;

	*ret = (struct probe_result) {.fate = PROBE_NEXT};
	cpu = stay_here(&affinity);
	if (cpu < 0)
		return cpu;
	for (run = 0; run < PROBE_RUNS && error == 0; run++) {
		error = counters_read_cpu(fd, netns, (unsigned int)cpu, before);
		if (error == 0)
			error = run_once(seen, lo_ingress, packet, ifindex, ret);
		if (error == 0)
			error = counters_read_cpu(fd, netns, (unsigned int)cpu, after);
		for (i = 0; i < SIDESTEP_COUNTERS && error == 0; i++) {
			uint64_t moved = after[i] - before[i];

			least[i] = run == 0 || moved < least[i] ? moved : least[i];
		}
	}
	(void)sched_setaffinity(0, sizeof(affinity), &affinity);
	if (error == 0)
		tell_counted(least, ret);
	return error;
}

int probe_frame(const struct programs_view *view, const struct programs_seen *seen,
		const struct probe_packet *packet, uint32_t ifindex, struct probe_result *ret)
{
	return run_all(view, seen, NULL, packet, ifindex, ret);
}

int probe_lookup(const struct programs_view *view, const struct programs_seen *steer,
		 const struct programs_seen *lo_ingress, const struct probe_packet *packet,
		 struct probe_result *ret)
{
	return run_all(view, steer, lo_ingress, packet, 0, ret);
}
