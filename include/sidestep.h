/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What the BPF programs and the process share: the types of the maps, as `bpftool map dump`
 * prints them. Included by both sides, so that they cannot drift. docs/MAPS.md explains the maps.
 *
 * Addresses are in network byte order, byte by byte. Ports are in host byte order, so that a dump
 * shows the number a person expects. Times are CLOCK_MONOTONIC (bpf_ktime_get_ns), nanoseconds.
 */
#ifndef SIDESTEP_H
#define SIDESTEP_H

#ifndef __bpf__
#include <linux/types.h>
#endif

/* Raised with each incompatible change of anything below; kept in the map `info`. */
#define SIDESTEP_ABI_VERSION 5

#define SIDESTEP_MAX_BYPASS	4096 /* prefixes of one namespace, for each family */
#define SIDESTEP_MAX_ROUTES	4096 /* likewise */
#define SIDESTEP_MAX_NAMESPACES 4096
#define SIDESTEP_MAX_PREFIXES	(1 << 20) /* of all namespaces, in each of the tries */
#define SIDESTEP_MAX_FLOWS	65536	  /* live flows; a further one is not shown */
#define SIDESTEP_MAX_INBOUND	65536	  /* the least recently used makes room */

/* The loopback device's in every network namespace (include/net/flow.h). */
#define LOOPBACK_IFINDEX 1

/*
 * Network namespaces go by their cookie (SO_NETNS_COOKIE, Linux 5.14; before, by 1), a number that
 * the kernel never uses again. It counts from 1, so the lower 32 bits are enough for four thousand
 * million namespaces since the boot; the loader refuses one beyond.
 */

/* What happens to a packet, and why. Each is also a counter (struct sidestep_counters). */
enum sidestep_verdict {
	/* Stepped aside for. */
	SIDESTEP_LOCAL,	 /* to an address of this namespace */
	SIDESTEP_BRIDGE, /* source and destination are in bypassed subnets */
	SIDESTEP_LINK,	 /* never leaves the link: ARP, neighbour discovery, multicast */
	SIDESTEP_REPLY,	 /* belongs to a connection that came from outside */
	SIDESTEP_OWN,	 /* the proxy's own connection, known by its socket */
	/* Steered to the proxy. */
	SIDESTEP_STEER_TCP,
	SIDESTEP_STEER_DNS, /* UDP to port 53 */
	/* Let go or dropped, by choice. */
	SIDESTEP_PASS_UDP,	 /* UDP to another port, --udp=pass */
	SIDESTEP_DENY_UDP,	 /* UDP to another port, --udp=deny */
	SIDESTEP_DENY_PROTOCOL,	 /* neither TCP nor UDP nor a reply */
	SIDESTEP_DENY_FRAGMENT,	 /* a later fragment: carries no port to judge by */
	SIDESTEP_DENY_MALFORMED, /* headers that cannot be read */
	SIDESTEP_VERDICTS,
	/* Counters that are no verdicts. */
	SIDESTEP_GUARD_DROPS =
		SIDESTEP_VERDICTS, /* walked around the steering; stopped at the device */
	SIDESTEP_ASSIGN_ERRORS,	   /* no listener to steer to: the connection is refused */
	SIDESTEP_SPOOFED,	   /* from outside with a source address of this namespace's */
	SIDESTEP_INBOUND_FULL,	   /* an inbound connection could not be recorded */
	SIDESTEP_COUNTERS,
};

/* Value of the per-CPU hash `counters`, whose key is the namespace: one for each of enum
 * sidestep_verdict, in its order. Lookups (sk_lookup) and packets (TC) each count where they are
 * decided. */
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
	__u64 guard_drops;
	__u64 assign_errors;
	__u64 spoofed;
	__u64 inbound_full;
};

/* Who asked for an entry of `bypass4` or `bypass6`; bits, several may be set. */
enum sidestep_bypass_source {
	SIDESTEP_FROM_OPTION = 1,    /* --bypass, --docker-gateway-cidr */
	SIDESTEP_FROM_CONNECTED = 2, /* subnet of an interface of the namespace */
	SIDESTEP_FROM_DOCKER = 4,    /* a Docker bridge network */
	SIDESTEP_FROM_LOCAL = 8,     /* own address: stays within the namespace */
	SIDESTEP_FROM_BUILTIN = 16,  /* loopback, link-local, multicast */
	/* The gateway's address, where the proxy cannot mark its own sockets one by one. */
	SIDESTEP_FROM_GATEWAY = 32,
};

/* Keys of the LPM tries `bypass4`, `route4` and `bypass6`, `route6`. The namespace is a part of the
 * prefix: 32 bits more than the address's own. */
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

/* Value of `bypass4` and `bypass6`: subnets for which sidestep steps aside. */
struct sidestep_bypass {
	__u32 sources; /* enum sidestep_bypass_source */
	/* Bridge mode: the bridge with this subnet, where steered answers go; else 0. */
	__u32 ifindex;
};

/* Value of `route4` and `route6`: where the packets go that must leave although the policy
 * routing brought them to lo. Mirrors the namespace's main routing table. */
struct sidestep_route {
	__u32 ifindex;
	__u8 gateway[16]; /* 4 bytes used in route4; all zero: the destination is on the link */
	__u8 has_gateway;
	__u8 padding[3];
};

/* Seen from the namespace: local is the application's end, remote the world's. */
struct sidestep_flow_key {
	__u8 local_address[16]; /* IPv4 as ::ffff:a.b.c.d */
	__u8 remote_address[16];
	__u16 local_port; /* ICMP echo: the identifier */
	__u16 remote_port;
	__u8 protocol; /* IPPROTO_* */
	__u8 padding[3];
	__u32 netns;
};

/* Value of `flows`: what was steered and has lived for a second. All by the proxy: bytes about once
 * a second, removed when the flow ends. */
struct sidestep_flow {
	__u64 start;	  /* ns */
	__u64 bytes_sent; /* application to gateway */
	__u64 bytes_received;
	__u32 verdict; /* enum sidestep_verdict */
	__u32 padding;
};

/* Value of `inbound`: connections that came from outside, whose replies pass. */
struct sidestep_inbound {
	__u64 start; /* ns; SIDESTEP_INBOUND_PENDING: not known yet whether it is one */
};

/* dev_ingress has yet to see whether a connection of the application's own has the same endpoints:
 * nothing is a reply to it. */
#define SIDESTEP_INBOUND_PENDING (~(__u64)0)

/* Value of the socket storage `owners`: whose a socket is. */
enum sidestep_owner {
	SIDESTEP_OWNER_NONE,
	SIDESTEP_OWNER_PROXY,	/* the proxy's own: passes */
	SIDESTEP_OWNER_INBOUND, /* accepted from outside: its packets are replies */
};

struct sidestep_owner_value {
	__u32 owner; /* enum sidestep_owner */
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
	/* As TCP4, bound to lo: for connections of sockets that are not bound to a device. Its
	 * answers have the route of ours whose result the kernel caches (user/steering/plan.h). */
	SIDESTEP_LISTENER_TCP4_LO,
	SIDESTEP_LISTENERS,
};

enum sidestep_mode {
	SIDESTEP_MODE_SIDECAR,
	SIDESTEP_MODE_BRIDGE,
};

/* The one entry of the map `generation`. */
struct sidestep_generation {
	/* Raised after each change of `bypass4` or `bypass6`: what programs remember of them does
	 * not count any more. */
	__u64 bypass;
};

/* The one entry of the map `info`: who loaded this, for `sidestep status`. */
struct sidestep_info {
	__u32 abi_version;
	__u32 pid; /* in the loader's pid namespace */
	char version[16];
};

/* Value of the hash `namespaces`, whose key is the namespace: what is intercepted there. */
struct sidestep_namespace {
	__u32 mode;	/* enum sidestep_mode */
	__u32 udp_pass; /* 1: UDP to other ports than 53 passes (--udp pass) */
	__u32 pid;	/* of the proxy, in the loader's pid namespace */
	__u32 padding;
	__u64 start;	   /* ns */
	char name[64];	   /* agent: the container's; else "" */
	char gateway[128]; /* IP:PORT, [IPv6]:PORT or unix:/PATH */
};

/* Value of the per-CPU array `arrivals`: the packet that lo is handing to the stack, and whose it
 * is. Programs of sk_lookup cannot ask for their namespace. */
struct sidestep_arrival {
	__u32 netns;	 /* 0: none */
	__u32 searching; /* 1: dev_ingress looks for a socket, which is nobody's packet */
	__u8 source[16];
	__u8 destination[16];
};

_Static_assert(sizeof(struct sidestep_prefix4) == 12, "LPM key without padding");
_Static_assert(sizeof(struct sidestep_prefix6) == 24, "LPM key without padding");
_Static_assert(sizeof(struct sidestep_flow_key) == 44, "hash key without padding");
_Static_assert(sizeof(struct sidestep_flow) == 32, "ABI");
_Static_assert(sizeof(struct sidestep_route) == 24, "ABI");
_Static_assert(sizeof(struct sidestep_info) == 24, "ABI");
_Static_assert(sizeof(struct sidestep_namespace) == 216, "ABI");
_Static_assert(sizeof(struct sidestep_counters) == SIDESTEP_COUNTERS * sizeof(__u64),
	       "a field for each counter");

#endif
