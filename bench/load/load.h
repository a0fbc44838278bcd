/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the load generator (client*.c) and the receiver (sink*.c): ports and their protocols,
 * time, a histogram.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

/* The receiver's behaviour, by the destination port: the socket's own, or the one that a CONNECT
 * request names. */
enum load_port {
	LOAD_CLOSE = 8001, /* closes at once */
	LOAD_HTTP = 8002,  /* answers requests; closes after one with "Connection: close" */
	LOAD_ECHO = 8003,  /* sends back */
	LOAD_DISCARD =
		8004, /* reads to the end, then sends how much that was: 8 bytes, host order */
	LOAD_SOURCE = 8005,  /* sends until the other end has enough */
	LOAD_DROP = 8006,    /* as LOAD_DISCARD, but copies nothing out of the kernel */
	LOAD_PAGES = 8007,   /* as LOAD_SOURCE, but copies nothing into the kernel */
	LOAD_GATEWAY = 8080, /* "CONNECT IP:PORT", then as that port says */
};

#define LOAD_BUFFER (256 * 1024)

/*
 * Each is half of the least relay: receiving, or sending, without a copy between kernel and
 * process. load_drop() takes bytes off a TCP socket as recv(2) would (tcp(7): MSG_TRUNC).
 */
ssize_t load_drop(int fd);

/* Pages in a pipe, which are sent again and again. They lie as a TCP socket's pages do. */
struct pages;

/* Ends the process if it fails. pages_free() takes NULL. */
struct pages *pages_new(void);
/* Sends as many bytes as the socket takes at once, at most LOAD_PAGES_SIZE. Blocks if the socket
 * does. Returns their number, or -1 with errno. */
ssize_t pages_send(struct pages *pages, int fd);
void pages_free(struct pages *pages);

#define LOAD_PAGES_SIZE (512 * 1024)

/* One answer to an HTTP request, always the same. */
#define LOAD_ANSWER                                                                                \
	"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 64\r\n\r\n"                \
	"123456789012345678901234567890123456789012345678901234567890123\n"

uint64_t now_ns(void);

/* Prints the failure, with errno if it is set, and ends with status 1. */
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Raises the limit of file descriptors as far as the machine allows. */
void raise_file_limit(void);

/* A log-linear histogram: 128 steps for each power of two, so an error of 0.8 % at worst. Values
 * are nanoseconds. */
#define HISTOGRAM_STEPS	  128
#define HISTOGRAM_BUCKETS (HISTOGRAM_STEPS * 40)
struct histogram {
	uint64_t total;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *histogram, uint64_t value);
/* The value below which @fraction (0 to 1) of the values lie, in microseconds; 0 when empty. */
double histogram_us(const struct histogram *histogram, double fraction);

#endif
