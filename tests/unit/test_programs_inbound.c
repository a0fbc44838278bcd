// SPDX-License-Identifier: Apache-2.0
/* Tests that the BPF programs record inbound flows, and let out their replies and nothing else. */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/address.h"
#include "lib/util.h"
#include "support/programs_run.h"

static void test_replies(void **state)
{
	(void)state;
	assert_int_equal(run_arrive("192.0.2.9", "172.17.0.2", TCP(4000, 80, TH_SYN)),
			 VERDICT_NEXT);
	assert_int_equal(run_guard("172.17.0.2", "192.0.2.9", TCP(80, 4000, TH_SYN | TH_ACK)),
			 VERDICT_NEXT);
	assert_int_equal(run_guard("172.17.0.2", "192.0.2.9", TCP(80, 4000, TH_ACK)), VERDICT_NEXT);
	/* A new connection in the other direction is no reply, even with the same ports. */
	assert_int_equal(run_guard("172.17.0.2", "192.0.2.9", TCP(80, 4000, TH_SYN)), VERDICT_SHOT);
	/* Another flow is no reply either. */
	assert_int_equal(run_guard("172.17.0.2", "192.0.2.9", TCP(81, 4000, TH_ACK)), VERDICT_SHOT);
	/* A packet that is no SYN opens no inbound flow. */
	assert_int_equal(run_arrive("192.0.2.8", "172.17.0.2", TCP(4000, 80, TH_ACK)),
			 VERDICT_NEXT);
	assert_int_equal(run_guard("172.17.0.2", "192.0.2.8", TCP(80, 4000, TH_ACK)), VERDICT_SHOT);
	/* Replies by UDP pass, but never to a resolver. */
	assert_int_equal(run_arrive("192.0.2.9", "172.17.0.2", UDP(4000, 5000)), VERDICT_NEXT);
	assert_int_equal(run_guard("172.17.0.2", "192.0.2.9", UDP(5000, 4000)), VERDICT_NEXT);
	assert_int_equal(run_arrive("192.0.2.9", "172.17.0.2", UDP(53, 5000)), VERDICT_NEXT);
	assert_int_equal(run_guard("172.17.0.2", "192.0.2.9", UDP(5000, 53)), VERDICT_SHOT);
}

static void test_ping(void **state)
{
	struct segment request = {.protocol = IPPROTO_ICMP, .source_port = 7, .icmp_type = 8};
	struct segment reply = {.protocol = IPPROTO_ICMP, .source_port = 7, .icmp_type = 0};
	struct segment other = {.protocol = IPPROTO_ICMP, .source_port = 8, .icmp_type = 0};

	(void)state;
	assert_int_equal(run_arrive("192.0.2.9", "172.17.0.2", request), VERDICT_NEXT);
	assert_int_equal(run_guard("172.17.0.2", "192.0.2.9", reply), VERDICT_NEXT);
	assert_int_equal(run_guard("172.17.0.2", "192.0.2.9", other), VERDICT_SHOT);
	/* It is dropped, and an answer comes in its place. */
	assert_int_equal(run_guard("172.17.0.2", "192.0.2.9", request), VERDICT_REDIRECT);
}

static void test_icmp_error_quotes_an_inbound_packet(void **state)
{
	struct segment unreachable = {.protocol = IPPROTO_ICMP, .icmp_type = 3};
	struct segment asked = UDP(4001, 5001), never = UDP(4002, 5002);
	struct frame frame;

	(void)state;
	assert_int_equal(run_arrive("192.0.2.9", "172.17.0.2", asked), VERDICT_NEXT);
	frame = frame_make("172.17.0.2", "192.0.2.9", unreachable);
	frame_put_ip(&frame, "192.0.2.9", "172.17.0.2", &asked);
	assert_int_equal(run_program("dev_egress", &frame), VERDICT_NEXT);
	frame = frame_make("172.17.0.2", "192.0.2.9", unreachable);
	frame_put_ip(&frame, "192.0.2.9", "172.17.0.2", &never);
	assert_int_equal(run_program("dev_egress", &frame), VERDICT_SHOT);
}

/* Sends an ICMP error from @source to @destination about a datagram that @quoted sent to port 5002
 * of the container. */
static int run_error(const char *source, const char *destination, const char *quoted)
{
	bool ipv6 = strchr(quoted, ':') != NULL;
	struct segment unreachable = {.protocol = ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP,
				      .icmp_type = ipv6 ? 1 : 3};
	struct segment asked = UDP(4001, 5002);
	struct frame frame = frame_make(source, destination, unreachable);

	frame_put_ip(&frame, quoted, ipv6 ? "fd00::2" : "172.17.0.2", &asked);
	return run_program("dev_egress", &frame);
}

static void test_icmp_error_goes_to_the_quoted_sender(void **state)
{
	(void)state;
	run_arrive("192.0.2.9", "172.17.0.2", UDP(4001, 5002));
	run_arrive("2001:db8::9", "fd00::2", UDP(4001, 5002));
	assert_int_equal(run_error("172.17.0.2", "192.0.2.9", "192.0.2.9"), VERDICT_NEXT);
	assert_int_equal(run_error("fd00::2", "2001:db8::9", "2001:db8::9"), VERDICT_NEXT);
	/* Another host of the container's subnets may report it. */
	assert_int_equal(run_error("172.17.0.3", "192.0.2.9", "192.0.2.9"), VERDICT_NEXT);
	assert_int_equal(run_error("fd00::3", "2001:db8::9", "2001:db8::9"), VERDICT_NEXT);
	assert_int_equal(run_error("203.0.113.1", "192.0.2.9", "192.0.2.9"), VERDICT_SHOT);
	assert_int_equal(run_error("2001:db8::1", "2001:db8::9", "2001:db8::9"), VERDICT_SHOT);
	/* It carries nothing to a third party. */
	assert_int_equal(run_error("172.17.0.2", "203.0.113.1", "192.0.2.9"), VERDICT_SHOT);
	assert_int_equal(run_error("fd00::2", "2001:db8::1", "2001:db8::9"), VERDICT_SHOT);
}

/* An IPv6 packet with IPv4-mapped addresses opens no IPv4 flow. */
static void test_mapped_addresses_open_no_flow(void **state)
{
	(void)state;
	assert_int_equal(run_arrive("::ffff:192.0.2.6", "::ffff:172.17.0.2", UDP(4000, 5003)),
			 VERDICT_NEXT);
	assert_int_equal(run_guard("172.17.0.2", "192.0.2.6", UDP(5003, 4000)), VERDICT_REDIRECT);
	assert_int_equal(run_arrive("192.0.2.6", "172.17.0.2", UDP(4000, 5003)), VERDICT_NEXT);
	assert_int_equal(run_guard("172.17.0.2", "192.0.2.6", UDP(5003, 4000)), VERDICT_NEXT);
	assert_int_equal(run_guard("::ffff:172.17.0.2", "::ffff:192.0.2.6", UDP(5003, 4000)),
			 VERDICT_SHOT);
}

/* Sends the application's SYN over lo. @slow: with an option, so that it is not read at fixed
 * offsets. */
static void open_flow(const char *source, const char *destination, struct segment segment,
		      bool slow)
{
	struct frame frame = frame_make(source, destination, segment);

	if (slow)
		frame = frame_with_option(&frame);
	assert_int_equal(run_program("lo_egress", &frame), VERDICT_NEXT);
}

static void test_own_connection_is_no_reply(void **state)
{
	static const char *const ends[][2] = {{"172.17.0.2", "192.0.2.9"},
					      {"fd00::2", "2001:db8::9"}};
	size_t i;
	int slow;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(ends); i++)
		for (slow = 0; slow < 2; slow++) {
			const char *own = ends[i][0], *world = ends[i][1];

			run_arrive(world, own, TCP(443, 4100, TH_SYN));
			assert_int_equal(run_guard(own, world, TCP(4100, 443, TH_ACK)),
					 VERDICT_NEXT);
			open_flow(own, world, TCP(4100, 443, TH_SYN), slow);
			assert_int_equal(run_guard(own, world, TCP(4100, 443, TH_ACK)),
					 VERDICT_SHOT);
			/* Usually there is no entry to delete. */
			open_flow(own, world, TCP(4100, 443, TH_SYN), slow);
		}
}

static void enter(const char *own, uint16_t own_port, const char *world, uint16_t world_port,
		  uint64_t start)
{
	struct sidestep_inbound value = {.start = start};
	struct sidestep_flow_key key = {
		.local_port = own_port,
		.remote_port = world_port,
		.protocol = IPPROTO_TCP,
		.netns = run_netns(),
	};

	assert_int_equal(address_parse(own, key.local_address), 0);
	assert_int_equal(address_parse(world, key.remote_address), 0);
	assert_int_equal(bpf_map_update_elem(run_map_fd("inbound"), &key, &value, BPF_ANY), 0);
}

static void test_pending_is_not_known(void **state)
{
	(void)state;
	enter("172.17.0.2", 80, "192.0.2.7", 4000, SIDESTEP_INBOUND_PENDING);
	assert_int_equal(run_guard("172.17.0.2", "192.0.2.7", TCP(80, 4000, TH_ACK)), VERDICT_SHOT);
	/* A repeated SYN makes the flow valid. */
	assert_int_equal(run_arrive("192.0.2.7", "172.17.0.2", TCP(4000, 80, TH_SYN)),
			 VERDICT_NEXT);
	assert_int_equal(run_guard("172.17.0.2", "192.0.2.7", TCP(80, 4000, TH_ACK)), VERDICT_NEXT);
}

/* A connection over loopback, whose addresses count as outside ones during the test. */
struct pair {
	const char *address;
	int listener, client, server;
	uint16_t client_port, server_port;
};

static uint16_t port_of(int fd)
{
	struct sockaddr_in6 address;
	socklen_t size = sizeof(address);

	/* Both families have the port at the same offset. */
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	return ntohs(address.sin6_port);
}

static struct pair connect_pair(int family)
{
	struct sockaddr_in ipv4 = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	bool is_ipv4 = family == AF_INET;
	struct sockaddr *address = is_ipv4 ? (void *)&ipv4 : (void *)&ipv6;
	socklen_t size = is_ipv4 ? sizeof(ipv4) : sizeof(ipv6);
	struct pair pair = {.address = is_ipv4 ? "127.0.0.1" : "::1"};

	run_bypass(is_ipv4 ? "127.0.0.0/8" : "::1/128", 0);
	pair.listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pair.client = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(pair.listener, address, size), 0);
	assert_int_equal(listen(pair.listener, 1), 0);
	assert_int_equal(getsockname(pair.listener, address, &size), 0);
	assert_int_equal(connect(pair.client, address, size), 0);
	pair.server = accept(pair.listener, NULL, NULL);
	assert_true(pair.server >= 0);
	pair.client_port = port_of(pair.client);
	pair.server_port = port_of(pair.listener);
	return pair;
}

static void close_pair(struct pair *pair)
{
	close(pair->server);
	close(pair->client);
	close(pair->listener);
	run_bypass(strchr(pair->address, ':') ? "::1/128" : "127.0.0.0/8", SIDESTEP_FROM_LOCAL);
}

/* Sends a SYN from the server's endpoint to the client's address and @port. */
static void arrive_for(const struct pair *pair, uint16_t port)
{
	assert_int_equal(run_arrive(pair->address, pair->address,
				    TCP(pair->server_port, port, TH_SYN)),
			 VERDICT_NEXT);
}

static bool answer_passes(const struct pair *pair, uint16_t own_port, uint16_t world_port)
{
	return run_guard(pair->address, pair->address, TCP(own_port, world_port, TH_ACK)) ==
	       VERDICT_NEXT;
}

static void test_syn_with_the_endpoints_of_a_connection(void **state)
{
	static const int families[] = {AF_INET, AF_INET6};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(families); i++) {
		struct pair pair = connect_pair(families[i]);

		/* The application itself has the client's connection. */
		arrive_for(&pair, pair.client_port);
		assert_false(answer_passes(&pair, pair.client_port, pair.server_port));
		/* It has no connection with another port, or one that the listener may accept. */
		arrive_for(&pair, pair.client_port ^ 1);
		assert_true(answer_passes(&pair, pair.client_port ^ 1, pair.server_port));
		assert_int_equal(run_arrive(pair.address, pair.address,
					    TCP(pair.client_port ^ 1, pair.server_port, TH_SYN)),
				 VERDICT_NEXT);
		assert_true(answer_passes(&pair, pair.server_port, pair.client_port ^ 1));
		close_pair(&pair);
	}
}

/* A client that repeats its SYN does not lose the connection that the first one opened. */
static void test_syn_of_a_known_connection(void **state)
{
	struct pair pair = connect_pair(AF_INET);

	(void)state;
	enter(pair.address, pair.server_port, pair.address, pair.client_port, 1);
	assert_int_equal(run_arrive(pair.address, pair.address,
				    TCP(pair.client_port, pair.server_port, TH_SYN)),
			 VERDICT_NEXT);
	assert_true(answer_passes(&pair, pair.server_port, pair.client_port));
	close_pair(&pair);
}

static void test_syn_in_time_wait(void **state)
{
	struct pair pair = connect_pair(AF_INET);
	char byte;

	(void)state;
	/* The end that closes first is in TIME_WAIT. */
	assert_int_equal(shutdown(pair.client, SHUT_WR), 0);
	assert_int_equal(read(pair.server, &byte, 1), 0);
	close(pair.server);
	assert_int_equal(read(pair.client, &byte, 1), 0);
	close(pair.client);
	arrive_for(&pair, pair.client_port);
	assert_true(answer_passes(&pair, pair.client_port, pair.server_port));
	pair.client = pair.server = -1;
	close_pair(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_replies),
		cmocka_unit_test(test_ping),
		cmocka_unit_test(test_icmp_error_quotes_an_inbound_packet),
		cmocka_unit_test(test_icmp_error_goes_to_the_quoted_sender),
		cmocka_unit_test(test_mapped_addresses_open_no_flow),
		cmocka_unit_test(test_own_connection_is_no_reply),
		cmocka_unit_test(test_pending_is_not_known),
		cmocka_unit_test(test_syn_with_the_endpoints_of_a_connection),
		cmocka_unit_test(test_syn_of_a_known_connection),
		cmocka_unit_test(test_syn_in_time_wait),
	};
	const struct CMUnitTest none[] = {cmocka_unit_test(run_skip_shared)};
	int failed = cmocka_run_group_tests_name("one namespace", tests, run_load_single,
						 run_unload);

	if (!run_has_shared())
		return failed + cmocka_run_group_tests_name("shared", none, NULL, NULL);
	return failed + cmocka_run_group_tests_name("shared", tests, run_load_shared, run_unload);
}
