/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The switch between the control API's thread and the main thread. The former asks to turn the
 * internet off or on, and the latter steers accordingly (steering_set_internet()).
 */
#ifndef SIDESTEP_SIDECAR_INTERNET_H
#define SIDESTEP_SIDECAR_INTERNET_H

#include <pthread.h>
#include <stdbool.h>

/* The longest wait for an answer, ms. Workerd waits 2 s for the answer to its own request. That
 * includes this and embedded_resolver_check(). */
#define SIDECAR_INTERNET_WAIT_MS 1000

struct sidecar_internet {
	pthread_mutex_t lock;
	pthread_cond_t answered;
	int fd; /* eventfd: there is a request; -1: not open */
	bool on;
	/* Requests are numbered, because an answer may come too late. */
	unsigned int asked, taken, done;
	int error; /* the last answer */
};

/* Returns 0 or negative errno. The fd must be -1 before. */
int sidecar_internet_open(struct sidecar_internet *internet);
void sidecar_internet_close(struct sidecar_internet *internet);

/* Asks, and does not wait. From one thread. */
void sidecar_internet_post(struct sidecar_internet *internet, bool on);

/* That thread waits for the answer to what it asked last. Returns it, or -ETIMEDOUT. */
int sidecar_internet_wait(struct sidecar_internet *internet);

/* The main thread: takes the request. Returns whether the internet is to be on. */
bool sidecar_internet_take(struct sidecar_internet *internet);

/* The main thread: answers it with 0 or a negative errno. */
void sidecar_internet_answer(struct sidecar_internet *internet, int error);

#endif
