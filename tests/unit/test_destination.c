// SPDX-License-Identifier: Apache-2.0
/* Checks that a redirected connection has the destination that its client asked for, and that one
 * to the listener itself has the listener's address. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <nftables/libnftables.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/address.h"
#include "lib/util.h"
#include "proxy/destination.h"
#include "support/own_netns.h"

/* Sends connections to port 7 to @port. */
static void redirect(uint16_t port)
{
	struct nft_ctx *context = nft_ctx_new(NFT_CTX_DEFAULT);
	char text[160];

	(void)snprintf(text, sizeof(text),
		       "table inet test { chain out { type nat hook output priority -100; "
		       "tcp dport 7 redirect to :%u; }; }",
		       port);
	assert_non_null(context);
	assert_int_equal(nft_run_cmd_from_buffer(context, text), 0);
	nft_ctx_free(context);
}

static struct sockaddr_storage address(const char *text, uint16_t port, socklen_t *ret_size)
{
	struct sockaddr_storage storage = {.ss_family = strchr(text, ':') ? AF_INET6 : AF_INET};
	struct sockaddr_in *ipv4 = (struct sockaddr_in *)&storage;
	struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)&storage;

	*ret_size = storage.ss_family == AF_INET6 ? sizeof(*ipv6) : sizeof(*ipv4);
	if (storage.ss_family == AF_INET6) {
		ipv6->sin6_port = htons(port);
		assert_int_equal(inet_pton(AF_INET6, text, &ipv6->sin6_addr), 1);
	} else {
		ipv4->sin_port = htons(port);
		assert_int_equal(inet_pton(AF_INET, text, &ipv4->sin_addr), 1);
	}
	return storage;
}

/* Connects to an address, and returns the text of the accepted connection's destination. */
static const char *destination(int listener, const char *to, uint16_t port)
{
	static char text[ADDRESS_TEXT_MAX];
	struct sockaddr_storage found;
	socklen_t size;
	struct sockaddr_storage wanted = address(to, port, &size);
	_cleanup_close_ int client = socket(wanted.ss_family, SOCK_STREAM, 0), fd = -1;

	assert_int_equal(connect(client, (const struct sockaddr *)&wanted, size), 0);
	fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0);
	assert_int_equal(destination_get(fd, &found), 0);
	return endpoint_format((const struct sockaddr *)&found, text);
}

static void check(const char *loopback, const char *elsewhere, const char *expected)
{
	socklen_t size;
	struct sockaddr_storage storage = address(loopback, 4000, &size);
	_cleanup_close_ int listener = socket(storage.ss_family, SOCK_STREAM, 0);

	assert_int_equal(bind(listener, (const struct sockaddr *)&storage, size), 0);
	assert_int_equal(listen(listener, 4), 0);
	assert_true(destination_is_loopback(&storage));
	assert_non_null(strstr(destination(listener, loopback, 4000), ":4000"));
	redirect(4000);
	assert_string_equal(destination(listener, elsewhere, 7), expected);
	assert_non_null(strstr(destination(listener, loopback, 4000), ":4000"));
}

static void test_ipv4(void **state)
{
	(void)state;
	check("127.0.0.1", "127.5.5.5", "127.5.5.5:7");
}

static void test_ipv6(void **state)
{
	(void)state;
	check("::1", "::1", "[::1]:7");
}

static void test_loopback(void **state)
{
	socklen_t size;
	struct sockaddr_storage ipv4 = address("203.0.113.1", 443, &size);
	struct sockaddr_storage ipv6 = address("2001:db8::1", 443, &size);

	(void)state;
	assert_false(destination_is_loopback(&ipv4));
	assert_false(destination_is_loopback(&ipv6));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_ipv4, enter_own_netns),
		cmocka_unit_test_setup(test_ipv6, enter_own_netns),
		cmocka_unit_test(test_loopback),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
