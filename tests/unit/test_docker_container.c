// SPDX-License-Identifier: Apache-2.0
/* Finds a container's process by its name, against a scripted engine. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "docker/docker_container.h"
#include "support/docker_fake.h"

#define INSPECTION(running, pid)                                                                   \
	"{\"Id\":\"aa\",\"Name\":\"/app\",\"State\":{\"Running\":" running                         \
	",\"Restarting\":false,\"Pid\":" pid ",\"StartedAt\":\"2026-01-01T00:00:00Z\"},"           \
	"\"Config\":{\"Image\":\"x\",\"Labels\":{}},"                                              \
	"\"HostConfig\":{\"NetworkMode\":\"bridge\"}}"

static void test_process(void **state)
{
	struct docker_fake fake;
	struct docker_engine engine;
	char longer[300];

	(void)state;
	docker_fake_prepare(&fake);
	assert_int_equal(docker_engine_init(&engine, fake.path), 0);
	memset(longer, 'a', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	assert_true(docker_container_process(&engine, "app") < 0); /* no engine */
	docker_fake_listen(&fake);
	assert_int_equal(docker_container_process(&engine, "app"), -ENOENT);
	fake.containers[0] = (struct docker_fake_container) {"app", INSPECTION("true", "77"), 200};
	assert_int_equal(docker_container_process(&engine, "app"), 77);
	/* It has ended. */
	fake.containers[0].body = INSPECTION("false", "0");
	assert_int_equal(docker_container_process(&engine, "app"), -ENOENT);
	/* These would ask for something else. */
	assert_int_equal(docker_container_process(&engine, "../x"), -EINVAL);
	assert_int_equal(docker_container_process(&engine, "app/json?x="), -EINVAL);
	assert_int_equal(docker_container_process(&engine, ""), -EINVAL);
	assert_int_equal(docker_container_process(&engine, longer), -EINVAL);
	docker_fake_release(&fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
