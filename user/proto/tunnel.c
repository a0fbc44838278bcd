// SPDX-License-Identifier: Apache-2.0
#include "proto/tunnel.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/address.h"
#include "lib/util.h"

size_t tunnel_request_format(char text[TUNNEL_REQUEST_MAX], const struct sockaddr *source,
			     const struct sockaddr *destination, const struct hints *hints)
{
	static const char *const hint_headers[] = {
		[HINTS_SNI] = "X-Tls-Sni: ",
		[HINTS_HOST] = "X-Hostname: ",
	};
	char from[ADDRESS_TEXT_MAX], to[ADDRESS_TEXT_MAX];
	bool hint = hints && hints->kind != HINTS_NONE;

	endpoint_format(source, from);
	endpoint_format(destination, to);
	/* Two addresses of at most 64 and a name of at most 264 characters: it always fits. */
	return (size_t)snprintf(text, TUNNEL_REQUEST_MAX,
				"CONNECT %s HTTP/1.1\r\n"
				"Host: %s\r\n"
				"User-Agent: proxy-everything/0.0.1/%s\r\n"
				"Connection: close\r\n"
				"X-Forwarded-For: %s\r\n"
				"X-Proto: tcp\r\n"
				"%s%s%s\r\n",
				to, to, from, from, hint ? hint_headers[hints->kind] : "",
				hint ? hints->name : "", hint ? "\r\n" : "");
}

static enum tunnel_verdict garbage(struct tunnel_head *head, const char *reason)
{
	head->reason = reason;
	return TUNNEL_GARBAGE;
}

static void head_init(struct tunnel_head *head, llhttp_type_t type,
		      const llhttp_settings_t *settings)
{
	memset(head, 0, sizeof(*head));
	llhttp_init(&head->parser, type, settings);
	head->parser.data = head;
	head->fresh = true;
}

static bool has_folded_line(char last, const char *data, size_t size)
{
	size_t i;

	for (i = 0; i < size; last = data[i++]) {
		if (last == '\n' && (data[i] == ' ' || data[i] == '\t'))
			return true;
	}
	return false;
}

/* All heads end in HPE_PAUSED_UPGRADE, which leaves the bytes behind them alone. */
static enum tunnel_verdict head_feed(struct tunnel_head *head, const char *data, size_t size,
				     size_t *ret_used)
{
	llhttp_errno_t error;
	size_t used = size;

	if (size == 0)
		return TUNNEL_MORE;
	/* llhttp skips blank lines in front of an answer; nobody sends them. */
	if (head->fresh && head->parser.type == HTTP_RESPONSE && data[0] != 'H')
		return garbage(head, "not an HTTP answer");
	head->fresh = false;
	error = llhttp_execute(&head->parser, data, size);
	if (error == HPE_PAUSED_UPGRADE)
		used = (size_t)(llhttp_get_error_pos(&head->parser) - data);
	else if (error != HPE_OK)
		return garbage(head, llhttp_get_error_reason(&head->parser));
	if (has_folded_line(head->last, data, used))
		return garbage(head, "folded header line");
	if (used > TUNNEL_HEAD_MAX - head->size)
		return garbage(head, "head above 16 KiB");
	head->size += used;
	if (error == HPE_OK) {
		head->last = data[size - 1];
		return TUNNEL_MORE;
	}
	*ret_used = used;
	return TUNNEL_COMPLETE;
}

static int answer_headers_complete(llhttp_t *parser)
{
	(void)parser;
	return 2;
}

static const llhttp_settings_t answer_settings = {
	.on_headers_complete = answer_headers_complete,
};

void tunnel_answer_init(struct tunnel_answer *answer)
{
	memset(answer, 0, sizeof(*answer));
	head_init(&answer->head, HTTP_RESPONSE, &answer_settings);
}

enum tunnel_verdict tunnel_answer_feed(struct tunnel_answer *answer, const char *data, size_t size,
				       size_t *ret_used)
{
	size_t used, total = 0;

	for (;;) {
		enum tunnel_verdict verdict = head_feed(&answer->head, data + total, size - total,
							&used);
		size_t head_size = answer->head.size;

		if (verdict != TUNNEL_COMPLETE)
			return verdict;
		total += used;
		answer->status = llhttp_get_status_code(&answer->head.parser);
		/* RFC 9110 section 15.2: a client reads on after interim answers. */
		if (answer->status / 100 != 1)
			break;
		if (answer->status == HTTP_STATUS_SWITCHING_PROTOCOLS)
			return garbage(&answer->head, "101 to a CONNECT");
		head_init(&answer->head, HTTP_RESPONSE, &answer_settings);
		answer->head.size = head_size;
	}
	if (answer->status < 200)
		return garbage(&answer->head, "status below 100");
	*ret_used = total;
	return TUNNEL_COMPLETE;
}

static const char *const field_names[TUNNEL_FIELDS] = {
	[TUNNEL_TARGET] = "",
	[TUNNEL_HOST] = "host",
	[TUNNEL_USER_AGENT] = "user-agent",
	[TUNNEL_FORWARDED_FOR] = "x-forwarded-for",
	[TUNNEL_PROTO] = "x-proto",
	[TUNNEL_SNI] = "x-tls-sni",
	[TUNNEL_HOSTNAME] = "x-hostname",
};

static int request_append(struct tunnel_request *request, int field, const char *data, size_t size)
{
	size_t length = request->length[field];

	if (size >= TUNNEL_VALUE_MAX - length)
		return -1;
	memcpy(request->value[field] + length, data, size);
	request->length[field] = length + size;
	request->value[field][length + size] = '\0';
	return 0;
}

static int request_url(llhttp_t *parser, const char *data, size_t size)
{
	return request_append(parser->data, TUNNEL_TARGET, data, size);
}

static int request_field(llhttp_t *parser, const char *data, size_t size)
{
	struct tunnel_request *request = parser->data;
	size_t room = sizeof(request->name) - request->name_length;

	/* A longer name than any of ours stays one, cut. */
	memcpy(request->name + request->name_length, data, size < room ? size : room);
	request->name_length += size < room ? size : room;
	return 0;
}

static int request_field_complete(llhttp_t *parser)
{
	struct tunnel_request *request = parser->data;
	int i;

	request->field = -1;
	for (i = TUNNEL_HOST; i < TUNNEL_FIELDS; i++) {
		if (strlen(field_names[i]) == request->name_length &&
		    strncasecmp(field_names[i], request->name, request->name_length) == 0)
			request->field = i;
	}
	request->name_length = 0;
	request->hosts += request->field == TUNNEL_HOST;
	return 0;
}

static int request_value(llhttp_t *parser, const char *data, size_t size)
{
	struct tunnel_request *request = parser->data;

	return request->field < 0 ? 0 : request_append(request, request->field, data, size);
}

static int request_headers_complete(llhttp_t *parser)
{
	(void)parser;
	return 2;
}

void tunnel_request_init(struct tunnel_request *request)
{
	static const llhttp_settings_t settings = {
		.on_url = request_url,
		.on_header_field = request_field,
		.on_header_field_complete = request_field_complete,
		.on_header_value = request_value,
		.on_headers_complete = request_headers_complete,
	};

	memset(request, 0, sizeof(*request));
	head_init(&request->head, HTTP_REQUEST, &settings);
	request->head.parser.data = request;
	request->field = -1;
}

enum tunnel_verdict tunnel_request_feed(struct tunnel_request *request, const char *data,
					size_t size, size_t *ret_used)
{
	enum tunnel_verdict verdict = head_feed(&request->head, data, size, ret_used);

	if (verdict != TUNNEL_COMPLETE)
		return verdict;
	if (llhttp_get_method(&request->head.parser) != HTTP_CONNECT)
		return garbage(&request->head, "not a CONNECT");
	if (request->hosts != 1)
		return garbage(&request->head, "needs exactly one Host");
	return TUNNEL_COMPLETE;
}
