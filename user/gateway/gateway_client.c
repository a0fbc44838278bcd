// SPDX-License-Identifier: Apache-2.0
#include "gateway/gateway_client.h"

#include <errno.h>
#include <jansson.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "lib/util.h"
#include "proto/tunnel.h"

#define HEAD_MS 30000
#define DIAL_MS 10000

struct gateway_client {
	struct gateway *gateway;
	struct gateway_client *next, *previous;
	struct relay relay;		/* side 0: client, 1: target */
	struct tunnel_request *request; /* until the answer is sent */
	struct gateway_server *server;	/* instead of a target */
	struct endpoint target;
	int status; /* of the answer, 0: not known yet */
	bool ended; /* the client said EOF (server) */
	struct loop_timer timer;
	struct loop_task release;
};

void gateway_client_setup(struct gateway *gateway)
{
	loop_timer_class_init(gateway->loop, &gateway->head_class, HEAD_MS);
	loop_timer_class_init(gateway->loop, &gateway->dial_class, DIAL_MS);
	loop_timer_class_init(gateway->loop, &gateway->delay_class, gateway->config->delay_ms);
}

static void client_release(struct loop_task *task)
{
	free(container_of(task, struct gateway_client, release));
}

static void client_end(struct gateway_client *client, bool reset)
{
	struct gateway *gateway = client->gateway;

	relay_close(&client->relay, reset);
	loop_timer_stop(&client->timer);
	free(client->request);
	if (client->server)
		gateway_server_clear(client->server);
	free(client->server);
	if (client->next)
		client->next->previous = client->previous;
	if (client->previous)
		client->previous->next = client->next;
	else
		gateway->clients = client->next;
	gateway->client_count--;
	client->release.run = client_release;
	loop_defer(gateway->loop, &client->release);
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
		(void)printf("%s\n", line);
		(void)fflush(stdout);
	}
	free(line);
	json_decref(object);
}

/* Sends what the server has to say and reads on, for as long as both go. */
static void serve(struct gateway_client *client)
{
	struct gateway_server *server = client->server;
	struct loop_handler *side = &client->relay.side[0];
	char *buffer = client->gateway->pool->buffer;

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

/* Hands the bytes that are kept for the target to the server instead. */
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
	int fd = client->relay.side[0].fd;
	char text[128];
	int size;

	if (client->gateway->config->garbage)
		size = snprintf(text, sizeof(text), "220 this is not an HTTP server\r\n\r\n");
	else
		size = snprintf(text, sizeof(text), "HTTP/1.1 %d %s\r\n%s\r\n", client->status,
				client->status < 300 ? "OK" : "Refused",
				client->status < 300 ? "" : "Content-Length: 0\r\n");
	if (client->gateway->config->log)
		client_log(client);
	/* The first bytes of a connection always fit its send buffer. */
	if (send(fd, text, (size_t)size, MSG_NOSIGNAL) != size) {
		client_end(client, true);
		return;
	}
	if (client->gateway->config->garbage || client->status >= 300) {
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
	const struct gateway_config *config = client->gateway->config;

	client->status = config->status && (config->status >= 300 || status < 300) ? config->status
										   : status;
	loop_timer_stop(&client->timer);
	if (config->delay_ms == 0) {
		answer_send(client);
		return;
	}
	client->timer.expired = delay_expired;
	loop_timer_start(client->gateway->loop, &client->gateway->delay_class, &client->timer);
}

static void dial_failed(struct gateway_client *client, int error)
{
	loop_close(&client->relay.side[1]);
	answer(client, error == ECONNREFUSED ? 400 : 502);
}

static void dial_expired(struct loop_timer *timer)
{
	dial_failed(container_of(timer, struct gateway_client, timer), ETIMEDOUT);
}

static void target_ready(struct loop_handler *handler, uint32_t events)
{
	struct gateway_client *client = container_of(handler, struct gateway_client, relay.side[1]);
	int error = 0;
	socklen_t size = sizeof(error);

	if (client->status != 0)
		return;
	if (events & (EPOLLERR | EPOLLHUP)) {
		(void)getsockopt(handler->fd, SOL_SOCKET, SO_ERROR, &error, &size);
		dial_failed(client, error ? error : ECONNABORTED);
	} else if (events & EPOLLOUT) {
		answer(client, 200);
	}
}

static void dial(struct gateway_client *client)
{
	struct gateway *gateway = client->gateway;
	const struct sockaddr *target = (const struct sockaddr *)&client->target.address;
	static const int one = 1;
	int fd = socket(target->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error;

	if (fd < 0) {
		dial_failed(client, errno);
		return;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	client->relay.side[1].ready = target_ready;
	error = connect(fd, target, endpoint_size(&client->target)) < 0 ? errno : 0;
	if ((error == 0 || error == EINPROGRESS) &&
	    loop_add(gateway->loop, &client->relay.side[1], fd, RELAY_EVENTS) < 0)
		error = errno;
	if (error != 0 && error != EINPROGRESS) {
		(void)close(fd);
		dial_failed(client, error);
		return;
	}
	client->timer.expired = dial_expired;
	loop_timer_start(gateway->loop, &gateway->dial_class, &client->timer);
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
	const struct gateway_config *config = client->gateway->config;
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
		dial(client);
	}
}

static void head_expired(struct loop_timer *timer)
{
	client_end(container_of(timer, struct gateway_client, timer), true);
}

static void client_ready(struct loop_handler *handler, uint32_t events)
{
	struct gateway_client *client = container_of(handler, struct gateway_client, relay.side[0]);
	char *buffer = client->gateway->pool->buffer;

	if (events & EPOLLERR) {
		client_end(client, true);
		return;
	}
	/* While the answer is being worked on nothing is read. */
	while (client->status == 0 && client->relay.side[1].fd < 0 &&
	       (handler->latched & EPOLLIN)) {
		/* No more than a head in all, so that what is behind it can be kept. */
		ssize_t size = recv(handler->fd, buffer, HTTP_HEAD_MAX, 0);
		size_t used;

		if (size < 0 && errno == EAGAIN) {
			handler->latched &= ~(uint32_t)EPOLLIN;
			return;
		}
		if (size <= 0) {
			client_end(client, size < 0);
			return;
		}
		switch (tunnel_request_feed(client->request, buffer, (size_t)size, &used)) {
		case HTTP_MORE:
			continue;
		case HTTP_REFUSED:
			log_warning("request refused: %s", client->request->head.reason);
			answer(client, 400);
			return;
		case HTTP_COMPLETE:
			break;
		}
		if (relay_queue(&client->relay, 0, buffer + used, (size_t)size - used) < 0)
			client_end(client, true);
		else
			request_complete(client);
		return;
	}
}

void gateway_client_accept(struct gateway *gateway, int fd)
{
	_cleanup_free_ struct gateway_client *client = calloc(1, sizeof(*client));

	if (client)
		client->request = malloc(sizeof(*client->request));
	if (!client || !client->request || gateway->client_count >= GATEWAY_CLIENTS_MAX)
		goto refuse;
	client->gateway = gateway;
	relay_init(&client->relay, gateway->pool);
	client->relay.side[0].ready = client_ready;
	client->relay.side[0].latched = EPOLLOUT;
	if (loop_add(gateway->loop, &client->relay.side[0], fd, RELAY_EVENTS) < 0)
		goto refuse;
	tunnel_request_init(client->request);
	client->timer.expired = head_expired;
	loop_timer_start(gateway->loop, &gateway->head_class, &client->timer);
	client->next = gateway->clients;
	if (client->next)
		client->next->previous = client;
	gateway->clients = client;
	gateway->client_count++;
	(void)TAKE_PTR(client);
	return;
refuse:
	if (client)
		free(client->request);
	relay_reset_on_close(fd);
	(void)close(fd);
}

void gateway_client_reset_all(struct gateway *gateway)
{
	while (gateway->clients)
		client_end(gateway->clients, true);
}
