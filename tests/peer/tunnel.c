// SPDX-License-Identifier: Apache-2.0
/* Makes a tunnel: two TUN devices in two network namespaces, and moves the packets between them. */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <linux/if_tun.h>

#include "peer.h"

#define ENDS 2

/* Makes a TUN device in this thread's namespace. It lives as long as the descriptor. Returns that
 * or -errno. */
static int tun_open(const char *name)
{
	struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK), error;

	if (fd < 0)
		return -errno;
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &request) == 0)
		return fd;
	error = -errno;
	close(fd);
	return error;
}

static int enter(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), error = 0;

	if (fd < 0)
		return -errno;
	if (setns(fd, CLONE_NEWNET) < 0)
		error = -errno;
	close(fd);
	return error;
}

/* A device that is down takes no packet, like a line that is cut. */
static void move_packets(int from, int to)
{
	char packet[65536];
	ssize_t size;

	while ((size = read(from, packet, sizeof(packet))) > 0)
		(void)!write(to, packet, (size_t)size);
}

int command_tunnel(const struct options *options)
{
	int64_t deadline = deadline_from(options, 600);
	struct pollfd ends[ENDS];
	int error;

	if (options->arg_count != 3)
		return 2;
	ends[0] = (struct pollfd) {.fd = tun_open(options->args[0]), .events = POLLIN};
	error = ends[0].fd < 0 ? ends[0].fd : enter(options->args[1]);
	if (error == 0) {
		ends[1] = (struct pollfd) {.fd = tun_open(options->args[2]), .events = POLLIN};
		error = ends[1].fd < 0 ? ends[1].fd : 0;
	}
	if (error < 0) {
		printf("result=%s\n", error_word(error));
		return 1;
	}
	puts("ready");
	while (!stop_requested && now_us() < deadline && poll(ends, ENDS, 1000) >= 0) {
		move_packets(ends[0].fd, ends[1].fd);
		move_packets(ends[1].fd, ends[0].fd);
	}
	return 0;
}
