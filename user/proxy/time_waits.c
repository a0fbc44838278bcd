// SPDX-License-Identifier: Apache-2.0
#include "proxy/time_waits.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>

#include "lib/log.h"
#include "lib/util.h"

/* A thread's share of the local ports, in parts of them, and the most that is remembered. */
#define PORTS_PART   4
#define CAPACITY_MAX 8192
/* TCP_TIMEWAIT_LEN of include/net/tcp.h in the kernel. */
#define TIME_WAIT_MS 60000
#define RANGE_PATH   "/proc/sys/net/ipv4/ip_local_port_range"

struct time_wait {
	struct inet_diag_sockid id;
	int family;
	uint64_t since_ms;
};

struct found {
	struct inet_diag_sockid id; /* with the cookie */
	int state;
};

static unsigned int local_ports(void)
{
	_cleanup_fclose_ FILE *file = fopen(RANGE_PATH, "re");
	unsigned int low, high;

	if (!file || fscanf(file, "%u %u", &low, &high) != 2 || high < low)
		return 0;
	return high - low + 1;
}

static int open_ring(struct time_waits *waits, unsigned int threads)
{
	size_t capacity = local_ports() / PORTS_PART / threads;

	waits->capacity = capacity < 1 ? 1 : capacity > CAPACITY_MAX ? CAPACITY_MAX : capacity;
	waits->ring = calloc(waits->capacity, sizeof(*waits->ring));
	if (!waits->ring)
		return -ENOMEM;
	waits->diag = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!waits->diag || mnl_socket_bind(waits->diag, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	return 0;
}

static int on_socket(const struct nlmsghdr *header, void *data)
{
	const struct inet_diag_msg *message = mnl_nlmsg_get_payload(header);
	struct found *found = data;

	found->id = message->id;
	found->state = message->idiag_state;
	return MNL_CB_OK;
}

/* Sends a request about one socket, and takes the answer. Returns 0 or negative errno. */
static int ask(struct time_waits *waits, uint16_t type, uint16_t flags, int family,
	       const struct inet_diag_sockid *id, struct found *ret_found)
{
	char buffer[4096] __attribute__((aligned(8)));
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
	struct inet_diag_req_v2 *request;
	ssize_t size;

	header->nlmsg_type = type;
	header->nlmsg_flags = NLM_F_REQUEST | flags;
	header->nlmsg_seq = ++waits->sequence;
	request = mnl_nlmsg_put_extra_header(header, sizeof(*request));
	request->sdiag_family = (uint8_t)family;
	request->sdiag_protocol = IPPROTO_TCP;
	request->idiag_states = UINT32_MAX;
	request->id = *id;
	if (mnl_socket_sendto(waits->diag, header, header->nlmsg_len) < 0)
		return -errno;
	size = mnl_socket_recvfrom(waits->diag, buffer, sizeof(buffer));
	if (size < 0 || mnl_cb_run(buffer, (size_t)size, waits->sequence,
				   mnl_socket_get_portid(waits->diag), on_socket, ret_found) < 0)
		return -errno;
	return 0;
}

/* Ends one if it still waits. The cookie tells it from a later connection with the same ends. */
static int end_wait(struct time_waits *waits, const struct time_wait *wait)
{
	struct found found = {.state = 0};
	int error = ask(waits, SOCK_DIAG_BY_FAMILY, 0, wait->family, &wait->id, &found);

	if (error == 0 && found.state == TCP_TIME_WAIT)
		error = ask(waits, SOCK_DESTROY, NLM_F_ACK, wait->family, &found.id, &found);
	return error == -ENOENT ? 0 : error;
}

static bool describe(int fd, const struct sockaddr *peer, struct time_wait *ret_wait)
{
	union {
		struct sockaddr any;
		struct sockaddr_in ipv4;
		struct sockaddr_in6 ipv6;
	} own = {.any.sa_family = AF_UNSPEC}, other;
	bool ipv4 = peer->sa_family == AF_INET;
	socklen_t size = sizeof(own);
	struct inet_diag_sockid *id = &ret_wait->id;

	if (getsockname(fd, &own.any, &size) < 0 || own.any.sa_family != peer->sa_family)
		return false;
	memset(ret_wait, 0, sizeof(*ret_wait));
	memcpy(&other, peer, ipv4 ? sizeof(other.ipv4) : sizeof(other.ipv6));
	ret_wait->family = peer->sa_family;
	/* The port is at the same place in both families. */
	id->idiag_sport = own.ipv4.sin_port;
	id->idiag_dport = other.ipv4.sin_port;
	memcpy(id->idiag_src, ipv4 ? (void *)&own.ipv4.sin_addr : &own.ipv6.sin6_addr,
	       ipv4 ? 4 : 16);
	memcpy(id->idiag_dst, ipv4 ? (void *)&other.ipv4.sin_addr : &other.ipv6.sin6_addr,
	       ipv4 ? 4 : 16);
	id->idiag_cookie[0] = INET_DIAG_NOCOOKIE;
	id->idiag_cookie[1] = INET_DIAG_NOCOOKIE;
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
	if (waits->diag)
		(void)mnl_socket_close(waits->diag);
	*waits = (struct time_waits) {.off = waits->off};
}
