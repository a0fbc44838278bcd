/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receives and sends DNS datagrams in batches. The application's come with their original
 * destination, and answers to it leave from the resolver's address. ICMP errors name the query that
 * failed. One system call takes or sends up to DNS_BATCH datagrams.
 */
#ifndef SIDESTEP_DNS_SOCKET_H
#define SIDESTEP_DNS_SOCKET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define DNS_BATCH 16
/* Fits the largest UDP payload. */
#define DNS_DATAGRAM_MAX 65536

union dns_address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

socklen_t dns_address_size(const union dns_address *address);

/* Compares family, address and port. */
bool dns_address_equal(const union dns_address *a, const union dns_address *b);

struct dns_datagram {
	uint8_t *data;
	size_t size;
	union dns_address from;
	union dns_address to; /* on listeners: the original destination; AF_UNSPEC: not known */
};

/* One thread's room for datagrams that arrive, and for answers that wait to be sent. */
struct dns_io;

/* NULL: out of memory. */
struct dns_io *dns_io_new(void);

/* NULL is allowed. */
void dns_io_free(struct dns_io *io);

/* Receives up to DNS_BATCH waiting datagrams. They are valid until the next call. Returns their
 * number, or negative errno. More may wait if all of DNS_BATCH came. */
int dns_receive(struct dns_io *io, int fd, struct dns_datagram **ret_datagrams);

/*
 * Queues an answer to @to with the source address of @from (ip(7) IP_PKTINFO on a transparent
 * socket). The source port is the listener's. The kernel side makes it 53: a socket bound to 53
 * would block the application's own. Up to DNS_ANSWER_MAX bytes of @data are copied; longer ones
 * must stay as they are until dns_flush(). Flushes first if another listener's answers are queued,
 * or if there is no room.
 */
void dns_answer(struct dns_io *io, int listener, const void *data, size_t size,
		const union dns_address *from, const union dns_address *to);

/* Sends the queued answers. Returns the number that the kernel did not take since the last call,
 * and sets *@ret_error to an errno if there was one. */
unsigned int dns_flush(struct dns_io *io, int *ret_error);

/* Makes a listener report each datagram's original destination (ip(7) IP_RECVORIGDSTADDR) and gives
 * it room for bursts. Returns 0 or negative errno. */
int dns_listener_prepare(int fd, int family);

/* Opens a nonblocking socket for queries to any resolver. Its port is random
 * (local_ports_bind_above()), and the kernel reports ICMP errors. Returns it or negative errno. */
int dns_upstream_open(int family);

/*
 * Takes the next ICMP error off the queue of such a socket. Returns false if there is none. Sets
 * the resolver, the ID of its query, and the errno that the error stands for. *@ret_errno is 0 if
 * it is no reason to stop waiting, or does not quote enough of the query.
 */
bool dns_upstream_error(int fd, union dns_address *ret_resolver, uint16_t *ret_id, int *ret_errno);

#endif
