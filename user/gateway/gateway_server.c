// SPDX-License-Identifier: Apache-2.0
#include "gateway/gateway_server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util.h"

static int server_append(struct gateway_server *server, const char *data, size_t size)
{
	if (server->begin == server->end)
		server->begin = server->end = 0;
	if (size > server->capacity - server->end) {
		size_t capacity = (server->end + size) * 2;
		char *out = realloc(server->out, capacity);

		if (!out)
			return -ENOMEM;
		server->out = out;
		server->capacity = capacity;
	}
	memcpy(server->out + server->end, data, size);
	server->end += size;
	return 0;
}

static int message_complete(llhttp_t *parser)
{
	struct gateway_server *server = parser->data;
	bool keep = llhttp_should_keep_alive(parser);
	char body[ADDRESS_TEXT_MAX + 32], text[ADDRESS_TEXT_MAX + 256];
	int body_size, size;

	body_size = snprintf(body, sizeof(body), "destination %s\n", server->destination);
	size = snprintf(
		text, sizeof(text),
		"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n%s\r\n%s",
		body_size, keep ? "" : "Connection: close\r\n",
		llhttp_get_method(parser) == HTTP_HEAD ? "" : body);
	server->close = !keep;
	return server_append(server, text, (size_t)size) < 0 ? -1 : 0;
}

void gateway_server_init(struct gateway_server *server, const char *destination)
{
	static const llhttp_settings_t settings = {.on_message_complete = message_complete};

	memset(server, 0, sizeof(*server));
	(void)snprintf(server->destination, sizeof(server->destination), "%s", destination);
	llhttp_init(&server->parser, HTTP_REQUEST, &settings);
	server->parser.data = server;
}

static bool looks_like_http(const char *data, size_t size)
{
	static const char *const methods[] = {"GET ",	 "HEAD ",    "POST ", "PUT ",
					      "DELETE ", "OPTIONS ", "PATCH "};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(methods); i++) {
		size_t length = strlen(methods[i]);

		if (size >= length && memcmp(data, methods[i], length) == 0)
			return true;
	}
	return false;
}

int gateway_server_feed(struct gateway_server *server, const char *data, size_t size)
{
	/* Clients send a request line in one piece. A shorter piece is echoed. */
	if (server->mode == SERVER_UNDECIDED && size > 0)
		server->mode = looks_like_http(data, size) ? SERVER_HTTP : SERVER_ECHO;
	if (server->mode == SERVER_ECHO)
		return server_append(server, data, size);
	if (size > 0 && llhttp_execute(&server->parser, data, size) != HPE_OK)
		server->close = true;
	return 0;
}

void gateway_server_clear(struct gateway_server *server)
{
	free(server->out);
	server->out = NULL;
	server->begin = server->end = server->capacity = 0;
}
