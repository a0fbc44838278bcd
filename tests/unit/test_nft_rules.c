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
#include "datapath/datapath_nft_steer.h"
#include "support/nft_bed.h"

/* The proxy's answers have its mark, and its listener's port becomes 53. Where the address is not
 * the namespace's they are dropped, before the rule that lets the proxy's sockets out. */
static void test_answers_stay(void **state)
{
	struct datapath *datapath = nft_bed_attached(SIDESTEP_UDP_PASS);
	char *text = nft_bed_listing(), *answer, *own;

	(void)state;
	answer = strstr(text, "udp sport 53 counter name \"DENY_ANSWER\" goto drop_DENY_ANSWER");
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
	listener = strstr(text, "goto nobody");
	assert_non_null(forgotten);
	assert_non_null(listener);
	assert_true(forgotten < listener);
	free(text);
	nft_bed_assert_listed("ct timeout set \"half_closed\"", true);
	datapath_free(datapath);
}

/* Installs these rules alone. */
static void install(const struct nft_rules *rules)
{
	struct mnl_socket *socket;
	struct nft_failure failure;
	_cleanup_batch_ struct nft_batch batch;

	nft_batch_open(&batch);
	assert_int_equal(nft_socket_open(&socket), 0);
	nft_rules_add(&batch, rules);
	assert_int_equal(nft_batch_commit(socket, &batch, &failure), 0);
	nft_socket_close(socket);
}

/* A kernel without CONFIG_NF_CONNTRACK_TIMEOUT gets the table without them. */
static void test_table_without_timeouts(void **state)
{
	const struct nft_rules rules = {.gateway = "", .own_mark = 1};

	(void)state;
	install(&rules);
	nft_bed_assert_listed("its replies pass", true);
	nft_bed_assert_listed("half_closed", false);
}

/* Without tproxy connections are redirected, and the port of queries is rewritten. */
static void test_redirect(void **state)
{
	struct nft_rules rules = {.gateway = "",
				  .own_mark = 1,
				  .redirect = true,
				  .listeners = {[SIDESTEP_LISTENER_TCP4] = 4001,
						[SIDESTEP_LISTENER_TCP6] = 4002,
						[SIDESTEP_LISTENER_DNS4] = 4003,
						[SIDESTEP_LISTENER_DNS6] = 4004}};

	(void)state;
	install(&rules);
	nft_bed_assert_listed("tproxy", false);
	nft_bed_assert_listed("meta nfproto ipv4 redirect to :4001", true);
	nft_bed_assert_listed("meta nfproto ipv6 redirect to :4002", true);
	nft_bed_assert_listed("udp dport 53 udp dport set 4003 accept", true);
	nft_bed_assert_listed("udp dport 53 udp dport set 4004 accept", true);
	nft_bed_assert_listed("tcp sport 4001 ip saddr 127.0.0.1 ct state ! established drop",
			      true);
	nft_bed_assert_listed("udp dport 4003 ip daddr @local4 drop", true);
	nft_bed_assert_listed("udp dport 4003 socket transparent 0 drop", true);
	nft_bed_assert_listed("tcp dport 4001", true);
	nft_bed_assert_listed("reject with tcp reset", true);
	rules.no_socket = rules.no_reject = true;
	install(&rules);
	nft_bed_assert_listed("meta nfproto ipv4 redirect to :4001", true);
	nft_bed_assert_listed("transparent", false);
	nft_bed_assert_listed("reject", false);
}

/* A table is left for redirected connections when an agent has taken over. */
static void test_retired(void **state)
{
	const struct nft_rules rules = {
		.gateway = "",
		.listeners = {[SIDESTEP_LISTENER_TCP4] = 4001, [SIDESTEP_LISTENER_DNS4] = 4003}};
	struct mnl_socket *socket;
	struct nft_failure failure;
	_cleanup_batch_ struct nft_batch batch;

	(void)state;
	nft_batch_open(&batch);
	assert_int_equal(nft_socket_open(&socket), 0);
	nft_steer_add_retired(&batch, &rules);
	assert_int_equal(nft_batch_commit(socket, &batch, &failure), 0);
	nft_socket_close(socket);
	nft_bed_assert_listed("type nat hook output priority -100", true);
	nft_bed_assert_listed("ct state", true);
	nft_bed_assert_listed("udp dport 4003 drop", true);
	nft_bed_assert_listed("redirect to", false);
	nft_bed_assert_listed("chain judge", false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_answers_stay, nft_bed_enter),
		cmocka_unit_test_setup(test_sources_of_errors, nft_bed_enter),
		cmocka_unit_test_setup(test_segments_fit_the_device, nft_bed_enter),
		cmocka_unit_test_setup(test_forgotten_connections, nft_bed_enter),
		cmocka_unit_test_setup(test_table_without_timeouts, nft_bed_enter),
		cmocka_unit_test_setup(test_redirect, nft_bed_enter),
		cmocka_unit_test_setup(test_retired, nft_bed_enter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
