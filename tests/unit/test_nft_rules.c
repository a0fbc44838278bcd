// SPDX-License-Identifier: Apache-2.0
/* Tests the rules of the nftables datapath by their places in the listing of nft(8). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "datapath/datapath_nft_batch.h"
#include "datapath/datapath_nft_rules.h"
#include "support/nft_bed.h"

/* The proxy's answers have its mark, and its listener's port becomes 53. Where the address is not
 * the namespace's they are dropped, before the rule that lets the proxy's sockets out. */
static void test_answers_stay(void **state)
{
	struct datapath *datapath = nft_bed_attached(SIDESTEP_UDP_PASS);
	char *text = nft_bed_listing(), *answer, *own;

	(void)state;
	answer = strstr(text, "udp sport 53 counter name \"DENY_ANSWER\" drop");
	own = strstr(text, "goto as_own");
	assert_non_null(answer);
	assert_non_null(own);
	assert_true(answer < own);
	free(text);
	datapath_free(datapath);
}

/* An ICMP error that conntrack calls related also comes from an address of ours. */
static void test_sources_of_errors(void **state)
{
	struct datapath *datapath = nft_bed_attached(SIDESTEP_UDP_DENY);

	(void)state;
	nft_bed_assert_listed("ct state related goto as_error", true);
	nft_bed_assert_listed("ip saddr @bypass4 goto as_reply", true);
	nft_bed_assert_listed("ip6 saddr @bypass6 goto as_reply", true);
	datapath_free(datapath);
}

/* A socket whose packets go out by way of lo announces what lo carries. The rule stands before the
 * one that accepts. */
static void test_segments_fit_the_device(void **state)
{
	struct datapath *datapath = nft_bed_attached(false);
	char *text = nft_bed_listing(), *set_mss, *leave, *accept;

	(void)state;
	leave = strstr(text, "chain leave {");
	assert_non_null(leave);
	set_mss = strstr(leave, "maxseg size set rt mtu");
	accept = strstr(leave, "accept");
	if (!set_mss)
		fail_msg("no rule in:\n%s", leave);
	assert_non_null(accept);
	assert_true(set_mss < accept);
	free(text);
	datapath_free(datapath);
}

/* Packets that conntrack does not know meet the proxy's sockets before its listeners. A connection
 * from outside may stay half closed. */
static void test_forgotten_connections(void **state)
{
	struct datapath *datapath = nft_bed_attached(false);
	char *text = nft_bed_listing(), *forgotten, *listener;

	(void)state;
	forgotten = strstr(text, "goto forgotten");
	listener = strstr(text, "comment \"nobody listens\"");
	assert_non_null(forgotten);
	assert_non_null(listener);
	assert_true(forgotten < listener);
	free(text);
	nft_bed_assert_listed("ct timeout set \"half_closed\"", true);
	datapath_free(datapath);
}

/* A kernel without CONFIG_NF_CONNTRACK_TIMEOUT gets the table without them. */
static void test_table_without_timeouts(void **state)
{
	const struct nft_rules rules = {.gateway = "", .own_mark = 1};
	struct mnl_socket *socket;
	struct nft_failure failure;
	_cleanup_batch_ struct nft_batch batch;

	(void)state;
	nft_batch_open(&batch);
	assert_int_equal(nft_socket_open(&socket), 0);
	nft_rules_add(&batch, &rules);
	assert_int_equal(nft_batch_commit(socket, &batch, &failure), 0);
	nft_socket_close(socket);
	nft_bed_assert_listed("its replies pass", true);
	nft_bed_assert_listed("half_closed", false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_answers_stay, nft_bed_enter),
		cmocka_unit_test_setup(test_sources_of_errors, nft_bed_enter),
		cmocka_unit_test_setup(test_segments_fit_the_device, nft_bed_enter),
		cmocka_unit_test_setup(test_forgotten_connections, nft_bed_enter),
		cmocka_unit_test_setup(test_table_without_timeouts, nft_bed_enter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
