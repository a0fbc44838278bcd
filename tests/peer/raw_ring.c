// SPDX-License-Identifier: Apache-2.0
/* Sends frames from memory that the process shares with the kernel: PACKET_TX_RING and AF_XDP. */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_xdp.h>

#include "peer.h"

#define RING_SIZE	4096 /* of the one frame */
#define XDP_ENTRIES	4
#define IP6_PROTOCOL	6  /* offset in the IPv6 header */
#define IP6_DESTINATION 24 /* likewise */

/* Changes eight bytes that lie in the ring, back and forth. */
struct flipper {
	pthread_t thread;
	volatile uint64_t *bytes;
	uint64_t values[2];
	atomic_bool stop;
};

static void *flip(void *argument)
{
	struct flipper *flipper = argument;

	for (unsigned int i = 0; !flipper->stop; i++)
		*flipper->bytes = flipper->values[i % 2];
	return NULL;
}

/* Returns 0 or -errno. */
static int flip_start(struct flipper *flipper, const struct options *options,
		      const struct frame *frame, uint8_t *data)
{
	uint8_t *header = data + frame->network;
	struct in6_addr other;
	int error;

	if (frame->family != AF_INET6)
		return -EINVAL;
	if (inet_pton(AF_INET6, options->flip, &other) == 1) {
		flipper->bytes = (void *)(header + IP6_DESTINATION);
		memcpy(&flipper->values[0], frame->outer, 8);
		memcpy(&flipper->values[1], &other, 8);
	} else {
		flipper->bytes = (void *)header;
		memcpy(&flipper->values[0], header, 8);
		memcpy(&flipper->values[1], header, 8);
		((uint8_t *)&flipper->values[1])[IP6_PROTOCOL] = (uint8_t)atoi(options->flip);
	}
	error = -pthread_create(&flipper->thread, NULL, flip, flipper);
	if (error)
		flipper->bytes = NULL;
	return error;
}

static void flip_stop(struct flipper *flipper)
{
	if (!flipper->bytes)
		return;
	flipper->stop = true;
	pthread_join(flipper->thread, NULL);
}

/* Opens the socket and maps a ring of one block. Returns an fd or -errno. */
static int ring_open(const struct options *options, struct sockaddr_ll *address, uint8_t **ring)
{
	struct tpacket_req request = {.tp_block_size = RING_SIZE,
				      .tp_block_nr = 1,
				      .tp_frame_size = RING_SIZE,
				      .tp_frame_nr = 1};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), version = TPACKET_V2, one = 1;
	int error = 0;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)) < 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_TX_RING, &request, sizeof(request)) < 0 ||
	    (options->qdisc_bypass &&
	     setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)) < 0) ||
	    bind(fd, (void *)address, sizeof(*address)) < 0)
		error = -errno;
	if (!error) {
		*ring = mmap(NULL, RING_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		error = *ring == MAP_FAILED ? -errno : 0;
	}
	if (error)
		close(fd);
	return error ? error : fd;
}

int ring_send(const struct options *options, const struct frame *frame, long count, long *sent)
{
	struct sockaddr_ll address = {.sll_family = AF_PACKET,
				      .sll_ifindex = (int)if_nametoindex(options->device)};
	struct tpacket2_hdr *header;
	struct flipper flipper = {0};
	uint8_t *ring, *data;
	int fd, error = 0;
	uint16_t truth;

	memcpy(&truth, frame->bytes + 12, sizeof(truth));
	address.sll_protocol = options->protocol < 0 ? truth : htons((uint16_t)options->protocol);
	fd = ring_open(options, &address, &ring);
	if (fd < 0)
		return fd;
	header = (void *)ring;
	data = ring + TPACKET2_HDRLEN - sizeof(struct sockaddr_ll);
	memcpy(data, frame->bytes, frame->size);
	if (options->flip)
		error = flip_start(&flipper, options, frame, data);
	for (; (!error || error == -ENOBUFS) && count > 0; count--) {
		header->tp_len = (uint32_t)frame->size;
		__atomic_store_n(&header->tp_status, TP_STATUS_SEND_REQUEST, __ATOMIC_RELEASE);
		if (send(fd, NULL, 0, 0) < 0)
			error = -errno; /* ENOBUFS: dropped on the way out */
		else
			(*sent)++;
	}
	flip_stop(&flipper);
	munmap(ring, RING_SIZE);
	close(fd);
	return error;
}

/* A socket of AF_XDP with memory for one frame, the ring TX and the ring of completions. */
struct xdp {
	int fd;
	uint8_t *frames;
	uint32_t *producer; /* of the ring TX */
	struct xdp_desc *descriptors;
	uint32_t *completed, *consumer; /* of the completions */
	void *tx, *completion;
	size_t tx_size, completion_size;
};

static void xdp_close(struct xdp *xdp)
{
	if (xdp->tx)
		munmap(xdp->tx, xdp->tx_size);
	if (xdp->completion)
		munmap(xdp->completion, xdp->completion_size);
	if (xdp->frames)
		munmap(xdp->frames, RING_SIZE);
	if (xdp->fd >= 0)
		close(xdp->fd);
}

static void *xdp_map(int fd, size_t size, off_t offset)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, offset);

	return at == MAP_FAILED ? NULL : at;
}

/* Gives the socket its memory and rings. Returns 0 or -errno. */
static int xdp_rings(struct xdp *xdp)
{
	struct xdp_umem_reg memory = {.addr = (uintptr_t)xdp->frames,
				      .len = RING_SIZE,
				      .chunk_size = RING_SIZE};
	struct xdp_mmap_offsets offsets;
	socklen_t size = sizeof(offsets);
	int entries = XDP_ENTRIES;

	if (setsockopt(xdp->fd, SOL_XDP, XDP_UMEM_REG, &memory, sizeof(memory)) < 0 ||
	    setsockopt(xdp->fd, SOL_XDP, XDP_UMEM_FILL_RING, &entries, sizeof(entries)) < 0 ||
	    setsockopt(xdp->fd, SOL_XDP, XDP_UMEM_COMPLETION_RING, &entries, sizeof(entries)) < 0 ||
	    setsockopt(xdp->fd, SOL_XDP, XDP_TX_RING, &entries, sizeof(entries)) < 0 ||
	    getsockopt(xdp->fd, SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &size) < 0)
		return -errno;
	xdp->tx_size = offsets.tx.desc + XDP_ENTRIES * sizeof(struct xdp_desc);
	xdp->completion_size = offsets.cr.desc + XDP_ENTRIES * sizeof(uint64_t);
	xdp->tx = xdp_map(xdp->fd, xdp->tx_size, XDP_PGOFF_TX_RING);
	xdp->completion = xdp_map(xdp->fd, xdp->completion_size,
				  (off_t)XDP_UMEM_PGOFF_COMPLETION_RING);
	if (!xdp->tx || !xdp->completion)
		return -errno;
	xdp->producer = (void *)((uint8_t *)xdp->tx + offsets.tx.producer);
	xdp->descriptors = (void *)((uint8_t *)xdp->tx + offsets.tx.desc);
	xdp->completed = (void *)((uint8_t *)xdp->completion + offsets.cr.producer);
	xdp->consumer = (void *)((uint8_t *)xdp->completion + offsets.cr.consumer);
	return 0;
}

/* Opens a socket for the first queue of --device, in copy mode, which any device has. Returns 0 or
 * -errno. */
static int xdp_open(struct xdp *xdp, const struct options *options, int64_t deadline_us)
{
	struct sockaddr_xdp address = {.sxdp_family = AF_XDP,
				       .sxdp_flags = XDP_COPY,
				       .sxdp_ifindex = if_nametoindex(options->device)};
	int error;

	xdp->fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (xdp->fd < 0)
		return -errno;
	xdp->frames = mmap(NULL, RING_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			   0);
	if (xdp->frames == MAP_FAILED) {
		xdp->frames = NULL;
		return -ENOMEM;
	}
	error = xdp_rings(xdp);
	/* The kernel frees the queue of a closed socket a moment later. */
	while (!error && bind(xdp->fd, (void *)&address, sizeof(address)) < 0) {
		if (errno != EBUSY || stop_requested || now_us() > deadline_us)
			error = -errno;
		(void)poll(NULL, 0, 5);
	}
	return error;
}

/* Sends the frame, which is in the memory, and waits until it has left. Returns 0 or -errno. */
static int xdp_send_one(struct xdp *xdp, size_t size, int64_t deadline_us)
{
	uint32_t at = *xdp->producer, done = __atomic_load_n(xdp->completed, __ATOMIC_ACQUIRE);

	xdp->descriptors[at % XDP_ENTRIES] = (struct xdp_desc) {.len = (uint32_t)size};
	__atomic_store_n(xdp->producer, at + 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(xdp->completed, __ATOMIC_ACQUIRE) == done) {
		if (stop_requested || now_us() > deadline_us)
			return -ETIMEDOUT;
		if (sendto(xdp->fd, NULL, 0, MSG_DONTWAIT, NULL, 0) < 0 && errno != EAGAIN &&
		    errno != EBUSY && errno != ENOBUFS)
			return -errno;
	}
	__atomic_store_n(xdp->consumer, done + 1, __ATOMIC_RELEASE);
	return 0;
}

int xdp_send(const struct options *options, const struct frame *frame, long count, long *sent)
{
	int64_t deadline_us = deadline_from(options, 10);
	struct xdp xdp = {.fd = -1};
	int error = xdp_open(&xdp, options, deadline_us);

	if (!error)
		memcpy(xdp.frames, frame->bytes, frame->size);
	while (!error && *sent < count) {
		error = xdp_send_one(&xdp, frame->size, deadline_us);
		if (!error)
			(*sent)++;
	}
	xdp_close(&xdp);
	return error;
}
