// SPDX-License-Identifier: Apache-2.0
#include "control/control_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/control_answer.h"
#include "control/control_egress.h"
#include "control/control_tunnel.h"
#include "lib/address.h"
#include "lib/log.h"
#include "lib/util.h"
#include "proto/control_request.h"
#include "stream/relay_pump.h"

/* Bytes of one read(2). The part behind a CONNECT's head must fit the relay's buffer. */
#define READ_SIZE 16384
/* A client that sends more than this after its answer is reset. Bytes. */
#define LINGER_BYTES_MAX (1024 * 1024)

enum control_state {
	CONTROL_REQUEST,
	CONTROL_DIAL,
	CONTROL_RELAY,
	CONTROL_LINGER,
};

struct control_client {
	struct control_clients *clients;
	struct control_list *list;
	struct list_link age;
	struct control_tunnel tunnel;	 /* its side 0 is this connection, in all states */
	struct control_request *request; /* NULL once it is answered */
	enum control_state state;
	char peer[ADDRESS_TEXT_MAX];
	uint32_t dropped; /* bytes, while lingering */
	struct loop_timer timer;
	struct loop_release release;
};

static void leave_list(struct control_client *client)
{
	list_remove(&client->age);
	client->list->count--;
}

static void enter_list(struct control_client *client, struct control_list *list)
{
	client->list = list;
	list_append(&list->by_age, &client->age);
	list->count++;
}

/* Returns NULL when the list is empty. */
static struct control_client *oldest_of(const struct control_list *list)
{
	struct list_link *link = list_first(&list->by_age);

	return link ? container_of(link, struct control_client, age) : NULL;
}

static struct loop_handler *client_side(struct control_client *client)
{
	return &client->tunnel.relay.side[0];
}

static bool client_complains(struct control_client *client, enum control_complaint complaint,
			     char suffix[COMPLAINT_SUFFIX_MAX])
{
	return complaint_due(&client->clients->complaints[complaint], suffix);
}

static void request_free(struct control_client *client)
{
	if (client->request)
		control_request_clear(client->request);
	free(client->request);
	client->request = NULL;
}

/* Closes the connection. Its memory is freed once the batch of events in progress is over. */
static void client_end(struct control_client *client, bool reset)
{
	control_tunnel_close(&client->tunnel, reset);
	loop_timer_stop(&client->timer);
	request_free(client);
	leave_list(client);
	loop_free_later(client->clients->loop, &client->release, client);
}

static void client_linger(struct control_client *client)
{
	struct loop_handler *side = client_side(client);

	while (side->latched & EPOLLIN) {
		ssize_t size = recv(side->fd, client->clients->pool->buffer, RELAY_BUFFER, 0);

		if (size < 0 && errno == EAGAIN) {
			side->latched &= ~(uint32_t)EPOLLIN;
			return;
		}
		if (size < 0 && errno == EINTR)
			continue;
		client->dropped += size > 0 ? (uint32_t)size : 0;
		if (size <= 0 || client->dropped > LINGER_BYTES_MAX) {
			client_end(client, size != 0);
			return;
		}
	}
}

static void linger_expired(struct loop_timer *timer)
{
	client_end(container_of(timer, struct control_client, timer), false);
}

/* The answer was sent (@error 0), or could not be. A client whose tunnel failed stays in the list
 * of tunnels. */
static void client_answered(struct control_client *client, int error)
{
	if (error < 0) {
		client_end(client, true);
		return;
	}
	request_free(client);
	client->state = CONTROL_LINGER;
	client->timer.expired = linger_expired;
	loop_timer_start(client->clients->loop, &client->clients->linger_class, &client->timer);
	client_linger(client);
}

/* Answers with a text that says what is wrong, and what to do. */
static void client_refuse(struct control_client *client, unsigned int status, const char *text)
{
	client_answered(client,
			control_answer_send_text(client_side(client)->fd, status, "", text));
}

/* A known path was asked for with another method than the one in @allow. */
static void client_refuse_method(struct control_client *client, const char *allow, const char *text)
{
	client_answered(client,
			control_answer_send_text(client_side(client)->fd, 405, allow, text));
}

/* Quotes of a request must be fit for a log. */
static void make_printable(char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
	}
}

/* Refuses and logs. @reason may quote the request. */
static void client_refuse_logged(struct control_client *client, unsigned int status,
				 const char *reason)
{
	char suffix[COMPLAINT_SUFFIX_MAX], text[CONTROL_EGRESS_REASON_MAX];

	(void)snprintf(text, sizeof(text), "%s", reason);
	make_printable(text);
	if (client_complains(client, CONTROL_COMPLAINT_REQUEST, suffix))
		log_warning("control: request of %s refused (%u): %s%s", client->peer, status, text,
			    suffix);
	client_refuse(client, status, text);
}

/* The answer to a PUT that could not be applied. */
static unsigned int egress_status(int error)
{
	switch (error) {
	case -EINVAL:
		return 400;
	case -EXDEV:
		return 409;
	case -ENOMEM:
		return 500;
	default:
		return 503;
	}
}

static void put_egress(struct control_client *client)
{
	const struct control_request *request = client->request;
	_cleanup_(control_egress_clear) struct control_egress egress;
	char reason[CONTROL_EGRESS_REASON_MAX] = "out of memory";
	int error = control_egress_parse(request->body, request->body_size, &egress, reason);

	if (error == 0)
		error = control_egress_apply(&egress, &client->clients->config, reason);
	if (error < 0) {
		client_refuse_logged(client, egress_status(error), reason);
		return;
	}
	control_egress_log(&egress, client->peer);
	client_answered(client, control_answer_send(client_side(client)->fd, 204, "", NULL, 0));
}

static void get_ca(struct control_client *client)
{
	const struct tls_authority *tls = client->clients->config.tls;
	const char *pem;
	size_t size;

	if (!tls) {
		client_refuse(client, 404,
			      "there is no CA: TLS interception is off (--tls-intercept turns it "
			      "on)");
		return;
	}
	pem = tls_authority_pem(tls, &size);
	client_answered(client,
			control_answer_send(client_side(client)->fd, 200,
					    "Content-Type: application/x-pem-file\r\n", pem, size));
}

/* workerd reads 400 as "not listening to that port". */
static void tunnel_failed(struct control_client *client, int error)
{
	char target[ADDRESS_TEXT_MAX], suffix[COMPLAINT_SUFFIX_MAX], text[256];

	endpoint_format((const struct sockaddr *)&client->tunnel.target.address, target);
	if (error == -EXDEV) {
		(void)snprintf(text, sizeof(text),
			       "%s is no address of this network namespace; CONNECT leads only "
			       "into the container",
			       target);
		client_refuse_logged(client, 400, text);
		return;
	}
	if (client_complains(client, CONTROL_COMPLAINT_DIAL, suffix))
		log_warning("control: CONNECT to %s for %s failed: %s; is the application "
			    "listening there?%s",
			    target, client->peer, strerror(-error), suffix);
	(void)snprintf(text, sizeof(text),
		       "cannot connect to %s: %s; is the application listening there?", target,
		       strerror(-error));
	client_refuse(client, 400, text);
}

static void tunnel_dialed(struct control_tunnel *tunnel, int error)
{
	struct control_client *client = container_of(tunnel, struct control_client, tunnel);

	if (error < 0) {
		tunnel_failed(client, error);
		return;
	}
	if (control_answer_send_tunnel(client_side(client)->fd) < 0) {
		client_end(client, true);
		return;
	}
	request_free(client);
	client->state = CONTROL_RELAY;
	control_tunnel_relay(tunnel, &client->clients->watches);
}

static void tunnel_done(struct control_tunnel *tunnel, bool reset)
{
	client_end(container_of(tunnel, struct control_client, tunnel), reset);
}

static void open_tunnel(struct control_client *client)
{
	const struct control_request *request = client->request;
	struct control_clients *clients = client->clients;
	char suffix[COMPLAINT_SUFFIX_MAX];
	int error;

	if (request->value[CONTROL_DESTINATION].count == 0) {
		client_refuse(client, 400, "CONNECT needs the header X-Dst-Addr: IP:port");
		return;
	}
	if (endpoint_parse(request->text[CONTROL_DESTINATION], &client->tunnel.target) < 0) {
		client_refuse(client, 400,
			      "X-Dst-Addr is not a literal address with a port, such as "
			      "127.0.0.1:8080 or [::1]:8080");
		return;
	}
	if (clients->tunnels.count >= CONTROL_TUNNELS_MAX) {
		if (client_complains(client, CONTROL_COMPLAINT_LIMIT, suffix))
			log_warning("control: CONNECT from %s refused: there are %d tunnels, which "
				    "is the limit; find who keeps them open%s",
				    client->peer, CONTROL_TUNNELS_MAX, suffix);
		client_refuse(client, 503, "there are too many tunnels; close some");
		return;
	}
	leave_list(client);
	enter_list(client, &clients->tunnels);
	client->state = CONTROL_DIAL;
	error = control_tunnel_dial(&client->tunnel, &clients->dialer);
	if (error < 0)
		tunnel_failed(client, error);
}

static void request_complete(struct control_client *client)
{
	llhttp_method_t method = control_request_method(client->request);
	char path[CONTROL_VALUE_MAX];
	bool egress, ca;

	if (method == HTTP_CONNECT) {
		open_tunnel(client);
		return;
	}
	control_request_path(client->request, path);
	egress = strcmp(path, "/egress") == 0;
	ca = strcmp(path, "/ca") == 0;
	if (egress && method == HTTP_PUT)
		put_egress(client);
	else if (ca && method == HTTP_GET)
		get_ca(client);
	else if (egress)
		client_refuse_method(client, "Allow: PUT\r\n", "only PUT is possible on /egress");
	else if (ca)
		client_refuse_method(client, "Allow: GET\r\n", "only GET is possible on /ca");
	else
		client_refuse(client, 404,
			      "there is no such path, only PUT /egress, GET /ca and CONNECT");
}

/* Returns true when more of the request must arrive. */
static bool request_feed(struct control_client *client, const char *data, size_t size)
{
	struct control_request *request = client->request;
	size_t used;

	switch (control_request_feed(request, data, size, &used)) {
	case HTTP_MORE:
		if (!request->continue_due)
			return true;
		request->continue_due = false;
		if (control_answer_send_continue(client_side(client)->fd) == 0)
			return true;
		client_end(client, true);
		return false;
	case HTTP_REFUSED:
		client_refuse_logged(client, request->head.status, request->head.reason);
		return false;
	case HTTP_COMPLETE:
		break;
	}
	loop_timer_stop(&client->timer);
	/* Other requests are the last of their connection: the answer says "Connection: close". */
	if (control_request_method(request) == HTTP_CONNECT &&
	    relay_queue(&client->tunnel.relay, 0, data + used, size - used) < 0)
		client_end(client, true);
	else
		request_complete(client);
	return false;
}

static void request_read(struct control_client *client)
{
	struct loop_handler *side = client_side(client);
	char *buffer = client->clients->pool->buffer;

	while (side->latched & EPOLLIN) {
		ssize_t size = recv(side->fd, buffer, READ_SIZE, 0);

		if (size < 0 && errno == EAGAIN) {
			side->latched &= ~(uint32_t)EPOLLIN;
			return;
		}
		if (size < 0 && errno == EINTR)
			continue;
		if (size > 0) {
			if (!request_feed(client, buffer, (size_t)size))
				return;
			continue;
		}
		/* A client that only probes the port gets a close and causes no message. */
		if (size < 0 || !control_request_begun(client->request))
			client_end(client, size < 0);
		else
			client_refuse_logged(client, 400, "the request ends before it is complete");
		return;
	}
}

static void client_ready(struct loop_handler *handler, uint32_t events)
{
	struct control_client *client = container_of(handler, struct control_client,
						     tunnel.relay.side[0]);

	if (events & EPOLLERR)
		client_end(client, true);
	else if (client->state == CONTROL_REQUEST)
		request_read(client);
	else if (client->state == CONTROL_LINGER)
		client_linger(client);
	/* In the state DIAL nothing is read: the bytes belong to the tunnel. */
}

static void request_expired(struct loop_timer *timer)
{
	struct control_client *client = container_of(timer, struct control_client, timer);

	if (control_request_begun(client->request))
		client_refuse_logged(client, 408, "the request was not complete within 5 s");
	else
		client_end(client, false);
}

/* Makes room in @list and adds a connection to it. NULL: @fd is closed. */
static struct control_client *client_new(struct control_clients *clients, int fd,
					 const struct sockaddr *peer, struct control_list *list,
					 unsigned int limit)
{
	_cleanup_free_ struct control_client *client = calloc(1, sizeof(*client));

	if (list->count >= limit)
		client_end(oldest_of(list), true);
	if (client)
		client->request = malloc(sizeof(*client->request));
	if (!client || !client->request)
		goto fail;
	client->clients = clients;
	endpoint_format(peer, client->peer);
	control_tunnel_init(&client->tunnel, clients->pool);
	client->tunnel.dialed = tunnel_dialed;
	client->tunnel.done = tunnel_done;
	client_side(client)->ready = client_ready;
	client_side(client)->latched = EPOLLOUT;
	if (loop_add(clients->loop, client_side(client), fd, RELAY_EVENTS) < 0)
		goto fail;
	control_request_init(client->request);
	enter_list(client, list);
	return TAKE_PTR(client);
fail:
	if (client)
		free(client->request);
	relay_reset_on_close(fd);
	(void)close(fd);
	return NULL;
}

void control_client_accept(struct control_clients *clients, int fd, const struct sockaddr *peer)
{
	const char *answer = NULL;
	int error = control_gate_judge(&clients->gate, fd, peer, &answer);
	struct control_client *client;

	if (error == -ENOTCONN) {
		(void)close(fd);
		return;
	}
	if (error < 0) {
		client = client_new(clients, fd, peer, &clients->refused, CONTROL_REFUSED_MAX);
		if (client)
			client_refuse(client, 403, answer);
		return;
	}
	client = client_new(clients, fd, peer, &clients->waiting, CONTROL_WAITING_MAX);
	if (!client)
		return;
	client->timer.expired = request_expired;
	loop_timer_start(clients->loop, &clients->request_class, &client->timer);
}

void control_client_setup(struct control_clients *clients)
{
	loop_timer_class_init(clients->loop, &clients->request_class, CONTROL_REQUEST_MS);
	loop_timer_class_init(clients->loop, &clients->linger_class, CONTROL_LINGER_MS);
	list_init(&clients->waiting.by_age);
	list_init(&clients->refused.by_age);
	list_init(&clients->tunnels.by_age);
	dialer_init(&clients->dialer, clients->loop, CONTROL_DIAL_MS);
	peer_watches_init(&clients->watches, clients->loop, clients->config.peer_ms);
}

void control_client_reset_all(struct control_clients *clients)
{
	struct control_list *const lists[] = {&clients->waiting, &clients->refused,
					      &clients->tunnels};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(lists); i++) {
		while (oldest_of(lists[i]))
			client_end(oldest_of(lists[i]), true);
	}
}
