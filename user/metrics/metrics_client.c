// SPDX-License-Identifier: Apache-2.0
#include "metrics/metrics_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util.h"
#include "metrics/metrics_text.h"
#include "proto/http_head.h"

/* Bytes of one read(2). */
#define READ_SIZE 4096
/* A client that sends more than this after its request is reset. Bytes. */
#define LINGER_BYTES_MAX (64 * 1024)

enum metrics_state {
	METRICS_REQUEST,
	METRICS_ANSWER,
	METRICS_LINGER,
};

/* The parts of a request that count. */
enum metrics_field {
	FIELD_TARGET,
	FIELD_ACCEPT,
	FIELDS,
};

struct metrics_client {
	struct metrics_clients *clients;
	struct list_link age;
	struct loop_handler side;
	enum metrics_state state;
	bool refused;
	struct http_head head;
	struct http_value values[FIELDS];
	char texts[FIELDS][512];
	char *answer; /* head and body; NULL: none yet */
	size_t size, sent;
	uint32_t dropped; /* bytes, while lingering */
	struct loop_timer timer;
	struct loop_release release;
};

/* Closes the connection. Its memory is freed once the batch of events in progress is over. */
static void client_end(struct metrics_client *client)
{
	loop_close(&client->side);
	loop_timer_stop(&client->timer);
	free(client->answer);
	client->answer = NULL;
	list_remove(&client->age);
	client->clients->count--;
	loop_free_later(client->clients->loop, &client->release, client);
}

static void client_linger(struct metrics_client *client)
{
	char buffer[READ_SIZE];

	for (;;) {
		ssize_t size = recv(client->side.fd, buffer, sizeof(buffer), 0);

		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0 && errno == EAGAIN)
			return;
		client->dropped += size > 0 ? (uint32_t)size : 0;
		if (size <= 0 || client->dropped > LINGER_BYTES_MAX) {
			client_end(client);
			return;
		}
	}
}

static void client_send(struct metrics_client *client)
{
	while (client->sent < client->size) {
		ssize_t size = send(client->side.fd, client->answer + client->sent,
				    client->size - client->sent, MSG_NOSIGNAL);

		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0 && errno == EAGAIN)
			return;
		if (size < 0) {
			client_end(client);
			return;
		}
		client->sent += (size_t)size;
	}
	(void)shutdown(client->side.fd, SHUT_WR);
	client->state = METRICS_LINGER;
	loop_timer_start(client->clients->loop, &client->clients->linger_class, &client->timer);
	client_linger(client);
}

/* Sends an answer of a body that free(3) releases; it is taken. NULL: there was no memory. */
static void client_answer(struct metrics_client *client, const char *status, const char *type,
			  const char *headers, char *body, size_t body_size)
{
	_cleanup_free_ char *owned = body;
	size_t size = 0;
	FILE *stream = body ? open_memstream(&client->answer, &size) : NULL;

	if (!stream) {
		client_end(client);
		return;
	}
	(void)fprintf(stream,
		      "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%s"
		      "Connection: close\r\n\r\n",
		      status, type, body_size, headers);
	if (client->head.parser.method != HTTP_HEAD)
		(void)fwrite(body, 1, body_size, stream);
	if (fclose(stream) != 0) {
		client_end(client);
		return;
	}
	client->size = size;
	client->state = METRICS_ANSWER;
	client_send(client);
}

static void client_refuse(struct metrics_client *client, const char *status, const char *headers,
			  const char *text)
{
	client_answer(client, status, "text/plain; charset=utf-8", headers, strdup(text),
		      strlen(text));
}

/* Sends the figures in @set, which is not finished. */
static void client_print(struct metrics_client *client, struct metrics_set *set)
{
	enum metrics_format format = metrics_text_accepted(client->texts[FIELD_ACCEPT]);
	char *body = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&body, &size);

	if (stream) {
		metrics_set_finish(set);
		metrics_text_print(stream, set, format);
		if (fclose(stream) != 0) {
			free(body);
			body = NULL;
		}
	}
	client_answer(client, "200 OK", metrics_text_type(format), "", body, size);
}

static void client_metrics(struct metrics_client *client)
{
	const struct metrics_server_config *config = &client->clients->config;
	struct metrics_set set = {0};

	config->collect(config->context, &set);
	if (set.count > 0)
		client_print(client, &set);
	else
		client_refuse(client, "503 Service Unavailable", "",
			      "there are no figures any more\n");
	metrics_set_clear(&set);
}

static void request_complete(struct metrics_client *client)
{
	char *query = strchr(client->texts[FIELD_TARGET], '?');

	if (query)
		*query = '\0';
	if (client->refused)
		client_refuse(client, "403 Forbidden", "",
			      "only the host may ask, and addresses that --metrics-allow names\n");
	else if (strcmp(client->texts[FIELD_TARGET], "/metrics") != 0)
		client_refuse(client, "404 Not Found", "",
			      "there is no such path, only /metrics\n");
	else if (client->head.parser.method != HTTP_GET && client->head.parser.method != HTTP_HEAD)
		client_refuse(client, "405 Method Not Allowed", "Allow: GET, HEAD\r\n",
			      "only GET is possible\n");
	else
		client_metrics(client);
}

static void request_read(struct metrics_client *client)
{
	char buffer[READ_SIZE];
	size_t used;

	for (;;) {
		ssize_t size = recv(client->side.fd, buffer, sizeof(buffer), 0);

		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0 && errno == EAGAIN)
			return;
		if (size <= 0) {
			client_end(client);
			return;
		}
		switch (http_head_feed(&client->head, buffer, (size_t)size, &used)) {
		case HTTP_MORE:
			continue;
		case HTTP_REFUSED:
			client_refuse(client, "400 Bad Request", "", "this is no HTTP request\n");
			return;
		case HTTP_COMPLETE:
			request_complete(client);
			return;
		}
	}
}

static void client_ready(struct loop_handler *handler, uint32_t events)
{
	struct metrics_client *client = container_of(handler, struct metrics_client, side);

	if (events & EPOLLERR)
		client_end(client);
	else if (client->state == METRICS_REQUEST)
		request_read(client);
	else if (client->state == METRICS_ANSWER)
		client_send(client);
	else
		client_linger(client);
}

static void client_expired(struct loop_timer *timer)
{
	client_end(container_of(timer, struct metrics_client, timer));
}

static struct metrics_client *oldest(const struct metrics_clients *clients)
{
	struct list_link *link = list_first(&clients->by_age);

	return link ? container_of(link, struct metrics_client, age) : NULL;
}

static void head_init(struct metrics_client *client)
{
	static const char *const names[FIELDS] = {[FIELD_ACCEPT] = "accept"};
	size_t i;

	for (i = 0; i < FIELDS; i++)
		client->values[i] = (struct http_value) {.name = names[i],
							 .text = client->texts[i],
							 .size = sizeof(client->texts[i])};
	http_head_init(&client->head, HTTP_REQUEST, client->values, FIELDS);
}

void metrics_client_accept(struct metrics_clients *clients, int fd, const struct sockaddr *peer)
{
	int error = metrics_gate_judge(&clients->gate, fd, peer);
	struct metrics_client *client;

	if (error == -ENOTCONN || !(client = calloc(1, sizeof(*client)))) {
		(void)close(fd);
		return;
	}
	client->clients = clients;
	client->refused = error < 0;
	client->side.ready = client_ready;
	client->timer.expired = client_expired;
	head_init(client);
	if (loop_add(clients->loop, &client->side, fd, EPOLLIN | EPOLLOUT | EPOLLET) < 0) {
		(void)close(fd);
		free(client);
		return;
	}
	if (clients->count >= METRICS_CLIENTS_MAX)
		client_end(oldest(clients));
	list_append(&clients->by_age, &client->age);
	clients->count++;
	loop_timer_start(clients->loop, &clients->request_class, &client->timer);
}

void metrics_clients_init(struct metrics_clients *clients)
{
	loop_timer_class_init(clients->loop, &clients->request_class, METRICS_CLIENT_MS);
	loop_timer_class_init(clients->loop, &clients->linger_class, METRICS_LINGER_MS);
	list_init(&clients->by_age);
}

void metrics_client_reset_all(struct metrics_clients *clients)
{
	while (oldest(clients))
		client_end(oldest(clients));
}
