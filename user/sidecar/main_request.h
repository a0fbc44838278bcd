/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of another thread to the main thread, which alone changes the steering. The control API
 * turns the internet off or on (steering_set_internet()), and the preflight moves the gateway to
 * another address.
 */
#ifndef SIDESTEP_MAIN_REQUEST_H
#define SIDESTEP_MAIN_REQUEST_H

#include <pthread.h>
#include <stdbool.h>

#include "lib/socket_address.h"

/* The longest wait for an answer, ms. Workerd waits 2 s for the answer to its own request. That
 * includes this and embedded_resolver_check(). */
#define MAIN_REQUEST_WAIT_MS 1000

union main_request_value {
	bool internet; /* on */
	struct {
		struct socket_address address;
		bool trusted; /* it may be let out although it is not bypassed otherwise */
	} gateway;
};

struct main_request {
	pthread_mutex_t lock;
	pthread_cond_t answered;
	int fd; /* eventfd: there is a request; -1: not open */
	union main_request_value value;
	/* Requests are numbered, because an answer may come too late. */
	unsigned int asked, taken, done;
	int error; /* the last answer */
};

/* Returns 0 or negative errno. The fd must be -1 before. */
int main_request_open(struct main_request *request);
void main_request_close(struct main_request *request);

/* Asks, and does not wait. From one thread. */
void main_request_post(struct main_request *request, const union main_request_value *value);

/* That thread waits for the answer to what it asked last. Returns it, or -ETIMEDOUT. */
int main_request_wait(struct main_request *request);

/* The main thread: takes the request. */
void main_request_take(struct main_request *request, union main_request_value *ret_value);

/* The main thread: answers it with 0 or a negative errno. */
void main_request_answer(struct main_request *request, int error);

#endif
