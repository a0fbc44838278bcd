// SPDX-License-Identifier: Apache-2.0
/* Sends one datagram and waits for its answer; serves as an echo of datagrams. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "peer.h"

/* result=ok from=1.2.3.4:9 local=.. bytes=N us=N first="..." */
int command_udp(const struct options *options)
{
	int64_t deadline_us = deadline_from(options, 10), start_us = now_us();
	const char *text = options->send ? options->send : "ping", *word = NULL;
	struct sockaddr_storage peer = {0}, from = {0};
	socklen_t from_size = sizeof(from);
	char from_address[ADDRESS_TEXT], local[ADDRESS_TEXT];
	uint8_t answer[65536];
	ssize_t got = 0;
	uint16_t port;
	int error, fd = -1;

	if (options->arg_count != 2 || !port_parse(options->args[1], &port))
		return 2;
	error = resolve(options, options->args[0], port, deadline_us, &peer, &word);
	if (!error) {
		fd = socket_for(options, peer.ss_family, SOCK_DGRAM);
		error = fd < 0 ? fd : 0;
	}
	/* Connected, so that an ICMP error is reported; the source is then checked by the kernel.
	 */
	if (!error && connect(fd, (struct sockaddr *)&peer, address_size(&peer)) < 0)
		error = -errno;
	if (!error && send(fd, text, strlen(text), 0) < 0)
		error = -errno;
	if (!error)
		error = wait_fd(fd, POLLIN, deadline_us);
	if (!error) {
		got = recvfrom(fd, answer, sizeof(answer), 0, (void *)&from, &from_size);
		error = got < 0 ? -errno : 0;
	}
	if (!error && options->expect &&
	    !memmem(answer, (size_t)got, options->expect, strlen(options->expect))) {
		word = "mismatch";
		error = -EBADMSG;
	}
	printf("result=%s from=%s local=%s bytes=%zd us=%lld first=",
	       word ? word : error_word(error), address_text(&from, from_address),
	       local_text(fd, local), got > 0 ? got : 0, (long long)(now_us() - start_us));
	print_quoted(stdout, answer, got > 0 ? (size_t)(got < 120 ? got : 120) : 0);
	putchar('\n');
	return error != 0;
}

int datagram_listen(const struct options *options, uint16_t port)
{
	struct options plain = {0};
	struct sockaddr_storage address;
	int one = 1, error, fd;

	if (!literal_parse(options->address ? options->address : "::", port, &address))
		return -EINVAL;
	fd = socket_for(&plain, address.ss_family, SOCK_DGRAM);
	if (fd < 0)
		return fd;
	if (address.ss_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&address, address_size(&address)) == 0)
		return fd;
	error = -errno;
	close(fd);
	return error;
}

ssize_t datagram_receive(int fd, void *data, size_t room, struct sockaddr_storage *from,
			 struct in6_addr *to)
{
	char control[CMSG_SPACE(sizeof(struct in6_pktinfo))];
	struct iovec part = {.iov_base = data, .iov_len = room};
	struct msghdr message = {.msg_name = from,
				 .msg_namelen = sizeof(*from),
				 .msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control)};
	ssize_t got = recvmsg(fd, &message, 0);

	if (got < 0)
		return -errno;
	*to = in6addr_any;
	for (struct cmsghdr *item = CMSG_FIRSTHDR(&message); item;
	     item = CMSG_NXTHDR(&message, item))
		if (item->cmsg_level == IPPROTO_IPV6 && item->cmsg_type == IPV6_PKTINFO)
			*to = ((struct in6_pktinfo *)CMSG_DATA(item))->ipi6_addr;
	return got;
}

void datagram_answer(int fd, const void *data, size_t size, const struct sockaddr_storage *to,
		     const struct in6_addr *from)
{
	char control[CMSG_SPACE(sizeof(struct in6_pktinfo))] = {0};
	struct in6_pktinfo info = {.ipi6_addr = *from};
	struct iovec part = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
	struct msghdr message = {.msg_name = (void *)(uintptr_t)to,
				 .msg_namelen = address_size(to),
				 .msg_iov = &part,
				 .msg_iovlen = 1};

	if (!IN6_IS_ADDR_UNSPECIFIED(from)) {
		struct cmsghdr *item;

		message.msg_control = control;
		message.msg_controllen = sizeof(control);
		item = CMSG_FIRSTHDR(&message);
		item->cmsg_level = IPPROTO_IPV6;
		item->cmsg_type = IPV6_PKTINFO;
		item->cmsg_len = CMSG_LEN(sizeof(info));
		memcpy(CMSG_DATA(item), &info, sizeof(info));
	}
	(void)sendmsg(fd, &message, 0);
}

int command_udp_serve(const struct options *options)
{
	int64_t deadline_us = deadline_from(options, 600);
	long received = 0;
	uint16_t port;
	int fd;

	if (options->arg_count != 1 || !port_parse(options->args[0], &port))
		return 2;
	fd = datagram_listen(options, port);
	if (fd < 0) {
		printf("result=%s\n", error_word(fd));
		return 1;
	}
	printf("ready port=%u\n", port);
	while (wait_fd(fd, POLLIN, deadline_us) == 0 &&
	       (!options->count || received < options->count)) {
		struct sockaddr_storage from = {0};
		char text[ADDRESS_TEXT];
		uint8_t data[65536];
		struct in6_addr to;
		ssize_t got = datagram_receive(fd, data, sizeof(data), &from, &to);

		if (got < 0)
			continue;
		received++;
		printf("datagram peer=%s bytes=%zd first=", address_text(&from, text), got);
		print_quoted(stdout, data, (size_t)(got < 80 ? got : 80));
		putchar('\n');
		datagram_answer(fd, data, (size_t)got, &from, &to);
	}
	printf("total datagrams=%ld\n", received);
	close(fd);
	return 0;
}
