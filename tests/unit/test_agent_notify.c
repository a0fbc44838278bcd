// SPDX-License-Identifier: Apache-2.0
/* Tests the messages to the service manager, whose socket the test plays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/agent_notify.h"
#include "lib/util.h"

/* An abstract name, so that nothing is left behind. */
static char name[64];

struct manager {
	struct loop *loop;
	struct loop_handler handler;
	struct agent_notify notify;
	unsigned int ready, signs; /* how often READY=1 and WATCHDOG=1 have come */
	unsigned int wanted;	   /* the signs that end the loop */
};

static void receive(struct loop_handler *handler, uint32_t events)
{
	struct manager *manager = container_of(handler, struct manager, handler);
	char text[64] = "";

	(void)events;
	if (recv(handler->fd, text, sizeof(text) - 1, MSG_DONTWAIT) <= 0)
		return;
	manager->ready += strcmp(text, "READY=1") == 0;
	manager->signs += strcmp(text, "WATCHDOG=1") == 0;
	if (manager->ready && manager->signs >= manager->wanted)
		loop_stop(manager->loop);
}

static void manager_open(struct manager *manager)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	size_t length = strlen(name);

	memcpy(address.sun_path + 1, name + 1, length - 1);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)),
			 0);
	*manager = (struct manager) {
		.loop = loop_new(),
		.handler = {.fd = -1, .ready = receive},
		.notify = {.fd = -1},
	};
	assert_non_null(manager->loop);
	assert_int_equal(loop_add(manager->loop, &manager->handler, fd, EPOLLIN), 0);
}

static void manager_close(struct manager *manager)
{
	char text[64] = "";

	agent_notify_stop(&manager->notify);
	assert_true(recv(manager->handler.fd, text, sizeof(text) - 1, MSG_DONTWAIT) > 0);
	assert_string_equal(text, "STOPPING=1");
	assert_int_equal(manager->notify.fd, -1);
	loop_close(&manager->handler);
	loop_free(manager->loop);
}

static int setup(void **state)
{
	(void)state;
	(void)snprintf(name, sizeof(name), "@sidestep-test-notify-%d", (int)getpid());
	(void)setenv("NOTIFY_SOCKET", name, 1);
	(void)unsetenv("WATCHDOG_USEC");
	(void)unsetenv("WATCHDOG_PID");
	return 0;
}

static void test_ready(void **state)
{
	struct manager manager;

	(void)state;
	manager_open(&manager);
	agent_notify_start(&manager.notify, manager.loop);
	assert_int_equal(loop_run(manager.loop), 0);
	assert_int_equal(manager.ready, 1);
	assert_false(loop_timer_running(&manager.notify.timer));
	manager_close(&manager);
}

static void test_watchdog(void **state)
{
	struct manager manager;
	char process[32];

	(void)state;
	(void)snprintf(process, sizeof(process), "%d", (int)getpid());
	(void)setenv("WATCHDOG_USEC", "40000", 1);
	(void)setenv("WATCHDOG_PID", process, 1);
	manager_open(&manager);
	manager.wanted = 3;
	agent_notify_start(&manager.notify, manager.loop);
	assert_int_equal(manager.notify.pace.duration_ms, 20);
	assert_int_equal(loop_run(manager.loop), 0);
	assert_int_equal(manager.ready, 1);
	manager_close(&manager);
}

/* The watchdog of another process is not this one's. */
static void test_other_process(void **state)
{
	struct manager manager;

	(void)state;
	(void)setenv("WATCHDOG_USEC", "40000", 1);
	(void)setenv("WATCHDOG_PID", "1", 1);
	manager_open(&manager);
	agent_notify_start(&manager.notify, manager.loop);
	assert_int_equal(loop_run(manager.loop), 0);
	assert_false(loop_timer_running(&manager.notify.timer));
	manager_close(&manager);
}

/* The agent works without a manager, and with one that is gone or has no proper name. */
static void test_none(void **state)
{
	static const char *const names[] = {NULL, "", "@", "relative", "/nonexistent/socket"};
	struct agent_notify notify = {.fd = -1};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		if (names[i])
			(void)setenv("NOTIFY_SOCKET", names[i], 1);
		else
			(void)unsetenv("NOTIFY_SOCKET");
		agent_notify_start(&notify, NULL);
		assert_int_equal(notify.fd < 0, 1);
		agent_notify_stop(&notify);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_ready, setup),
		cmocka_unit_test_setup(test_watchdog, setup),
		cmocka_unit_test_setup(test_other_process, setup),
		cmocka_unit_test_setup(test_none, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
