// SPDX-License-Identifier: Apache-2.0
#include "support/control_bed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/peer.h"
#include "support/two_netns.h"

static void gateway_changed(void *context)
{
	struct control_bed *bed = context;
	struct socket_address gateway = proxy_gateway(bed->proxy);

	atomic_store(&bed->port, ntohs(*socket_address_port(&gateway)));
	(void)atomic_fetch_add(&bed->changed, 1);
}

static void target_listen(struct control_bed *bed)
{
	struct sockaddr_in name = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(name);

	bed->target = socket_in(home_netns, AF_INET);
	assert_int_equal(bind(bed->target, (struct sockaddr *)&name, size), 0);
	assert_int_equal(listen(bed->target, 16), 0);
	assert_int_equal(getsockname(bed->target, (struct sockaddr *)&name, &size), 0);
	endpoint_format((struct sockaddr *)&name, bed->target_text);
}

struct control_bed *control_bed_new(bool tls)
{
	static struct prefix allow;
	struct control_bed *bed = calloc(1, sizeof(*bed));
	struct proxy_config proxy = {.threads = 1,
				     .max_connections = 16,
				     .peek_ms = 20,
				     .client_first_ms = 200,
				     .connect_ms = 2000,
				     .answer_ms = 2000};
	static const char *const everything[] = {"*"};
	const struct policy_config policy = {.allowed = everything, .allowed_count = 1};
	struct control_config config = {.gateway_changed = gateway_changed, .context = bed};
	struct endpoint gateway;

	assert_int_equal(endpoint_parse("127.0.0.1:1", &gateway), 0);
	assert_int_equal(endpoint_parse(CONTROL_AT, &config.address), 0);
	assert_int_equal(prefix_parse(CONTROL_ALLOWED "/32", &allow), 0);
	config.allow = &allow;
	config.allow_count = 1;
	add_default_routes();
	proxy.gateway.address = gateway.address;
	proxy.gateway.size = endpoint_size(&gateway);
	assert_int_equal(proxy_new(&proxy, &bed->proxy), 0);
	assert_int_equal(proxy_start(bed->proxy), 0);
	assert_int_equal(policy_new(&policy, &bed->policy), 0);
	if (tls)
		assert_int_equal(tls_authority_new(NULL, &bed->tls), 0);
	config.proxy = bed->proxy;
	config.policy = bed->policy;
	config.tls = bed->tls;
	assert_int_equal(control_new(&config, &bed->control), 0);
	target_listen(bed);
	return bed;
}

void control_bed_free(struct control_bed *bed)
{
	control_free(bed->control);
	proxy_free(bed->proxy);
	policy_free(bed->policy);
	tls_authority_free(bed->tls);
	close(bed->target);
	free(bed);
}

int control_dial_from(int netns, const char *to)
{
	struct endpoint address;
	int fd;

	assert_int_equal(endpoint_parse(to, &address), 0);
	fd = socket_in(netns, address.address.ss_family);
	assert_int_equal(connect(fd, (struct sockaddr *)&address.address, endpoint_size(&address)),
			 0);
	return fd;
}

int control_dial(void)
{
	return control_dial_from(far_netns, HOME_IPV4 ":39001");
}

void control_read_all(int fd, char *answer, size_t room)
{
	size_t size = 0;
	ssize_t got;

	while ((got = recv(fd, answer + size, room - 1 - size, 0)) > 0)
		size += (size_t)got;
	assert_int_equal(got, 0);
	answer[size] = '\0';
}

void control_expect_answer(int fd, int status, const char *contains)
{
	char answer[8192], want[32];

	(void)snprintf(want, sizeof(want), "HTTP/1.1 %d ", status);
	control_read_all(fd, answer, sizeof(answer));
	if (strncmp(answer, want, strlen(want)) != 0 || !strstr(answer, contains))
		fail_msg("not %d with \"%s\": %s", status, contains, answer);
	assert_non_null(strstr(answer, "\r\nConnection: close\r\n"));
	close(fd);
}

void control_ask(const char *request, int status, const char *contains)
{
	int fd = control_dial();

	say(fd, request);
	control_expect_answer(fd, status, contains);
}

void control_put(const char *body, int status, const char *contains)
{
	char request[512];

	(void)snprintf(request, sizeof(request),
		       "PUT /egress HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n%s",
		       strlen(body), body);
	control_ask(request, status, contains);
}
