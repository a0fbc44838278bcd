// SPDX-License-Identifier: Apache-2.0
#include "control/control_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/control_egress.h"
#include "lib/address.h"
#include "lib/log.h"
#include "lib/socket_address.h"
#include "lib/util.h"

/* Read at once: what may stand behind a head must fit the relay's buffer. */
#define READ_SIZE 16384

void control_client_setup(struct control *control)
{
	loop_timer_class_init(control->loop, &control->request_class, CONTROL_REQUEST_MS);
	loop_timer_class_init(control->loop, &control->dial_class, CONTROL_DIAL_MS);
	loop_timer_class_init(control->loop, &control->linger_class, CONTROL_LINGER_MS);
	list_init(&control->waiting.by_age);
	list_init(&control->inside.by_age);
	list_init(&control->tunnels.by_age);
}

static void leave(struct control_client *client)
{
	list_remove(&client->age);
	client->list->count--;
}

static void enter(struct control_client *client, struct control_list *list)
{
	client->list = list;
	list_append(&list->by_age, &client->age);
	list->count++;
}

/* Returns NULL when the list is empty. */
static struct control_client *oldest(const struct control_list *list)
{
	struct list_link *link = list_first(&list->by_age);

	return link ? container_of(link, struct control_client, age) : NULL;
}

void control_client_move(struct control_client *client, struct control_list *list)
{
	leave(client);
	enter(client, list);
}

static void client_release(struct loop_task *task)
{
	free(container_of(task, struct control_client, release));
}

void control_client_request_free(struct control_client *client)
{
	if (client->request)
		control_request_clear(client->request);
	free(client->request);
	client->request = NULL;
}

void control_client_end(struct control_client *client, bool reset)
{
	relay_close(&client->relay, reset);
	loop_timer_stop(&client->timer);
	control_client_request_free(client);
	leave(client);
	client->release.run = client_release;
	loop_defer(client->control->loop, &client->release);
}

/* The policy first: it may fail, and until then nothing has changed. */
static int change_apply(struct control *control, const struct control_change *change)
{
	struct control_config *config = &control->config;
	in_port_t *port = socket_address_port(&config->gateway);
	int error = policy_apply(config->policy, &change->policy);

	if (error < 0 || !change->has_port || *port == htons(change->port))
		return error;
	*port = htons(change->port);
	proxy_set_gateway(config->proxy, &config->gateway);
	if (config->gateway_changed)
		config->gateway_changed(config->context, &config->gateway);
	return 0;
}

static void change_log(const struct control_client *client, const struct control_change *change)
{
	char port[32] = "", internet[32] = "", names[64] = "";

	if (change->has_port)
		(void)snprintf(port, sizeof(port), " port %u", change->port);
	if (change->policy.has_internet)
		(void)snprintf(internet, sizeof(internet), " internet %s",
			       change->policy.internet ? "on" : "off");
	if (change->policy.has_allowed)
		(void)snprintf(names, sizeof(names), " %zu patterns of host names",
			       change->policy.allowed_count);
	log_info("control: egress set by %s:%s%s%s", client->peer, port, internet, names);
}

static void put_egress(struct control_client *client)
{
	const struct control_request *request = client->request;
	__attribute__((cleanup(control_change_clear))) struct control_change change;
	char reason[CONTROL_EGRESS_REASON_MAX] = "out of memory";
	int error = control_egress_parse(request->body, request->body_size, &change, reason);

	if (error == 0 && change.has_port &&
	    !socket_address_port(&client->control->config.gateway)) {
		(void)snprintf(reason, sizeof(reason),
			       "\"port\" cannot be set: the gateway is a unix socket");
		error = -EINVAL;
	} else if (error == 0) {
		error = change_apply(client->control, &change);
		if (error == -EINVAL || error == -E2BIG)
			(void)snprintf(
				reason, sizeof(reason),
				"\"dns.allowHostnames\" holds a pattern that is empty or too "
				"long");
	}
	if (error < 0) {
		control_client_refuse_logged(client, error == -ENOMEM ? 500 : 400, reason);
		return;
	}
	change_log(client, &change);
	control_client_answer(client, 204, "", NULL, 0);
}

static void get_ca(struct control_client *client)
{
	const struct tls_authority *tls = client->control->config.tls;
	const char *pem;
	size_t size;

	if (!tls) {
		control_client_refuse(client, 404,
				      "there is no CA: TLS interception is off "
				      "(--tls-intercept turns it on)");
		return;
	}
	pem = tls_authority_pem(tls, &size);
	control_client_answer(client, 200, "Content-Type: application/x-pem-file\r\n", pem, size);
}

static void request_complete(struct control_client *client)
{
	llhttp_method_t method = control_request_method(client->request);
	char path[CONTROL_VALUE_MAX];
	bool egress, ca;

	if (method == HTTP_CONNECT) {
		control_tunnel_start(client);
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
		control_client_answer_text(client, 405, "Allow: PUT\r\n",
					   "only PUT is possible on /egress");
	else if (ca)
		control_client_answer_text(client, 405, "Allow: GET\r\n",
					   "only GET is possible on /ca");
	else
		control_client_refuse(client, 404,
				      "there is no such path, only PUT /egress, GET /ca "
				      "and CONNECT");
}

/* True when the request is not over. */
static bool request_feed(struct control_client *client, const char *data, size_t size)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	struct control_request *request = client->request;
	char reason[256];
	size_t used;

	switch (control_request_feed(request, data, size, &used)) {
	case HTTP_MORE:
		if (!request->continue_due)
			return true;
		request->continue_due = false;
		if (send(client->relay.side[0].fd, go_on, sizeof(go_on) - 1, MSG_NOSIGNAL) ==
		    sizeof(go_on) - 1)
			return true;
		control_client_end(client, true);
		return false;
	case HTTP_REFUSED:
		(void)snprintf(reason, sizeof(reason), "%s", request->head.reason);
		control_client_refuse_logged(client, request->head.status, reason);
		return false;
	case HTTP_COMPLETE:
		break;
	}
	loop_timer_stop(&client->timer);
	/* Behind any other request there is nothing: its answer says "Connection: close". */
	if (control_request_method(request) == HTTP_CONNECT &&
	    relay_queue(&client->relay, 0, data + used, size - used) < 0)
		control_client_end(client, true);
	else
		request_complete(client);
	return false;
}

static void request_read(struct control_client *client)
{
	struct loop_handler *side = &client->relay.side[0];
	char *buffer = client->control->pool->buffer;
	char reason[] = "the request ends before it is complete";

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
		/* Whoever only looks whether the port is open gets a close, and no message. */
		if (size < 0 || !control_request_begun(client->request))
			control_client_end(client, size < 0);
		else
			control_client_refuse_logged(client, 400, reason);
		return;
	}
}

static void client_ready(struct loop_handler *handler, uint32_t events)
{
	struct control_client *client = container_of(handler, struct control_client, relay.side[0]);

	if (events & EPOLLERR)
		control_client_end(client, true);
	else if (client->state == CONTROL_REQUEST)
		request_read(client);
	else if (client->state == CONTROL_LINGER)
		control_client_linger(client);
	/* While dialing nothing is read: what arrives is the tunnel's. */
}

static void request_expired(struct loop_timer *timer)
{
	struct control_client *client = container_of(timer, struct control_client, timer);
	char reason[] = "the request was not complete within 5 s";

	if (control_request_begun(client->request))
		control_client_refuse_logged(client, 408, reason);
	else
		control_client_end(client, false);
}

/* NULL: @fd is closed. */
static struct control_client *client_new(struct control *control, int fd,
					 const struct sockaddr *peer, struct control_list *list,
					 unsigned int limit)
{
	_cleanup_free_ struct control_client *client = calloc(1, sizeof(*client));

	if (list->count >= limit)
		control_client_end(oldest(list), true);
	if (client)
		client->request = malloc(sizeof(*client->request));
	if (!client || !client->request)
		goto fail;
	client->control = control;
	endpoint_format(peer, client->peer);
	relay_init(&client->relay, control->pool);
	client->relay.side[0].ready = client_ready;
	client->relay.side[0].latched = EPOLLOUT;
	if (loop_add(control->loop, &client->relay.side[0], fd, RELAY_EVENTS) < 0)
		goto fail;
	control_request_init(client->request);
	enter(client, list);
	return TAKE_PTR(client);
fail:
	if (client)
		free(client->request);
	relay_reset_on_close(fd);
	(void)close(fd);
	return NULL;
}

static void refuse_inside(struct control_client *client, int inside, const char *why)
{
	char suffix[COMPLAINT_SUFFIX_MAX];

	control_origin_unguard(client->relay.side[0].fd);
	if (complaint_due(&client->control->complaints[CONTROL_COMPLAINT_INSIDE], suffix))
		log_warning("control: request of %s refused (403): it comes from %s, and the "
			    "application must not change its own policy%s",
			    client->peer, inside > 0 ? why : strerror(-inside), suffix);
	control_client_refuse(client, 403,
			      "requests from inside the container are refused; ask from the host, "
			      "through the published port");
}

void control_client_accept(struct control *control, int fd, const struct sockaddr *peer)
{
	const char *why = NULL;
	int inside = control_origin_inside(control->origin, fd, &why);
	struct control_client *client;

	if (inside == -ENOTCONN) {
		(void)close(fd);
		return;
	}
	if (inside != 0) {
		client = client_new(control, fd, peer, &control->inside, CONTROL_INSIDE_MAX);
		if (client)
			refuse_inside(client, inside, why);
		return;
	}
	client = client_new(control, fd, peer, &control->waiting, CONTROL_WAITING_MAX);
	if (!client)
		return;
	client->timer.expired = request_expired;
	loop_timer_start(control->loop, &control->request_class, &client->timer);
}

void control_client_reset_all(struct control *control)
{
	struct control_list *const lists[] = {&control->waiting, &control->inside,
					      &control->tunnels};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(lists); i++) {
		while (oldest(lists[i]))
			control_client_end(oldest(lists[i]), true);
	}
}
