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
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* Shared by the threads of a proxy. */
struct echo {
	pthread_mutex_t lock;	/* of awaiting and reporting */
	int fd;			/* an eventfd, written when the echo arrives */
	atomic_ullong awaited;	/* the destination; 0: none */
	atomic_bool is_looping; /* all connections are refused */
};

/* Awaits nothing yet. */
void echo_init(struct echo *echo);

/* Returns 0 or negative errno. */
int echo_open(struct echo *echo);

/* Behind echo_init(), whether it was opened or not. */
void echo_free(struct echo *echo);

/* Awaits a connection to this destination, in place of the last one. It stays awaited, because an
 * echo that comes late would run in circles, too. Thread safe. */
void echo_await(struct echo *echo, const struct sockaddr_in *destination);

/* Tells whether a connection to this destination is the echo. */
bool echo_has_come(const struct echo *echo, const struct sockaddr_storage *destination);

/* Reports the echo that came to this destination, unless another one is awaited by now. Thread
 * safe. */
void echo_report(struct echo *echo, const struct sockaddr_storage *destination);

#endif
