/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_CLIENT_H
#define BENCH_CLIENT_H

#include "load.h"

struct client_options {
	struct in_addr target;
	unsigned int addresses; /* connections take turns over so many, from @target on */
	int port;
	unsigned int clients; /* concurrent connections or queries */
	unsigned int window;  /* keepalive: requests under way at once, in turn over all; 0: all */
	double seconds;
	unsigned int size;  /* ping-pong: bytes of a message */
	const char *server; /* TLS: server name; a % in it is replaced by a number that counts up */
	bool hold;	    /* keepalive: after one answer each, wait for the end of stdin */
	bool no_copy;	    /* upload, download: without a copy between kernel and client */
	const char *until;  /* start: the line to wait for */
	char **command;	    /* start: what to run */
};

/* Each of these prints the result of a run as one JSON object, and returns the exit status. */
int client_connect(const struct client_options *options);
int client_http(const struct client_options *options);
int client_keepalive(const struct client_options *options);
int client_pingpong(const struct client_options *options);
int client_upload(const struct client_options *options);
int client_download(const struct client_options *options);
int client_dns(const struct client_options *options);
int client_handshake(const struct client_options *options);
int client_tls_download(const struct client_options *options);
int client_start(const struct client_options *options);

/* The address of the connection with this number. */
struct sockaddr_in client_address(const struct client_options *options, uint64_t number);

/* A connected socket, blocking, whose reads and writes give up after 5 s. Ends the process when it
 * cannot connect. */
int client_open(const struct client_options *options, uint64_t number);

/* The largest segment that @fd sends. */
unsigned int client_mss(int fd);

/* User and system time of this process, seconds. */
double client_cpu(void);

struct client_result {
	uint64_t count;
	uint64_t errors;
	uint64_t bytes;
	uint64_t warm_up_bytes; /* moved before the time began */
	double seconds;
	unsigned int mss;
	double setup_seconds; /* until all connections were there */
	const struct histogram *latency;
};

int client_print(const struct client_result *result);

#endif
