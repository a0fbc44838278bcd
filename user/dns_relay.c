// SPDX-License-Identifier: Apache-2.0
#include "dns_relay.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "address.h"
#include "cleanup.h"
#include "log.h"

/* Datagrams taken from one socket before others get their turn. */
#define DNS_BURST 32
/* RFC 1035 section 4.1.1. */
#define DNS_HEADER 12

#define container_of(pointer, type, member)                                                        \
	((type *)(void *)((char *)(pointer)-offsetof(type, member)))

struct dns_query {
	struct loop_handler handler; /* connected to the resolver */
	struct dns_relay *relay;
	struct dns_query *newer, *older;
	struct sockaddr_storage client;
	struct sockaddr_storage resolver;
	uint8_t id[2];
	struct loop_timer timer;
	struct loop_task release;
};

struct dns_listener {
	struct loop_handler handler;
	struct dns_relay *relay;
	struct sockaddr_storage address;
};

struct dns_relay {
	struct connection_worker *worker;
	struct dns_listener listener[2];
	struct dns_query *newest, *oldest;
	unsigned int queries, queries_max;
	struct loop_timer_class query_class;
};

static socklen_t address_size(const struct sockaddr_storage *address)
{
	return address->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
					      : sizeof(struct sockaddr_in);
}

static bool address_same(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
	const struct sockaddr_in *a4 = (const struct sockaddr_in *)a;
	const struct sockaddr_in *b4 = (const struct sockaddr_in *)b;
	const struct sockaddr_in6 *a6 = (const struct sockaddr_in6 *)a;
	const struct sockaddr_in6 *b6 = (const struct sockaddr_in6 *)b;

	if (a->ss_family != b->ss_family)
		return false;
	if (a->ss_family == AF_INET)
		return a4->sin_port == b4->sin_port && a4->sin_addr.s_addr == b4->sin_addr.s_addr;
	return a6->sin6_port == b6->sin6_port &&
	       memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof(a6->sin6_addr)) == 0;
}

int dns_listener_prepare(int fd, int family)
{
	static const int one = 1;
	bool ipv6 = family == AF_INET6;

	return setsockopt(fd, ipv6 ? IPPROTO_IPV6 : IPPROTO_IP,
			  ipv6 ? IPV6_RECVORIGDSTADDR : IP_RECVORIGDSTADDR, &one, sizeof(one)) < 0
		       ? -errno
		       : 0;
}

static void query_release(struct loop_task *task)
{
	free(container_of(task, struct dns_query, release));
}

static void query_end(struct dns_query *query, bool failed)
{
	struct dns_relay *relay = query->relay;

	if (failed)
		counter_add(&relay->worker->counters.dns_failures, 1);
	if (query->newer)
		query->newer->older = query->older;
	else
		relay->newest = query->older;
	if (query->older)
		query->older->newer = query->newer;
	else
		relay->oldest = query->newer;
	relay->queries--;
	loop_timer_stop(&query->timer);
	loop_close(&query->handler);
	query->release.run = query_release;
	loop_defer(relay->worker->loop, &query->release);
}

static void query_expired(struct loop_timer *timer)
{
	query_end(container_of(timer, struct dns_query, timer), true);
}

static void relay_complain(struct dns_relay *relay, const char *what,
			   const struct sockaddr_storage *resolver, int error)
{
	char suffix[64], address[ADDRESS_TEXT_MAX], text[128];

	if (complaint_due(relay->worker->shared, COMPLAINT_DNS, suffix))
		log_warning("DNS: %s %s: %s; is the resolver reachable from here?%s", what,
			    endpoint_format((const struct sockaddr *)resolver, address),
			    strerror_r(error, text, sizeof(text)), suffix);
}

static int own_socket(struct dns_relay *relay, int fd, const struct sockaddr_storage *resolver)
{
	const struct proxy_hooks *hooks = &relay->worker->shared->config.hooks;

	return hooks->own_socket
		       ? hooks->own_socket(hooks->context, fd, (const struct sockaddr *)resolver)
		       : 0;
}

/*
 * Sends an answer from the listener, as the resolver: its address is the packet's source (ip(7)
 * IP_PKTINFO, on a transparent socket). The source port is the listener's; the kernel side makes it
 * 53, since a socket that is bound there would be in the way of the application's own.
 * 0 or negative errno.
 */
static int answer_send(int fd, char *data, size_t size, struct sockaddr_storage *client,
		       const struct sockaddr_storage *resolver)
{
	union {
		char space[CMSG_SPACE(sizeof(struct in6_pktinfo))];
		struct cmsghdr align;
	} control = {.space = {0}};
	struct iovec part = {.iov_base = data, .iov_len = size};
	struct msghdr message = {
		.msg_name = client,
		.msg_namelen = address_size(client),
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
	};
	struct in6_pktinfo info6 = {.ipi6_ifindex = 0};
	struct in_pktinfo info4 = {.ipi_ifindex = 0};
	bool ipv6 = resolver->ss_family == AF_INET6;
	struct cmsghdr *header = &control.align;

	header->cmsg_level = ipv6 ? IPPROTO_IPV6 : IPPROTO_IP;
	header->cmsg_type = ipv6 ? IPV6_PKTINFO : IP_PKTINFO;
	if (ipv6) {
		info6.ipi6_addr = ((const struct sockaddr_in6 *)resolver)->sin6_addr;
		header->cmsg_len = CMSG_LEN(sizeof(info6));
		message.msg_controllen = CMSG_SPACE(sizeof(info6));
		memcpy(CMSG_DATA(header), &info6, sizeof(info6));
	} else {
		info4.ipi_spec_dst = ((const struct sockaddr_in *)resolver)->sin_addr;
		header->cmsg_len = CMSG_LEN(sizeof(info4));
		message.msg_controllen = CMSG_SPACE(sizeof(info4));
		memcpy(CMSG_DATA(header), &info4, sizeof(info4));
	}
	return sendmsg(fd, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static void query_ready(struct loop_handler *handler, uint32_t events)
{
	struct dns_query *query = container_of(handler, struct dns_query, handler);
	struct dns_relay *relay = query->relay;
	char *buffer = relay->worker->pool->buffer;
	ssize_t size = recv(handler->fd, buffer, RELAY_BUFFER, 0);
	int error;

	(void)events;
	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (size < 0) {
		relay_complain(relay, "no answer from", &query->resolver, errno);
		query_end(query, true);
		return;
	}
	/* Neither an answer nor a reason to stop waiting for it. */
	if (size < DNS_HEADER || memcmp(buffer, query->id, sizeof(query->id)) != 0)
		return;
	error = answer_send(relay->listener[query->resolver.ss_family == AF_INET6].handler.fd,
			    buffer, (size_t)size, &query->client, &query->resolver);
	if (error < 0)
		relay_complain(relay, "cannot answer as", &query->resolver, -error);
	query_end(query, error < 0);
}

static int query_socket(struct dns_relay *relay, const struct sockaddr_storage *resolver)
{
	_cleanup_close_ int fd = socket(resolver->ss_family,
					SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error;

	if (fd < 0)
		return -errno;
	error = own_socket(relay, fd, resolver);
	if (error < 0)
		return error;
	/* Only that resolver's answers arrive; the kernel picks a random source port. */
	if (connect(fd, (const struct sockaddr *)resolver, address_size(resolver)) < 0)
		return -errno;
	return TAKE_FD(fd);
}

static int query_start(struct dns_relay *relay, const struct sockaddr_storage *client,
		       const struct sockaddr_storage *resolver, const char *data, size_t size)
{
	_cleanup_free_ struct dns_query *query = calloc(1, sizeof(*query));
	_cleanup_close_ int fd = -1;
	int error;

	if (!query)
		return -ENOMEM;
	fd = query_socket(relay, resolver);
	if (fd < 0)
		return fd;
	if (send(fd, data, size, MSG_NOSIGNAL) < 0)
		return -errno;
	query->relay = relay;
	query->client = *client;
	query->resolver = *resolver;
	memcpy(query->id, data, sizeof(query->id));
	query->handler.ready = query_ready;
	query->timer.expired = query_expired;
	error = loop_add(relay->worker->loop, &query->handler, fd, EPOLLIN);
	if (error < 0)
		return error;
	(void)TAKE_FD(fd);
	if (relay->queries >= relay->queries_max)
		query_end(relay->oldest, true);
	query->older = relay->newest;
	if (relay->newest)
		relay->newest->newer = query;
	else
		relay->oldest = query;
	relay->newest = query;
	relay->queries++;
	loop_timer_start(relay->worker->loop, &relay->query_class, &query->timer);
	(void)TAKE_PTR(query);
	return 0;
}

/* One datagram with where it was sent to. Bytes, or -1 with errno. */
static ssize_t datagram_receive(int fd, char *buffer, struct sockaddr_storage *ret_client,
				struct sockaddr_storage *ret_destination)
{
	union {
		char space[CMSG_SPACE(sizeof(struct sockaddr_in6))];
		struct cmsghdr align;
	} control;
	struct iovec data = {.iov_base = buffer, .iov_len = RELAY_BUFFER};
	struct msghdr message = {
		.msg_name = ret_client,
		.msg_namelen = sizeof(*ret_client),
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *header;
	ssize_t size = recvmsg(fd, &message, 0);

	if (size < 0)
		return -1;
	memset(ret_destination, 0, sizeof(*ret_destination));
	for (header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
		if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_ORIGDSTADDR)
			memcpy(ret_destination, CMSG_DATA(header), sizeof(struct sockaddr_in));
		if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_ORIGDSTADDR)
			memcpy(ret_destination, CMSG_DATA(header), sizeof(struct sockaddr_in6));
	}
	return size;
}

/* Sent to the listener itself, not steered there: asking that "resolver" would never end. */
static bool resolver_is_self(const struct dns_relay *relay, const struct sockaddr_storage *resolver)
{
	return address_same(&relay->listener[0].address, resolver) ||
	       address_same(&relay->listener[1].address, resolver);
}

static void queries_read(struct dns_relay *relay, int fd)
{
	struct sockaddr_storage client = {0}, resolver = {0};
	char *buffer = relay->worker->pool->buffer;
	int i, error;

	for (i = 0; i < DNS_BURST; i++) {
		ssize_t size = datagram_receive(fd, buffer, &client, &resolver);

		if (size < 0 && errno == EAGAIN)
			return;
		if (size < 0)
			continue;
		counter_add(&relay->worker->counters.dns_queries, 1);
		if (size < DNS_HEADER || resolver.ss_family != client.ss_family ||
		    resolver_is_self(relay, &resolver)) {
			counter_add(&relay->worker->counters.dns_failures, 1);
			continue;
		}
		error = query_start(relay, &client, &resolver, buffer, (size_t)size);
		if (error < 0) {
			counter_add(&relay->worker->counters.dns_failures, 1);
			relay_complain(relay, "cannot ask", &resolver, -error);
		}
	}
}

static void listener_ready(struct loop_handler *handler, uint32_t events)
{
	(void)events;
	queries_read(container_of(handler, struct dns_listener, handler)->relay, handler->fd);
}

int dns_relay_new(struct connection_worker *worker, const int listeners[2],
		  unsigned int queries_max, struct dns_relay **ret_relay)
{
	struct dns_relay *relay = calloc(1, sizeof(*relay));
	socklen_t size;
	int i, error;

	if (!relay)
		return -ENOMEM;
	*ret_relay = relay;
	relay->worker = worker;
	relay->queries_max = queries_max;
	loop_timer_class_init(worker->loop, &relay->query_class, DNS_LIMIT_MS);
	for (i = 0; i < 2; i++) {
		relay->listener[i].relay = relay;
		relay->listener[i].handler.fd = -1;
		relay->listener[i].handler.ready = listener_ready;
		if (listeners[i] < 0)
			continue;
		size = sizeof(relay->listener[i].address);
		if (getsockname(listeners[i], (struct sockaddr *)&relay->listener[i].address,
				&size) < 0)
			return -errno;
		error = loop_add(worker->loop, &relay->listener[i].handler, listeners[i], EPOLLIN);
		if (error < 0)
			return error;
	}
	return 0;
}

void dns_relay_free(struct dns_relay *relay)
{
	if (!relay)
		return;
	while (relay->oldest)
		query_end(relay->oldest, false);
	free(relay);
}
