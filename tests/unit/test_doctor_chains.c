// SPDX-License-Identifier: Apache-2.0
/* Tests which base chains of nftables count as a firewall before the gateway. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
/* clang-format off: it lacks <stdio.h> */
#include <libnftnl/expr.h>
/* clang-format on */

#include <cmocka.h>

#include "doctor/doctor_chains.h"
#include "lib/util.h"

#define IN (1U << NF_INET_LOCAL_IN)

static void add(struct doctor_chains *chains, uint32_t family, const char *table, const char *name,
		uint32_t hook, uint32_t policy)
{
	struct nftnl_chain *chain = nftnl_chain_alloc();

	nftnl_chain_set_u32(chain, NFTNL_CHAIN_FAMILY, family);
	nftnl_chain_set_str(chain, NFTNL_CHAIN_TABLE, table);
	nftnl_chain_set_str(chain, NFTNL_CHAIN_NAME, name);
	if (hook != NF_INET_NUMHOOKS) {
		nftnl_chain_set_u32(chain, NFTNL_CHAIN_HOOKNUM, hook);
		nftnl_chain_set_u32(chain, NFTNL_CHAIN_POLICY, policy);
	}
	doctor_chains_add(chains, chain);
	nftnl_chain_free(chain);
}

static void judge(struct doctor_chains *chains, uint32_t family, const char *table,
		  const char *name, uint32_t verdict)
{
	struct nftnl_expr *expr = nftnl_expr_alloc("immediate");
	struct nftnl_rule *rule = nftnl_rule_alloc();

	nftnl_rule_set_u32(rule, NFTNL_RULE_FAMILY, family);
	nftnl_rule_set_str(rule, NFTNL_RULE_TABLE, table);
	nftnl_rule_set_str(rule, NFTNL_RULE_CHAIN, name);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_IMM_VERDICT, verdict);
	nftnl_rule_add_expr(rule, expr);
	doctor_chains_judge(chains, rule);
	nftnl_rule_free(rule);
}

static bool may_drop(const struct doctor_chains *chains, size_t i, int family, unsigned int hooks)
{
	assert_true(i < chains->count);
	return doctor_chain_may_drop(&chains->items[i], family, hooks);
}

static void test_policy(void **state)
{
	struct doctor_chains chains = {.count = 0};

	(void)state;
	add(&chains, NFPROTO_INET, "mine", "input", NF_INET_LOCAL_IN, NF_DROP);
	add(&chains, NFPROTO_IPV6, "mine", "input", NF_INET_LOCAL_IN, NF_DROP);
	add(&chains, NFPROTO_INET, "mine", "open", NF_INET_LOCAL_IN, NF_ACCEPT);
	add(&chains, NFPROTO_INET, "mine", "regular", NF_INET_NUMHOOKS, 0);
	assert_int_equal(chains.count, 3);
	assert_true(may_drop(&chains, 0, AF_INET, IN));
	assert_true(may_drop(&chains, 0, AF_INET6, IN));
	assert_false(may_drop(&chains, 0, AF_INET, 1U << NF_INET_FORWARD));
	assert_false(may_drop(&chains, 1, AF_INET, IN));
	assert_true(may_drop(&chains, 1, AF_INET6, IN));
	assert_false(may_drop(&chains, 2, AF_INET, IN));
}

static void test_rules(void **state)
{
	struct doctor_chains chains = {.count = 0};

	(void)state;
	add(&chains, NFPROTO_IPV4, "filter", "own", NF_INET_LOCAL_IN, NF_ACCEPT);
	add(&chains, NFPROTO_IPV4, "filter", "jumps", NF_INET_LOCAL_IN, NF_ACCEPT);
	add(&chains, NFPROTO_IPV4, "filter", "rests", NF_INET_LOCAL_IN, NF_ACCEPT);
	add(&chains, NFPROTO_IPV4, "other", "jumps", NF_INET_LOCAL_IN, NF_ACCEPT);
	judge(&chains, NFPROTO_IPV4, "filter", "own", NF_DROP);
	judge(&chains, NFPROTO_IPV4, "filter", "jumps", (uint32_t)NFT_JUMP);
	judge(&chains, NFPROTO_IPV4, "other", "jumps", (uint32_t)NFT_JUMP);
	assert_true(may_drop(&chains, 0, AF_INET, IN));
	assert_false(may_drop(&chains, 1, AF_INET, IN));
	judge(&chains, NFPROTO_IPV4, "filter", "regular", NF_DROP);
	assert_true(may_drop(&chains, 1, AF_INET, IN));
	assert_false(may_drop(&chains, 2, AF_INET, IN));
	assert_false(may_drop(&chains, 3, AF_INET, IN));
}

/* A remedy with such a name would be another command. */
static void test_names(void **state)
{
	struct doctor_chains chains = {.count = 0};
	size_t i;

	(void)state;
	add(&chains, NFPROTO_INET, "a;reboot", "input", NF_INET_LOCAL_IN, NF_DROP);
	add(&chains, NFPROTO_INET, "mine", "$(reboot)", NF_INET_LOCAL_IN, NF_DROP);
	add(&chains, NFPROTO_INET, "mine", "-f", NF_INET_LOCAL_IN, NF_DROP);
	add(&chains, NFPROTO_INET, "mine", "0123456789012345678901234567890123", NF_INET_LOCAL_IN,
	    NF_DROP);
	add(&chains, NFPROTO_NETDEV, "mine", "egress", 1, NF_DROP);
	assert_int_equal(chains.count, 0);
	for (i = 0; i <= DOCTOR_CHAINS_MAX; i++)
		add(&chains, NFPROTO_NETDEV, "mine", "in.put_1", 0, NF_DROP);
	assert_int_equal(chains.count, DOCTOR_CHAINS_MAX);
	assert_true(may_drop(&chains, 0, AF_INET, 1U << NF_INET_PRE_ROUTING));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_policy),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
