// SPDX-License-Identifier: Apache-2.0
/*
 * Who asks? Real connections from the same network namespace and from another one. The listener is
 * guarded, as the control API's is. Needs CAP_SYS_ADMIN and CAP_NET_ADMIN.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/control_origin.h"
#include "net/netlink_route.h"
#include "support/two_netns.h"

struct pair {
	int client, accepted;
};

static struct control_origin *origin;

static struct endpoint endpoint(const char *text)
{
	struct endpoint endpoint;

	assert_int_equal(endpoint_parse(text, &endpoint), 0);
	return endpoint;
}

static int listen_at(const char *text)
{
	struct endpoint address = endpoint(text);
	static const int one = 1, zero = 0;
	int fd = socket_in(home_netns, address.address.ss_family);

	if (address.address.ss_family == AF_INET6)
		assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
	assert_int_equal(control_origin_guard(fd), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address.address, endpoint_size(&address)), 0);
	assert_int_equal(listen(fd, 16), 0);
	return fd;
}

/* Connects @client and takes the connection out of the listener. */
static struct pair pair_of(int listener, int client, const char *to)
{
	struct endpoint address = endpoint(to);
	struct pair pair = {.client = client};

	assert_int_equal(
		connect(client, (struct sockaddr *)&address.address, endpoint_size(&address)), 0);
	pair.accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_true(pair.accepted >= 0);
	return pair;
}

static void pair_close(struct pair *pair)
{
	if (pair->client >= 0)
		close(pair->client);
	close(pair->accepted);
}

static void expect_inside(const char *listen_text, int client, const char *to, const char *why)
{
	int listener = listen_at(listen_text);
	struct pair pair = pair_of(listener, client, to);
	const char *have = NULL;

	assert_int_equal(control_origin_inside(origin, pair.accepted, &have), 1);
	assert_non_null(strstr(have, why));
	pair_close(&pair);
	close(listener);
}

static void expect_outside(const char *listen_text, int client, const char *to)
{
	int listener = listen_at(listen_text);
	struct pair pair = pair_of(listener, client, to);
	const char *why;

	assert_int_equal(control_origin_inside(origin, pair.accepted, &why), 0);
	pair_close(&pair);
	close(listener);
}

static void own_and_loopback_addresses_are_inside(void **state)
{
	(void)state;
	expect_inside("0.0.0.0:39001", socket_in(home_netns, AF_INET), "127.0.0.1:39001",
		      "loopback");
	expect_inside("0.0.0.0:39001", socket_in(home_netns, AF_INET), HOME_IPV4 ":39001",
		      "an address of");
	expect_inside("[::]:39001", socket_in(home_netns, AF_INET6), "[::1]:39001", "loopback");
	expect_inside("[::]:39001", socket_in(home_netns, AF_INET6), "[" HOME_IPV6 "]:39001",
		      "an address of");
	/* IPv4 reaches the dual-stack listener. */
	expect_inside("[::]:39001", socket_in(home_netns, AF_INET), "127.0.0.2:39001", "loopback");
	expect_inside("[::]:39001", socket_in(home_netns, AF_INET), HOME_IPV4 ":39001",
		      "an address of");
}

static void other_namespace_is_outside(void **state)
{
	(void)state;
	expect_outside("0.0.0.0:39001", socket_in(far_netns, AF_INET), HOME_IPV4 ":39001");
	expect_outside("[::]:39001", socket_in(far_netns, AF_INET), HOME_IPV4 ":39001");
	expect_outside("[::]:39001", socket_in(far_netns, AF_INET6), "[" HOME_IPV6 "]:39001");
}

/* inet_diag answers with a listener if it finds no connection. */
static void listener_at_the_peers_port_is_no_mirror(void **state)
{
	struct endpoint source = endpoint(FAR_IPV4 ":40123");
	int other = listen_at("0.0.0.0:40123"), client = socket_in(far_netns, AF_INET);

	(void)state;
	assert_int_equal(bind(client, (struct sockaddr *)&source.address, endpoint_size(&source)),
			 0);
	expect_outside("0.0.0.0:39001", client, HOME_IPV4 ":39001");
	close(other);
}

static void address_added_later_is_seen(void **state)
{
	struct endpoint source = endpoint("10.9.7.7:0");
	int client = socket_in(home_netns, AF_INET);

	(void)state;
	add_address("lo", "10.9.7.7", 32);
	assert_int_equal(bind(client, (struct sockaddr *)&source.address, endpoint_size(&source)),
			 0);
	expect_inside("0.0.0.0:39001", client, HOME_IPV4 ":39001", "an address of");
}

static int stranger(int client, const char *to)
{
	int listener = listen_at("[::]:39001");
	struct pair pair = pair_of(listener, client, to);
	const char *why;
	int found = control_origin_stranger(origin, pair.accepted, &why);

	pair_close(&pair);
	close(listener);
	return found;
}

/* Routes that come and go later are seen. */
static void gateway_is_no_stranger(void **state)
{
	(void)state;
	assert_int_equal(stranger(socket_in(far_netns, AF_INET), HOME_IPV4 ":39001"), 1);
	add_default_routes();
	assert_int_equal(stranger(socket_in(far_netns, AF_INET), HOME_IPV4 ":39001"), 0);
	assert_int_equal(stranger(socket_in(far_netns, AF_INET6), "[" HOME_IPV6 "]:39001"), 0);
	delete_default_routes();
	assert_int_equal(stranger(socket_in(far_netns, AF_INET), HOME_IPV4 ":39001"), 1);
	assert_int_equal(stranger(socket_in(far_netns, AF_INET6), "[" HOME_IPV6 "]:39001"), 1);
}

static int judge(int client, const char *to, const char *allowed)
{
	int listener = listen_at("0.0.0.0:39001"), result;
	struct pair pair = pair_of(listener, client, to);
	struct sockaddr_storage peer;
	socklen_t size = sizeof(peer);
	const char *why = NULL;
	struct prefix allow;

	assert_int_equal(prefix_parse(allowed, &allow), 0);
	assert_int_equal(getpeername(pair.accepted, (struct sockaddr *)&peer, &size), 0);
	result = control_origin_judge(origin, pair.accepted, (struct sockaddr *)&peer, &allow, 1,
				      &why);
	if (result < 0)
		assert_non_null(why);
	pair_close(&pair);
	close(listener);
	return result;
}

static void who_is_allowed_may_ask_from_outside_alone(void **state)
{
	(void)state;
	assert_int_equal(judge(socket_in(far_netns, AF_INET), HOME_IPV4 ":39001", "192.0.2.9/32"),
			 -EACCES);
	assert_int_equal(judge(socket_in(far_netns, AF_INET), HOME_IPV4 ":39001", FAR_IPV4 "/32"),
			 0);
	assert_int_equal(judge(socket_in(home_netns, AF_INET), HOME_IPV4 ":39001", HOME_IPV4 "/32"),
			 -EPERM);
	add_default_routes();
	assert_int_equal(judge(socket_in(far_netns, AF_INET), HOME_IPV4 ":39001", "192.0.2.9/32"),
			 0);
	delete_default_routes();
}

/* The kernel keeps the first frame, whose sender tells the gateway, with all of its headers. */
static void long_first_frame_is_a_strangers(void **state)
{
	/* RFC 8200, 4.2 and 4.6: 256 bytes, one option of a type that receivers skip (RFC 4727). */
	static const uint8_t options[256] = {[1] = 31, [2] = 0x1e, [3] = 252};
	int client = socket_in(far_netns, AF_INET6);

	(void)state;
	add_default_routes();
	/* linux/in6.h: IPV6_DSTOPTS */
	assert_int_equal(setsockopt(client, IPPROTO_IPV6, 59, options, sizeof(options)), 0);
	assert_int_equal(stranger(client, "[" HOME_IPV6 "]:39001"), 1);
	delete_default_routes();
}

/* Adds a route that makes foreign addresses local, as sidestep's own do. */
static void route_foreign_to_lo(void)
{
	_cleanup_netlink_ struct netlink *netlink = NULL;
	struct netlink_route route = {.table = 255,
				      .ifindex = if_nametoindex("lo"),
				      .type = 2,
				      .protocol = NETLINK_PROTOCOL_SIDESTEP};

	assert_int_equal(prefix_parse("2001:db8::/32", &route.destination), 0);
	assert_int_equal(netlink_open(&netlink), 0);
	assert_int_equal(netlink_route_replace(netlink, &route), 0);
}

/* Makes a socket of the namespace with a foreign source address, bound to @device if that is set.
 */
static int foreign_socket(const char *device)
{
	struct endpoint source = endpoint("[2001:db8::7]:0");
	static const int one = 1;
	int fd = socket_in(home_netns, AF_INET6);

	/* linux/in6.h: IPV6_FREEBIND */
	assert_int_equal(setsockopt(fd, IPPROTO_IPV6, 78, &one, sizeof(one)), 0);
	if (device)
		assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device,
					    (socklen_t)strlen(device)),
				 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&source.address, endpoint_size(&source)), 0);
	return fd;
}

static void mirrored_socket_is_found(void **state)
{
	const char *why = NULL;
	int listener = listen_at("[::]:39001");
	struct pair pair;

	(void)state;
	route_foreign_to_lo();
	close(listener);
	expect_inside("[::]:39001", foreign_socket(NULL), "[" HOME_IPV6 "]:39001", "a socket of");
	expect_inside("[::]:39001", foreign_socket("lo"), "[::1]:39001", "a socket of");

	/* Closed at once, the socket is an orphan in FIN_WAIT2. */
	listener = listen_at("[::]:39001");
	pair = pair_of(listener, foreign_socket(NULL), "[" HOME_IPV6 "]:39001");
	close(pair.client);
	assert_int_equal(control_origin_inside(origin, pair.accepted, &why), 1);
	pair.client = -1;
	pair_close(&pair);

	/* After a reset there is no socket to find, and nobody to answer. */
	pair = pair_of(listener, foreign_socket(NULL), "[" HOME_IPV6 "]:39001");
	assert_int_equal(setsockopt(pair.client, SOL_SOCKET, SO_LINGER,
				    &(struct linger) {.l_onoff = 1}, sizeof(struct linger)),
			 0);
	close(pair.client);
	assert_int_equal(control_origin_inside(origin, pair.accepted, &why), -ENOTCONN);
	pair.client = -1;
	pair_close(&pair);
	close(listener);
}

/* Does a byte arrive? Over loopback it is dropped before the sender's call returns. */
static bool is_heard(const struct pair *pair)
{
	struct pollfd poll_in = {.fd = pair->accepted, .events = POLLIN};

	assert_int_equal(send(pair->client, "x", 1, MSG_NOSIGNAL), 1);
	return poll(&poll_in, 1, 100) > 0;
}

static void loopback_is_not_heard(void **state)
{
	int listener = listen_at("[::]:39001");
	struct pair pair;
	char byte;

	(void)state;
	pair = pair_of(listener, socket_in(home_netns, AF_INET), "127.0.0.1:39001");
	assert_false(is_heard(&pair));
	/* Without the filter it arrives: the client's TCP repeats the dropped segment. */
	control_origin_unguard(pair.accepted);
	assert_int_equal(poll(&(struct pollfd) {.fd = pair.accepted, .events = POLLIN}, 1, 5000),
			 1);
	assert_int_equal(recv(pair.accepted, &byte, 1, 0), 1);
	pair_close(&pair);

	pair = pair_of(listener, foreign_socket(NULL), "[" HOME_IPV6 "]:39001");
	assert_false(is_heard(&pair));
	pair_close(&pair);

	pair = pair_of(listener, socket_in(far_netns, AF_INET), HOME_IPV4 ":39001");
	assert_true(is_heard(&pair));
	pair_close(&pair);
	pair = pair_of(listener, socket_in(far_netns, AF_INET6), "[" HOME_IPV6 "]:39001");
	assert_true(is_heard(&pair));
	pair_close(&pair);
	close(listener);
}

static int setup(void **state)
{
	return make_namespaces(state) || control_origin_new(&origin);
}

static int teardown(void **state)
{
	(void)state;
	control_origin_free(origin);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(own_and_loopback_addresses_are_inside),
		cmocka_unit_test(other_namespace_is_outside),
		cmocka_unit_test(listener_at_the_peers_port_is_no_mirror),
		cmocka_unit_test(address_added_later_is_seen),
		cmocka_unit_test(gateway_is_no_stranger),
		cmocka_unit_test(who_is_allowed_may_ask_from_outside_alone),
		cmocka_unit_test(long_first_frame_is_a_strangers),
		cmocka_unit_test(mirrored_socket_is_found),
		cmocka_unit_test(loopback_is_not_heard),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
