// SPDX-License-Identifier: Apache-2.0
#include "control/control_origin.h"

#include <errno.h>
#include <net/if.h> /* before <linux/if_arp.h> */
#include <netinet/tcp.h>
#include <string.h>
#include <linux/filter.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/sock_diag.h>

#include "control/control_host.h"
#include "lib/address.h"
#include "lib/log.h"
#include "lib/sock_diag.h"
#include "lib/util.h"
#include "net/netlink_link.h"

/* Most addresses and devices of a namespace. With more, all requests are refused. */
#define ADDRESSES_MAX 4096
#define LINKS_MAX     1024
/* A change of the tables interrupts reading them. */
#define REFRESH_TRIES 5
/* A value of TCP_SAVE_SYN: the link-layer header is saved, too (Linux 5.10). */
#define SAVE_SYN_FRAME 2

struct address {
	uint8_t bytes[16];
};

struct control_origin {
	struct netlink *netlink;
	int monitor; /* reports changes of addresses, links and routes */
	bool fresh;  /* the tables below are up to date */
	struct address *addresses;
	uint32_t *links;
	size_t address_count, link_count;
	struct control_host host;
	struct netlink_socket diag;
	bool blind; /* the kernel has no inet_diag; logged once */
};

/* One end of a connection. */
struct end {
	uint8_t address[16];
	uint16_t port;	/* network byte order */
	uint32_t scope; /* the device of a link-local IPv6 address */
};

int control_origin_new(struct control_origin **ret_origin)
{
	struct control_origin *origin = calloc(1, sizeof(*origin));
	int error = -ENOMEM;

	if (!origin)
		return -ENOMEM;
	origin->monitor = -1;
	origin->addresses = calloc(ADDRESSES_MAX, sizeof(*origin->addresses));
	origin->links = calloc(LINKS_MAX, sizeof(*origin->links));
	if (!origin->addresses || !origin->links)
		goto fail;
	error = netlink_open(&origin->netlink);
	if (error < 0)
		goto fail;
	error = origin->monitor = netlink_monitor_open(true);
	if (error < 0)
		goto fail;
	error = sock_diag_open(&origin->diag);
	if (error < 0)
		goto fail;
	*ret_origin = origin;
	return 0;
fail:
	control_origin_free(origin);
	return error;
}

void control_origin_free(struct control_origin *origin)
{
	if (!origin)
		return;
	netlink_socket_close(&origin->diag);
	(void)safe_close(origin->monitor);
	netlink_close(origin->netlink);
	control_host_free(&origin->host);
	free(origin->addresses);
	free(origin->links);
	free(origin);
}

int control_origin_guard(int listener)
{
	/* In tcp_v4_rcv() and tcp_v6_rcv() the data begins with the TCP header. */
	static struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_HATYPE)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARPHRD_LOOPBACK, 0, 6),
		/* X = the header's size, from the data offset in its upper four bits. */
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 12),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xf0),
		BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 2),
		BPF_STMT(BPF_MISC | BPF_TAX, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_X, 0, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	const struct sock_fprog program = {.len = ARRAY_SIZE(code), .filter = code};
	static const int frame = SAVE_SYN_FRAME;

	/* Accepted sockets inherit both. */
	(void)setsockopt(listener, IPPROTO_TCP, TCP_SAVE_SYN, &frame, sizeof(frame));
	return setsockopt(listener, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0
		       ? -errno
		       : 0;
}

void control_origin_unguard(int fd)
{
	static const int unused = 0;

	(void)setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof(unused));
}

static int visit_address(void *context, const struct netlink_address *address)
{
	struct control_origin *origin = context;

	if (origin->address_count == ADDRESSES_MAX)
		return -E2BIG;
	memcpy(origin->addresses[origin->address_count++].bytes, address->address, 16);
	return 0;
}

static int visit_link(void *context, const struct netlink_link *link)
{
	struct control_origin *origin = context;

	if (origin->link_count == LINKS_MAX)
		return -E2BIG;
	origin->links[origin->link_count++] = link->ifindex;
	return 0;
}

static int dump_all(struct control_origin *origin)
{
	int error;

	origin->address_count = 0;
	origin->link_count = 0;
	control_host_clear(&origin->host);
	error = netlink_dump_addresses(origin->netlink, visit_address, origin);
	if (error == 0)
		error = netlink_dump_links(origin->netlink, visit_link, origin);
	if (error == 0)
		error = netlink_dump_routes(origin->netlink, AF_INET, control_host_add,
					    &origin->host);
	if (error < 0)
		return error;
	error = netlink_dump_routes(origin->netlink, AF_INET6, control_host_add, &origin->host);
	/* A kernel without IPv6 has no such table. */
	if (error == -EAFNOSUPPORT || error == -EOPNOTSUPP)
		error = 0;
	return error;
}

/* Reads addresses, links and routes again if they have changed. The kernel queues its notices
 * before the call that makes the change returns, so the tables are never older than the connection.
 */
static int refresh(struct control_origin *origin)
{
	int i, error = 0;

	if (netlink_monitor_drain(origin->monitor))
		origin->fresh = false;
	for (i = 0; i < REFRESH_TRIES && !origin->fresh; i++) {
		error = dump_all(origin);
		if (error == 0)
			origin->fresh = true;
		else if (error != -EINTR)
			break;
	}
	return origin->fresh ? 0 : error;
}

static bool is_own_address(const struct control_origin *origin, const uint8_t address[16])
{
	size_t i;

	for (i = 0; i < origin->address_count; i++) {
		if (memcmp(origin->addresses[i].bytes, address, 16) == 0)
			return true;
	}
	return false;
}

static bool is_loopback(const uint8_t address[16])
{
	if (address_is_ipv4(address))
		return address[12] == 127;
	return IN6_IS_ADDR_LOOPBACK((const struct in6_addr *)(const void *)address);
}

static int end_of(int (*get)(int, struct sockaddr *, socklen_t *), int fd, struct end *ret_end)
{
	union {
		struct sockaddr any;
		struct sockaddr_in ipv4;
		struct sockaddr_in6 ipv6;
		struct sockaddr_storage storage;
	} name;
	socklen_t size = sizeof(name);

	if (get(fd, &name.any, &size) < 0)
		return -errno;
	if (name.any.sa_family != AF_INET && name.any.sa_family != AF_INET6)
		return -EAFNOSUPPORT;
	/* This makes the IPv4-mapped addresses of a dual-stack listener IPv4. */
	address_from_sockaddr(&name.any, ret_end->address);
	ret_end->port = name.any.sa_family == AF_INET ? name.ipv4.sin_port : name.ipv6.sin6_port;
	ret_end->scope = name.any.sa_family == AF_INET ? 0 : name.ipv6.sin6_scope_id;
	return 0;
}

static int on_socket(const struct nlmsghdr *header, void *data)
{
	int *state = data;

	*state = ((const struct inet_diag_msg *)mnl_nlmsg_get_payload(header))->idiag_state;
	return MNL_CB_OK;
}

static void put_end(__be32 words[4], const uint8_t address[16])
{
	bool ipv4 = address_is_ipv4(address);

	memcpy(words, address + (ipv4 ? 12 : 0), ipv4 ? 4 : 16);
}

/*
 * Returns the state (TCP_*) of the namespace's socket from @local to @remote, 0 when there is none,
 * or negative errno. @link finds sockets bound to that device; any value finds the unbound ones.
 * inet_diag falls back to a listener at @local, which does not count.
 */
static int socket_state(struct control_origin *origin, const struct end *local,
			const struct end *remote, uint32_t link)
{
	struct inet_diag_req_v2 request = sock_diag_request(
		address_is_ipv4(local->address) ? AF_INET : AF_INET6, IPPROTO_TCP, UINT32_MAX);
	int state = 0, error;

	request.id.idiag_sport = local->port;
	request.id.idiag_dport = remote->port;
	put_end(request.id.idiag_src, local->address);
	put_end(request.id.idiag_dst, remote->address);
	request.id.idiag_if = link;
	error = sock_diag_one(&origin->diag, SOCK_DIAG_BY_FAMILY, &request, on_socket, &state);
	if (error < 0)
		return error == -ENOENT ? 0 : error;
	return state == TCP_LISTEN ? 0 : state;
}

/* Looks for a socket at the other end. Returns 1, 0 or negative errno. */
static int find_mirror(struct control_origin *origin, const struct end *own, const struct end *peer)
{
	int state = socket_state(origin, peer, own, 0);
	size_t i;

	for (i = 0; i < origin->link_count && state == 0; i++)
		state = socket_state(origin, peer, own, origin->links[i]);
	return state > 0 ? 1 : state;
}

/*
 * Checks that the missing mirror means something. Returns 0, or -ENOTCONN for a dead connection,
 * whose peer may have been reset on purpose.
 *
 * A kernel without inet_diag reports no such socket either (-ENOENT), but then it does not find
 * this end. The other two answers must suffice there, because the sidecar has to start on such
 * kernels as well. Data that arrived over loopback is not read anyway.
 */
static int check_alive(struct control_origin *origin, int fd, const struct end *own,
		       const struct end *peer)
{
	int state = socket_state(origin, own, peer, own->scope);
	struct tcp_info info;
	socklen_t size = sizeof(info);

	if (state < 0)
		return state;
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
		return -errno;
	if (info.tcpi_state != TCP_ESTABLISHED && info.tcpi_state != TCP_CLOSE_WAIT)
		return -ENOTCONN;
	if (state == 0 && !origin->blind) {
		origin->blind = true;
		log_warning(
			"this kernel does not list TCP sockets (inet_diag): only address and device "
			"tell whether a request comes from inside the container");
	}
	return 0;
}

int control_origin_inside(struct control_origin *origin, int fd, const char **ret_why)
{
	struct end own = {0}, peer = {0};
	int error;

	error = end_of(getpeername, fd, &peer);
	if (error == 0)
		error = end_of(getsockname, fd, &own);
	if (error < 0)
		return error;
	if (is_loopback(peer.address)) {
		*ret_why = "a loopback address";
		return 1;
	}
	error = refresh(origin);
	if (error < 0)
		return error;
	if (is_own_address(origin, peer.address)) {
		*ret_why = "an address of this network namespace";
		return 1;
	}
	error = find_mirror(origin, &own, &peer);
	if (error > 0)
		*ret_why = "a socket of this network namespace";
	if (error != 0)
		return error;
	return check_alive(origin, fd, &own, &peer);
}

/*
 * Reads the sender of the connection's first frame. Returns 1, or 0 where none is known: the device
 * has no Ethernet addresses, the SYN was answered by a cookie, or before Linux 5.10. Returns a
 * negative errno for a frame that cannot be read. -EINVAL: its headers are longer than those of any
 * SYN that the host sends, and the client chooses their length (IPv6).
 */
static int first_sender(int fd, uint8_t ret_mac[ETH_ALEN])
{
	union {
		struct ethhdr ethernet;
		uint8_t bytes[256];
	} frame;
	socklen_t size = sizeof(frame), mode_size = sizeof(int);
	int mode = 0;

	if (getsockopt(fd, IPPROTO_TCP, TCP_SAVE_SYN, &mode, &mode_size) < 0 ||
	    mode != SAVE_SYN_FRAME)
		return 0;
	if (getsockopt(fd, IPPROTO_TCP, TCP_SAVED_SYN, &frame, &size) < 0)
		return -errno;
	if (size <= sizeof(frame.ethernet) || (frame.ethernet.h_proto != htons(ETH_P_IP) &&
					       frame.ethernet.h_proto != htons(ETH_P_IPV6)))
		return 0;
	memcpy(ret_mac, frame.ethernet.h_source, ETH_ALEN);
	return 1;
}

/*
 * A neighbour that also has an address on another network may use it here. It looks as if the host
 * forwarded it, but its frames have another sender than the host's. If the host has changed its
 * MAC address, the neighbour entry is wrong instead. It is made anew, for the client's next
 * attempt.
 */
static bool is_other_sender(struct control_origin *origin, int fd,
			    const struct netlink_route *route)
{
	uint8_t sender[ETH_ALEN], gateway[ETH_ALEN];
	int known = first_sender(fd, sender);

	if (known < 0)
		return true;
	if (known == 0 ||
	    netlink_neighbour_get(origin->netlink, route->ifindex, route->gateway, gateway) < 0 ||
	    memcmp(sender, gateway, ETH_ALEN) == 0)
		return false;
	(void)netlink_neighbour_forget(origin->netlink, route->ifindex, route->gateway);
	(void)netlink_neighbour_keep(origin->netlink, route->ifindex, route->gateway);
	return true;
}

int control_origin_stranger(struct control_origin *origin, int fd, const char **ret_why)
{
	const struct netlink_route *route;
	struct end peer = {0};
	int error = end_of(getpeername, fd, &peer);

	if (error == 0)
		error = refresh(origin);
	if (error < 0)
		return error;
	route = control_host_route(&origin->host, peer.address, peer.scope, ret_why);
	if (!route)
		return 1;
	if (!is_other_sender(origin, fd, route))
		return 0;
	*ret_why = "a machine on the network that is not the default route's gateway";
	return 1;
}

int control_origin_judge(struct control_origin *origin, int fd, const struct sockaddr *peer,
			 const struct prefix *allow, size_t allow_count, const char **ret_why)
{
	int found = control_origin_inside(origin, fd, ret_why);

	if (found == -ENOTCONN)
		return found;
	if (found != 0) {
		control_origin_unguard(fd);
		if (found < 0)
			*ret_why = strerror(-found);
		return -EPERM;
	}
	if (prefixes_contain(allow, allow_count, peer))
		return 0;
	found = control_origin_stranger(origin, fd, ret_why);
	if (found < 0)
		*ret_why = strerror(-found);
	return found == 0 ? 0 : -EACCES;
}
