/* SPDX-License-Identifier: Apache-2.0 */
/* The other end of a stream socket, which blocks. */
#ifndef SIDESTEP_TESTS_PEER_H
#define SIDESTEP_TESTS_PEER_H

#include <stddef.h>

void put(int fd, const void *data, size_t size);
void say(int fd, const char *text);

/* The next bytes are @text, of at most 1023 characters. */
void expect_bytes(int fd, const char *text);
void expect_end(int fd);

/* Closes the socket afterwards. */
void expect_reset(int fd);

#endif
