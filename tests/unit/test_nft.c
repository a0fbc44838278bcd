// SPDX-License-Identifier: Apache-2.0
/* The nftables datapath in a network namespace of its own: the kernel takes the tables, and nft(8)
 * lists them as it would list its own. */
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnftnl/common.h>
#include <net/if.h>
#include <nftables/libnftables.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <cmocka.h>

#include "datapath/datapath_nft.h"
#include "datapath/datapath_nft_batch.h"
#include "datapath/datapath_nft_expr.h"
#include "datapath/datapath_nft_rules.h"
#include "lib/util.h"
#include "support/nft_bed.h"

static int read_generation(const struct nlmsghdr *message, void *context)
{
	const struct nlattr *attribute;

	mnl_attr_for_each (attribute, message, sizeof(struct nfgenmsg)) {
		if (mnl_attr_get_type(attribute) == NFTA_GEN_ID)
			*(uint32_t *)context = ntohl(mnl_attr_get_u32(attribute));
	}
	return MNL_CB_STOP;
}

/* How many transactions this network namespace has had. */
static uint32_t generation(void)
{
	_Alignas(struct nlmsghdr) char buffer[4096];
	const struct nlmsghdr *request = nftnl_nlmsg_build_hdr(buffer, NFT_MSG_GETGEN,
							       NFPROTO_UNSPEC, 0, 0);
	struct mnl_socket *socket = mnl_socket_open(NETLINK_NETFILTER);
	uint32_t number = 0;
	ssize_t got;

	assert_non_null(socket);
	assert_true(mnl_socket_sendto(socket, request, request->nlmsg_len) > 0);
	got = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));
	assert_true(got > 0);
	assert_true(mnl_cb_run(buffer, (size_t)got, 0, 0, read_generation, &number) >= 0);
	assert_int_not_equal(number, 0);
	mnl_socket_close(socket);
	return number;
}

static void test_nothing_before_attach_and_after_free(void **state)
{
	struct datapath_nft_config config = {0};
	struct datapath *datapath;

	(void)state;
	assert_int_equal(datapath_nft_new(&config, &datapath), 0);
	nft_bed_bypass(datapath, "172.30.0.0/24", SIDESTEP_FROM_CONNECTED);
	assert_int_equal(datapath_commit(datapath), 0);
	nft_bed_assert_listed("table", false);
	datapath_free(datapath);
	datapath = nft_bed_attached(SIDESTEP_UDP_DENY);
	nft_bed_assert_listed("table inet sidestep", true);
	nft_bed_assert_listed("gateway 10.0.0.1:80 ?? }", true);
	datapath_free(datapath);
	nft_bed_assert_listed("table", false);
}

static void test_replaces_a_predecessors_table(void **state)
{
	struct datapath *killed = nft_bed_attached(SIDESTEP_UDP_DENY),
			*datapath = nft_bed_attached(SIDESTEP_UDP_PASS);

	(void)state;
	nft_bed_assert_listed("counter name \"PASS_UDP\" goto let_out", true);
	nft_bed_assert_listed("counter name \"DENY_UDP\"", false);
	datapath_free(datapath);
	datapath_free(killed); /* gone already: no harm */
	nft_bed_assert_listed("table", false);
}

/* Records a connection that is older than the table, from that port. */
static void add_inbound(struct datapath *datapath, uint16_t remote_port)
{
	struct sidestep_flow_key key = {.local_port = 80, .remote_port = remote_port};

	assert_int_equal(address_parse("172.30.0.2", key.local_address), 0);
	assert_int_equal(address_parse("198.51.100.2", key.remote_address), 0);
	assert_int_equal(datapath_inbound_add(datapath, &key), 0);
	assert_int_equal(datapath_commit(datapath), 0);
}

static void test_updates_are_whole(void **state)
{
	struct datapath *datapath = nft_bed_attached(SIDESTEP_UDP_DENY);
	struct prefix gone = nft_bed_prefix("172.30.0.0/24");
	int i;

	(void)state;
	for (i = 0; i < 1000; i++) {
		char text[32];

		(void)snprintf(text, sizeof(text), "10.%d.%d.0/24", i / 250, i % 250);
		nft_bed_bypass(datapath, text, SIDESTEP_FROM_DOCKER);
	}
	assert_int_equal(datapath_bypass_remove(datapath, &gone), 0);
	nft_bed_assert_listed("10.3.249.0/24", false);
	add_inbound(datapath, 4000);
	nft_bed_assert_listed("10.3.249.0/24", true);
	nft_bed_assert_listed("172.30.0.0/24", false);
	nft_bed_assert_listed("172.30.0.2 . 80 . 198.51.100.2 . 4000", true);
	/* Wider than what is there, and in its place. */
	nft_bed_bypass(datapath, "10.0.0.0/8", SIDESTEP_FROM_OPTION);
	assert_int_equal(datapath_commit(datapath), 0);
	nft_bed_assert_listed("10.3.249.0/24", false);
	nft_bed_assert_listed("10.0.0.0/8", true);
	datapath_free(datapath);
}

/* Is the address among those with DNS steered all the same? */
static bool excepted(const char *address)
{
	struct nft_ctx *context = nft_ctx_new(NFT_CTX_DEFAULT);
	char command[128];
	bool found;

	(void)snprintf(command, sizeof(command), "get element inet sidestep %s { %s }",
		       strchr(address, ':') ? "except6" : "except4", address);
	assert_int_equal(nft_ctx_buffer_output(context), 0);
	assert_int_equal(nft_ctx_buffer_error(context), 0);
	found = nft_run_cmd_from_buffer(context, command) == 0;
	nft_ctx_free(context);
	return found;
}

static void test_dns_is_excepted(void **state)
{
	struct datapath *datapath = nft_bed_attached(false);

	(void)state;
	assert_false(excepted("172.30.0.1"));
	nft_bed_bypass(datapath, "172.30.0.0/24", SIDESTEP_FROM_CONNECTED | SIDESTEP_EXCEPT_DNS);
	nft_bed_bypass(datapath, "fd31::/64", SIDESTEP_FROM_CONNECTED | SIDESTEP_EXCEPT_DNS);
	nft_bed_bypass(datapath, "10.0.0.0/8", SIDESTEP_FROM_OPTION);
	assert_int_equal(datapath_commit(datapath), 0);
	assert_true(excepted("172.30.0.1") && excepted("fd31::1"));
	assert_false(excepted("10.0.0.1"));
	nft_bed_bypass(datapath, "172.30.0.0/24", SIDESTEP_FROM_CONNECTED);
	assert_int_equal(datapath_commit(datapath), 0);
	assert_false(excepted("172.30.0.1"));
	assert_true(excepted("fd31::1"));
	datapath_free(datapath);
}

static void test_a_table_that_was_taken_away_comes_back(void **state)
{
	struct datapath *datapath = nft_bed_attached(SIDESTEP_UDP_DENY);
	struct nft_ctx *context = nft_ctx_new(NFT_CTX_DEFAULT);

	(void)state;
	add_inbound(datapath, 4000);
	add_inbound(datapath, 4001);
	assert_int_equal(nft_run_cmd_from_buffer(context, "delete table inet sidestep"), 0);
	nft_ctx_free(context);
	nft_bed_bypass(datapath, "10.0.0.0/8", SIDESTEP_FROM_OPTION);
	assert_int_equal(datapath_commit(datapath), 0);
	nft_bed_assert_listed("10.0.0.0/8", true);
	nft_bed_assert_listed("172.30.0.2", true);
	nft_bed_assert_listed("172.30.0.2 . 80 . 198.51.100.2 . 4000", true);
	nft_bed_assert_listed("172.30.0.2 . 80 . 198.51.100.2 . 4001", true);
	datapath_free(datapath);
}

/* The table that stays lets no UDP pass, so it is another one. */
static void test_leaving_keeps_older_connections(void **state)
{
	struct datapath *datapath = nft_bed_attached(SIDESTEP_UDP_PASS);

	(void)state;
	add_inbound(datapath, 4000);
	datapath_leave(datapath);
	nft_bed_assert_listed("counter name \"PASS_UDP\"", false);
	nft_bed_assert_listed("172.30.0.2 . 80 . 198.51.100.2 . 4000", true);
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
	struct datapath *datapath = nft_bed_attached(SIDESTEP_UDP_DENY);
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
	nft_bed_assert_listed("tcp . ", false);
	assert_int_equal(datapath_own_socket(datapath, tcp, (const struct sockaddr *)&outside), 0);
	assert_int_equal(getsockname(tcp, (struct sockaddr *)&address, &size), 0);
	assert_int_not_equal(address.sin_port, 0);
	assert_int_not_equal(mark_of(tcp), 0);
	(void)snprintf(element, sizeof(element), "tcp . %u timeout 10s", ntohs(address.sin_port));
	nft_bed_assert_listed(element, true);
	/* Again, as for a port that was used before. */
	assert_int_equal(datapath_own_socket(datapath, tcp, (const struct sockaddr *)&outside), 0);
	assert_int_equal(datapath_own_socket(datapath, udp, NULL), 0);
	assert_int_equal(datapath_own_socket(datapath, udp, NULL), 0);
	assert_int_equal(mark_of(udp), mark_of(tcp));
	nft_bed_assert_listed("udp . ", true);
	close(tcp);
	close(udp);
	close(other);
	datapath_free(datapath);
}

static void test_devices(void **state)
{
	struct datapath *datapath = nft_bed_attached(SIDESTEP_UDP_DENY);

	(void)state;
	assert_int_equal(datapath_attach_device(datapath, 4711, DATAPATH_UPLINK), -ENODEV);
	assert_int_equal(datapath_attach_device(datapath, 1, DATAPATH_UPLINK), 0);
	assert_int_equal(datapath_attach_device(datapath, 1, DATAPATH_UPLINK), 0);
	assert_int_equal(datapath_commit(datapath), 0);
	nft_bed_assert_listed("device \"lo\"", true);
	datapath_detach_device(datapath, 1);
	assert_int_equal(datapath_commit(datapath), 0);
	nft_bed_assert_listed("device \"lo\"", false);
	nft_bed_assert_listed("table netdev", false);
	nft_bed_bypass(datapath, "10.0.0.0/8", SIDESTEP_FROM_OPTION);
	assert_int_equal(datapath_commit(datapath), 0);
	datapath_free(datapath);
	nft_bed_assert_listed("table", false);
}

/* An inner device is in the set, and not guarded. The chain for bridges is renewed. */
static void test_inner_devices(void **state)
{
	struct datapath *datapath = nft_bed_attached(SIDESTEP_UDP_DENY);

	(void)state;
	assert_int_equal(datapath_attach_device(datapath, 1, DATAPATH_INNER), 0);
	assert_int_equal(datapath_commit(datapath), 0);
	nft_bed_assert_listed("elements = { \"lo\" }", true);
	nft_bed_assert_listed("device \"lo\"", false);
	nft_bed_assert_listed("chain inner_bridged", true);
	assert_int_equal(datapath_attach_device(datapath, 1, DATAPATH_UPLINK), 0);
	assert_int_equal(datapath_commit(datapath), 0);
	nft_bed_assert_listed("elements = { \"lo\" }", false);
	nft_bed_assert_listed("device \"lo\"", true);
	nft_bed_assert_listed("chain inner_bridged", true);
	datapath_detach_device(datapath, 1);
	assert_int_equal(datapath_commit(datapath), 0);
	nft_bed_assert_listed("chain inner_bridged", true);
	datapath_free(datapath);
}

/* nft(8) could not name such a device; the kernel can. */
static void test_a_device_of_any_name_is_guarded(void **state)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_newname = "a\"b*\\"};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct datapath *datapath;

	(void)state;
	assert_int_equal(ioctl(fd, SIOCSIFNAME, &request), 0);
	close(fd);
	datapath = nft_bed_attached(SIDESTEP_UDP_DENY);
	assert_int_equal(datapath_attach_device(datapath, 1, DATAPATH_UPLINK), 0);
	assert_int_equal(datapath_commit(datapath), 0);
	nft_bed_assert_listed("device \"a\"b*\\\"", true);
	datapath_free(datapath);
}

/* More elements than one message can hold, at the ends of the address space and side by side. */
static void test_prefixes_are_listed_as_prefixes(void **state)
{
	static const char *const texts[] = {"0.0.0.0/1",   "128.0.0.0/8", "129.0.0.0/8",
					    "255.0.0.0/8", "::/64",	  "0:0:0:1::/64",
					    "ff00::/8",	   "fd00::1"};
	struct datapath *datapath = nft_bed_attached(SIDESTEP_UDP_DENY);
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(texts); i++)
		nft_bed_bypass(datapath, texts[i], SIDESTEP_FROM_OPTION);
	/* Contained in others: no element of their own. */
	nft_bed_bypass(datapath, "129.1.0.0/16", SIDESTEP_FROM_OPTION);
	nft_bed_bypass(datapath, "0.0.0.0/32", SIDESTEP_FROM_OPTION);
	assert_int_equal(datapath_commit(datapath), 0);
	for (i = 0; i < ARRAY_SIZE(texts); i++)
		nft_bed_assert_listed(texts[i], true);
	nft_bed_assert_listed("129.1.0.0/16", false);
	datapath_free(datapath);
}

/* Everything that is set before attaching comes with the one transaction that installs the table.
 */
static void test_install_is_one_transaction(void **state)
{
	struct datapath_nft_config config = {0};
	struct sidestep_flow_key key = {.local_port = 80, .remote_port = 4000};
	struct datapath *datapath;
	uint32_t before;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	(void)state;
	assert_int_equal(datapath_nft_new(&config, &datapath), 0);
	before = generation();
	nft_bed_bypass(datapath, "172.30.0.0/24", SIDESTEP_FROM_CONNECTED);
	assert_int_equal(datapath_own_socket(datapath, fd, NULL), 0);
	assert_int_equal(address_parse("2001:db8::1", key.local_address), 0);
	assert_int_equal(address_parse("2001:db8::2", key.remote_address), 0);
	assert_int_equal(datapath_inbound_add(datapath, &key), 0);
	assert_int_equal(datapath_attach_device(datapath, 1, DATAPATH_UPLINK), 0);
	assert_int_equal(datapath_commit(datapath), 0);
	assert_int_equal(generation(), before);
	assert_int_equal(datapath_attach(datapath), 0);
	assert_int_equal(generation(), before + 1);
	nft_bed_assert_listed("2001:db8::1 . 80 . 2001:db8::2 . 4000", true);
	nft_bed_assert_listed("device \"lo\"", true);
	nft_bed_assert_listed("udp . ", true);
	/* Nothing has changed. */
	assert_int_equal(datapath_commit(datapath), 0);
	assert_int_equal(generation(), before + 1);
	close(fd);
	datapath_free(datapath);
}

static void test_a_refusal_names_the_object(void **state)
{
	static const struct nft_expr expressions[] = {{.kind = NFT_EXPR_REJECT}, {0}};
	_cleanup_batch_ struct nft_batch batch;
	const struct nft_table table = {&batch, NFT_JUDGE_FAMILY};
	struct nft_failure failure;
	struct mnl_socket *socket;

	(void)state;
	assert_int_equal(nft_socket_open(&socket), 0);
	nft_batch_open(&batch);
	nft_table_add(&table, NULL);
	nft_set_flush(&table, "none");
	nft_rule_add(&table, "nowhere", NULL, expressions);
	assert_int_equal(nft_batch_commit(socket, &batch, &failure), -ENOENT);
	assert_int_equal(failure.family, NFPROTO_INET);
	assert_string_equal(failure.object, "the removal of elements of set none");
	nft_batch_release(&batch);
	nft_batch_open(&batch);
	nft_table_add(&table, NULL);
	nft_rule_add(&table, "nowhere", NULL, expressions);
	assert_int_equal(nft_batch_commit(socket, &batch, &failure), -ENOENT);
	assert_string_equal(failure.object, "the expression reject in chain nowhere");
	assert_non_null(strstr(failure.needs, "CONFIG_NFT_REJECT_INET"));
	nft_bed_assert_listed("table", false);
	nft_socket_close(socket);
}

/* A part of the table is left out only where the kernel lacks this part. */
static void test_what_is_lacking(void **state)
{
	struct nft_failure failure = {.error = -ENOENT, .part = NFT_PART_TPROXY};
	static const struct nft_expr socket_rule[] = {LOAD_TRANSPARENT, {0}};
	_cleanup_batch_ struct nft_batch batch;
	const struct nft_table table = {&batch, NFT_JUDGE_FAMILY};
	struct mnl_socket *socket;

	(void)state;
	assert_true(nft_failure_lacks(&failure, NFT_PART_TPROXY));
	assert_false(nft_failure_lacks(&failure, NFT_PART_SOCKET));
	failure.error = -EOPNOTSUPP;
	assert_true(nft_failure_lacks(&failure, NFT_PART_TPROXY));
	failure.error = -EPERM;
	assert_false(nft_failure_lacks(&failure, NFT_PART_TPROXY));
	failure = (struct nft_failure) {0};
	assert_false(nft_failure_lacks(&failure, NFT_PART_TPROXY));
	assert_int_equal(nft_socket_open(&socket), 0);
	nft_batch_open(&batch);
	nft_table_add(&table, NULL);
	nft_rule_add(&table, "nowhere", NULL, socket_rule);
	assert_int_equal(nft_batch_commit(socket, &batch, &failure), -ENOENT);
	assert_int_equal(failure.part, NFT_PART_SOCKET);
	nft_socket_close(socket);
}

/* The doctor's trial needs no listener, and nothing of it stays. */
static void test_trial_changes_nothing(void **state)
{
	struct datapath_nft_finding finding;
	uint32_t before;

	(void)state;
	assert_int_equal(datapath_nft_try(&finding), 0);
	assert_false(finding.redirect || finding.no_reject || finding.no_socket);
	/* Creating and removing the rule of the first trial is the only transaction. */
	before = generation();
	assert_int_equal(datapath_nft_try(&finding), 0);
	assert_int_equal(generation(), before + 1);
	nft_bed_assert_listed("table", false);
}

/* The largest state that the datapath accepts goes into one transaction. */
static void test_full_sets_fit(void **state)
{
	struct datapath_nft_config config = {0};
	struct sidestep_flow_key key = {.local_port = 80};
	struct sidestep_bypass bypass = {.sources = SIDESTEP_FROM_LOCAL};
	struct datapath *datapath;
	uint32_t i;

	(void)state;
	assert_int_equal(datapath_nft_new(&config, &datapath), 0);
	for (i = 0; i < SIDESTEP_MAX_BYPASS; i++) {
		struct prefix four = {.length = 128}, six = {.length = 64};

		memcpy(four.address, (const uint8_t[16]) {[10] = 0xff, 0xff, 10}, 16);
		four.address[14] = six.address[6] = (uint8_t)(i >> 8);
		four.address[15] = six.address[7] = (uint8_t)i;
		six.address[0] = 0xfd;
		assert_int_equal(datapath_bypass_set(datapath, &four, &bypass), 0);
		assert_int_equal(datapath_bypass_set(datapath, &six, &bypass), 0);
	}
	assert_int_equal(address_parse("2001:db8::1", key.local_address), 0);
	for (i = 0; i < SIDESTEP_MAX_INBOUND; i++) {
		key.remote_port = (uint16_t)i;
		assert_int_equal(datapath_inbound_add(datapath, &key), 0);
	}
	assert_int_equal(datapath_inbound_add(datapath, &key), -ENOSPC);
	assert_int_equal(datapath_attach_device(datapath, 1, DATAPATH_UPLINK), 0);
	assert_int_equal(datapath_attach(datapath), 0);
	datapath_free(datapath);
}

static void test_a_batch_has_a_limit(void **state)
{
	_cleanup_batch_ struct nft_batch batch;
	const struct nft_table table = {&batch, NFT_JUDGE_FAMILY};
	struct nft_failure failure;
	struct mnl_socket *socket;
	int i;

	(void)state;
	assert_int_equal(nft_socket_open(&socket), 0);
	nft_batch_open(&batch);
	for (i = 0; i < NFT_BATCH_MAX / 40; i++)
		nft_set_flush(&table, "none");
	assert_true(batch.room <= NFT_BATCH_MAX);
	assert_int_equal(nft_batch_commit(socket, &batch, &failure), -EMSGSIZE);
	nft_socket_close(socket);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_nothing_before_attach_and_after_free, nft_bed_enter),
		cmocka_unit_test_setup(test_replaces_a_predecessors_table, nft_bed_enter),
		cmocka_unit_test_setup(test_updates_are_whole, nft_bed_enter),
		cmocka_unit_test_setup(test_dns_is_excepted, nft_bed_enter),
		cmocka_unit_test_setup(test_a_table_that_was_taken_away_comes_back, nft_bed_enter),
		cmocka_unit_test_setup(test_leaving_keeps_older_connections, nft_bed_enter),
		cmocka_unit_test_setup(test_own_sockets_are_known_by_port_and_mark, nft_bed_enter),
		cmocka_unit_test_setup(test_devices, nft_bed_enter),
		cmocka_unit_test_setup(test_inner_devices, nft_bed_enter),
		cmocka_unit_test_setup(test_a_device_of_any_name_is_guarded, nft_bed_enter),
		cmocka_unit_test_setup(test_prefixes_are_listed_as_prefixes, nft_bed_enter),
		cmocka_unit_test_setup(test_install_is_one_transaction, nft_bed_enter),
		cmocka_unit_test_setup(test_a_refusal_names_the_object, nft_bed_enter),
		cmocka_unit_test_setup(test_what_is_lacking, nft_bed_enter),
		cmocka_unit_test_setup(test_trial_changes_nothing, nft_bed_enter),
		cmocka_unit_test_setup(test_full_sets_fit, nft_bed_enter),
		cmocka_unit_test_setup(test_a_batch_has_a_limit, nft_bed_enter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
