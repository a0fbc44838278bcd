/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recognises that the gateway's own connections are intercepted. Each would be asked of the gateway
 * again, in a loop that ends with the last descriptor.
 *
 * Nothing in a connection tells whose it is. So somebody asks the gateway for a destination that
 * was chosen at random, and a connection to it can only be the gateway's
 * (user/sidecar/gateway_echo.h).
 */
#ifndef SIDESTEP_ECHO_H
#define SIDESTEP_ECHO_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Shared by the threads of a proxy. */
struct echo {
	int fd;			/* an eventfd, written when the echo arrives */
	atomic_ullong awaited;	/* the destination; 0: none */
	atomic_bool is_looping; /* all connections are refused */
};

/* Zero-initialised with fd = -1 it is closed. Returns 0 or negative errno. */
int echo_open(struct echo *echo);
void echo_close(struct echo *echo);

/* Awaits a connection to this destination, in place of the last one. Thread safe. */
void echo_await(struct echo *echo, const struct sockaddr_in *destination);

/* Tells whether an accepted connection is the echo. */
bool echo_has_come(const struct echo *echo, int fd);

/* Reports it. */
void echo_report(const struct echo *echo);

#endif
