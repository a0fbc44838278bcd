// SPDX-License-Identifier: Apache-2.0
/* The option table and the choice of the subcommand. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "peer.h"

enum kind {
	NUMBER,
	WIDE,
	SECONDS, /* in microseconds */
	TEXT,
	FLAG,
	LIST
};

static struct options options = {
	.seed = 1, .protocol = -1, .vlan = -1, .ethertype = -1, .vlan_type = 0x8100};

static const struct {
	const char *name;
	enum kind kind;
	void *value;
	const char *help;
} table[] = {
	{"timeout", SECONDS, &options.timeout_us,
	 "SECONDS  the whole run (10; servers 600), such as 0.3"},
	{"send", TEXT, &options.send, "TEXT  send this"},
	{"send-bytes", WIDE, &options.send_bytes, "N  send N bytes of the stream --seed"},
	{"expect", TEXT, &options.expect, "TEXT  the answer must contain this"},
	{"bind-device", TEXT, &options.device, "DEV  SO_BINDTODEVICE"},
	{"device", TEXT, &options.device, "DEV  the device of packet-send and sniff"},
	{"source", TEXT, &options.source, "ADDR  bind to it"},
	{"freebind", FLAG, &options.freebind, " the source may be any address (IP_FREEBIND)"},
	{"source-port", NUMBER, &options.source_port, "P  bind to it, with SO_REUSEADDR"},
	{"mark", NUMBER, &options.mark, "N  SO_MARK"},
	{"opcode", NUMBER, &options.opcode, "N  of a DNS query (0, QUERY)"},
	{"tcp", FLAG, &options.tcp, " dns: over TCP"},
	{"half-close", FLAG, &options.half_close, " shutdown(SHUT_WR) when all is sent"},
	{"read-all", FLAG, &options.read_all, " read until the end of the stream"},
	{"wait-first-byte", FLAG, &options.wait_first_byte, " send only after a byte came"},
	{"resolver", TEXT, &options.resolver, "IP[:PORT]  instead of /etc/resolv.conf"},
	{"ipv6", FLAG, &options.ipv6, " resolve names to IPv6"},
	{"address", TEXT, &options.address, "IP  listen there only"},
	{"mode", TEXT, &options.mode,
	 "M  serve: echo sink source hash greet hold http"
	 "; raw-send, packet-send: syn data udp unreachable mapped; imposter: drop noise attach forge"
	 ". raw: udp syn echo lsrr ssrr rh0 rh2 rh4 hopopts dstopts fragments later ipip gre"},
	{"bytes", WIDE, &options.bytes, "N  how much per connection"},
	{"seed", WIDE, &options.seed, "N  which stream of bytes (1)"},
	{"count", NUMBER, &options.count, "N  end after so many"},
	{"log", TEXT, &options.log, "FILE  append a line per connection"},
	{"close-first", FLAG, &options.close_first, " serve: close after the first answer"},
	{"connections", NUMBER, &options.connections, "N  at the same time (1)"},
	{"direction", TEXT, &options.direction, "up|down|both  (both)"},
	{"until-file", TEXT, &options.until_file, "FILE  end when it exists"},
	{"seconds", NUMBER, &options.seconds, "N  length of a flood"},
	{"attempt-ms", NUMBER, &options.attempt_ms, "N  limit of one attempt (2000)"},
	{"pause-us", NUMBER, &options.pause_us, "N  between the attempts of a thread (0)"},
	{"times", NUMBER, &options.times, "N  reconnects (40)"},
	{"close", TEXT, &options.close_by, "client|server|reset  who ends a connection (client)"},
	{"count-dst", LIST, options.count_dst, "CIDR  up to 8 times"},
	{"gateway", TEXT, &options.gateway, "IP  next hop of packet-send (from the routes)"},
	{"socket", TEXT, &options.socket,
	 "S  raw: packet (default) datagram ring xdp checksum, or past Ethernet: inet ping"},
	{"qdisc-bypass", FLAG, &options.qdisc_bypass,
	 " packet, datagram, ring: PACKET_QDISC_BYPASS"},
	{"protocol", NUMBER, &options.protocol, "N  packet, datagram, ring: the socket's protocol"},
	{"ethertype", NUMBER, &options.ethertype, "N  raw: in the frame, instead of IP's"},
	{"vlan", NUMBER, &options.vlan, "N  raw: a tag of 16 bits in the frame"},
	{"vlan-type", NUMBER, &options.vlan_type, "N  raw: the tag's type (0x8100)"},
	{"via", TEXT, &options.via, "IP  lsrr ssrr rh0 rh2 rh4 ipip gre: the outer destination"},
	{"flip", TEXT, &options.flip,
	 "IP6|N  ring: meanwhile change the destination's first half to this one's and back, or "
	 "the protocol. checksum: the device writes this one's word"},
	{"quoted", TEXT, &options.quoted, "IP  unreachable: the sender of the packet (HOST)"},
};

static const struct {
	const char *name;
	int (*run)(const struct options *options);
	const char *usage;
} commands[] = {
	{"connect", command_connect, "HOST PORT  one connection, checked"},
	{"serve", command_serve, "PORT  a server, until SIGTERM"},
	{"transfer", command_transfer,
	 "HOST PORT  --bytes N over many connections, each byte checked"},
	{"flood", command_flood,
	 "HOST PORT  numbered short connections, --until-file or --seconds"},
	{"reconnect", command_reconnect, "HOST PORT  --times on one --source-port"},
	{"stall", command_stall, "HOST PORT  send --bytes, then never read"},
	{"turn", command_turn,
	 "PORT HOST PORT  accepts a connection, then connects the same socket"},
	{"dns", command_dns, "NAME TYPE @IP[:PORT]  one query"},
	{"dns-serve", command_dns_serve,
	 "PORT  a made-up resolver over UDP and TCP, until SIGTERM"},
	{"tunnel", command_tunnel,
	 "DEVICE NETNS DEVICE  TUN devices here and there, joined until SIGTERM"},
	{"udp", command_udp, "HOST PORT  one datagram, --send, and its answer"},
	{"udp-serve", command_udp_serve, "PORT  echo of datagrams, until SIGTERM"},
	{"raw-send", command_raw_send, "HOST PORT  an IPv4 packet through a raw socket"},
	{"packet-send", command_packet_send, "HOST PORT  the same through AF_PACKET on --device"},
	{"raw", command_raw, "HOST PORT  a frame of --mode on --device from a --socket"},
	{"imposter", command_imposter,
	 "poses as a sidecar to the host's agent; --count, --mode; until SIGTERM"},
	{"sniff", command_sniff, "count packets of --device from and to --count-dst"},
	{"probe", command_probe, "what this container is allowed to do"},
	{"cookie", command_cookie, "of the network namespace"},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A test that wants a command to fail must not take wrong usage for that. bed_stop (testbed.bash)
 * fails when the bed has this file. */
static void note_misuse(const char *why, const char *what)
{
	const char *bed = getenv("BED_DIR");
	char path[PATH_MAX];
	FILE *file;

	if (!bed)
		return;
	(void)snprintf(path, sizeof(path), "%s/complaints", bed);
	file = fopen(path, "ae");
	if (!file)
		return;
	(void)fprintf(file, "wrong usage of the peer: %s%s\n", why, what);
	(void)fclose(file);
}

static int usage(const char *why, const char *what)
{
	note_misuse(why, what);
	fprintf(stderr, "peer: %s%s\nusage: peer COMMAND [ARGUMENT...] [--OPTION...]\n", why, what);
	for (size_t i = 0; i < COUNT(commands); i++)
		fprintf(stderr, "  %s %s\n", commands[i].name, commands[i].usage);
	for (size_t i = 0; i < COUNT(table); i++)
		fprintf(stderr, "  --%s %s\n", table[i].name, table[i].help);
	return 2;
}

static bool take_value(size_t entry, const char *text)
{
	char *end = NULL;

	switch (table[entry].kind) {
	case NUMBER:
		*(long *)table[entry].value = strtol(text, &end, 0);
		return *text && !*end;
	case WIDE:
		*(int64_t *)table[entry].value = strtoll(text, &end, 0);
		return *text && !*end;
	case SECONDS:
		*(int64_t *)table[entry].value = (int64_t)(strtod(text, &end) * 1e6);
		return *text && !*end;
	case TEXT:
		*(const char **)table[entry].value = text;
		return true;
	case LIST:
		if (options.count_dst_count == COUNT(options.count_dst))
			return false;
		options.count_dst[options.count_dst_count++] = text;
		return true;
	case FLAG:
		*(bool *)table[entry].value = true;
		return true;
	}
	return false;
}

int main(int argc, char **argv)
{
	for (int i = 2; i < argc; i++) {
		size_t entry = 0;

		if (strncmp(argv[i], "--", 2) != 0) {
			if (options.arg_count == COUNT(options.args))
				return usage("too many arguments at ", argv[i]);
			options.args[options.arg_count++] = argv[i];
			continue;
		}
		while (entry < COUNT(table) && strcmp(table[entry].name, argv[i] + 2) != 0)
			entry++;
		if (entry == COUNT(table))
			return usage("unknown option ", argv[i]);
		if (table[entry].kind != FLAG && ++i == argc)
			return usage("no value for ", argv[i - 1]);
		if (!take_value(entry, argv[i]))
			return usage("bad value ", argv[i]);
	}
	handle_signals();
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; argc > 1 && i < COUNT(commands); i++)
		if (strcmp(commands[i].name, argv[1]) == 0) {
			int status = commands[i].run(&options);

			return status == 2 ? usage("wrong arguments for ", argv[1]) : status;
		}
	return usage("unknown command ", argc > 1 ? argv[1] : "");
}
