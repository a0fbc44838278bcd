// SPDX-License-Identifier: Apache-2.0
/* The nftables datapath in a network namespace of its own: the kernel takes what is generated. */
#include <errno.h>
#include <nftables/libnftables.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "datapath/datapath_nft.h"
#include "datapath/datapath_nft_rules.h"

static struct prefix prefix(const char *text)
{
	struct prefix result;

	assert_int_equal(prefix_parse(text, &result), 0);
	return result;
}

static void set(struct datapath *datapath, const char *text, uint32_t sources)
{
	struct prefix value = prefix(text);

	assert_int_equal(datapath_bypass_set(datapath, &value,
					     &(struct sidestep_bypass) {.sources = sources}),
			 0);
}

/* What nft(8) would print; the caller's to free. */
static char *listing(void)
{
	struct nft_ctx *context = nft_ctx_new(NFT_CTX_DEFAULT);
	char *text;

	assert_non_null(context);
	assert_int_equal(nft_ctx_buffer_output(context), 0);
	assert_int_equal(nft_run_cmd_from_buffer(context, "list ruleset"), 0);
	text = strdup(nft_ctx_get_output_buffer(context));
	nft_ctx_free(context);
	assert_non_null(text);
	return text;
}

static void assert_listed(const char *part, bool expected)
{
	char *text = listing();

	if (!!strstr(text, part) != expected)
		fail_msg("\"%s\" %s in:\n%s", part, expected ? "not" : "unexpectedly", text);
	free(text);
}

static int enter_namespace(void **state)
{
	(void)state;
	return unshare(CLONE_NEWNET);
}

static struct datapath *attached(bool udp_pass)
{
	struct datapath_nft_config config = {.udp_pass = udp_pass};
	struct datapath *datapath;

	assert_int_equal(datapath_nft_new(&config, &datapath), 0);
	assert_int_equal(datapath_set_gateway(datapath, "10.0.0.1:80 \"\\ }"), 0);
	set(datapath, "172.30.0.2", SIDESTEP_FROM_LOCAL);
	set(datapath, "172.30.0.0/24", SIDESTEP_FROM_CONNECTED);
	set(datapath, "fe80::/10", SIDESTEP_FROM_BUILTIN);
	assert_int_equal(datapath_commit(datapath), 0);
	assert_int_equal(datapath_attach(datapath), 0);
	return datapath;
}

static void test_nothing_before_attach_and_after_free(void **state)
{
	struct datapath_nft_config config = {0};
	struct datapath *datapath;

	(void)state;
	assert_int_equal(datapath_nft_new(&config, &datapath), 0);
	set(datapath, "172.30.0.0/24", SIDESTEP_FROM_CONNECTED);
	assert_int_equal(datapath_commit(datapath), 0);
	assert_listed("table", false);
	datapath_free(datapath);
	datapath = attached(false);
	assert_listed("table inet sidestep", true);
	assert_listed("gateway 10.0.0.1:80 ?? }", true);
	datapath_free(datapath);
	assert_listed("table", false);
}

static void test_replaces_a_predecessors_table(void **state)
{
	struct datapath *killed = attached(false), *datapath = attached(true);

	(void)state;
	assert_listed("counter name \"PASS_UDP\" goto let_out", true);
	assert_listed("counter name \"DENY_UDP\"", false);
	datapath_free(datapath);
	datapath_free(killed); /* gone already: no harm */
	assert_listed("table", false);
}

static void test_updates_are_whole(void **state)
{
	struct datapath *datapath = attached(false);
	struct prefix gone = prefix("172.30.0.0/24");
	struct sidestep_flow_key key = {.local_port = 80, .remote_port = 4000};
	int i;

	(void)state;
	for (i = 0; i < 1000; i++) {
		char text[32];

		(void)snprintf(text, sizeof(text), "10.%d.%d.0/24", i / 250, i % 250);
		set(datapath, text, SIDESTEP_FROM_DOCKER);
	}
	assert_int_equal(datapath_bypass_remove(datapath, &gone), 0);
	assert_int_equal(address_parse("172.30.0.2", key.local_address), 0);
	assert_int_equal(address_parse("198.51.100.2", key.remote_address), 0);
	assert_int_equal(datapath_inbound_add(datapath, &key), 0);
	assert_listed("10.3.249.0/24", false);
	assert_int_equal(datapath_commit(datapath), 0);
	assert_listed("10.3.249.0/24", true);
	assert_listed("172.30.0.0/24", false);
	assert_listed("172.30.0.2 . 80 . 198.51.100.2 . 4000", true);
	/* Wider than what is there, and in its place. */
	set(datapath, "10.0.0.0/8", SIDESTEP_FROM_OPTION);
	assert_int_equal(datapath_commit(datapath), 0);
	assert_listed("10.3.249.0/24", false);
	assert_listed("10.0.0.0/8", true);
	datapath_free(datapath);
}

static void test_a_table_that_was_taken_away_comes_back(void **state)
{
	struct datapath *datapath = attached(false);
	struct nft_ctx *context = nft_ctx_new(NFT_CTX_DEFAULT);

	(void)state;
	assert_int_equal(nft_run_cmd_from_buffer(context, "delete table inet sidestep"), 0);
	nft_ctx_free(context);
	set(datapath, "10.0.0.0/8", SIDESTEP_FROM_OPTION);
	assert_int_equal(datapath_commit(datapath), 0);
	assert_listed("10.0.0.0/8", true);
	assert_listed("172.30.0.2", true);
	datapath_free(datapath);
}

static uint32_t mark_of(int fd)
{
	uint32_t mark;
	socklen_t size = sizeof(mark);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_MARK, &mark, &size), 0);
	return mark;
}

static void test_own_sockets_are_known_by_port_and_mark(void **state)
{
	struct datapath *datapath = attached(false);
	struct sockaddr_in outside = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0xc0000201)};
	struct sockaddr_in near = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0xac1e0001)};
	struct sockaddr_in address;
	socklen_t size = sizeof(address);
	int tcp = socket(AF_INET, SOCK_STREAM, 0), udp = socket(AF_INET6, SOCK_DGRAM, 0);
	int other = socket(AF_INET, SOCK_STREAM, 0);
	char element[64];

	(void)state;
	assert_int_equal(datapath_own_socket(datapath, other, (const struct sockaddr *)&near), 0);
	assert_int_equal(mark_of(other), 0);
	assert_listed("tcp . ", false);
	assert_int_equal(datapath_own_socket(datapath, tcp, (const struct sockaddr *)&outside), 0);
	assert_int_equal(getsockname(tcp, (struct sockaddr *)&address, &size), 0);
	assert_int_not_equal(address.sin_port, 0);
	assert_int_not_equal(mark_of(tcp), 0);
	(void)snprintf(element, sizeof(element), "tcp . %u timeout 10s", ntohs(address.sin_port));
	assert_listed(element, true);
	/* Again, as for a port that was used before. */
	assert_int_equal(datapath_own_socket(datapath, tcp, (const struct sockaddr *)&outside), 0);
	assert_int_equal(datapath_own_socket(datapath, udp, NULL), 0);
	assert_int_equal(datapath_own_socket(datapath, udp, NULL), 0);
	assert_int_equal(mark_of(udp), mark_of(tcp));
	assert_listed("udp . ", true);
	close(tcp);
	close(udp);
	close(other);
	datapath_free(datapath);
}

static void test_devices(void **state)
{
	struct datapath *datapath = attached(false);

	(void)state;
	assert_int_equal(datapath_attach_device(datapath, 4711), -ENODEV);
	assert_int_equal(datapath_attach_device(datapath, 1), 0);
	assert_int_equal(datapath_attach_device(datapath, 1), 0);
	assert_int_equal(datapath_commit(datapath), 0);
	assert_listed("device \"lo\"", true);
	datapath_detach_device(datapath, 1);
	assert_int_equal(datapath_commit(datapath), 0);
	assert_listed("device \"lo\"", false);
	datapath_free(datapath);
}

static void test_device_names_cannot_write_rules(void **state)
{
	static const char names[][IFNAMSIZ] = {"a\"b", "eth0", "x*", "c\\d"};
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	(void)state;
	nft_write_guard_table(stream, names, 4);
	fclose(stream);
	assert_non_null(strstr(text, "device \"eth0\""));
	assert_null(strstr(text, "a\"b"));
	assert_null(strstr(text, "x*"));
	assert_null(strstr(text, "c\\d"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_nothing_before_attach_and_after_free, enter_namespace),
		cmocka_unit_test_setup(test_replaces_a_predecessors_table, enter_namespace),
		cmocka_unit_test_setup(test_updates_are_whole, enter_namespace),
		cmocka_unit_test_setup(test_a_table_that_was_taken_away_comes_back,
				       enter_namespace),
		cmocka_unit_test_setup(test_own_sockets_are_known_by_port_and_mark,
				       enter_namespace),
		cmocka_unit_test_setup(test_devices, enter_namespace),
		cmocka_unit_test(test_device_names_cannot_write_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
