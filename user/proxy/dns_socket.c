// SPDX-License-Identifier: Apache-2.0
#include "proxy/dns_socket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
/* After time.h, whose struct timespec it uses. */
#include <linux/errqueue.h>

#include "lib/local_ports.h"
#include "lib/util.h"
#include "proto/dns_message.h"

/* A listener's queue, in bytes, to hold a burst of queries. The kernel doubles it, and accounts 768
 * bytes for each small datagram. Its default holds 277 of them. */
#define QUEUE_BYTES (1 << 20)

union control {
	char space[CMSG_SPACE(sizeof(struct sockaddr_in6))];
	struct cmsghdr align;
};

struct answer {
	union dns_address to;
	union control control;
	struct iovec part;
	uint8_t copy[DNS_ANSWER_MAX];
};

struct dns_io {
	struct dns_datagram datagrams[DNS_BATCH];
	union control controls[DNS_BATCH];
	struct iovec parts[DNS_BATCH];
	struct mmsghdr headers[DNS_BATCH];
	uint8_t *buffers; /* DNS_BATCH of DNS_DATAGRAM_MAX; unused pages take no memory */
	struct answer answers[DNS_BATCH];
	struct mmsghdr answer_headers[DNS_BATCH];
	unsigned int queued, lost;
	int listener; /* sends the queued answers */
	int error;    /* errno of the last lost answer */
};

socklen_t dns_address_size(const union dns_address *address)
{
	return address->any.sa_family == AF_INET6 ? sizeof(address->v6) : sizeof(address->v4);
}

bool dns_address_equal(const union dns_address *a, const union dns_address *b)
{
	if (a->any.sa_family != b->any.sa_family)
		return false;
	if (a->any.sa_family == AF_INET)
		return a->v4.sin_port == b->v4.sin_port &&
		       a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
	return a->any.sa_family == AF_INET6 && a->v6.sin6_port == b->v6.sin6_port &&
	       memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof(a->v6.sin6_addr)) == 0;
}

struct dns_io *dns_io_new(void)
{
	struct dns_io *io = calloc(1, sizeof(*io));
	unsigned int i;

	if (!io)
		return NULL;
	io->buffers = calloc(DNS_BATCH, DNS_DATAGRAM_MAX);
	if (!io->buffers) {
		free(io);
		return NULL;
	}
	for (i = 0; i < DNS_BATCH; i++) {
		io->datagrams[i].data = io->buffers + (size_t)i * DNS_DATAGRAM_MAX;
		io->parts[i].iov_base = io->datagrams[i].data;
		io->parts[i].iov_len = DNS_DATAGRAM_MAX;
	}
	return io;
}

void dns_io_free(struct dns_io *io)
{
	if (!io)
		return;
	free(io->buffers);
	free(io);
}

static void read_destination(struct msghdr *message, union dns_address *ret_to)
{
	struct cmsghdr *header;

	ret_to->any.sa_family = AF_UNSPEC;
	for (header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
		if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_ORIGDSTADDR)
			memcpy(&ret_to->v4, CMSG_DATA(header), sizeof(ret_to->v4));
		if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_ORIGDSTADDR)
			memcpy(&ret_to->v6, CMSG_DATA(header), sizeof(ret_to->v6));
	}
}

int dns_receive(struct dns_io *io, int fd, struct dns_datagram **ret_datagrams)
{
	int count, i;

	for (i = 0; i < DNS_BATCH; i++) {
		io->headers[i].msg_hdr = (struct msghdr) {
			.msg_name = &io->datagrams[i].from,
			.msg_namelen = sizeof(io->datagrams[i].from),
			.msg_iov = &io->parts[i],
			.msg_iovlen = 1,
			.msg_control = &io->controls[i],
			.msg_controllen = sizeof(io->controls[i]),
		};
	}
	count = recvmmsg(fd, io->headers, DNS_BATCH, MSG_DONTWAIT, NULL);
	if (count < 0)
		return errno == EAGAIN ? 0 : -errno;
	for (i = 0; i < count; i++) {
		io->datagrams[i].size = io->headers[i].msg_len;
		read_destination(&io->headers[i].msg_hdr, &io->datagrams[i].to);
	}
	*ret_datagrams = io->datagrams;
	return count;
}

static void send_from(struct msghdr *message, union control *control, const union dns_address *from)
{
	struct cmsghdr *header = &control->align;

	memset(control, 0, sizeof(*control));
	message->msg_control = control;
	if (from->any.sa_family == AF_INET6) {
		struct in6_pktinfo info = {.ipi6_addr = from->v6.sin6_addr};

		header->cmsg_level = IPPROTO_IPV6;
		header->cmsg_type = IPV6_PKTINFO;
		header->cmsg_len = CMSG_LEN(sizeof(info));
		message->msg_controllen = CMSG_SPACE(sizeof(info));
		memcpy(CMSG_DATA(header), &info, sizeof(info));
	} else {
		struct in_pktinfo info = {.ipi_spec_dst = from->v4.sin_addr};

		header->cmsg_level = IPPROTO_IP;
		header->cmsg_type = IP_PKTINFO;
		header->cmsg_len = CMSG_LEN(sizeof(info));
		message->msg_controllen = CMSG_SPACE(sizeof(info));
		memcpy(CMSG_DATA(header), &info, sizeof(info));
	}
}

/* sendmmsg(2) stops at the first failure: that answer is lost, and the others get their turn. */
static void send_queued(struct dns_io *io)
{
	unsigned int done = 0;

	while (done < io->queued) {
		int sent = sendmmsg(io->listener, io->answer_headers + done, io->queued - done,
				    MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent > 0) {
			done += (unsigned int)sent;
			continue;
		}
		if (sent < 0 && errno == EINTR)
			continue;
		io->error = errno;
		io->lost++;
		done++;
	}
	io->queued = 0;
}

void dns_answer(struct dns_io *io, int listener, const void *data, size_t size,
		const union dns_address *from, const union dns_address *to)
{
	struct answer *answer;

	if (io->queued == DNS_BATCH || (io->queued > 0 && io->listener != listener))
		send_queued(io);
	answer = &io->answers[io->queued];
	answer->to = *to;
	answer->part.iov_base = (void *)data;
	answer->part.iov_len = size;
	if (size <= sizeof(answer->copy))
		answer->part.iov_base = memcpy(answer->copy, data, size);
	io->answer_headers[io->queued].msg_hdr = (struct msghdr) {
		.msg_name = &answer->to,
		.msg_namelen = dns_address_size(to),
		.msg_iov = &answer->part,
		.msg_iovlen = 1,
	};
	send_from(&io->answer_headers[io->queued].msg_hdr, &answer->control, from);
	io->listener = listener;
	io->queued++;
}

unsigned int dns_flush(struct dns_io *io, int *ret_error)
{
	unsigned int lost;

	send_queued(io);
	lost = io->lost;
	io->lost = 0;
	if (lost)
		*ret_error = io->error;
	return lost;
}

/* Needs CAP_NET_ADMIN to exceed the machine's limit. Otherwise the limit is still better than the
 * default. */
static void widen_queue(int fd)
{
	static const int bytes = QUEUE_BYTES;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
}

int dns_listener_prepare(int fd, int family)
{
	static const int one = 1;
	bool ipv6 = family == AF_INET6;

	widen_queue(fd);
	return setsockopt(fd, ipv6 ? IPPROTO_IPV6 : IPPROTO_IP,
			  ipv6 ? IPV6_RECVORIGDSTADDR : IP_RECVORIGDSTADDR, &one, sizeof(one)) < 0
		       ? -errno
		       : 0;
}

int dns_upstream_open(int family)
{
	static const int one = 1;
	bool ipv6 = family == AF_INET6;
	int level = ipv6 ? IPPROTO_IPV6 : IPPROTO_IP;
	union dns_address any = {.any.sa_family = (sa_family_t)family};
	_cleanup_close_ int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error;

	if (fd < 0 || (ipv6 && setsockopt(fd, level, IPV6_V6ONLY, &one, sizeof(one)) < 0) ||
	    setsockopt(fd, level, ipv6 ? IPV6_RECVERR : IP_RECVERR, &one, sizeof(one)) < 0)
		return -errno;
	error = local_ports_bind_above(fd, &any.any, dns_address_size(&any));
	return error < 0 ? error : TAKE_FD(fd);
}

bool dns_upstream_error(int fd, union dns_address *ret_resolver, uint16_t *ret_id, int *ret_errno)
{
	union {
		char space[CMSG_SPACE(sizeof(struct sock_extended_err) +
				      sizeof(struct sockaddr_in6))];
		struct cmsghdr align;
	} control;
	uint8_t quoted[2];
	struct iovec part = {.iov_base = quoted, .iov_len = sizeof(quoted)};
	struct msghdr message = {
		.msg_name = ret_resolver,
		.msg_namelen = sizeof(*ret_resolver),
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t size = recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT);
	struct sock_extended_err error;
	struct cmsghdr *header;

	if (size < 0)
		return false;
	*ret_errno = 0;
	for (header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
		if ((header->cmsg_level != IPPROTO_IP || header->cmsg_type != IP_RECVERR) &&
		    (header->cmsg_level != IPPROTO_IPV6 || header->cmsg_type != IPV6_RECVERR))
			continue;
		memcpy(&error, CMSG_DATA(header), sizeof(error));
		/* EMSGSIZE: the path's MTU is smaller; the kernel fragments the next try. */
		if ((error.ee_origin == SO_EE_ORIGIN_ICMP ||
		     error.ee_origin == SO_EE_ORIGIN_ICMP6) &&
		    error.ee_errno != EMSGSIZE && size == sizeof(quoted)) {
			*ret_errno = (int)error.ee_errno;
			*ret_id = dns_id(quoted);
		}
	}
	return true;
}
