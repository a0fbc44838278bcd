/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The switch between the control API's thread and the main thread. The former asks to turn the
 * internet off or on, and the latter steers accordingly (steering_set_internet()).
 */
#ifndef SIDESTEP_SIDECAR_INTERNET_H
#define SIDESTEP_SIDECAR_INTERNET_H

#include <pthread.h>
#include <stdbool.h>

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

/* Asks, and waits for the answer. Returns it, or -ETIMEDOUT after a second. From one thread. */
int sidecar_internet_request(struct sidecar_internet *internet, bool on);

/* The main thread: takes the request. Returns whether the internet is to be on. */
bool sidecar_internet_take(struct sidecar_internet *internet);

/* The main thread: answers it with 0 or a negative errno. */
void sidecar_internet_answer(struct sidecar_internet *internet, int error);

#endif
