/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control API with a real proxy and policy in the namespace "home" (two_netns.h), and a client
 * in the namespace "far". A failure fails the test.
 */
#ifndef SIDESTEP_TESTS_CONTROL_BED_H
#define SIDESTEP_TESTS_CONTROL_BED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "control/control.h"
#include "lib/address.h"

/* The control API listens here, in "home". "far" is its host. CONTROL_ALLOWED is another address
 * that may ask. */
#define CONTROL_AT	"[::]:39001"
#define CONTROL_ALLOWED "10.9.0.8"

struct control_bed {
	struct control *control;
	struct proxy *proxy;
	struct policy *policy;
	struct tls_authority *tls;
	int target; /* a listening socket in "home", for tunnels */
	char target_text[ADDRESS_TEXT_MAX];
	atomic_int changed; /* calls of gateway_changed(), and its last port */
	atomic_int port;
};

/* With a TLS authority if @tls. */
struct control_bed *control_bed_new(bool tls);
void control_bed_free(struct control_bed *bed);

/* Connects to @to from the namespace @netns; or to the control API from "far". */
int control_dial_from(int netns, const char *to);
int control_dial(void);

/* Reads up to the FIN. */
void control_read_all(int fd, char *answer, size_t room);

/* The answer is the last one, with this status and text. Closes @fd. */
void control_expect_answer(int fd, int status, const char *contains);

/* Sends a request over a new connection, or a PUT /egress with @body, and expects an answer. */
void control_ask(const char *request, int status, const char *contains);
void control_put(const char *body, int status, const char *contains);

#endif
