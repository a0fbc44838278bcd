/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer, the traffic generator and checker of the tests: one static binary for the machine, network
 * namespaces and empty container images.
 *
 * Each subcommand prints key=value lines on stdout and ends by itself within --timeout seconds. Its
 * exit status is 0 for success, 1 for another outcome and 2 for wrong usage.
 */
#ifndef PEER_H
#define PEER_H

#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

#define ADDRESS_TEXT 80 /* "[v6%scope]:port" and a NUL */
#define DIGEST_TEXT  65 /* SHA-256 in hex and a NUL */

/* The options of all subcommands, filled by the table in main.c. A number that is not given is 0.
 */
struct options {
	const char *args[3]; /* positional: HOST PORT, PORT, or NAME TYPE @IP */
	int arg_count;

	int64_t timeout_us; /* the whole run ends after this; 0: the subcommand's default */
	long attempt_ms;    /* flood: one attempt */
	long seconds;	    /* flood: length of the run */
	long count;	    /* serve, raw-send, flood: how many, then end; 0 is no limit */
	long times;	    /* reconnect */
	long connections;
	long source_port;
	long pause_us; /* flood: between attempts of one thread */
	long mark;     /* SO_MARK of the sockets */
	long opcode;   /* dns */
	long protocol; /* raw: what the socket says that the frame is; -1: the truth */
	long vlan;     /* raw: the tag in the frame; -1: none */
	long ethertype, vlan_type;
	int64_t bytes;
	int64_t send_bytes;
	int64_t seed; /* of the deterministic bytes; the same at both ends */

	const char *send;
	const char *expect;
	const char *device;
	const char *source;
	const char *resolver;
	const char *address;
	const char *mode;
	const char *log;
	const char *direction;
	const char *until_file;
	const char *count_dst[8]; /* CIDRs; any of them counts */
	int count_dst_count;
	const char *gateway;
	const char *quoted;
	const char *close_by;
	const char *socket;
	const char *via;
	const char *flip;

	bool half_close;
	bool read_all;
	bool wait_first_byte;
	bool close_first;
	bool ipv6; /* names: ask for AAAA */
	bool freebind;
	bool tcp; /* dns */
	bool qdisc_bypass;
};

/* The subcommands, one or a few per file. All return the process's exit status. */
int command_connect(const struct options *options);
int command_dns(const struct options *options);
int command_dns_serve(const struct options *options);
int command_flood(const struct options *options);
int command_imposter(const struct options *options);
int command_packet_send(const struct options *options);
int command_probe(const struct options *options);
int command_cookie(const struct options *options);
int command_raw(const struct options *options);
int command_raw_send(const struct options *options);
int command_reconnect(const struct options *options);
int command_serve(const struct options *options);
int command_sniff(const struct options *options);
int command_stall(const struct options *options);
int command_transfer(const struct options *options);
int command_turn(const struct options *options);
int command_tunnel(const struct options *options);
int command_udp(const struct options *options);
int command_udp_serve(const struct options *options);

/* util.c: time, signals, text, sockets */

extern volatile sig_atomic_t stop_requested; /* SIGTERM or SIGINT came */

int64_t now_us(void); /* CLOCK_MONOTONIC */
/* Returns the end of the run: now + --timeout, or now + default_s without it. */
int64_t deadline_from(const struct options *options, long default_s);
/* Returns 0 on one of the poll events, -ETIMEDOUT, or -EINTR after a signal to stop. */
int wait_fd(int fd, short events, int64_t deadline_us);
/* Likewise, but what came in time counts although this process gets its turn later. */
int wait_fd_late(int fd, short events, int64_t deadline_us);
void handle_signals(void);
bool file_exists(const char *path); /* NULL: false */
void raise_open_files(void);

/* Returns "ok" for 0, the tests' word for a common errno, and the errno's name for others. */
const char *error_word(int error);
/* Writes "1.2.3.4:80" or "[2001:db8::1]:80"; mapped v4 is shown as v4. */
const char *address_text(const struct sockaddr_storage *address, char text[ADDRESS_TEXT]);
const char *local_text(int fd, char text[ADDRESS_TEXT]);
socklen_t address_size(const struct sockaddr_storage *address);
/* Parses a literal address. Returns false for other text. */
bool literal_parse(const char *host, uint16_t port, struct sockaddr_storage *address);
bool port_parse(const char *text, uint16_t *port);
void print_quoted(FILE *out, const uint8_t *bytes, size_t size); /* "..." with C escapes */

/* Opens a socket with --source, --source-port, --bind-device and --mark. Returns an fd or -errno.
 */
int socket_for(const struct options *options, int family, int type);
/* Starts a non-blocking connect, or waits for it. Returns an fd or -errno. */
int connect_start(const struct options *options, const struct sockaddr_storage *peer);
int connect_wait(int fd, int64_t deadline_us);
int send_all(int fd, const void *data, size_t size, int64_t deadline_us);

/* data.c: bytes that both ends know, and digests */

/* Computes the bytes at [offset, offset + size) of stream `seed`. */
void data_fill(uint8_t *buffer, size_t size, uint64_t seed, uint64_t offset);
bool data_matches(const uint8_t *buffer, size_t size, uint64_t seed, uint64_t offset);
/* SHA-256 in steps; digest_end frees. A NULL digest has seen nothing. */
struct digest;
void digest_add(struct digest **digest, const void *data, size_t size);
void digest_end(struct digest **digest, char text[DIGEST_TEXT]);
/* SHA-256 of the first `size` bytes of stream `seed`. */
void data_digest(uint64_t seed, uint64_t size, char text[DIGEST_TEXT]);

/* Counts for each word, for "failures by kind". After 16 kinds the rest is counted as "other". */
struct tally {
	struct {
		const char *word;
		unsigned long count;
	} kinds[16];
};
void tally_add(struct tally *tally, const char *word);
void tally_merge(struct tally *into, const struct tally *from);
void tally_print(const struct tally *tally); /* " word=n word=n" */

/* link.c: checksums, and the way to the next hop */

/* Adds bytes to the Internet checksum (RFC 1071), of which all parts but the last are even.
 * sum_end() returns it in network byte order. */
uint32_t sum_add(uint32_t sum, const void *data, size_t size);
uint16_t sum_end(uint32_t sum);
/* Finds the default gateway of the device in /proc/net/route. */
bool gateway_of(const char *device, struct in_addr *gateway);
/* Reads the gateway's MAC from the kernel's table. A datagram makes the kernel resolve it if
 * needed. Returns 0 or -errno. */
int mac_of(struct in_addr gateway, const char *device, int64_t deadline_us, uint8_t mac[6]);
/* Prints the result of a command that sends packets, and returns its exit status. */
int report_sent(const char *phase, long sent, long count, int error);

/* raw_frame.c: the frames of `raw` */

#define RAW_LINK 18 /* room for an Ethernet header with a tag, bytes */

struct frame {
	uint8_t bytes[1500];
	size_t size;
	size_t network; /* offset of the IP header */
	int family;
	uint8_t outer[16]; /* the destination in the IP header; IPv4 in the first 4 bytes */
};

/* Builds the frame from the MAC address @from to @to. Returns false for wrong options. */
bool frame_build(const struct options *options, const uint8_t to[6], const uint8_t from[6],
		 struct frame *frame);

/* raw_ring.c: sockets that send from shared memory */

/* Each sends the frame @count times and adds to *@sent. Returns 0 or -errno. */
int ring_send(const struct options *options, const struct frame *frame, long count, long *sent);
int xdp_send(const struct options *options, const struct frame *frame, long count, long *sent);

/* udp.c: a server that answers from the address that was asked */

/* Listens at options->address, or without one at all addresses of both families. An fd or -errno.
 */
int datagram_listen(const struct options *options, uint16_t port);
/* Receives a datagram, its sender (*from) and its destination (*to). Returns its size or -errno. */
ssize_t datagram_receive(int fd, void *data, size_t room, struct sockaddr_storage *from,
			 struct in6_addr *to);
void datagram_answer(int fd, const void *data, size_t size, const struct sockaddr_storage *to,
		     const struct in6_addr *from);

/* dns.c */

#define DNS_A	  1
#define DNS_AAAA  28
#define DNS_HTTPS 65

/* Resolves a literal, a name of /etc/hosts, or a name by --resolver or /etc/resolv.conf. Returns 0
 * or -errno. -ENOENT means that DNS answered with *why ("nxdomain", "servfail", ...). */
int resolve(const struct options *options, const char *host, uint16_t port, int64_t deadline_us,
	    struct sockaddr_storage *address, const char **why);

#endif
