/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Defines the types that the BPF programs and the process share: the keys and values of the maps,
 * as `bpftool map dump` prints them. Both sides include this file, so they cannot drift apart.
 * docs/MAPS.md explains the maps.
 *
 * Addresses are byte arrays in network byte order. Ports are in host byte order, so that a dump
 * shows the usual number. Times are CLOCK_MONOTONIC (bpf_ktime_get_ns), in nanoseconds.
 */
#ifndef SIDESTEP_H
#define SIDESTEP_H

#ifndef __bpf__
#include <linux/types.h>
#endif

/* Each incompatible change of anything below raises it. The map `info` holds it. */
#define SIDESTEP_ABI_VERSION 9

#define SIDESTEP_MAX_BYPASS	4096 /* prefixes of one namespace and family */
#define SIDESTEP_MAX_ROUTES	4096 /* the same */
#define SIDESTEP_MAX_NAMESPACES 4096
#define SIDESTEP_MAX_PREFIXES	(1 << 20) /* prefixes of all namespaces in one trie */
#define SIDESTEP_MAX_FLOWS	65536	  /* live flows; further ones are not listed */
#define SIDESTEP_MAX_INBOUND	65536	  /* the least recently used makes room */
#define SIDESTEP_DENIALS_SIZE	(1 << 16) /* bytes of the ring buffer; agent: 16 times as many */
#define SIDESTEP_MAX_OPENERS	65536	  /* the agent's; the least recently used makes room */
#define SIDESTEP_OPENER_SLOTS	2048	  /* of own programs */

/* The index of the loopback device in every network namespace (Linux, include/net/flow.h). */
#define LOOPBACK_IFINDEX 1

/* The mark of packets that a datapath lets out, for routing rules of ours
 * (user/steering/plan_routes.h).
 */
#define SIDESTEP_OUT_MARK 0x51de57e9
/* Likewise, of packets from inner devices that nftables steers. */
#define SIDESTEP_STEER_MARK 0x51de57ea

/*
 * A network namespace is identified by its cookie (SO_NETNS_COOKIE, Linux 5.14; older kernels:
 * always 1). The kernel never reuses one. Cookies count up from 1, so 31 bits cover two billion
 * namespaces per boot; the loader rejects a larger cookie. The highest bit is free for
 * SIDESTEP_OUTER.
 */

/*
 * The outer guard of a namespace has entries of its own in the maps, under the namespace's number
 * with this bit set. They hold no fact that the namespace's application could have made.
 */
#define SIDESTEP_OUTER 0x80000000U

/* The verdict on a packet: its fate and the reason. Each is also a counter (struct
 * sidestep_counters). */
enum sidestep_verdict {
	/* Sidestep steps aside. */
	SIDESTEP_LOCAL,	 /* to an address of this namespace */
	SIDESTEP_BRIDGE, /* source and destination are in bypassed subnets */
	SIDESTEP_LINK,	 /* never leaves the link: ARP, neighbour discovery, multicast */
	SIDESTEP_REPLY,	 /* belongs to an inbound connection */
	SIDESTEP_OWN,	 /* the proxy's own connection, recognized by its socket */
	/* Steered to the proxy. */
	SIDESTEP_STEER_TCP,
	SIDESTEP_STEER_DNS, /* UDP to port 53 */
	/* Passed or dropped by policy. */
	SIDESTEP_PASS_UDP,	 /* UDP to another port, --udp=pass */
	SIDESTEP_DENY_UDP,	 /* UDP to another port, --udp=deny or drop */
	SIDESTEP_DENY_PROTOCOL,	 /* neither TCP nor UDP nor a reply */
	SIDESTEP_DENY_FRAGMENT,	 /* a later fragment, which has no ports */
	SIDESTEP_DENY_MALFORMED, /* unreadable headers, or IPv4-mapped addresses in IPv6 */
	SIDESTEP_DENY_ANSWER,	 /* the proxy's DNS answer to an address that is not a client's */
	SIDESTEP_VERDICTS,
	/* These counters are no verdicts. */
	SIDESTEP_GUARD_DROPS =
		SIDESTEP_VERDICTS, /* avoided the steering, and the guard dropped it */
	SIDESTEP_ASSIGN_ERRORS,	   /* no listener to steer to; the connection is refused */
	SIDESTEP_SPOOFED,	   /* came from outside with a source address of this namespace */
	SIDESTEP_INBOUND_FULL,	   /* an inbound flow could not be recorded */
	SIDESTEP_TOO_BIG,	   /* larger than the MTU of the route that it leaves by */
	SIDESTEP_REFUSED,	   /* the sender of a denied packet got an answer */
	SIDESTEP_COUNTERS,
};

/* Value of the per-CPU map `counters`: one field for each constant of enum sidestep_verdict, in its
 * order. In the agent's maps the key is the namespace. The program that decides on a lookup
 * (sk_lookup) or a packet (TC) counts it. */
struct sidestep_counters {
	__u64 local;
	__u64 bridge;
	__u64 link;
	__u64 reply;
	__u64 own;
	__u64 steer_tcp;
	__u64 steer_dns;
	__u64 pass_udp;
	__u64 deny_udp;
	__u64 deny_protocol;
	__u64 deny_fragment;
	__u64 deny_malformed;
	__u64 deny_answer;
	__u64 guard_drops;
	__u64 assign_errors;
	__u64 spoofed;
	__u64 inbound_full;
	__u64 too_big;
	__u64 refused;
};

/* The sources of an entry of `bypass4` or `bypass6`: bits, of which several may be set. */
enum sidestep_bypass_source {
	SIDESTEP_FROM_OPTION = 1,    /* --bypass, --docker-gateway-cidr */
	SIDESTEP_FROM_CONNECTED = 2, /* a subnet of an interface of the namespace */
	SIDESTEP_FROM_DOCKER = 4,    /* a Docker bridge network */
	SIDESTEP_FROM_LOCAL = 8,     /* an address of the namespace itself */
	SIDESTEP_FROM_BUILTIN = 16,  /* loopback, link-local, multicast */
	/* The gateway's address, where the proxy cannot mark each of its own sockets. */
	SIDESTEP_FROM_GATEWAY = 32,
	/* No source: port 53 is steered all the same, because the internet is off. */
	SIDESTEP_EXCEPT_DNS = 64,
	/* The outer guard: an address of the host's, whose place no container may take. */
	SIDESTEP_FROM_HOST = 128,
};

/* Keys of the LPM tries `bypass4`, `route4` and `bypass6`, `route6`. The namespace is the first 32
 * bits of the prefix. */
#define SIDESTEP_NETNS_BITS 32

struct sidestep_prefix4 {
	__u32 prefix_length; /* SIDESTEP_NETNS_BITS + 0..32, host byte order */
	__u32 netns;
	__u8 address[4];
};

struct sidestep_prefix6 {
	__u32 prefix_length; /* SIDESTEP_NETNS_BITS + 0..128, host byte order */
	__u32 netns;
	__u8 address[16];
};

/* Keys of the LPM tries `source_route4` and `source_route6`: the namespace, the packet's source,
 * which is an address of the namespace, and the destination. */
#define SIDESTEP_SOURCE4_BITS (SIDESTEP_NETNS_BITS + 32)
#define SIDESTEP_SOURCE6_BITS (SIDESTEP_NETNS_BITS + 128)

struct sidestep_source_prefix4 {
	__u32 prefix_length; /* SIDESTEP_SOURCE4_BITS + 0..32, host byte order */
	__u32 netns;
	__u8 source[4];
	__u8 address[4];
};

struct sidestep_source_prefix6 {
	__u32 prefix_length; /* SIDESTEP_SOURCE6_BITS + 0..128, host byte order */
	__u32 netns;
	__u8 source[16];
	__u8 address[16];
};

/* Value of `bypass4` and `bypass6`: a subnet for which sidestep steps aside. */
struct sidestep_bypass {
	__u32 sources; /* enum sidestep_bypass_source */
	/* Bridge mode: the bridge with this subnet, which gets the proxy's answers; else 0. */
	__u32 ifindex;
};

/* Value of `route4`, `route6`, `source_route4` and `source_route6`: the route of a packet that
 * leaves although policy routing brought it to lo. The tries mirror the routes that it would have
 * without sidestep. */
struct sidestep_route {
	__u32 ifindex;
	__u8 gateway[16]; /* IPv4 in the first 4 bytes; all zero: on the link */
	__u8 has_gateway;
	__u8 by_source; /* addresses of the namespace may have another one in `source_route` */
	__u8 padding[2];
	__u32 mtu; /* bytes, IP header included: the route's, or its device's; 0: unknown */
};

/* A flow seen from the namespace: local is the application's end, remote the other one. */
struct sidestep_flow_key {
	__u8 local_address[16]; /* IPv4 as ::ffff:a.b.c.d */
	__u8 remote_address[16];
	__u16 local_port; /* ICMP echo: the identifier, in both ports */
	__u16 remote_port;
	__u8 protocol; /* IPPROTO_* */
	__u8 padding[3];
	__u32 netns;
};

/* Value of `inbound`: a flow from outside, whose replies pass. */
struct sidestep_inbound {
	__u64 start; /* ns, or SIDESTEP_INBOUND_PENDING */
};

/* dev_ingress has not checked yet whether the application itself has a connection with the same
 * endpoints. No packet counts as a reply to a pending flow. */
#define SIDESTEP_INBOUND_PENDING (~(__u64)0)

/* The process and the socket that opened a steered flow. The agent's `openers` has it as value. */
struct sidestep_process {
	__u64 started; /* ns, CLOCK_BOOTTIME: when the process started; 0: not known */
	__u64 cookie;  /* of the socket (SO_COOKIE) */
	__u64 cgroup;  /* id of the socket's control group (v2); 0: not known */
	__u32 pid;     /* in the first pid namespace; 0: not known */
	__u32 uid;     /* of the socket's owner, in the namespace's user namespace */
	char comm[16]; /* "": not known */
};

/*
 * Value of the array `openers` of own programs: the latest opener in this slot. The proxy maps the
 * array into its memory, and reads a flow's slot when it accepts it. Nothing keeps programs from
 * writing there meanwhile, so @check tells whether an entry is whole.
 */
struct sidestep_opener {
	struct sidestep_process process;
	__u64 check; /* sidestep_opener_check(); 0: empty */
	struct sidestep_flow_key flow;
	__u32 padding;
};

/* The slot of a flow. The kernel prefers even ports for connections (Linux,
 * net/ipv4/inet_hashtables.c, __inet_hash_connect()), and takes one after the other. */
static inline __attribute__((always_inline)) __u32 sidestep_opener_slot(__u16 local_port)
{
	return ((__u32)local_port >> 1 | (__u32)local_port << 15) % SIDESTEP_OPENER_SLOTS;
}

/* A hash of both (FNV-1a, by words). Both are aligned to 8 bytes. */
static inline __attribute__((always_inline)) __u64
sidestep_opener_check(const struct sidestep_process *process, const struct sidestep_flow_key *flow)
{
	const char *words = __builtin_assume_aligned(process, 8);
	__u64 check = 0xcbf29ce484222325, word;
	unsigned int i;

	for (i = 0; i < sizeof(*process); i += sizeof(word)) {
		__builtin_memcpy(&word, words + i, sizeof(word));
		check = (check ^ word) * 0x100000001b3;
	}
	words = __builtin_assume_aligned(flow, 8);
	for (i = 0; i + sizeof(word) <= sizeof(*flow); i += sizeof(word)) {
		__builtin_memcpy(&word, words + i, sizeof(word));
		check = (check ^ word) * 0x100000001b3;
	}
	return (check ^ flow->netns) * 0x100000001b3;
}

/* Value of `flows`: a steered flow that is at least a second old. The proxy writes it, updates the
 * bytes about once a second, and removes it when the flow ends. */
struct sidestep_flow {
	__u64 start;	  /* ns */
	__u64 bytes_sent; /* application to gateway */
	__u64 bytes_received;
	__u32 verdict; /* enum sidestep_verdict */
	__u32 padding;
	struct sidestep_process opener; /* cookie 0: not known */
};

/* A record of the ring buffer `denials`: a denied packet. */
struct sidestep_denial {
	/* Local is the packet's source. Where the headers are unreadable, only netns is set. */
	struct sidestep_flow_key flow;
	__u32 verdict; /* the counter that counts it, enum sidestep_verdict */
	__u32 judged;  /* the verdict on it, which the guard does not count */
	__u32 lost;    /* records of this namespace that were left out, since the load */
	struct sidestep_process process;
};

/* The owner of a socket, kept in the socket storage `owners`. */
enum sidestep_owner {
	SIDESTEP_OWNER_NONE,
	SIDESTEP_OWNER_PROXY,	/* the proxy's own socket: its packets pass */
	SIDESTEP_OWNER_INBOUND, /* accepted from outside: its packets are replies */
	SIDESTEP_OWNER_ANSWERS, /* the proxy's DNS listener: its packets stay in the namespace */
};

struct sidestep_owner_value {
	__u32 owner; /* enum sidestep_owner */
	/* The remote end to which the socket replied, as the outer guard has seen. Port 0: none.
	 * The guard lets the socket reply there and nowhere else. */
	__u16 replied_port;
	__u16 padding;
	__u8 replied_address[16];
};

/* Key of the sockhash `listeners`. */
struct sidestep_listener_key {
	__u32 netns;
	__u32 listener; /* enum sidestep_listener */
};

enum sidestep_listener {
	SIDESTEP_LISTENER_TCP4,
	SIDESTEP_LISTENER_TCP6,
	SIDESTEP_LISTENER_DNS4,
	SIDESTEP_LISTENER_DNS6,
	/* Like TCP4, but bound to lo, for connections of sockets that are not bound to a device.
	 * The kernel caches our route for its answers (user/steering/plan_routes.h). */
	SIDESTEP_LISTENER_TCP4_LO,
	SIDESTEP_LISTENERS,
};

enum sidestep_mode {
	SIDESTEP_MODE_SIDECAR,
	SIDESTEP_MODE_BRIDGE,
	SIDESTEP_MODE_OUTER, /* the outer guard of a namespace in sidecar mode */
};

/* The one entry of the map `generation`. */
struct sidestep_generation {
	/* The process raises it after each change of `bypass4` or `bypass6`. Answers of the tries
	 * that programs have cached are then invalid. */
	__u64 bypass;
};

/* The one entry of the map `info`: the loader, for `sidestep status`. */
struct sidestep_info {
	__u32 abi_version;
	__u32 pid; /* in the loader's pid namespace */
	char version[16];
};

/* The policy for UDP to other ports than 53 (--udp). */
enum sidestep_udp {
	SIDESTEP_UDP_DENY, /* refused with an ICMP error */
	SIDESTEP_UDP_PASS,
	SIDESTEP_UDP_DROP, /* dropped in silence */
};

/* Value of the hash `namespaces`, whose key is the namespace: how it is intercepted. */
struct sidestep_namespace {
	__u32 mode;	/* enum sidestep_mode */
	__u32 udp_pass; /* enum sidestep_udp; the name is older than its third value */
	__u32 pid;	/* of the proxy, in the loader's pid namespace */
	__u32 padding;
	__u64 start;	   /* ns */
	char name[64];	   /* agent: the container's name; else "" */
	char gateway[128]; /* IP:PORT, [IPv6]:PORT or unix:/PATH */
};

/* Value of the hash `outer`. The key is the index of a host's device, a veth that leads into the
 * namespace. */
struct sidestep_outer {
	__u32 netns;   /* with SIDESTEP_OUTER */
	__u32 ifindex; /* the other end's index, inside */
};

/* Value of the per-CPU array `arrivals`: the packet that lo is handing to the stack, and its
 * namespace, which an sk_lookup program cannot ask for. */
struct sidestep_arrival {
	__u32 netns;	 /* 0: none */
	__u32 searching; /* 1: dev_ingress looks up a socket, and no packet is behind it */
	__u8 source[16];
	__u8 destination[16];
};

_Static_assert(sizeof(struct sidestep_prefix4) == 12, "LPM key without padding");
_Static_assert(sizeof(struct sidestep_prefix6) == 24, "LPM key without padding");
_Static_assert(sizeof(struct sidestep_source_prefix4) == 16, "LPM key without padding");
_Static_assert(sizeof(struct sidestep_source_prefix6) == 40, "LPM key without padding");
_Static_assert(sizeof(struct sidestep_flow_key) == 44, "hash key without padding");
_Static_assert(sizeof(struct sidestep_flow) == 80, "ABI");
_Static_assert(sizeof(struct sidestep_route) == 28, "ABI");
_Static_assert(sizeof(struct sidestep_info) == 24, "ABI");
_Static_assert(sizeof(struct sidestep_namespace) == 216, "ABI");
_Static_assert(sizeof(struct sidestep_outer) == 8, "ABI");
_Static_assert(sizeof(struct sidestep_process) == 48, "ABI");
_Static_assert(sizeof(struct sidestep_opener) == 104, "ABI");
_Static_assert(sizeof(struct sidestep_flow_key) == 40 + sizeof(__u32), "words and netns");
_Static_assert(sizeof(struct sidestep_denial) == 104, "ABI");
_Static_assert(sizeof(struct sidestep_counters) == SIDESTEP_COUNTERS * sizeof(__u64),
	       "a field for each counter");

#endif
