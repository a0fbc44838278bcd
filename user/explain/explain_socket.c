// SPDX-License-Identifier: Apache-2.0
/* The sockets at the packet's ends. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <linux/bpf.h>

#include "explain/explain.h"
#include "lib/sock_diag.h"
#include "lib/socket_address.h"
#include "lib/util.h"

struct search {
	const uint8_t *address;
	uint16_t port;
	bool found;
};

/* A socket of IPv6 at any address takes IPv4 as well, unless it refuses; those are few. */
static int on_socket(const struct nlmsghdr *header, void *data)
{
	const struct inet_diag_msg *message = mnl_nlmsg_get_payload(header);
	static const uint8_t any4[16] = {[10] = 0xff, [11] = 0xff}, any6[16];
	struct search *search = data;
	uint8_t address[16];

	address_from_bytes(message->idiag_family, message->id.idiag_src, address);
	if (ntohs(message->id.idiag_sport) == search->port &&
	    (memcmp(address, search->address, sizeof(address)) == 0 ||
	     memcmp(address, any6, sizeof(any6)) == 0 || memcmp(address, any4, sizeof(any4)) == 0))
		search->found = true;
	return MNL_CB_OK;
}

int explain_take_port(int fd, const uint8_t *source, struct probe_packet *packet)
{
	static const uint8_t any4[16] = {[10] = 0xff, [11] = 0xff}, any6[16];
	struct socket_address address;

	if (!source)
		source = address_is_ipv4(packet->destination) ? any4 : any6;
	socket_address_inet(source, 0, &address);
	if (bind(fd, (const struct sockaddr *)&address.address, address.size) < 0 ||
	    getsockname(fd, (struct sockaddr *)&address.address, &address.size) < 0)
		return -errno;
	packet->source_port = ntohs(*socket_address_port(&address));
	return 0;
}

void explain_socket(struct explain *explain, const uint8_t address[16], uint16_t port)
{
	bool tcp = explain->packet.protocol == IPPROTO_TCP, ipv4 = address_is_ipv4(address);
	struct search search = {.address = address, .port = port};
	/* A UDP socket that is not connected counts as closed. */
	uint32_t states = 1u << (tcp ? BPF_TCP_LISTEN : BPF_TCP_CLOSE);
	static const int families[] = {AF_INET6, AF_INET};
	char text[ADDRESS_TEXT_MAX];
	size_t i;

	for (i = 0; i < (ipv4 ? ARRAY_SIZE(families) : 1); i++) {
		const struct inet_diag_req_v2 request =
			sock_diag_request(families[i], explain->packet.protocol, states);

		(void)sock_diag_dump(&request, sizeof(request), on_socket, &search);
	}
	explain_step(explain, "socket", "%s at %s",
		     search.found ? "somebody listens" : "nobody listens",
		     explain_end(address, port, text));
	if (!search.found)
		explain->outcome = EXPLAIN_REFUSED;
}
