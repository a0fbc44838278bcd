// SPDX-License-Identifier: Apache-2.0
/* The doctor's search for what keeps the gateway away: a listener at another address, one
 * that is full, or a firewall. It looks where the gateway's address is, if that can be seen: here,
 * or on the host of a container. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "doctor/doctor.h"
#include "doctor/doctor_firewall.h"
#include "lib/address.h"
#include "lib/netns.h"
#include "lib/sock_diag.h"
#include "lib/util.h"

/* Bytes of a remedy, or of a list. */
#define TEXT_MAX 256

/* TCP_LISTEN; netinet/tcp.h and linux/tcp.h do not go together. */
#define STATE_LISTEN 10

/* The kernel binds a socket to the namespace's own addresses only. */
static bool is_own(const struct socket_address *gateway)
{
	struct socket_address address = *gateway;
	_cleanup_close_ int fd = socket(gateway->address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	*socket_address_port(&address) = 0;
	return fd >= 0 && bind(fd, (const struct sockaddr *)&address.address, address.size) == 0;
}

struct listeners {
	const struct socket_address *gateway;
	in_port_t port;
	uint8_t address[16];
	bool there;		  /* one would get the gateway's connections */
	unsigned int waiting;	  /* connections that it has not accepted, if no more may wait */
	char elsewhere[TEXT_MAX]; /* another one; "": none */
};

/* A listener at 0.0.0.0 gets no IPv6, and one at [::] mostly IPv4 as well. */
static bool is_any(const uint8_t address[16], int family)
{
	static const uint8_t any4[16] = {[10] = 0xff, [11] = 0xff}, any6[16];

	return memcmp(address, any6, sizeof(any6)) == 0 ||
	       (family == AF_INET && memcmp(address, any4, sizeof(any4)) == 0);
}

static int visit_listener(const struct nlmsghdr *header, void *data)
{
	const struct inet_diag_msg *message = mnl_nlmsg_get_payload(header);
	struct listeners *listeners = data;
	struct sockaddr_storage own = {.ss_family = message->idiag_family};
	char text[SOCKET_ADDRESS_TEXT_MAX];
	struct socket_address found;
	uint8_t address[16];

	if (message->id.idiag_sport != listeners->port)
		return MNL_CB_OK;
	if (own.ss_family == AF_INET)
		memcpy(&((struct sockaddr_in *)&own)->sin_addr, message->id.idiag_src, 4);
	else
		memcpy(&((struct sockaddr_in6 *)&own)->sin6_addr, message->id.idiag_src, 16);
	address_from_sockaddr((const struct sockaddr *)&own, address);
	if (is_any(address, listeners->gateway->address.ss_family) ||
	    memcmp(address, listeners->address, sizeof(address)) == 0) {
		listeners->there = true;
		/* The kernel drops further ones: sk_acceptq_is_full() of include/net/sock.h. */
		if (message->idiag_rqueue > message->idiag_wqueue)
			listeners->waiting = message->idiag_rqueue;
		return MNL_CB_OK;
	}
	socket_address_inet(address, listeners->port, &found);
	(void)snprintf(listeners->elsewhere, sizeof(listeners->elsewhere), "%s",
		       socket_address_format(&found, text));
	return MNL_CB_OK;
}

static void find_listeners(struct listeners *listeners)
{
	static const int families[] = {AF_INET, AF_INET6};
	struct inet_diag_req_v2 request;
	struct socket_address copy = *listeners->gateway;
	size_t i;

	listeners->port = *socket_address_port(&copy);
	address_from_sockaddr((const struct sockaddr *)&copy.address, listeners->address);
	for (i = 0; i < ARRAY_SIZE(families); i++) {
		request = sock_diag_request(families[i], IPPROTO_TCP, 1U << STATE_LISTEN);
		(void)sock_diag_dump(&request, sizeof(request), visit_listener, listeners);
	}
}

/* A listener is there, so what keeps connections away is before it. */
static void tell_what_is_before(struct doctor *doctor, const struct listeners *listeners)
{
	if (listeners->waiting > 0)
		doctor_tell(doctor, FINDING_GATEWAY_FULL,
			    "its listener is full: %u connections wait for it to accept them",
			    listeners->waiting);
	else if (!doctor_check_firewall(doctor,
					doctor->outside_fd < 0 ? DOCTOR_WAY_WITHIN : DOCTOR_WAY_IN))
		doctor_advise(doctor, FINDING_GATEWAY_FIREWALL,
			      "tc filter show dev DEVICE ingress, bpftool net and nft list ruleset "
			      "tell what drops packets",
			      "its listener is there, and something drops or refuses what comes "
			      "from the container");
}

static void look(struct doctor *doctor)
{
	struct listeners listeners = {.gateway = &doctor->gateway};
	bool own = is_own(&doctor->gateway);
	char remedy[TEXT_MAX];

	if (own)
		find_listeners(&listeners);
	if (listeners.there) {
		tell_what_is_before(doctor, &listeners);
	} else if (listeners.elsewhere[0]) {
		(void)snprintf(remedy, sizeof(remedy),
			       "have the gateway listen at 0.0.0.0:%u, or at the bridge's address",
			       ntohs(listeners.port));
		doctor_advise(doctor, FINDING_GATEWAY_ELSEWHERE, remedy,
			      "a listener is at %s, which containers do not reach",
			      listeners.elsewhere);
	} else if (!own && doctor->error != -ECONNREFUSED) {
		(void)doctor_check_firewall(doctor, doctor->outside_fd < 0 ? DOCTOR_WAY_OUT
									   : DOCTOR_WAY_THROUGH);
	}
}

void doctor_explain_gateway(struct doctor *doctor)
{
	_cleanup_close_ int inside = -1;

	if (doctor->gateway.address.ss_family != AF_INET &&
	    doctor->gateway.address.ss_family != AF_INET6)
		return;
	if (doctor->outside_fd < 0) {
		look(doctor);
		return;
	}
	inside = netns_open_own();
	if (inside < 0 || netns_enter(doctor->outside_fd) < 0)
		return;
	look(doctor);
	(void)netns_enter(inside);
}
