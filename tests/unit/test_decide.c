// SPDX-License-Identifier: Apache-2.0
/* Tests the decision of the BPF programs, compiled natively, over its whole domain. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "decide.h"

static const uint32_t bypasses[] = {
	0,
	SIDESTEP_FROM_OPTION,
	SIDESTEP_FROM_CONNECTED,
	SIDESTEP_FROM_DOCKER,
	SIDESTEP_FROM_LOCAL,
	SIDESTEP_FROM_BUILTIN,
	SIDESTEP_FROM_CONNECTED | SIDESTEP_FROM_DOCKER,
	SIDESTEP_FROM_LOCAL | SIDESTEP_FROM_CONNECTED,
	SIDESTEP_FROM_CONNECTED | SIDESTEP_EXCEPT_DNS,
	SIDESTEP_FROM_BUILTIN | SIDESTEP_EXCEPT_DNS,
};
static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_ICMPV6, 132, 0};
static const uint16_t ports[] = {0, 22, 53, 80, 443, 65535};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Calls @check with every input of the domain. */
static unsigned long each_input(void (*check)(const struct decision_input *, uint32_t verdict))
{
	unsigned long inputs = 0;
	size_t source, destination, protocol, port;
	uint32_t owner, flags;

	for (source = 0; source < COUNT_OF(bypasses); source++)
		for (destination = 0; destination < COUNT_OF(bypasses); destination++)
			for (protocol = 0; protocol < COUNT_OF(protocols); protocol++)
				for (port = 0; port < COUNT_OF(ports); port++)
					for (owner = 0; owner <= SIDESTEP_OWNER_ANSWERS; owner++)
						for (flags = 0; flags < 32; flags++) {
							struct decision_input in = {
								.source_bypass = bypasses[source],
								.destination_bypass =
									bypasses[destination],
								.owner = owner,
								.destination_port = ports[port],
								.protocol = protocols[protocol],
								.later_fragment = flags & 1,
								.inbound = (flags >> 1) & 1,
								.opening = (flags >> 2) & 1,
								.udp_pass = (flags >> 3) & 1,
								.first_verdict =
									flags >> 4 ? SIDESTEP_REPLY
										   : 0,
							};

							check(&in, sidestep_decide(&in));
							inputs++;
						}
	return inputs;
}

/* While the internet is off, DNS to a bypassed subnet is steered, whoever sends it but the proxy.
 */
static bool is_excepted(const struct decision_input *in)
{
	return (in->destination_bypass & SIDESTEP_EXCEPT_DNS) && in->destination_port == 53 &&
	       (in->protocol == IPPROTO_UDP || in->protocol == IPPROTO_TCP) &&
	       !in->later_fragment && in->owner != SIDESTEP_OWNER_PROXY &&
	       in->owner != SIDESTEP_OWNER_ANSWERS;
}

static void check_dns_is_excepted(const struct decision_input *in, uint32_t verdict)
{
	struct decision_input on = *in;

	on.destination_bypass &= ~(uint32_t)SIDESTEP_EXCEPT_DNS;
	if (is_excepted(in))
		assert_int_equal(verdict, in->protocol == IPPROTO_UDP ? SIDESTEP_STEER_DNS
								      : SIDESTEP_STEER_TCP);
	else
		assert_int_equal(verdict, sidestep_decide(&on));
}

static void check_bypass_comes_first(const struct decision_input *in, uint32_t verdict)
{
	bool stepped_aside = verdict == SIDESTEP_LOCAL || verdict == SIDESTEP_LINK ||
			     verdict == SIDESTEP_BRIDGE;

	/* Both ends are bypassed: sidestep always steps aside. */
	if (in->source_bypass && in->destination_bypass && !is_excepted(in))
		assert_true(stepped_aside);
	/* The destination is not bypassed: it never does. */
	if (!in->destination_bypass)
		assert_false(stepped_aside);
	/* Only the destination is bypassed: this is no bridge traffic. */
	if (!in->source_bypass &&
	    !(in->destination_bypass & (SIDESTEP_FROM_LOCAL | SIDESTEP_FROM_BUILTIN)))
		assert_false(stepped_aside);
}

static void check_addresses_decide(const struct decision_input *in, uint32_t verdict)
{
	struct decision_input addresses = {
		.source_bypass = in->source_bypass,
		.destination_bypass = in->destination_bypass,
	};
	bool stepped_aside = verdict == SIDESTEP_LOCAL || verdict == SIDESTEP_LINK ||
			     verdict == SIDESTEP_BRIDGE;

	if (in->destination_bypass & SIDESTEP_EXCEPT_DNS) {
		assert_false(sidestep_addresses_decide(in));
		return;
	}
	assert_int_equal(sidestep_addresses_decide(in) != 0, stepped_aside);
	if (stepped_aside)
		assert_int_equal(sidestep_decide(&addresses), verdict);
}

static void check_nothing_leaks(const struct decision_input *in, uint32_t verdict)
{
	bool outside = !in->destination_bypass;
	bool leaves = verdict == SIDESTEP_REPLY || verdict == SIDESTEP_OWN ||
		      verdict == SIDESTEP_PASS_UDP;

	if (!outside || !leaves)
		return;
	if (in->owner == SIDESTEP_OWNER_PROXY)
		return;
	/* A later fragment leaves if the first one did. */
	if (in->later_fragment) {
		assert_int_equal(verdict, in->first_verdict);
		return;
	}
	/* Other packets that leave are no new connections and no DNS queries. */
	assert_false(in->protocol == IPPROTO_TCP && in->opening);
	assert_false(in->protocol == IPPROTO_UDP && in->destination_port == 53);
	if (verdict == SIDESTEP_REPLY)
		assert_true(in->inbound || in->owner == SIDESTEP_OWNER_INBOUND);
	if (verdict == SIDESTEP_PASS_UDP)
		assert_true(in->udp_pass && in->protocol == IPPROTO_UDP);
}

static void check_replies_pass(const struct decision_input *in, uint32_t verdict)
{
	if (in->destination_bypass || in->owner == SIDESTEP_OWNER_PROXY ||
	    in->owner == SIDESTEP_OWNER_ANSWERS || in->later_fragment || in->opening ||
	    (in->protocol == IPPROTO_UDP && in->destination_port == 53))
		return;
	if (in->inbound || in->owner == SIDESTEP_OWNER_INBOUND)
		assert_int_equal(verdict, SIDESTEP_REPLY);
}

/* A DNS answer of the proxy's only goes to addresses that the application may reach itself. */
static void check_answers_stay(const struct decision_input *in, uint32_t verdict)
{
	struct decision_input on = *in;

	on.destination_bypass &= ~(uint32_t)SIDESTEP_EXCEPT_DNS;
	if (in->owner == SIDESTEP_OWNER_ANSWERS && !sidestep_addresses_decide(&on))
		assert_int_equal(verdict, SIDESTEP_DENY_ANSWER);
	else
		assert_int_not_equal(verdict, SIDESTEP_DENY_ANSWER);
}

static void test_every_input(void **state)
{
	(void)state;
	assert_true(each_input(check_bypass_comes_first) > 10000);
	each_input(check_dns_is_excepted);
	each_input(check_addresses_decide);
	each_input(check_nothing_leaks);
	each_input(check_replies_pass);
	each_input(check_answers_stay);
}

static uint32_t decide(uint32_t source, uint32_t destination, uint8_t protocol, uint16_t port)
{
	struct decision_input in = {
		.source_bypass = source,
		.destination_bypass = destination,
		.protocol = protocol,
		.destination_port = port,
		.opening = protocol == IPPROTO_TCP,
	};

	return sidestep_decide(&in);
}

static void test_named_cases(void **state)
{
	const uint32_t bridge = SIDESTEP_FROM_CONNECTED;

	(void)state;
	assert_int_equal(decide(bridge, bridge, IPPROTO_TCP, 80), SIDESTEP_BRIDGE);
	assert_int_equal(decide(bridge, bridge | SIDESTEP_EXCEPT_DNS, IPPROTO_TCP, 80),
			 SIDESTEP_BRIDGE);
	assert_int_equal(decide(bridge, bridge | SIDESTEP_EXCEPT_DNS, IPPROTO_TCP, 53),
			 SIDESTEP_STEER_TCP);
	assert_int_equal(decide(bridge, 0, IPPROTO_TCP, 80), SIDESTEP_STEER_TCP);
	assert_int_equal(decide(0, 0, IPPROTO_TCP, 25), SIDESTEP_STEER_TCP);
	assert_int_equal(decide(bridge, 0, IPPROTO_UDP, 53), SIDESTEP_STEER_DNS);
	assert_int_equal(decide(bridge, 0, IPPROTO_UDP, 443), SIDESTEP_DENY_UDP);
	assert_int_equal(decide(bridge, 0, IPPROTO_ICMP, 0), SIDESTEP_DENY_PROTOCOL);
	assert_int_equal(decide(bridge, SIDESTEP_FROM_LOCAL, IPPROTO_TCP, 80), SIDESTEP_LOCAL);
	assert_int_equal(decide(bridge, SIDESTEP_FROM_BUILTIN, IPPROTO_UDP, 5353), SIDESTEP_LINK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_input),
		cmocka_unit_test(test_named_cases),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
