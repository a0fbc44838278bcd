// SPDX-License-Identifier: Apache-2.0
/* Tests how names are found in hosts(5), and resolvers in resolv.conf(5), and which texts name a
 * gateway. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/address.h"
#include "lib/hosts_file.h"
#include "lib/name_files.h"
#include "lib/resolv_conf.h"
#include "sidecar/gateway_target.h"

static const char *write_file(const char *text)
{
	static char path[32];
	int fd;

	(void)strcpy(path, "/tmp/names-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(close(fd), 0);
	return path;
}

/* Returns the addresses of the name, each with a blank behind it. */
static const char *found_in(const char *text, const char *name)
{
	static char line[256];
	char address[ADDRESS_TEXT_MAX];
	uint8_t addresses[3][16];
	const char *path = write_file(text);
	size_t count = hosts_file_find(path, name, addresses, 3), i;

	line[0] = '\0';
	for (i = 0; i < count; i++) {
		(void)strcat(line, address_format(addresses[i], address));
		(void)strcat(line, " ");
	}
	assert_int_equal(unlink(path), 0);
	return line;
}

static void test_hosts(void **state)
{
	(void)state;
	assert_string_equal(found_in("", "gw"), "");
	assert_string_equal(found_in("192.0.2.1 gw\n", "gw"), "192.0.2.1 ");
	assert_string_equal(found_in("192.0.2.1\tother  GW\r\n", "gw"), "192.0.2.1 ");
	assert_string_equal(found_in("fd00::1 gw\n192.0.2.1 gw\n", "gw"), "192.0.2.1 fd00::1 ");
	assert_string_equal(found_in("192.0.2.1 gw.test\n192.0.2.2 gww", "gw"), "");
	assert_string_equal(found_in("#192.0.2.1 gw\n192.0.2.2 x # gw\n1.2.3 gw\n", "gw"), "");
	assert_string_equal(found_in("1.1.1.1 g\n1.1.1.2 g\n1.1.1.3 g\n1.1.1.4 g\nfd00::1 g", "g"),
			    "1.1.1.1 1.1.1.2 1.1.1.3 ");
	assert_int_equal(hosts_file_find("/nonexistent/hosts", "gw", NULL, 0), 0);
}

static void read_conf(const char *text, struct resolv_conf *conf)
{
	const char *path = write_file(text);

	assert_int_equal(resolv_conf_read(path, conf), 0);
	assert_int_equal(unlink(path), 0);
}

static void assert_server(const struct resolv_conf *conf, size_t i, const char *expected)
{
	char text[ADDRESS_TEXT_MAX];

	assert_true(i < conf->server_count);
	assert_string_equal(address_format(conf->servers[i], text), expected);
}

static void test_resolvers(void **state)
{
	struct resolv_conf conf = {.server_count = 0};

	(void)state;
	read_conf("", &conf);
	assert_int_equal(conf.server_count, 1);
	assert_server(&conf, 0, "127.0.0.1");
	assert_int_equal(conf.ndots, 1);
	read_conf("nameserver 127.0.0.11\nsearch a.test b\noptions rotate ndots:0\n", &conf);
	assert_int_equal(conf.server_count, 1);
	assert_server(&conf, 0, "127.0.0.11");
	assert_int_equal(conf.ndots, 0);
	assert_int_equal(conf.search.count, 2);
	assert_string_equal(conf.search.domains[1], "b");
	/* A file that cannot be read changes nothing. */
	assert_int_equal(resolv_conf_read("/nonexistent/resolv.conf", &conf), -ENOENT);
	assert_server(&conf, 0, "127.0.0.11");
	read_conf("#nameserver 1.1.1.1\nnameserver\nnameserver x\nnameserver fe80::1%eth0\n"
		  "nameserver 1.1.1.2\nnameserver fd00::1\nnameserver 1.1.1.3\nnameserver 1.1.1.4\n"
		  "options ndots:99",
		  &conf);
	assert_int_equal(conf.server_count, 3);
	assert_server(&conf, 0, "1.1.1.2");
	assert_server(&conf, 1, "fd00::1");
	assert_server(&conf, 2, "1.1.1.3");
	assert_int_equal(conf.ndots, 15);
	assert_int_equal(conf.search.count, 0);
	resolv_conf_clear(&conf);
	assert_int_equal(conf.server_count, 0);
}

static void test_gateways(void **state)
{
	static const char *const wrong[] = {
		"",
		"gw",
		"gw:",
		":80",
		"gw:x",
		"gw:99999",
		"gw:-1",
		"gw :80",
		"g/w:80",
		"a..b:80",
		".a:80",
		"1.2.3.4.5:80",
		"1.2.3:80",
		"fd00::1:80",
		"[gw]:80",
		"gw:80 ",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:80",
	};
	static const struct {
		const char *text, *host, *address;
	} right[] = {
		{"gw:8080", "gw", "unknown:8080"},
		{"My_gw-1.corp.test.:1", "My_gw-1.corp.test.", "unknown:1"},
		{"3com.test:65535", "3com.test", "unknown:65535"},
		{"192.0.2.1:80", "", "192.0.2.1:80"},
		{"[fd00::1]:80", "", "[fd00::1]:80"},
	};
	char text[SOCKET_ADDRESS_TEXT_MAX];
	struct gateway_target target;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(gateway_target_parse(wrong[i], &target), -EINVAL);
	for (i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
		assert_int_equal(gateway_target_parse(right[i].text, &target), 0);
		assert_string_equal(target.host, right[i].host);
		assert_string_equal(socket_address_format(&target.address, text), right[i].address);
	}
}

/* A port that changes before the address is known is kept. */
static void test_unknown_address(void **state)
{
	uint8_t ipv4[16], ipv6[16];
	char text[SOCKET_ADDRESS_TEXT_MAX];
	struct socket_address address;

	(void)state;
	assert_int_equal(address_parse("192.0.2.1", ipv4), 0);
	assert_int_equal(address_parse("fd00::1", ipv6), 0);
	socket_address_unknown(htons(80), &address);
	assert_false(socket_address_is_loopback(&address));
	*socket_address_port(&address) = htons(81);
	assert_string_equal(socket_address_format(&address, text), "unknown:81");
	socket_address_inet(ipv4, *socket_address_port(&address), &address);
	assert_string_equal(socket_address_format(&address, text), "192.0.2.1:81");
	socket_address_inet(ipv6, *socket_address_port(&address), &address);
	assert_string_equal(socket_address_format(&address, text), "[fd00::1]:81");
}

static const char *elsewhere; /* NULL: nothing is there */

static int open_elsewhere(const char *path)
{
	assert_string_equal(path, "/nonexistent/file");
	return elsewhere ? open(elsewhere, O_RDONLY | O_CLOEXEC) : -EACCES;
}

/* As in a process without files. */
static void test_files_of_another_process(void **state)
{
	struct resolv_conf conf = {0};
	uint8_t addresses[1][16];

	(void)state;
	name_files_from(open_elsewhere);
	assert_int_equal(hosts_file_find("/nonexistent/file", "gw", addresses, 1), 0);
	assert_int_equal(resolv_conf_read("/nonexistent/file", &conf), -EACCES);
	elsewhere = write_file("192.0.2.1 gw\nnameserver 192.0.2.53\nsearch example.com\n");
	assert_int_equal(hosts_file_find("/nonexistent/file", "gw", addresses, 1), 1);
	assert_int_equal(resolv_conf_read("/nonexistent/file", &conf), 0);
	name_files_from(NULL);
	assert_server(&conf, 0, "192.0.2.53");
	assert_string_equal(conf.search.domains[0], "example.com");
	resolv_conf_clear(&conf);
	assert_int_equal(unlink(elsewhere), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_resolvers),
		cmocka_unit_test(test_gateways),
		cmocka_unit_test(test_unknown_address),
		cmocka_unit_test(test_files_of_another_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
