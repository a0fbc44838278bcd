/* SPDX-License-Identifier: Apache-2.0 */
/* peer: the traffic generator and checker of the tests. One static binary that runs on the machine,
 * in a network namespace and in an empty container image alike.
 *
 * Each subcommand prints key=value lines on stdout, returns an exit status (0: all as asked for,
 * 1: it happened otherwise, 2: usage) and ends by itself within --timeout seconds.
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

/* Every option of every subcommand; main.c holds the table that fills it. Numbers not given are 0.
 */
struct options {
	const char *args[3]; /* positional: HOST PORT, PORT, or NAME TYPE @IP */
	int arg_count;

	long timeout_s;	 /* the whole run ends after this; 0 in the table: the subcommand's default
			  */
	long attempt_ms; /* flood: one attempt */
	long seconds;	 /* flood: length of the run */
	long count;	 /* serve, raw-send, flood: how many, then end; 0 is no limit */
	long times;	 /* reconnect */
	long connections;
	long source_port;
	long pause_us; /* flood: between attempts of one thread */
	long mark;     /* SO_MARK of the sockets */
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
	const char *close_by;

	bool half_close;
	bool read_all;
	bool wait_first_byte;
	bool close_first;
	bool ipv6; /* names: ask for AAAA */
};

/* The subcommands, one or a few per file. All return the process's exit status. */
int command_connect(const struct options *options);
int command_dns(const struct options *options);
int command_dns_serve(const struct options *options);
int command_flood(const struct options *options);
int command_packet_send(const struct options *options);
int command_probe(const struct options *options);
int command_raw_send(const struct options *options);
int command_reconnect(const struct options *options);
int command_serve(const struct options *options);
int command_sniff(const struct options *options);
int command_stall(const struct options *options);
int command_transfer(const struct options *options);
int command_turn(const struct options *options);
int command_udp(const struct options *options);
int command_udp_serve(const struct options *options);

/* util.c: time, signals, text, sockets */

extern volatile sig_atomic_t stop_requested; /* SIGTERM or SIGINT came */

int64_t now_us(void); /* CLOCK_MONOTONIC */
/* The end of the run: now + --timeout, or + default_s without it. */
int64_t deadline_from(const struct options *options, long default_s);
/* 0 when one of the poll events is there, -ETIMEDOUT, -EINTR when asked to stop. */
int wait_fd(int fd, short events, int64_t deadline_us);
void handle_signals(void);
bool file_exists(const char *path); /* NULL: false */
void raise_open_files(void);

/* "ok" for 0, the words of the tests for what is common, the errno's name for the rest. */
const char *error_word(int error);
/* Writes "1.2.3.4:80" or "[2001:db8::1]:80"; mapped v4 is shown as v4. */
const char *address_text(const struct sockaddr_storage *address, char text[ADDRESS_TEXT]);
const char *local_text(int fd, char text[ADDRESS_TEXT]);
socklen_t address_size(const struct sockaddr_storage *address);
/* A literal address; false when it is none. */
bool address_parse(const char *host, uint16_t port, struct sockaddr_storage *address);
bool port_parse(const char *text, uint16_t *port);
void print_quoted(FILE *out, const uint8_t *bytes, size_t size); /* "..." with C escapes */

/* A socket with what --source, --source-port, --bind-device and --mark ask for. An fd or -errno. */
int socket_for(const struct options *options, int family, int type);
/* Starts or waits for a non-blocking connect. An fd or -errno. */
int connect_start(const struct options *options, const struct sockaddr_storage *peer);
int connect_wait(int fd, int64_t deadline_us);
int send_all(int fd, const void *data, size_t size, int64_t deadline_us);

/* data.c: bytes that both ends know, and digests */

/* The bytes at [offset, offset + size) of stream `seed`. */
void data_fill(uint8_t *buffer, size_t size, uint64_t seed, uint64_t offset);
bool data_matches(const uint8_t *buffer, size_t size, uint64_t seed, uint64_t offset);
/* SHA-256 in steps; digest_end frees. A NULL digest has seen nothing. */
struct digest;
void digest_add(struct digest **digest, const void *data, size_t size);
void digest_end(struct digest **digest, char text[DIGEST_TEXT]);
/* SHA-256 of the first `size` bytes of stream `seed`. */
void data_digest(uint64_t seed, uint64_t size, char text[DIGEST_TEXT]);

/* Counts per word, for "failures by kind". At most 16 kinds; the rest is counted as "other". */
struct tally {
	struct {
		const char *word;
		unsigned long count;
	} kinds[16];
};
void tally_add(struct tally *tally, const char *word);
void tally_merge(struct tally *into, const struct tally *from);
void tally_print(const struct tally *tally); /* " word=n word=n" */

/* udp.c: a server that answers from the address that was asked */

/* Listens at options->address, else at all addresses of both families. An fd or -errno. */
int datagram_listen(const struct options *options, uint16_t port);
/* One datagram; *from is who sent it, *to where. Its size or -errno. */
ssize_t datagram_receive(int fd, void *data, size_t room, struct sockaddr_storage *from,
			 struct in6_addr *to);
void datagram_answer(int fd, const void *data, size_t size, const struct sockaddr_storage *to,
		     const struct in6_addr *from);

/* dns.c */

#define DNS_A	 1
#define DNS_AAAA 28

/* A literal, a name of /etc/hosts, or one asked from --resolver or /etc/resolv.conf. 0, or -errno;
 * what DNS itself answered comes as *why ("nxdomain", "servfail", ...) with -ENOENT. */
int resolve(const struct options *options, const char *host, uint16_t port, int64_t deadline_us,
	    struct sockaddr_storage *address, const char **why);

#endif
