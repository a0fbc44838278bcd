// SPDX-License-Identifier: Apache-2.0
/* The watch over the peers of a relay: one vanishes, idle or with bytes under way, one lives. */
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/address.h"
#include "lib/util.h"
#include "stream/peer_watch.h"
#include "support/two_netns.h"

struct fixture {
	struct loop *loop;
	struct peer_watches watches;
	struct peer_watch watch;
	struct relay relay;
	struct loop_timer_class end_class;
	struct loop_timer end;
	int side, far; /* side: the one that has vanished; -1: none */
};

static void vanished(struct peer_watch *watch, int side)
{
	struct fixture *fixture = container_of(watch, struct fixture, watch);

	fixture->side = side;
	loop_stop(fixture->loop);
}

static void end(struct loop_timer *timer)
{
	loop_stop(container_of(timer, struct fixture, end)->loop);
}

/* Takes the far end of the line up or down. */
static void set_line(bool up)
{
	struct ifreq request = {.ifr_name = "far0"};
	int fd = socket_in(far_netns, AF_INET);

	assert_int_equal(ioctl(fd, SIOCGIFFLAGS, &request), 0);
	request.ifr_flags = (short)(up ? request.ifr_flags | IFF_UP : request.ifr_flags & ~IFF_UP);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &request), 0);
	close(fd);
}

/* Connects side 1 of a relay to a socket of the far namespace. */
static void setup(struct fixture *fixture, unsigned int limit_ms)
{
	struct endpoint endpoint;
	socklen_t size = sizeof(endpoint.address);
	int listener = socket_in(far_netns, AF_INET), fd = socket_in(home_netns, AF_INET);

	memset(fixture, 0, sizeof(*fixture));
	assert_int_equal(endpoint_parse(FAR_IPV4 ":0", &endpoint), 0);
	assert_int_equal(
		bind(listener, (struct sockaddr *)&endpoint.address, endpoint_size(&endpoint)), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&endpoint.address, &size), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&endpoint.address, size), 0);
	fixture->far = accept(listener, NULL, NULL);
	assert_true(fixture->far >= 0);
	close(listener);
	fixture->loop = loop_new();
	fixture->side = -1;
	fixture->watch.vanished = vanished;
	fixture->end.expired = end;
	relay_init(&fixture->relay, NULL);
	fixture->relay.side[1].fd = fd;
	peer_watches_init(&fixture->watches, fixture->loop, limit_ms);
	peer_watch_start(&fixture->watch, &fixture->watches, &fixture->relay);
}

/* Runs the loop for @ms, or until a peer has vanished. Returns the side. */
static int watch(struct fixture *fixture, unsigned int ms)
{
	loop_timer_class_init(fixture->loop, &fixture->end_class, ms);
	loop_timer_start(fixture->loop, &fixture->end_class, &fixture->end);
	assert_int_equal(loop_run(fixture->loop), 0);
	peer_watch_stop(&fixture->watch);
	loop_timer_stop(&fixture->end);
	close(fixture->relay.side[1].fd);
	close(fixture->far);
	loop_free(fixture->loop);
	return fixture->side;
}

static void test_idle(void **state)
{
	struct fixture fixture;

	(void)state;
	/* The kernel's probes begin after a second. */
	setup(&fixture, 2000);
	set_line(false);
	assert_int_equal(watch(&fixture, 10000), 1);
	set_line(true);
}

static void test_unacknowledged(void **state)
{
	struct fixture fixture;

	(void)state;
	setup(&fixture, 800);
	set_line(false);
	assert_int_equal(send(fixture.relay.side[1].fd, "lost", 4, 0), 4);
	assert_int_equal(watch(&fixture, 10000), 1);
	set_line(true);
}

static void test_alive(void **state)
{
	struct fixture fixture;

	(void)state;
	setup(&fixture, 800);
	assert_int_equal(watch(&fixture, 2400), -1);
}

/* A peer that takes no bytes answers the kernel's probes of its window. */
static void test_stalled(void **state)
{
	static const char bytes[65536];
	struct fixture fixture;

	(void)state;
	setup(&fixture, 2400);
	while (send(fixture.relay.side[1].fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(watch(&fixture, 5000), -1);
}

static void test_off(void **state)
{
	struct fixture fixture;

	(void)state;
	setup(&fixture, 0);
	set_line(false);
	assert_int_equal(send(fixture.relay.side[1].fd, "lost", 4, 0), 4);
	assert_int_equal(watch(&fixture, 2000), -1);
	set_line(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_idle),  cmocka_unit_test(test_unacknowledged),
		cmocka_unit_test(test_alive), cmocka_unit_test(test_stalled),
		cmocka_unit_test(test_off),
	};

	if (geteuid() != 0) {
		(void)puts("1..0 # SKIP network namespaces need root");
		return 0;
	}
	return cmocka_run_group_tests(tests, make_namespaces, NULL);
}
