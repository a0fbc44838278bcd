/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A scripted Docker engine on a unix socket, for faults and races that a real one does not show on
 * demand. An error of the fake itself ends the test program.
 */
#ifndef SIDESTEP_TESTS_DOCKER_FAKE_H
#define SIDESTEP_TESTS_DOCKER_FAKE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#define DOCKER_FAKE_CONTAINERS 4
#define DOCKER_FAKE_HELD       16

/* The answer to GET /containers/ID/json. */
struct docker_fake_container {
	const char *id; /* NULL: unused */
	const char *body;
	int status;
};

struct docker_fake {
	char directory[64];
	char path[96];
	int listener;
	int stream; /* the open event stream, or -1 */
	pthread_t thread;
	pthread_mutex_t lock;
	/* The script, guarded by the lock. */
	const char *networks;	/* body of GET /networks */
	size_t networks_filler; /* this many blanks precede it */
	int status;		/* of GET /networks */
	int events_status;
	bool stall_networks; /* never answered */
	bool stall_events;
	const char *list; /* body of GET /containers/json */
	/* Other containers get status 404. */
	struct docker_fake_container containers[DOCKER_FAKE_CONTAINERS];
	bool hold; /* docker_fake_let_go() answers the inspections */
	int held[DOCKER_FAKE_HELD];
	char held_answers[DOCKER_FAKE_HELD][1024]; /* as of the time of the request */
	int held_status[DOCKER_FAKE_HELD];
	size_t held_count;
	int remove_status; /* of DELETE /containers/ID */
	/* The record of requests, guarded by the lock. */
	unsigned int fetches; /* GET /networks */
	unsigned int streams; /* GET /events */
	unsigned int lists;   /* GET /containers/json */
	unsigned int inspections;
	unsigned int removals;
	char events_request[1024];
	char removal[1024];
	pthread_cond_t asked; /* signalled at each request */
};

/* Prepares the fake without a socket. */
void docker_fake_prepare(struct docker_fake *fake);

/* Makes the socket and serves it. */
void docker_fake_listen(struct docker_fake *fake);

/* Ends the engine: listener, event stream and socket file. docker_fake_listen() starts another. */
void docker_fake_stop(struct docker_fake *fake);

/* Stops the engine and removes its directory. */
void docker_fake_release(struct docker_fake *fake);

/* Closes the event stream. */
void docker_fake_hang_up(struct docker_fake *fake);

/* Sends @text on the event stream in pieces of @piece bytes, an HTTP chunk each. */
void docker_fake_event(struct docker_fake *fake, const char *text, size_t piece);

/* Sends the chunk of length 0, which ends the event stream in order. */
void docker_fake_end_stream(struct docker_fake *fake);

/* Answers the held inspections, and holds no more. */
void docker_fake_let_go(struct docker_fake *fake);

/* A record of the calls of a watcher's handler. */
struct docker_seen {
	pthread_mutex_t lock;
	pthread_cond_t news;
	unsigned int states;
	unsigned int lost;
	unsigned int back;
	unsigned int used; /* states that had the property @used */
	char text[256];	   /* of the last state */
	char reason[256];  /* of the last change of the connection */
};

void docker_seen_init(struct docker_seen *seen);

/* Records a state. */
void docker_seen_state(struct docker_seen *seen, const char *text, bool used);

/* Records a change of the connection: a handler's connected(). @context: struct docker_seen. */
void docker_seen_connected(bool connected, const char *reason, void *context);

/* Fail unless the last state's text is @wanted, or unless @part is in the last reason. */
void docker_seen_assert_text(struct docker_seen *seen, const char *wanted);
void docker_seen_assert_reason(struct docker_seen *seen, const char *part);

/* Waits until @counter is at least @wanted, at most 8 s. Returns false after that. */
bool docker_fake_wait(pthread_mutex_t *lock, pthread_cond_t *news, const unsigned int *counter,
		      unsigned int wanted);

/* Waits for a counter of @bed's .seen or .fake, and fails the test after 8 s. */
#define WAIT_SEEN(bed, counter, wanted)                                                            \
	WAIT_COUNTER(&(bed)->seen.lock, &(bed)->seen.news, &(bed)->seen.counter, #counter, wanted)
#define WAIT_ASKED(bed, counter, wanted)                                                           \
	WAIT_COUNTER(&(bed)->fake.lock, &(bed)->fake.asked, &(bed)->fake.counter, #counter, wanted)
#define WAIT_COUNTER(lock, news, counter, name, wanted)                                            \
	do {                                                                                       \
		if (!docker_fake_wait(lock, news, counter, wanted))                                \
			fail_msg("waited for %u " name, (unsigned int)(wanted));                   \
	} while (0)

#endif
