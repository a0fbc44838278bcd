// SPDX-License-Identifier: Apache-2.0
/* Checks that messages wait no longer than allowed for a standard error that nobody reads. The lost
 * ones are counted. It is a pipe with a name, one without, or a socket. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/util.h"

#define LINES	4000
#define LINE	"sidestep: info: a line\n"
#define WAIT_MS 100

static int saved = -1; /* the true standard error */
static int reader = -1;

static void redirect(int fd)
{
	saved = dup(STDERR_FILENO);
	assert_true(saved >= 0 && dup2(fd, STDERR_FILENO) >= 0);
	(void)close(fd);
}

static void redirect_to_pipe(void)
{
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	reader = ends[0];
	redirect(ends[1]);
}

static void redirect_to_named_pipe(void)
{
	char folder[] = "/tmp/test_log.XXXXXX", path[64];

	assert_non_null(mkdtemp(folder));
	(void)snprintf(path, sizeof(path), "%s/fifo", folder);
	assert_int_equal(mkfifo(path, 0600), 0);
	reader = open(path, O_RDONLY | O_NONBLOCK);
	redirect(open(path, O_WRONLY));
	(void)unlink(path);
	(void)rmdir(folder);
}

static void redirect_to_socket(void)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	reader = ends[0];
	redirect(ends[1]);
}

static int restore(void **state)
{
	(void)state;
	log_set_patience(LOG_PATIENT);
	if (saved >= 0)
		(void)dup2(saved, STDERR_FILENO);
	/* Says what was lost, so that the next test begins with nothing. */
	log_info("standard error is back");
	saved = safe_close(saved);
	reader = safe_close(reader);
	return 0;
}

/* Returns what there is to read, at most @size bytes. */
static size_t read_some(char *text, size_t size)
{
	size_t length = 0;
	ssize_t got;

	(void)fcntl(reader, F_SETFL, O_NONBLOCK);
	while (length < size && (got = read(reader, text + length, size - length)) > 0)
		length += (size_t)got;
	return length;
}

/* Each line either arrives whole or is counted. */
static void assert_nothing_waits(void (*redirect_to)(void))
{
	size_t room = LINES * sizeof(LINE), length, i;
	char *text = malloc(room), *at;
	unsigned int lost = 0, lines = 0;
	uint64_t begin_ms;
	char word[16];

	assert_non_null(text);
	redirect_to();
	log_set_patience(0);
	begin_ms = clock_ms();
	for (i = 0; i < LINES; i++)
		log_info("a line");
	assert_true(clock_ms() - begin_ms < 2000);
	length = read_some(text, room);
	for (i = 0; i + strlen(LINE) <= length; i += strlen(LINE), lines++)
		assert_memory_equal(text + i, LINE, strlen(LINE));
	assert_int_equal(i, length);
	assert_true(lines > 0 && lines < LINES);
	log_info("a line");
	length = read_some(text, room - 1);
	text[length] = '\0';
	assert_int_equal(sscanf(text, "sidestep: warning: %u %15s were lost", &lost, word), 2);
	assert_string_equal(word, "messages");
	assert_int_equal(lines + lost, LINES);
	at = strchr(text, '\n');
	assert_non_null(at);
	assert_string_equal(at + 1, LINE);
	/* It is said once. */
	log_info("a line");
	length = read_some(text, room - 1);
	assert_int_equal(length, strlen(LINE));
	free(text);
}

static void test_pipe(void **state)
{
	(void)state;
	assert_nothing_waits(redirect_to_pipe);
}

static void test_named_pipe(void **state)
{
	(void)state;
	assert_nothing_waits(redirect_to_named_pipe);
}

static void test_socket(void **state)
{
	(void)state;
	assert_nothing_waits(redirect_to_socket);
}

/* At a start or a stop one line waits, and those behind it do not. */
static void test_bounded(void **state)
{
	uint64_t begin_ms, took_ms;
	int i;

	(void)state;
	redirect_to_pipe();
	log_set_patience(WAIT_MS);
	begin_ms = clock_ms();
	for (i = 0; i < LINES; i++)
		log_info("a line");
	took_ms = clock_ms() - begin_ms;
	assert_true(took_ms >= WAIT_MS && took_ms < 2000);
}

static void *read_late(void *context)
{
	struct timespec pause = {.tv_nsec = WAIT_MS * 1000000};
	char *text = context;

	(void)nanosleep(&pause, NULL);
	while (!strstr(text, "the last words")) {
		size_t length = strlen(text);

		(void)!read(reader, text + length, 1 << 20);
	}
	return NULL;
}

/* A reader that is only slow gets every line. */
static void test_patient(void **state)
{
	char *text = calloc(1, 2 << 20);
	pthread_t thread;
	int i;

	(void)state;
	assert_non_null(text);
	redirect_to_pipe();
	log_set_patience(LOG_PATIENT);
	assert_int_equal(pthread_create(&thread, NULL, read_late, text), 0);
	for (i = 0; i < LINES; i++)
		log_info("a line");
	log_error("the last words");
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(strlen(text),
			 LINES * strlen(LINE) + strlen("sidestep: error: the last words\n"));
	free(text);
}

static void assert_line(const char *quoted, const char *shown)
{
	char text[256], wanted[256];
	size_t length;

	log_error("cannot read %s: give another", quoted);
	length = read_some(text, sizeof(text) - 1);
	text[length] = '\0';
	(void)snprintf(wanted, sizeof(wanted), "sidestep: error: cannot read %s: give another\n",
		       shown);
	assert_string_equal(text, wanted);
}

static void test_password(void **state)
{
	(void)state;
	redirect_to_pipe();
	assert_line("http://user:secret@host:1", "http://user:*@host:1");
	assert_line("user:secret@host:1", "user:*@host:1");
	assert_line("--to=http://user:se/cr://et@host", "--to=http://user:*@host");
	assert_line("http://user:se@cr/et@host", "http://user:*@host");
	assert_line("http://:secret@host", "http://:*@host");
	assert_line("'user:secret@host'", "'user:*@host'");
	assert_line("http://user@host:1", "http://user@host:1");
	assert_line("user:@host:1", "user:@host:1");
	assert_line("unix:/run/app@1.sock", "unix:/run/app@1.sock");
	assert_line("@:@", "@:@");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_pipe, restore),
		cmocka_unit_test_teardown(test_named_pipe, restore),
		cmocka_unit_test_teardown(test_socket, restore),
		cmocka_unit_test_teardown(test_bounded, restore),
		cmocka_unit_test_teardown(test_patient, restore),
		cmocka_unit_test_teardown(test_password, restore),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
