/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagrams in batches: from the application with where they were sent to, from resolvers with what
 * ICMP says of them, and answers back from the resolver's address. One system call takes or sends
 * up to DNS_BATCH of them.
 */
#ifndef SIDESTEP_DNS_SOCKET_H
#define SIDESTEP_DNS_SOCKET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define DNS_BATCH 16
/* The largest UDP payload fits. */
#define DNS_DATAGRAM_MAX 65536

union dns_address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

socklen_t dns_address_size(const union dns_address *address);

/* Same family, address and port? */
bool dns_address_equal(const union dns_address *a, const union dns_address *b);

struct dns_datagram {
	uint8_t *data;
	size_t size;
	union dns_address from;
	union dns_address to; /* what a listener's was sent to; AF_UNSPEC when not known */
};

/* Room for datagrams that arrive, and for answers that wait to be sent: of one thread. */
struct dns_io;

/* NULL: out of memory. */
struct dns_io *dns_io_new(void);

/* NULL is allowed. */
void dns_io_free(struct dns_io *io);

/* Receives what waits, up to DNS_BATCH. Returns how many, 0 for none, or negative errno; they stay
 * until the next call. More may wait when all of DNS_BATCH came. */
int dns_receive(struct dns_io *io, int fd, struct dns_datagram **ret_datagrams);

/*
 * Queues an answer to @to that comes from the address of @from: the packet's source is that one
 * (ip(7) IP_PKTINFO on a transparent socket). Its port is the listener's; the kernel side makes it
 * 53, since a socket that is bound there would be in the way of the application's own.
 * @data must stay as it is until dns_flush(), unless it is at most DNS_ANSWER_MAX bytes: then it is
 * copied. Sends what is queued first when that is for another listener, or when there is no room.
 */
void dns_answer(struct dns_io *io, int listener, const void *data, size_t size,
		const union dns_address *from, const union dns_address *to);

/* Sends what is queued. Returns how many the kernel did not take since the last call. */
unsigned int dns_flush(struct dns_io *io, int *ret_error);

/* Has a listener report each datagram's original destination (ip(7) IP_RECVORIGDSTADDR) and gives
 * it room for bursts. Returns 0 or negative errno. */
int dns_listener_prepare(int fd, int family);

/* A socket for queries to any resolver: nonblocking, bound to a port that the kernel has picked at
 * random, told of ICMP errors. Negative errno. */
int dns_upstream_open(int family);

/*
 * Takes the next ICMP error off the queue of such a socket: which resolver it is about, the query's
 * ID, and the errno that it stands for. True: there was one; *ret_errno is then 0 when it is not a
 * reason to stop waiting, or does not quote enough of the query.
 */
bool dns_upstream_error(int fd, union dns_address *ret_resolver, uint16_t *ret_id, int *ret_errno);

#endif
