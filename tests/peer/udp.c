/* Datagrams: one with its answer, and the server that echoes them. */
#include "peer.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

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

int command_udp_serve(const struct options *options)
{
	int64_t deadline_us = deadline_from(options, 600);
	struct sockaddr_storage address;
	struct options plain = {0};
	long received = 0;
	uint16_t port;
	int fd;

	if (options->arg_count != 1 || !port_parse(options->args[0], &port) ||
	    !address_parse(options->address ? options->address : "::", port, &address))
		return 2;
	fd = socket_for(&plain, address.ss_family, SOCK_DGRAM);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, address_size(&address)) < 0) {
		printf("result=%s\n", error_word(errno));
		return 1;
	}
	printf("ready port=%u\n", port);
	while (wait_fd(fd, POLLIN, deadline_us) == 0 &&
	       (!options->count || received < options->count)) {
		struct sockaddr_storage from = {0};
		socklen_t size = sizeof(from);
		char text[ADDRESS_TEXT];
		uint8_t data[65536];
		ssize_t got = recvfrom(fd, data, sizeof(data), 0, (void *)&from, &size);

		if (got < 0)
			continue;
		received++;
		printf("datagram peer=%s bytes=%zd first=", address_text(&from, text), got);
		print_quoted(stdout, data, (size_t)(got < 80 ? got : 80));
		putchar('\n');
		(void)sendto(fd, data, (size_t)got, 0, (void *)&from, size);
	}
	printf("total datagrams=%ld\n", received);
	return 0;
}
