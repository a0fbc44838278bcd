// SPDX-License-Identifier: Apache-2.0
/* Tests that a file for secrets is its owner's alone, whatever was there before. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/private_file.h"
#include "lib/util.h"

static char folder[] = "/tmp/sst-private-XXXXXX";

static int enter_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int leave_folder(void **state)
{
	(void)state;
	(void)unlink("file");
	(void)unlink("link");
	(void)unlink("pipe");
	return chdir("/") == 0 && rmdir(folder) == 0 ? 0 : -1;
}

static void test_file(void **state)
{
	_cleanup_close_ int reader = -1, writer = -1, writer2 = -1;
	struct stat status;
	char byte;

	(void)state;
	(void)umask(0);
	writer = private_file_open("file");
	assert_true(writer >= 0);
	assert_int_equal(fstat(writer, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	/* Others may read the file that is there, and one of them does. */
	assert_int_equal(fchmod(writer, 0644), 0);
	reader = open("file", O_RDONLY | O_CLOEXEC);
	writer2 = private_file_open("file");
	assert_true(reader >= 0 && writer2 >= 0);
	assert_int_equal(write(writer2, "x", 1), 1);
	assert_int_equal(read(reader, &byte, 1), 0);
	assert_int_equal(stat("file", &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	assert_int_equal(status.st_size, 1);
}

static void test_other_kinds(void **state)
{
	_cleanup_close_ int device = private_file_open("/dev/null"), reader = -1, pipe = -1;
	struct stat status;

	(void)state;
	assert_true(device >= 0);
	assert_int_equal(mkfifo("pipe", 0600), 0);
	reader = open("pipe", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_int_equal(symlink("pipe", "link"), 0);
	pipe = private_file_open("link");
	assert_true(reader >= 0 && pipe >= 0);
	assert_int_equal(unlink("link"), 0);
	/* Somebody has put a link there, to a file or to nothing. */
	assert_int_equal(symlink("file", "link"), 0);
	assert_int_equal(private_file_open("link"), -ELOOP);
	assert_int_equal(unlink("file"), 0);
	assert_int_equal(private_file_open("link"), -ENOENT);
	assert_int_equal(stat("file", &status), -1);
	assert_int_equal(private_file_open("none/file"), -ENOENT);
	assert_int_equal(private_file_open("."), -EISDIR);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_other_kinds),
	};

	return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
