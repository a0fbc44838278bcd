// SPDX-License-Identifier: Apache-2.0
/* Tests how engines are recognised, by answers of theirs that were recorded (shortened). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "docker/docker_about.h"
#include "lib/util.h"

#define DOCKER_VERSION                                                                             \
	"{\"Platform\":{\"Name\":\"\"},\"Components\":[{\"Name\":\"Engine\",\"Version\":"          \
	"\"26.1.5\",\"Details\":{\"ApiVersion\":\"1.45\"}},{\"Name\":\"containerd\",\"Version\":"  \
	"\"1.7.24\"}],\"Version\":\"26.1.5\",\"ApiVersion\":\"1.45\",\"Os\":\"linux\"}"

/* Podman 4.3 and 5.4 name their engine so, and have Docker's fields beside. */
#define PODMAN_VERSION                                                                             \
	"{\"Platform\":{\"Name\":\"linux/amd64/debian-13\"},\"Components\":[{\"Name\":"            \
	"\"Podman Engine\",\"Version\":\"5.4.2\"},{\"Name\":\"Conmon\",\"Version\":\"2.1.12\"}],"  \
	"\"Version\":\"5.4.2\",\"ApiVersion\":\"1.41\"}"

#define INFO(system, kernel, runtime, security)                                                    \
	"{\"ID\":\"x\",\"OperatingSystem\":\"" system "\",\"KernelVersion\":\"" kernel             \
	"\",\"DefaultRuntime\":\"" runtime "\",\"SecurityOptions\":[" security "]}"

static const struct {
	const char *version, *info;
	struct docker_about about; /* only the flags */
} rows[] = {
	{DOCKER_VERSION,
	 INFO("Debian GNU/Linux 13 (trixie)", "6.12.48+deb13-amd64", "runc",
	      "\"name=apparmor\",\"name=seccomp,profile=builtin\",\"name=cgroupns\""),
	 {.podman = false}},
	{DOCKER_VERSION,
	 INFO("Docker Desktop", "6.10.14-linuxkit", "runc", "\"name=seccomp,profile=unconfined\""),
	 {.desktop = true}},
	{DOCKER_VERSION,
	 INFO("Docker Desktop", "5.15.167.4-microsoft-standard-WSL2", "runc", ""),
	 {.desktop = true, .wsl2 = true}},
	{DOCKER_VERSION,
	 INFO("Ubuntu 24.04.1 LTS", "6.6.87.2-microsoft-standard-WSL2", "runc", ""),
	 {.wsl2 = true}},
	{DOCKER_VERSION,
	 INFO("Debian GNU/Linux 12 (bookworm)", "6.1.0-28-amd64", "runc",
	      "\"name=seccomp,profile=builtin\",\"name=rootless\",\"name=cgroupns\""),
	 {.rootless = true}},
	{DOCKER_VERSION,
	 INFO("Debian GNU/Linux 12 (bookworm)", "6.1.0-28-amd64", "runsc", ""),
	 {.gvisor = true}},
	{PODMAN_VERSION,
	 INFO("debian", "6.12.48+deb13-amd64", "crun", "\"name=seccomp,profile=default\""),
	 {.podman = true}},
	{PODMAN_VERSION,
	 INFO("debian", "6.12.48+deb13-amd64", "crun", "\"name=rootless\""),
	 {.podman = true, .rootless = true}},
};

static void test_kinds(void **state)
{
	char reason[DOCKER_REASON_MAX];
	struct docker_about about;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(docker_about_parse(rows[i].version, strlen(rows[i].version),
						    rows[i].info, strlen(rows[i].info), &about,
						    reason),
				 0);
		assert_int_equal(about.podman, rows[i].about.podman);
		assert_int_equal(about.desktop, rows[i].about.desktop);
		assert_int_equal(about.wsl2, rows[i].about.wsl2);
		assert_int_equal(about.rootless, rows[i].about.rootless);
		assert_int_equal(about.gvisor, rows[i].about.gvisor);
		assert_string_equal(about.name, about.podman ? "Podman" : "Docker");
		assert_string_equal(about.version, about.podman ? "5.4.2" : "26.1.5");
	}
}

static void test_nonsense(void **state)
{
	static const char *const texts[] = {"", "[]", "{\"Version\":7}", "{\"Version\":", "\"x\""};
	char reason[DOCKER_REASON_MAX];
	struct docker_about about;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(texts); i++) {
		assert_int_equal(docker_about_parse(texts[i], strlen(texts[i]), "{}", 2, &about,
						    reason),
				 -EBADMSG);
		assert_string_not_equal(reason, "");
	}
	assert_int_equal(docker_about_parse("{}", 2, "{\"OperatingSystem\":[]}", 22, &about,
					    reason),
			 -EBADMSG);
	assert_int_equal(docker_about_parse("{}", 2, "{}", 2, &about, reason), 0);
}

static void test_runtimes(void **state)
{
	(void)state;
	assert_true(docker_is_gvisor("runsc"));
	assert_true(docker_is_gvisor("runsc-kvm"));
	assert_true(docker_is_gvisor("io.containerd.gvisor.v1"));
	assert_false(docker_is_gvisor("runc"));
	assert_false(docker_is_gvisor(""));
}

static void test_frames(void **state)
{
	static const char framed[] = "\1\0\0\0\0\0\0\4one\n"
				     "\2\0\0\0\0\0\0\0"
				     "\2\0\0\0\0\0\0\6three\n"
				     "\1\0\0\0\0\0\0\377cut";
	char text[sizeof(framed)];

	(void)state;
	memcpy(text, framed, sizeof(framed));
	assert_int_equal(docker_about_unframe(text, sizeof(framed) - 1), 13);
	assert_memory_equal(text, "one\nthree\ncut", 13);
	/* A head that is cut ends it. */
	memcpy(text, framed, sizeof(framed));
	assert_int_equal(docker_about_unframe(text, 15), 4);
	/* With a terminal there are no frames. */
	(void)strcpy(text, "plain\n");
	assert_int_equal(docker_about_unframe(text, 6), 6);
	assert_string_equal(text, "plain\n");
	assert_int_equal(docker_about_unframe(NULL, 0), 0);
}

static void test_container(void **state)
{
	static const char text[] = "{\"State\":{\"Pid\":12},\"HostConfig\":{\"Runtime\":\"runc\","
				   "\"NetworkMode\":\"container:0123456789ab\"}}";
	static const char alone[] =
		"{\"State\":{\"Pid\":-4},\"HostConfig\":{\"NetworkMode\":\"bridge\"}}";
	struct docker_about_container container;
	char reason[DOCKER_REASON_MAX];

	(void)state;
	assert_int_equal(docker_about_parse_container(text, strlen(text), &container, reason), 0);
	assert_int_equal(container.pid, 12);
	assert_string_equal(container.runtime, "runc");
	assert_string_equal(container.joins, "0123456789ab");
	assert_int_equal(docker_about_parse_container(alone, strlen(alone), &container, reason), 0);
	assert_int_equal(container.pid, 0);
	assert_string_equal(container.joins, "");
	assert_int_equal(docker_about_parse_container("{}", 2, &container, reason), -EBADMSG);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),	  cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_runtimes),  cmocka_unit_test(test_frames),
		cmocka_unit_test(test_container),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
