// SPDX-License-Identifier: Apache-2.0
#include "events/reason.h"

#include <string.h>

#include "lib/util.h"

static const struct reason {
	const char *id; /* stable */
	const char *remedy;
} reasons[] = {
	{"relayed", NULL},
	{"exempt", NULL},
	{"answered_here", NULL},
	{"application_reset", NULL},
	{"dns_made_up", NULL},
	{"gateway_reset", "look into the gateway's log"},
	{"destination_reset", "look into the destination's log"},
	{"destination_unreachable", "look whether the destination runs, and at the routes to it"},
	{"gateway_unreachable", "start the gateway there, on an address that containers reach"},
	{"gateway_connect_timeout",
	 "look for a firewall on the way that drops packets: sidestep doctor --container "
	 "NAME on the host"},
	{"gateway_answer_timeout",
	 "look whether the gateway is overloaded, or raise --answer-timeout"},
	{"gateway_hung_up",
	 "look whether the gateway is an HTTP proxy, and whether it has stopped"},
	{"gateway_not_http", "give --gateway the address of an HTTP proxy"},
	{"gateway_refused",
	 "look into the gateway's log; for status 407 let it accept requests from here "
	 "without credentials"},
	{"gateway_undeclared",
	 "give --gateway-protocol connect, or let the gateway answer with X-Tls-Plaintext: accept"},
	{"gateway_vanished", "look whether the gateway's machine runs, and at the network between"},
	{"gateway_socket_failed", "look into the sidecar's log for the messages before it"},
	{"gateway_loop", "run the gateway elsewhere, or give --exempt-uid or --exempt-cgroup"},
	{"peer_vanished", "raise --peer-timeout if the other end was alive"},
	{"no_local_port",
	 "widen net.ipv4.ip_local_port_range, or let the gateway listen on a unix socket"},
	{"connection_limit", "raise --max-connections, or find who keeps connections open"},
	{"descriptor_limit", "raise the limit of open files: docker run --ulimit nofile=65536"},
	{"out_of_memory", "give the sidecar more memory, or lower --max-connections"},
	{"listener_address", "connect to another address: Sidestep itself listens there"},
	{"no_destination", "look for others that redirect connections: sidestep doctor"},
	{"proxy_stopped", "start the sidecar again; --drain gives running connections more time"},
	{"dns_name_denied", "allow the name (allowHostnames), or turn the internet on"},
	{"dns_resolver_failed", "look whether the resolver runs, and at the way to it"},
	{"dns_malformed", "look at the program that asks"},
	{"dns_opcode_denied", "turn the internet on"},
	{"dns_edns_version", "let the client use version 0 of EDNS"},
	{"udp_denied", "give --udp pass, which lets it out without the gateway"},
	{"protocol_denied", "give --bypass SUBNET, if it may reach a subnet without the gateway"},
	{"fragment_denied", "send datagrams that need no fragments"},
	{"malformed", "find the program that builds packets itself (CAP_NET_RAW)"},
	{"answer_denied", "let programs ask from an address of the namespace"},
	{"nobody_listens",
	 "leave out --disable-ipv6 and --dns-enabled=false, or start the sidecar again"},
	{"spoofed", "find who sends it; nothing here needs to change"},
	{"too_big", "lower the MTU of the socket or the device"},
	{"walked_around", "docker run --cap-drop NET_RAW for the application"},
	{"tls_ca_distrusted",
	 "install the sidecar's certificate (GET /ca, ca.crt) in the container"},
	{"tls_certificate_kind",
	 "let the client take ECDSA P-256, or let the gateway answer 202 for this destination"},
	{"tls_clock", "set the clocks of container and sidecar alike"},
	{"tls_no_common_alpn",
	 "let the client offer HTTP/1.1, or let the gateway answer 202 for this destination"},
	{"tls_client_too_old",
	 "renew the client, or let the gateway answer 202 for this destination"},
	{"tls_client_closed",
	 "look whether the client pins a certificate, and let the gateway answer 202 for "
	 "this destination"},
	{"tls_client_stopped",
	 "look at the client, or let the gateway answer 202 for this destination"},
	{"tls_handshake_failed",
	 "look whether it is a TLS client, or let the gateway answer 202 for this destination"},
};

const char *reason_remedy(const char *id)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(reasons); i++)
		if (strcmp(reasons[i].id, id) == 0)
			return reasons[i].remedy;
	return NULL;
}

const char *reason_at(size_t index)
{
	return index < ARRAY_SIZE(reasons) ? reasons[index].id : NULL;
}
