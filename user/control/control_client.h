/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection to the control API, and what the connections of one server share. All of it
 * belongs to the control thread.
 *
 *	REQUEST	the request is read
 *	DIAL	CONNECT: the target is being connected to
 *	RELAY	bytes pass both ways
 *	LINGER	the answer is sent, what still arrives is dropped, so that it is not answered by a
 *		RST, which would take the answer along
 */
#ifndef SIDESTEP_CONTROL_CLIENT_H
#define SIDESTEP_CONTROL_CLIENT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "control/control.h"
#include "control/control_origin.h"
#include "lib/complaint.h"
#include "lib/list.h"
#include "proto/control_request.h"
#include "stream/loop.h"
#include "stream/relay.h"

/* Connections at most: without tunnel, from outside and inside; and tunnels. Beyond it the oldest
 * of the first two kinds is reset, and a tunnel is refused (503). */
#define CONTROL_WAITING_MAX 256
#define CONTROL_INSIDE_MAX  32
#define CONTROL_TUNNELS_MAX 16384

/* Limits for the whole request, for connecting to a tunnel's target, and for lingering. */
#define CONTROL_REQUEST_MS 5000
#define CONTROL_DIAL_MS	   10000
#define CONTROL_LINGER_MS  1000

enum control_state {
	CONTROL_REQUEST,
	CONTROL_DIAL,
	CONTROL_RELAY,
	CONTROL_LINGER,
};

/* What can go wrong often, and is logged once a second at most. */
enum control_complaint {
	CONTROL_COMPLAINT_INSIDE,
	CONTROL_COMPLAINT_REQUEST,
	CONTROL_COMPLAINT_DIAL,
	CONTROL_COMPLAINT_LIMIT,
	CONTROL_COMPLAINTS,
};

struct control_client;

struct control_list {
	struct list_link by_age; /* oldest first */
	unsigned int count;
};

struct control {
	struct control_config config; /* gateway: the current one */
	struct loop *loop;
	struct relay_pool *pool;
	struct control_origin *origin;
	struct loop_timer_class request_class, dial_class, linger_class, pause_class;
	struct control_list waiting, inside, tunnels;
	struct complaint complaints[CONTROL_COMPLAINTS];

	struct loop_handler listener;
	int reserve; /* given up to accept, and so reset, a connection when fds have run out */
	struct loop_timer pause;
	pthread_t thread;
	bool running;
};

struct control_client {
	struct control *control;
	struct control_list *list;
	struct list_link age;
	struct relay relay;		 /* side 0: who asks, 1: the tunnel's target */
	struct control_request *request; /* until it is answered */
	enum control_state state;
	struct endpoint target;
	char peer[ADDRESS_TEXT_MAX];
	uint32_t dropped; /* bytes, while lingering */
	struct loop_timer timer;
	struct loop_task release;
};

/* Sets up the timer classes; the loop is set. */
void control_client_setup(struct control *control);

/* Takes over an accepted, nonblocking socket. */
void control_client_accept(struct control *control, int fd, const struct sockaddr *peer);

/* Resets all; their memory goes with loop_flush(). */
void control_client_reset_all(struct control *control);

/* Closes and releases. */
void control_client_end(struct control_client *client, bool reset);

/* Moves the client from its list to the new end of another. */
void control_client_move(struct control_client *client, struct control_list *list);

/* Frees the request, which is not needed any more. */
void control_client_request_free(struct control_client *client);

/* Sends the answer, whole, and lingers. @headers: further ones, each with its line end. 204 has
 * neither body nor Content-Length. A client whose tunnel failed stays counted as a tunnel. */
void control_client_answer(struct control_client *client, unsigned int status, const char *headers,
			   const char *body, size_t size);
void control_client_answer_text(struct control_client *client, unsigned int status,
				const char *headers, const char *text);

/* The same with a text that says what is wrong and what to do. */
void control_client_refuse(struct control_client *client, unsigned int status, const char *format,
			   ...) __attribute__((format(printf, 3, 4)));

/* The same, logged; @reason may quote the request and is made printable. */
void control_client_refuse_logged(struct control_client *client, unsigned int status, char *reason);

/* Drops what arrives in the state LINGER. */
void control_client_linger(struct control_client *client);

/* Does the complete CONNECT: dials, answers, relays. What arrived behind the head is queued. */
void control_tunnel_start(struct control_client *client);

#endif
