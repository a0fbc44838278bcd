// SPDX-License-Identifier: Apache-2.0
#include "proxy/time_waits.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <linux/sock_diag.h>

#include "lib/local_ports.h"
#include "lib/log.h"
#include "lib/sock_diag.h"
#include "lib/util.h"

/* A thread's share of the local ports, in parts of them, and the most that is remembered. */
#define PORTS_PART   4
#define CAPACITY_MAX 8192
/* TCP_TIMEWAIT_LEN of include/net/tcp.h in the kernel. */
#define TIME_WAIT_MS 60000

struct time_wait {
	struct inet_diag_sockid id;
	int family;
	uint64_t since_ms;
};

struct found {
	struct inet_diag_sockid id; /* with the cookie */
	int state;
};

static int open_ring(struct time_waits *waits, unsigned int threads)
{
	/* The kernel's default (inet_init_net() of net/ipv4/af_inet.c). */
	static const struct local_ports usual = {32768, 60999};
	struct local_ports range;
	size_t capacity;

	if (!local_ports_read(&range))
		range = usual;
	capacity = (range.high - range.low + 1U) / PORTS_PART / threads;
	waits->capacity = capacity < 1 ? 1 : capacity > CAPACITY_MAX ? CAPACITY_MAX : capacity;
	waits->ring = calloc(waits->capacity, sizeof(*waits->ring));
	if (!waits->ring)
		return -ENOMEM;
	return sock_diag_open(&waits->diag);
}

static int on_socket(const struct nlmsghdr *header, void *data)
{
	const struct inet_diag_msg *message = mnl_nlmsg_get_payload(header);
	struct found *found = data;

	found->id = message->id;
	found->state = message->idiag_state;
	return MNL_CB_OK;
}

/* Ends one if it still waits. The cookie tells it from a later connection with the same ends. */
static int end_wait(struct time_waits *waits, const struct time_wait *wait)
{
	struct inet_diag_req_v2 request = sock_diag_request(wait->family, IPPROTO_TCP, UINT32_MAX);
	struct found found = {.state = 0};
	int error;

	request.id = wait->id;
	error = sock_diag_one(&waits->diag, SOCK_DIAG_BY_FAMILY, &request, on_socket, &found);
	if (error == 0 && found.state == TCP_TIME_WAIT) {
		request.id = found.id;
		error = sock_diag_one(&waits->diag, SOCK_DESTROY, &request, NULL, NULL);
	}
	return error == -ENOENT ? 0 : error;
}

static bool describe(int fd, const struct sockaddr *peer, struct time_wait *ret_wait)
{
	struct sockaddr_storage own = {.ss_family = AF_UNSPEC};
	socklen_t size = sizeof(own);
	struct inet_diag_sockid *id = &ret_wait->id;

	if (getsockname(fd, (struct sockaddr *)&own, &size) < 0 || own.ss_family != peer->sa_family)
		return false;
	ret_wait->id = sock_diag_request(peer->sa_family, IPPROTO_TCP, 0).id;
	ret_wait->family = peer->sa_family;
	sock_diag_put_end((const struct sockaddr *)&own, id->idiag_src, &id->idiag_sport);
	sock_diag_put_end(peer, id->idiag_dst, &id->idiag_dport);
	return true;
}

void time_waits_add(struct time_waits *waits, int fd, const struct sockaddr *peer,
		    unsigned int threads, uint64_t now_ms)
{
	struct time_wait wait;
	int error = 0;

	if (waits->off || peer->sa_family == AF_UNIX || !describe(fd, peer, &wait))
		return;
	wait.since_ms = now_ms;
	if (!waits->ring)
		error = open_ring(waits, threads);
	if (error == 0 && waits->count == waits->capacity) {
		const struct time_wait *oldest = &waits->ring[waits->first];

		if (now_ms - oldest->since_ms < TIME_WAIT_MS)
			error = end_wait(waits, oldest);
		waits->first = (waits->first + 1) % waits->capacity;
		waits->count--;
	}
	if (error < 0) {
		log_debug("cannot end connections in TIME_WAIT: %s", strerror(-error));
		time_waits_clear(waits);
		waits->off = true;
		return;
	}
	waits->ring[(waits->first + waits->count++) % waits->capacity] = wait;
}

void time_waits_clear(struct time_waits *waits)
{
	free(waits->ring);
	netlink_socket_close(&waits->diag);
	*waits = (struct time_waits) {.off = waits->off};
}
