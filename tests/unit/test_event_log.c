// SPDX-License-Identifier: Apache-2.0
/* The files that an event log takes. tests/events.bats tests what is written. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "events/event_log.h"

static int open_log(const char *path)
{
	const struct events_config config = {.netns = 1};
	struct event_log *log = NULL;
	struct events *events;
	int error;

	assert_int_equal(events_new(&config, &events), 0);
	error = event_log_new(events, path, EVENT_LOG_SIZE, &log);
	events_free(events);
	event_log_free(log);
	return error;
}

/* Everything else is refused, and nobody waits for the reader of a named pipe. */
static void test_only_files(void **state)
{
	char folder[] = "/tmp/sidestep-log-XXXXXX", path[64], pipe[64], link[64];

	(void)state;
	assert_non_null(mkdtemp(folder));
	(void)snprintf(path, sizeof(path), "%s/log", folder);
	(void)snprintf(pipe, sizeof(pipe), "%s/pipe", folder);
	(void)snprintf(link, sizeof(link), "%s/link", folder);
	assert_int_equal(mkfifo(pipe, S_IRUSR | S_IWUSR), 0);
	assert_int_equal(symlink(path, link), 0);
	(void)alarm(30);
	assert_int_equal(open_log(pipe), -ENXIO);
	assert_int_equal(open_log("/dev/null"), -EINVAL);
	assert_int_equal(open_log(folder), -EISDIR);
	assert_int_equal(open_log(link), -ELOOP);
	assert_int_equal(open_log(path), 0);
	(void)alarm(0);
	assert_int_equal(unlink(path) | unlink(pipe) | unlink(link) | rmdir(folder), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
