// SPDX-License-Identifier: Apache-2.0
#include "support/proxy_bed.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/tcp.h>

#include <cmocka.h>

#include "support/peer.h"

const struct proxy_config proxy_bed_defaults = {
	.threads = 2,
	.max_connections = 100,
	.peek_ms = 15,
	.client_first_ms = 150, /* below TCP_DELACK_MAX, see tunnel_accept() */
	.connect_ms = 2000,
	.answer_ms = 2000,
	.sni_hint = true,
};

static int own_socket(void *context, int fd, const struct sockaddr *destination)
{
	(void)destination;
	assert_true(fd >= 0);
	(void)atomic_fetch_add(&((struct proxy_bed *)context)->owned, 1);
	return 0;
}

static void flow_update(void *context, const struct flow *flow)
{
	assert_true(flow->updated);
	assert_true(flow->start > 0);
	(void)atomic_fetch_add(&((struct proxy_bed *)context)->updated, 1);
}

static void flow_close(void *context, const struct flow *flow)
{
	struct proxy_bed *bed = context;

	assert_int_equal(flow->source.ss_family, flow->destination.ss_family);
	(void)atomic_fetch_add(&bed->sent, flow->sent);
	(void)atomic_fetch_add(&bed->received, flow->received);
	(void)atomic_fetch_add(&bed->closed, 1);
	(void)atomic_fetch_add(&bed->closed_updated, flow->updated);
}

int listen_on(struct endpoint *ret_endpoint)
{
	socklen_t size = sizeof(ret_endpoint->address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(endpoint_parse("127.0.0.1:0", ret_endpoint), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&ret_endpoint->address,
			      endpoint_size(ret_endpoint)),
			 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&ret_endpoint->address, &size), 0);
	return fd;
}

struct proxy_bed *proxy_bed_new(const struct proxy_config *config)
{
	struct proxy_bed *bed = calloc(1, sizeof(*bed));
	struct proxy_config own = *config;
	struct endpoint gateway;
	socklen_t size = sizeof(bed->listener.address);

	bed->gateway = listen_on(&gateway);
	own.gateway.address = gateway.address;
	own.gateway.size = endpoint_size(&gateway);
	own.announcer = (struct dial_announcer) {own_socket, bed};
	own.hooks = (struct proxy_hooks) {.context = bed,
					  .flow_update = flow_update,
					  .flow_close = flow_close};
	assert_int_equal(proxy_new(&own, &bed->proxy), 0);
	assert_int_equal(proxy_start(bed->proxy), 0);
	assert_int_equal(getsockname(proxy_listener(bed->proxy, AF_INET, SOCK_STREAM, false),
				     (struct sockaddr *)&bed->listener.address, &size),
			 0);
	endpoint_format((struct sockaddr *)&bed->listener.address, bed->destination);
	return bed;
}

void proxy_bed_free(struct proxy_bed *bed, int connections)
{
	struct proxy_counters counters;

	proxy_stop(bed->proxy, 5000);
	proxy_counters(bed->proxy, &counters);
	assert_int_equal(counters.connections, 0);
	assert_int_equal(bed->closed, connections);
	/* flow_update() comes after a second. */
	assert_int_equal(bed->closed_updated > 0, bed->updated > 0);
	assert_int_equal(counters.bytes_sent, bed->sent);
	assert_int_equal(counters.bytes_received, bed->received);
	proxy_free(bed->proxy);
	close(bed->gateway);
	free(bed);
}

int dial(const struct proxy_bed *bed)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (const struct sockaddr *)&bed->listener.address,
				 sizeof(struct sockaddr_in)),
			 0);
	return fd;
}

/* Counts the segments that have arrived, with the SYN. */
static uint32_t segments_in(int fd)
{
	struct tcp_info info;
	socklen_t size = sizeof(info);

	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
	return info.tcpi_segs_in;
}

int tunnel_accept(const struct proxy_bed *bed, int client, const char *hint)
{
	char source[ADDRESS_TEXT_MAX], want[1024];
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);
	int fd = accept(bed->gateway, NULL, NULL);

	assert_true(fd >= 0);
	assert_int_equal(getsockname(client, (struct sockaddr *)&address, &size), 0);
	endpoint_format((struct sockaddr *)&address, source);
	(void)snprintf(want, sizeof(want),
		       "CONNECT %s HTTP/1.1\r\nHost: %s\r\n"
		       "User-Agent: proxy-everything/0.0.1/%s\r\nConnection: close\r\n"
		       "X-Forwarded-For: %s\r\nX-Proto: tcp\r\n%s\r\n",
		       bed->destination, bed->destination, source, source, hint);
	expect_bytes(fd, want);
	assert_int_equal(segments_in(fd), 2);
	return fd;
}

void exchange(int client, int tunnel)
{
	say(client, "ask");
	expect_bytes(tunnel, "ask");
	say(tunnel, "answer");
	expect_bytes(client, "answer");
	shutdown(client, SHUT_WR);
	expect_end(tunnel);
	say(tunnel, "late");
	close(tunnel);
	expect_bytes(client, "late");
	expect_end(client);
	close(client);
}
