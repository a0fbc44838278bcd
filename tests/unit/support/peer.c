// SPDX-License-Identifier: Apache-2.0
#include "support/peer.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

void put(int fd, const void *data, size_t size)
{
	assert_int_equal(send(fd, data, size, MSG_NOSIGNAL), size);
}

void say(int fd, const char *text)
{
	put(fd, text, strlen(text));
}

void expect_bytes(int fd, const char *text)
{
	char buffer[1024] = {0};

	assert_int_equal(recv(fd, buffer, strlen(text), MSG_WAITALL), strlen(text));
	assert_string_equal(buffer, text);
}

void expect_end(int fd)
{
	assert_int_equal(recv(fd, &(char) {0}, 1, 0), 0);
}

void expect_reset(int fd)
{
	assert_int_equal(recv(fd, &(char) {0}, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	close(fd);
}
