// SPDX-License-Identifier: Apache-2.0
#include "gateway/gateway_client.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/gateway_server.h"
#include "lib/log.h"
#include "lib/util.h"
#include "proto/tunnel.h"
#include "stream/relay_pump.h"

/* Time limits for the request, and for the connection to the target. */
#define HEAD_MS 30000
#define DIAL_MS 10000

struct gateway_client {
	struct gateway_clients *clients;
	struct list_link link;
	struct relay relay;		/* side 0: the client, side 1: the target */
	struct tunnel_request *request; /* NULL once it is answered */
	bool asked;			/* the request is complete; nothing is read meanwhile */
	struct gateway_server *server;	/* NULL: there is a target */
	bool ended;			/* with a server: the client sent FIN */
	struct endpoint target;
	struct dial dial;
	int status; /* of the answer; 0: not known yet */
	struct loop_timer timer;
	struct loop_release release;
};

/* Closes the connection. Its memory is freed once the batch of events in progress is over. */
static void client_end(struct gateway_client *client, bool reset)
{
	dial_cancel(&client->dial);
	relay_close(&client->relay, reset);
	loop_timer_stop(&client->timer);
	free(client->request);
	if (client->server)
		gateway_server_clear(client->server);
	free(client->server);
	list_remove(&client->link);
	client->clients->count--;
	loop_free_later(client->clients->loop, &client->release, client);
}

static void set_text(json_t *object, const char *key, const struct tunnel_request *request,
		     enum tunnel_field field)
{
	const char *value = tunnel_request_value(request, field);
	json_t *text = *value ? json_string(value) : NULL;

	(void)json_object_set_new(object, key, text ? text : json_null());
}

static void client_log(const struct gateway_client *client)
{
	const struct tunnel_request *request = client->request;
	json_t *object = json_object();
	char *line;

	set_text(object, "destination", request, TUNNEL_TARGET);
	set_text(object, "source", request, TUNNEL_FORWARDED_FOR);
	set_text(object, "sni", request, TUNNEL_SNI);
	set_text(object, "hostname", request, TUNNEL_HOSTNAME);
	set_text(object, "user_agent", request, TUNNEL_USER_AGENT);
	set_text(object, "proto", request, TUNNEL_PROTO);
	(void)json_object_set_new(object, "status", json_integer(client->status));
	line = json_dumps(object, JSON_COMPACT);
	if (line) {
		size_t length = strlen(line);

		/* In the place of the terminator. */
		line[length] = '\n';
		log_record(line, length + 1);
	}
	free(line);
	json_decref(object);
}

/* Sends the server's answers and reads on, until the socket can do neither. */
static void serve(struct gateway_client *client)
{
	struct gateway_server *server = client->server;
	struct loop_handler *side = &client->relay.side[0];
	char *buffer = client->clients->pool->buffer;

	for (;;) {
		ssize_t size;

		if (server->begin < server->end) {
			if (!(side->latched & EPOLLOUT))
				return;
			size = send(side->fd, server->out + server->begin,
				    server->end - server->begin, MSG_NOSIGNAL);
			if (size >= 0)
				server->begin += (size_t)size;
			else if (errno == EAGAIN)
				side->latched &= ~(uint32_t)EPOLLOUT;
			else if (errno != EINTR)
				break;
			continue;
		}
		gateway_server_clear(server);
		if (client->ended || server->close) {
			client_end(client, false);
			return;
		}
		if (!(side->latched & EPOLLIN))
			return;
		size = recv(side->fd, buffer, RELAY_BUFFER, 0);
		if (size == 0) {
			client->ended = true;
		} else if (size > 0) {
			if (gateway_server_feed(server, buffer, (size_t)size) < 0)
				break;
		} else if (errno == EAGAIN) {
			side->latched &= ~(uint32_t)EPOLLIN;
		} else if (errno != EINTR) {
			break;
		}
	}
	client_end(client, true);
}

static void serve_ready(struct loop_handler *handler, uint32_t events)
{
	struct gateway_client *client = container_of(handler, struct gateway_client, relay.side[0]);

	if (events & EPOLLERR)
		client_end(client, true);
	else
		serve(client);
}

static void relay_finished(struct relay *relay, bool reset)
{
	client_end(container_of(relay, struct gateway_client, relay), reset);
}

/* Gives the server the bytes that were kept for a target. */
static void serve_start(struct gateway_client *client)
{
	struct relay_direction *direction = &client->relay.direction[0];

	client->relay.side[0].ready = serve_ready;
	if (direction->buffer &&
	    gateway_server_feed(client->server, direction->buffer, direction->end) < 0) {
		client_end(client, true);
		return;
	}
	serve(client);
}

static void answer_send(struct gateway_client *client)
{
	const struct gateway_config *config = client->clients->config;
	bool plaintext = client->status == 200 && (config->plaintext || config->server);
	int fd = client->relay.side[0].fd;
	char text[128];
	int size;

	if (config->garbage)
		size = snprintf(text, sizeof(text), "220 this is not an HTTP server\r\n\r\n");
	else
		size = snprintf(text, sizeof(text), "HTTP/1.1 %d %s\r\n%s%s\r\n", client->status,
				client->status < 300 ? "OK" : "Refused",
				client->status < 300 ? "" : "Content-Length: 0\r\n",
				plaintext ? TUNNEL_PLAINTEXT_NAME ": " TUNNEL_PLAINTEXT_VALUE "\r\n"
					  : "");
	if (config->log)
		client_log(client);
	/* The first bytes of a connection always fit its send buffer. */
	if (send(fd, text, (size_t)size, MSG_NOSIGNAL) != size) {
		client_end(client, true);
		return;
	}
	if (config->garbage || client->status >= 300) {
		client_end(client, false);
		return;
	}
	free(client->request);
	client->request = NULL;
	if (client->server) {
		serve_start(client);
		return;
	}
	client->relay.finish = relay_finished;
	relay_start(&client->relay);
}

static void delay_expired(struct loop_timer *timer)
{
	answer_send(container_of(timer, struct gateway_client, timer));
}

static void answer(struct gateway_client *client, int status)
{
	const struct gateway_config *config = client->clients->config;

	client->status = config->status && (config->status >= 300 || status < 300) ? config->status
										   : status;
	if (config->delay_ms == 0) {
		answer_send(client);
		return;
	}
	client->timer.expired = delay_expired;
	loop_timer_start(client->clients->loop, &client->clients->delay_class, &client->timer);
}

static void dial_done(struct dial *dial, int error)
{
	struct gateway_client *client = container_of(dial, struct gateway_client, dial);

	if (error == 0)
		answer(client, 200);
	else
		answer(client, error == -ECONNREFUSED ? 400 : 502);
}

static void dial_target(struct gateway_client *client)
{
	static const struct dial_announcer nobody;
	const struct sockaddr *target = (const struct sockaddr *)&client->target.address;
	int fd = dial_socket(&nobody, target);
	int error = fd;

	client->dial.done = dial_done;
	if (fd >= 0)
		error = dial_start(&client->dial, &client->clients->dialer, &client->relay.side[1],
				   fd, target, endpoint_size(&client->target));
	if (error < 0)
		dial_done(&client->dial, error);
}

static const struct endpoint *target_map(const struct gateway_config *config,
					 const struct endpoint *asked)
{
	char want[ADDRESS_TEXT_MAX], have[ADDRESS_TEXT_MAX];
	size_t i;

	endpoint_format((const struct sockaddr *)&asked->address, want);
	for (i = 0; i < config->map_count; i++) {
		endpoint_format((const struct sockaddr *)&config->maps[i].from.address, have);
		if (strcmp(want, have) == 0)
			return &config->maps[i].to;
	}
	return config->map_all ? config->map_all : asked;
}

static void request_complete(struct gateway_client *client)
{
	const struct gateway_config *config = client->clients->config;
	const char *text = tunnel_request_value(client->request, TUNNEL_TARGET);
	struct endpoint asked;

	if (endpoint_parse(text, &asked) < 0) {
		log_warning("CONNECT to \"%s\" refused: not an address and a port", text);
		answer(client, 400);
		return;
	}
	client->target = *target_map(config, &asked);
	if (config->status >= 300 || config->garbage) {
		answer(client, config->status);
	} else if (config->server) {
		client->server = malloc(sizeof(*client->server));
		if (!client->server) {
			answer(client, 502);
			return;
		}
		gateway_server_init(client->server, text);
		answer(client, 200);
	} else {
		dial_target(client);
	}
}

static void head_expired(struct loop_timer *timer)
{
	client_end(container_of(timer, struct gateway_client, timer), true);
}

static void client_ready(struct loop_handler *handler, uint32_t events)
{
	struct gateway_client *client = container_of(handler, struct gateway_client, relay.side[0]);
	char *buffer = client->clients->pool->buffer;

	if (events & EPOLLERR) {
		client_end(client, true);
		return;
	}
	while (!client->asked && (handler->latched & EPOLLIN)) {
		/* Never more than a head, so that the relay can keep the bytes behind it. */
		ssize_t size = recv(handler->fd, buffer, HTTP_HEAD_MAX, 0);
		enum http_verdict verdict;
		size_t used;

		if (size < 0 && errno == EAGAIN) {
			handler->latched &= ~(uint32_t)EPOLLIN;
			return;
		}
		if (size <= 0) {
			client_end(client, size < 0);
			return;
		}
		verdict = tunnel_request_feed(client->request, buffer, (size_t)size, &used);
		if (verdict == HTTP_MORE)
			continue;
		client->asked = true;
		loop_timer_stop(&client->timer);
		if (verdict == HTTP_REFUSED) {
			log_warning("request refused: %s", client->request->head.reason);
			answer(client, 400);
		} else if (relay_queue(&client->relay, 0, buffer + used, (size_t)size - used) < 0) {
			client_end(client, true);
		} else {
			request_complete(client);
		}
		return;
	}
}

void gateway_client_accept(struct gateway_clients *clients, int fd)
{
	_cleanup_free_ struct gateway_client *client = calloc(1, sizeof(*client));

	if (client)
		client->request = malloc(sizeof(*client->request));
	if (!client || !client->request || clients->count >= GATEWAY_CLIENTS_MAX)
		goto refuse;
	client->clients = clients;
	relay_init(&client->relay, clients->pool);
	client->relay.side[0].ready = client_ready;
	client->relay.side[0].latched = EPOLLOUT;
	if (loop_add(clients->loop, &client->relay.side[0], fd, RELAY_EVENTS) < 0)
		goto refuse;
	tunnel_request_init(client->request);
	client->timer.expired = head_expired;
	loop_timer_start(clients->loop, &clients->head_class, &client->timer);
	list_append(&clients->all, &client->link);
	clients->count++;
	(void)TAKE_PTR(client);
	return;
refuse:
	if (client)
		free(client->request);
	relay_reset_on_close(fd);
	(void)close(fd);
}

void gateway_client_setup(struct gateway_clients *clients)
{
	list_init(&clients->all);
	loop_timer_class_init(clients->loop, &clients->head_class, HEAD_MS);
	loop_timer_class_init(clients->loop, &clients->delay_class, clients->config->delay_ms);
	dialer_init(&clients->dialer, clients->loop, DIAL_MS);
	/* jansson reads /dev/urandom now, and not when the sandbox has taken the files. */
	json_object_seed(0);
}

void gateway_client_reset_all(struct gateway_clients *clients)
{
	struct list_link *link;

	while ((link = list_first(&clients->all)))
		client_end(container_of(link, struct gateway_client, link), true);
}
