// SPDX-License-Identifier: Apache-2.0
/* Tests how packets of wanted connections are picked, and how they are held back for their secrets.
 */
#include <arpa/inet.h>
#include <net/ethernet.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "capture/capture_delay.h"
#include "capture/capture_flows.h"

#define APPLICATION "172.17.0.2"
#define SERVER	    "192.0.2.7"

struct frame {
	struct ether_header link;
	struct ip ip;
	struct tcphdr tcp;
	char payload[32];
} __attribute__((packed));

/* The payloads that were wanted, one behind the other. */
struct seen {
	char text[512];
};

static void note(void *context, const struct capture_packet *packet)
{
	const struct frame *frame = (const void *)packet->frame;

	(void)strcat(((struct seen *)context)->text, frame->payload);
}

static void pass(struct capture_flows *flows, const char *from, uint16_t from_port, const char *to,
		 uint16_t to_port, uint8_t flags, const char *payload)
{
	struct frame frame = {
		.link.ether_type = htons(ETHERTYPE_IP),
		.ip = {.ip_v = 4, .ip_hl = 5, .ip_p = IPPROTO_TCP},
		.tcp = {.th_sport = htons(from_port),
			.th_dport = htons(to_port),
			.th_flags = flags},
	};
	const struct capture_packet packet = {.length = sizeof(frame),
					      .size = sizeof(frame),
					      .frame = (const uint8_t *)&frame};

	assert_int_equal(inet_pton(AF_INET, from, &frame.ip.ip_src), 1);
	assert_int_equal(inet_pton(AF_INET, to, &frame.ip.ip_dst), 1);
	(void)snprintf(frame.payload, sizeof(frame.payload), "%s", payload);
	capture_flows_packet(flows, &packet);
}

static void end_of(const char *address, uint16_t port, struct sockaddr_storage *end)
{
	struct sockaddr_in *ipv4 = (struct sockaddr_in *)end;

	memset(end, 0, sizeof(*end));
	ipv4->sin_family = AF_INET;
	ipv4->sin_port = htons(port);
	assert_int_equal(inet_pton(AF_INET, address, &ipv4->sin_addr), 1);
}

static bool name(struct capture_flows *flows, uint16_t port, const char *text)
{
	struct capture_open open;

	end_of(APPLICATION, port, &open.source);
	end_of(SERVER, 443, &open.destination);
	(void)snprintf(open.name, sizeof(open.name), "%s", text);
	return capture_flows_name(flows, &open);
}

static void test_packets_wait_for_their_name(void **state)
{
	struct seen seen = {""};
	struct capture_flows *flows = capture_flows_new("*.wanted.example", note, &seen);

	(void)state;
	pass(flows, APPLICATION, 1000, SERVER, 443, TH_SYN, "a");
	pass(flows, APPLICATION, 2000, SERVER, 443, TH_SYN, "b");
	pass(flows, SERVER, 443, APPLICATION, 1000, TH_SYN | TH_ACK, "c");
	assert_string_equal(seen.text, "");
	assert_true(name(flows, 1000, "A.Wanted.example"));
	assert_false(name(flows, 2000, "other.example"));
	assert_string_equal(seen.text, "ac");
	pass(flows, SERVER, 443, APPLICATION, 1000, TH_ACK, "d");
	pass(flows, SERVER, 443, APPLICATION, 2000, TH_ACK, "e");
	assert_string_equal(seen.text, "acd");
	/* The next connection with these ports is another one. */
	pass(flows, APPLICATION, 1000, SERVER, 443, TH_SYN, "f");
	assert_false(name(flows, 1000, "other.example"));
	pass(flows, APPLICATION, 1000, SERVER, 443, TH_ACK, "g");
	assert_string_equal(seen.text, "acd");
	capture_flows_free(flows);
}

static void test_without_a_pattern_all_but_local_packets_are_wanted(void **state)
{
	struct seen seen = {""};
	struct capture_flows *flows = capture_flows_new(NULL, note, &seen);

	(void)state;
	pass(flows, APPLICATION, 1000, SERVER, 443, TH_ACK, "a");
	pass(flows, "127.0.0.1", 1000, "127.0.0.1", 80, TH_SYN, "b");
	pass(flows, APPLICATION, 1000, APPLICATION, 80, TH_SYN, "c");
	assert_string_equal(seen.text, "a");
	assert_true(name(flows, 1000, "any.example"));
	capture_flows_free(flows);
}

static void test_a_long_nameless_connection_is_given_up(void **state)
{
	struct seen seen = {""};
	struct capture_flows *flows = capture_flows_new("wanted", note, &seen);
	size_t i;

	(void)state;
	pass(flows, APPLICATION, 1000, SERVER, 443, TH_SYN, "a");
	for (i = 0; i <= CAPTURE_FLOW_KEPT / sizeof(struct frame); i++)
		pass(flows, APPLICATION, 1000, SERVER, 443, TH_ACK, "b");
	assert_true(name(flows, 1000, "wanted"));
	assert_string_equal(seen.text, "");
	/* It is wanted from here on. */
	pass(flows, APPLICATION, 1000, SERVER, 443, TH_ACK, "c");
	assert_string_equal(seen.text, "c");
	capture_flows_free(flows);
}

static void test_cut_and_foreign_frames_are_ignored(void **state)
{
	struct seen seen = {""};
	struct capture_flows *flows = capture_flows_new(NULL, note, &seen);
	struct frame frame = {
		.link.ether_type = htons(ETHERTYPE_IP),
		.ip = {.ip_v = 4, .ip_hl = 15, .ip_p = IPPROTO_TCP},
	};
	struct capture_packet packet = {.frame = (const uint8_t *)&frame};

	(void)state;
	for (packet.size = 0; packet.size <= sizeof(frame); packet.size++)
		capture_flows_packet(flows, &packet);
	frame.ip.ip_hl = 5;
	frame.ip.ip_p = IPPROTO_UDP;
	packet.size = sizeof(frame);
	capture_flows_packet(flows, &packet);
	assert_string_equal(seen.text, "");
	capture_flows_free(flows);
}

static void test_packets_are_held_back_for_a_moment(void **state)
{
	struct seen seen = {""};
	struct frame frame = {.payload = "a"};
	const struct capture_packet packet = {.size = sizeof(frame),
					      .frame = (const uint8_t *)&frame};
	struct capture_delay delay;

	(void)state;
	capture_delay_init(&delay, note, &seen);
	assert_int_equal(capture_delay_pass(&delay, 1000), -1);
	capture_delay_add(&delay, 1000, &packet);
	frame.payload[0] = 'b';
	capture_delay_add(&delay, 1050, &packet);
	assert_int_equal(capture_delay_pass(&delay, 1000), CAPTURE_DELAY_MS);
	assert_string_equal(seen.text, "");
	assert_int_equal(capture_delay_pass(&delay, 1000 + CAPTURE_DELAY_MS), 50);
	assert_string_equal(seen.text, "a");
	assert_int_equal(capture_delay_pass(&delay, UINT64_MAX), -1);
	assert_string_equal(seen.text, "ab");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_packets_wait_for_their_name),
		cmocka_unit_test(test_without_a_pattern_all_but_local_packets_are_wanted),
		cmocka_unit_test(test_a_long_nameless_connection_is_given_up),
		cmocka_unit_test(test_cut_and_foreign_frames_are_ignored),
		cmocka_unit_test(test_packets_are_held_back_for_a_moment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
