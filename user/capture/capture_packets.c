// SPDX-License-Identifier: Apache-2.0
#include "capture/capture_packets.h"

#include <errno.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <linux/if_packet.h>

#include "lib/util.h"

/* The longest frame that is captured whole: lo's largest segment with its headers. */
#define FRAME_MAX (65536 + 64)

/* Forced, because net.core.rmem_max is lower by default. */
#define SOCKET_BUFFER (32 << 20)

union control {
	struct cmsghdr header; /* for the alignment */
	char bytes[CMSG_SPACE(sizeof(struct timespec))];
};

struct capture_packets {
	int fd;
	bool is_loopback;
	struct mmsghdr messages[CAPTURE_BATCH];
	struct iovec parts[CAPTURE_BATCH];
	struct sockaddr_ll senders[CAPTURE_BATCH];
	union control controls[CAPTURE_BATCH];
	struct capture_packet frames[CAPTURE_BATCH];
	uint8_t bytes[CAPTURE_BATCH][FRAME_MAX]; /* not cleared, so that its pages come with use */
};

static int open_socket(const char *name, int *ret_fd)
{
	const int size = SOCKET_BUFFER, one = 1;
	struct sockaddr_ll device = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex(name),
	};
	_cleanup_close_ int fd = -1;

	if (device.sll_ifindex == 0)
		return -ENODEV;
	/* It gets nothing before the bind. */
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one)) < 0 ||
	    bind(fd, (const struct sockaddr *)&device, sizeof(device)) < 0)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int capture_packets_open(const char *name, struct capture_packets **ret_packets)
{
	struct capture_packets *packets = malloc(sizeof(*packets));
	int error, i;

	if (!packets)
		return -ENOMEM;
	memset(packets, 0, offsetof(struct capture_packets, bytes));
	error = open_socket(name, &packets->fd);
	if (error < 0) {
		free(packets);
		return error;
	}
	packets->is_loopback = strcmp(name, "lo") == 0;
	for (i = 0; i < CAPTURE_BATCH; i++)
		packets->parts[i] = (struct iovec) {packets->bytes[i], FRAME_MAX};
	*ret_packets = packets;
	return 0;
}

int capture_packets_fd(const struct capture_packets *packets)
{
	return packets->fd;
}

static uint64_t time_of(struct msghdr *message)
{
	struct timespec time = {0};
	struct cmsghdr *header;

	for (header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header))
		if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_TIMESTAMPNS)
			memcpy(&time, CMSG_DATA(header), sizeof(time));
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

int capture_packets_read(struct capture_packets *packets, const struct capture_packet **ret_frames)
{
	int count, frames = 0, i;

	for (i = 0; i < CAPTURE_BATCH; i++)
		packets->messages[i].msg_hdr = (struct msghdr) {
			.msg_iov = &packets->parts[i],
			.msg_iovlen = 1,
			.msg_name = &packets->senders[i],
			.msg_namelen = sizeof(packets->senders[i]),
			.msg_control = &packets->controls[i],
			.msg_controllen = sizeof(packets->controls[i]),
		};
	count = recvmmsg(packets->fd, packets->messages, CAPTURE_BATCH, MSG_DONTWAIT | MSG_TRUNC,
			 NULL);
	if (count < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	for (i = 0; i < count; i++) {
		size_t length = packets->messages[i].msg_len;

		/* lo shows each frame twice, as it leaves and as it arrives. */
		if (packets->is_loopback && packets->senders[i].sll_pkttype == PACKET_OUTGOING)
			continue;
		packets->frames[frames++] = (struct capture_packet) {
			.time_ns = time_of(&packets->messages[i].msg_hdr),
			.length = length,
			.size = length < FRAME_MAX ? length : FRAME_MAX,
			.frame = packets->bytes[i],
		};
	}
	*ret_frames = packets->frames;
	return frames;
}

uint64_t capture_packets_lost(const struct capture_packets *packets)
{
	struct tpacket_stats stats = {0};
	socklen_t size = sizeof(stats);

	(void)getsockopt(packets->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &size);
	return stats.tp_drops;
}

void capture_packets_close(struct capture_packets *packets)
{
	if (!packets)
		return;
	(void)close(packets->fd);
	free(packets);
}
