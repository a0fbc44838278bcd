// SPDX-License-Identifier: Apache-2.0
#include "capture/har.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "capture/har_message.h"
#include "lib/list.h"
#include "lib/time_text.h"
#include "lib/util.h"
#include "tls/tls_tap.h"

/* A connection that is not known any more is left out. */
#define CONNECTIONS_MAX 4096

/* Requests of a connection that wait for their answers. One with more is left out. */
#define WAITING_MAX 64

struct connection {
	struct har *har;
	struct list_link link; /* by age */
	uint64_t id;
	char name[256];
	struct har_parser request, response;
	json_t *waiting; /* entries without their responses, in the order of the requests */
	size_t kept;	 /* bytes of messages in these */
};

struct har {
	FILE *file;
	struct list_link connections;
	size_t count;
	size_t kept; /* bytes of messages */
	bool begun;  /* an entry was written */
};

struct har *har_new(FILE *file)
{
	struct har *har = calloc(1, sizeof(*har));

	if (!har)
		return NULL;
	har->file = file;
	list_init(&har->connections);
	(void)fprintf(file,
		      "{\"log\": {\"version\": \"1.2\", \"creator\": {\"name\": \"sidestep\", "
		      "\"version\": \"%s\"}, \"entries\": [",
		      SIDESTEP_VERSION);
	return har;
}

static json_t *date_of(uint64_t now_us)
{
	char text[TIME_TEXT_SIZE];

	time_text_write(now_us, text);
	return json_stringn(text, sizeof(text));
}

/* Milliseconds; never negative, although threads do not see each other's bytes in their order. */
static json_t *span(uint64_t begin_us, uint64_t end_us)
{
	return json_real(end_us > begin_us ? (double)(end_us - begin_us) / 1000 : 0);
}

/* The entry keeps about as much as the message did. */
static void request_done(struct har_parser *parser)
{
	struct connection *connection = container_of(parser, struct connection, request);
	struct har_message *message = &parser->message;

	if (json_array_size(connection->waiting) == WAITING_MAX) {
		parser->full = true;
		return;
	}
	(void)json_array_append_new(connection->waiting,
				    json_pack("{s:o,s:o,s:{},s:I,s:I,s:I}", "startedDateTime",
					      date_of(message->begin_us), "request",
					      har_request(parser, connection->name), "cache",
					      "begin", (json_int_t)message->begin_us, "end",
					      (json_int_t)message->end_us, "kept",
					      (json_int_t)message->kept));
	connection->kept += message->kept;
	message->kept = 0;
}

static const char *waiting_method(const struct connection *connection)
{
	const json_t *entry = json_array_get(connection->waiting, 0);

	return json_string_value(json_object_get(json_object_get(entry, "request"), "method"));
}

static bool answers_head(struct har_parser *parser)
{
	const char *method = waiting_method(container_of(parser, struct connection, response));

	return method && strcmp(method, "HEAD") == 0;
}

static void write_entry(struct har *har, const json_t *entry)
{
	(void)fputs(har->begun ? ",\n" : "\n", har->file);
	har->begun = true;
	(void)json_dumpf(entry, har->file, JSON_COMPACT);
}

static void response_done(struct har_parser *parser)
{
	struct connection *connection = container_of(parser, struct connection, response);
	const struct har_message *message = &parser->message;
	json_t *entry = json_array_get(connection->waiting, 0);
	unsigned int status = parser->parser.status_code;
	uint64_t begin_us, end_us;
	size_t kept;

	/* An interim response is followed by the final one (RFC 9110 section 15.2). */
	if (!entry || (status < 200 && status != 101))
		return;
	begin_us = (uint64_t)json_integer_value(json_object_get(entry, "begin"));
	end_us = (uint64_t)json_integer_value(json_object_get(entry, "end"));
	kept = (size_t)json_integer_value(json_object_get(entry, "kept"));
	connection->kept -= kept;
	connection->har->kept -= kept;
	(void)json_object_del(entry, "kept");
	(void)json_object_del(entry, "begin");
	(void)json_object_del(entry, "end");
	(void)json_object_set_new(entry, "time", span(begin_us, message->end_us));
	(void)json_object_set_new(entry, "response", har_response(parser));
	(void)json_object_set_new(entry, "timings",
				  json_pack("{s:o,s:o,s:o}", "send", span(begin_us, end_us), "wait",
					    span(end_us, message->begin_us), "receive",
					    span(message->begin_us, message->end_us)));
	write_entry(connection->har, entry);
	(void)json_array_remove(connection->waiting, 0);
}

static struct connection *find(const struct har *har, uint64_t id)
{
	struct list_link *link;

	for (link = har->connections.next; link != &har->connections; link = link->next) {
		struct connection *connection = container_of(link, struct connection, link);

		if (connection->id == id)
			return connection;
	}
	return NULL;
}

static void forget(struct connection *connection)
{
	list_remove(&connection->link);
	connection->har->count--;
	har_parser_release(&connection->request);
	har_parser_release(&connection->response);
	connection->har->kept -= connection->kept;
	json_decref(connection->waiting);
	free(connection);
}

void har_open(struct har *har, uint64_t id, const char *name)
{
	struct connection *connection = calloc(1, sizeof(*connection));

	if (!connection)
		return;
	if (har->count == CONNECTIONS_MAX)
		forget(container_of(list_first(&har->connections), struct connection, link));
	connection->har = har;
	connection->id = id;
	(void)snprintf(connection->name, sizeof(connection->name), "%s", name);
	har_parser_init(&connection->request, HTTP_REQUEST, &har->kept);
	connection->request.done = request_done;
	har_parser_init(&connection->response, HTTP_RESPONSE, &har->kept);
	connection->response.done = response_done;
	connection->response.has_no_body = answers_head;
	connection->waiting = json_array();
	list_append(&har->connections, &connection->link);
	har->count++;
}

void har_data(struct har *har, uint64_t id, unsigned int direction, uint64_t now_us,
	      const char *data, size_t size)
{
	struct connection *connection = find(har, id);

	if (!connection)
		return;
	har_parser_feed(direction == TLS_TAP_FROM_APPLICATION ? &connection->request
							      : &connection->response,
			now_us, data, size);
	/* Without some of its messages the others would not find their partners. */
	if (connection->request.full || connection->response.full)
		forget(connection);
}

void har_close(struct har *har, uint64_t id, uint64_t now_us)
{
	struct connection *connection = find(har, id);

	if (!connection)
		return;
	har_parser_end(&connection->response, now_us);
	forget(connection);
}

int har_free(struct har *har)
{
	bool failed;

	if (!har)
		return 0;
	while (har->count > 0)
		forget(container_of(list_first(&har->connections), struct connection, link));
	(void)fputs("\n]}}\n", har->file);
	failed = ferror(har->file);
	free(har);
	return failed ? -EIO : 0;
}
