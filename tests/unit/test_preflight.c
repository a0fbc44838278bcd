// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/address.h"
#include "lib/socket_address.h"
#include "lib/util.h"
#include "sidecar/gateway_echo.h"
#include "sidecar/preflight.h"
#include "support/two_netns.h"

static struct socket_address tcp(const char *text)
{
	struct socket_address gateway = {.size = 0};
	struct endpoint endpoint;

	assert_int_equal(endpoint_parse(text, &endpoint), 0);
	gateway.address = endpoint.address;
	gateway.size = endpoint_size(&endpoint);
	return gateway;
}

static struct socket_address local(const char *path)
{
	struct socket_address gateway = {.size = sizeof(struct sockaddr_un)};
	struct sockaddr_un *address = (struct sockaddr_un *)&gateway.address;

	address->sun_family = AF_UNIX;
	memcpy(address->sun_path, path, strlen(path) + 1);
	return gateway;
}

/* Returns a socket with a queue of that length (negative: not listening). @gateway gets its port.
 */
static int bound(struct socket_address *gateway, int backlog)
{
	int fd = socket(gateway->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t size = sizeof(gateway->address);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&gateway->address, gateway->size), 0);
	if (backlog >= 0)
		assert_int_equal(listen(fd, backlog), 0);
	if (gateway->address.ss_family != AF_UNIX)
		assert_int_equal(getsockname(fd, (struct sockaddr *)&gateway->address, &size), 0);
	return fd;
}

static int check(const struct socket_address *gateway)
{
	const struct preflight_config config = {.limit_ms = 100, .stop_fd = -1};

	return preflight_check(&config, gateway);
}

static void assert_advice(const struct socket_address *gateway, int error, const char *cause,
			  const char *remedy)
{
	struct preflight_advice advice = preflight_explain(gateway, error);

	assert_non_null(strstr(advice.cause, cause));
	assert_non_null(strstr(advice.remedy, remedy));
}

static int announce(void *context, int fd, const struct sockaddr *destination)
{
	struct sockaddr_in peer;
	socklen_t size = sizeof(peer);

	/* An announcement after connect() would be too late. */
	assert_int_equal(getpeername(fd, (struct sockaddr *)&peer, &size), -1);
	assert_int_equal(destination->sa_family, AF_INET);
	return *(int *)context;
}

static void test_reached(void **state)
{
	struct socket_address gateway = tcp(HOME_IPV4 ":0");
	_cleanup_close_ int listener = bound(&gateway, 1);
	_cleanup_close_ int peer = -1;
	int result = 0;
	struct preflight_config config = {.limit_ms = 100,
					  .stop_fd = -1,
					  .announcer = {announce, &result}};
	char byte;

	(void)state;
	assert_int_equal(preflight_check(&config, &gateway), 0);
	peer = accept(listener, NULL, NULL);
	assert_true(peer >= 0);
	assert_int_equal(read(peer, &byte, 1), 0);
	result = -EPERM;
	assert_int_equal(preflight_check(&config, &gateway), -EPERM);
}

static void test_refused(void **state)
{
	struct socket_address gateway = tcp(HOME_IPV4 ":0"), loopback = tcp("127.0.0.1:9");
	_cleanup_close_ int held = bound(&gateway, -1);

	(void)state;
	assert_true(held >= 0);
	assert_int_equal(check(&gateway), -ECONNREFUSED);
	assert_advice(&gateway, -ECONNREFUSED, "nothing listens",
		      "not only on the host's 127.0.0.1");
	assert_int_equal(check(&loopback), -ECONNREFUSED);
	assert_advice(&loopback, -ECONNREFUSED, "nothing listens", "container's own loopback");
}

static void test_no_route(void **state)
{
	struct socket_address gateway = tcp("192.0.2.77:80");

	(void)state;
	assert_int_equal(check(&gateway), -ENETUNREACH);
	assert_advice(&gateway, -ENETUNREACH, "no route", "host.docker.internal:host-gateway");
	assert_advice(&gateway, -EHOSTUNREACH, "no host", "host.docker.internal:host-gateway");
}

/* Nobody answers ARP for the address, so no answer comes before the limit. */
static void test_silence(void **state)
{
	struct socket_address gateway = tcp("10.9.0.77:80");

	(void)state;
	assert_int_equal(check(&gateway), -ETIMEDOUT);
	assert_advice(&gateway, -ETIMEDOUT, "firewall", "let the gateway's port in");
}

static void test_stopped(void **state)
{
	_cleanup_close_ int stop = eventfd(1, EFD_CLOEXEC);
	struct preflight_config config = {.limit_ms = 60000, .stop_fd = stop};
	struct socket_address gateway = tcp("10.9.0.78:80");

	(void)state;
	assert_int_equal(preflight_check(&config, &gateway), -ECANCELED);
}

static void test_unix(void **state)
{
	char directory[] = "/tmp/preflight-XXXXXX", path[64], text[128];
	_cleanup_close_ int listener = -1;
	struct socket_address gateway;

	(void)state;
	assert_non_null(mkdtemp(directory));
	(void)snprintf(path, sizeof(path), "%s/gateway", directory);
	gateway = local(path);
	assert_int_equal(check(&gateway), -ENOENT);
	assert_advice(&gateway, -ENOENT, "no such socket", "mount");
	listener = bound(&gateway, 0);
	assert_int_equal(check(&gateway), 0);
	/* The queue has room for one connection, which nobody accepts. */
	assert_int_equal(check(&gateway), -ETIMEDOUT);
	assert_advice(&gateway, -ETIMEDOUT, "accepts nothing", "overloaded");
	listener = safe_close(listener);
	assert_int_equal(check(&gateway), -ECONNREFUSED);
	assert_advice(&gateway, -ECONNREFUSED, "nobody listens on it", "directory");
	assert_memory_equal(socket_address_format(&gateway, text), "unix:/tmp/preflight-", 20);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(directory), 0);
}

/* Only a gateway with an own address is near. This namespace has no bridge. */
static void test_near(void **state)
{
	struct socket_address own = tcp(HOME_IPV4 ":80"), own6 = tcp("[" HOME_IPV6 "]:80");
	struct socket_address loopback = tcp("127.9.9.9:80"), far = tcp(FAR_IPV4 ":80");
	struct socket_address unreachable = tcp("192.0.2.77:80"), path = local("/gateway");
	char directory[] = "/tmp/preflight-XXXXXX", name[64];
	int listener;

	(void)state;
	assert_true(gateway_is_near(&own, false));
	assert_true(gateway_is_near(&own6, false));
	assert_true(gateway_is_near(&loopback, false));
	assert_false(gateway_is_near(&far, false));
	assert_false(gateway_is_near(&unreachable, false));
	assert_false(gateway_is_near(&path, false));
	assert_non_null(mkdtemp(directory));
	(void)snprintf(name, sizeof(name), "%s/gateway", directory);
	path = local(name);
	listener = bound(&path, 1);
	assert_true(gateway_is_near(&path, false));
	assert_false(gateway_is_near(&path, true));
	enter_netns(far_netns);
	assert_false(gateway_is_near(&path, false));
	enter_netns(home_netns);
	close(listener);
	assert_int_equal(unlink(name), 0);
	assert_int_equal(rmdir(directory), 0);
	assert_false(gateway_is_near(&own, true));
	assert_false(gateway_is_near(&far, true));
}

/* The stop ends the thread at once, although the check would last longer. */
static void test_thread(void **state)
{
	const struct preflight_config config = {.limit_ms = 60000};
	struct socket_address gateway = tcp(HOME_IPV4 ":0"), silent = tcp("10.9.0.79:80");
	_cleanup_close_ int listener = bound(&gateway, 1);
	struct preflight *preflight;
	int peer;

	(void)state;
	assert_int_equal(preflight_new(&config, &preflight), 0);
	preflight_request(preflight, &gateway);
	peer = accept(listener, NULL, NULL);
	assert_true(peer >= 0);
	(void)safe_close(peer);
	preflight_request(preflight, &silent);
	preflight_free(preflight);
	preflight_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reached),	 cmocka_unit_test(test_refused),
		cmocka_unit_test(test_no_route), cmocka_unit_test(test_silence),
		cmocka_unit_test(test_stopped),	 cmocka_unit_test(test_unix),
		cmocka_unit_test(test_near),	 cmocka_unit_test(test_thread),
	};

	return cmocka_run_group_tests(tests, make_namespaces, NULL);
}
