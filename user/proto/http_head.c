// SPDX-License-Identifier: Apache-2.0
#include "proto/http_head.h"

#include <string.h>
#include <strings.h>

enum http_verdict http_head_refuse(struct http_head *head, unsigned int status, const char *reason)
{
	head->status = status;
	head->reason = reason;
	return HTTP_REFUSED;
}

/* Keeps the beginning of a value that is too long. */
static void value_append(struct http_value *value, const char *data, size_t size)
{
	size_t room = value->size - 1 - value->length;

	if (size > room) {
		value->cut = true;
		size = room;
	}
	memcpy(value->text + value->length, data, size);
	value->length += size;
	value->text[value->length] = '\0';
}

static int on_url(llhttp_t *parser, const char *data, size_t size)
{
	struct http_head *head = parser->data;
	unsigned int i;

	for (i = 0; i < head->value_count; i++) {
		if (!head->values[i].name)
			value_append(&head->values[i], data, size);
	}
	return 0;
}

static int on_field(llhttp_t *parser, const char *data, size_t size)
{
	struct http_head *head = parser->data;
	size_t room = sizeof(head->name) - head->name_length;

	/* A name longer than any of ours stays longer when it is cut. */
	memcpy(head->name + head->name_length, data, size < room ? size : room);
	head->name_length += size < room ? size : room;
	return 0;
}

static int on_field_complete(llhttp_t *parser)
{
	struct http_head *head = parser->data;
	unsigned int i;

	head->value = -1;
	/* Fields of a chunked body's trailer do not count. */
	for (i = 0; i < head->value_count && !head->complete; i++) {
		const char *name = head->values[i].name;

		if (name && strlen(name) == head->name_length &&
		    strncasecmp(name, head->name, head->name_length) == 0)
			head->value = (int)i;
	}
	head->name_length = 0;
	if (head->value >= 0)
		head->values[head->value].count++;
	return 0;
}

static int on_value(llhttp_t *parser, const char *data, size_t size)
{
	struct http_head *head = parser->data;

	if (head->value >= 0)
		value_append(&head->values[head->value], data, size);
	return 0;
}

static int on_value_complete(llhttp_t *parser)
{
	struct http_head *head = parser->data;
	struct http_value *value;

	if (head->value < 0)
		return 0;
	value = &head->values[head->value];
	while (value->length > 0 && strchr(" \t", value->text[value->length - 1]))
		value->length--;
	value->text[value->length] = '\0';
	return 0;
}

/* Stops the parser in front of what follows the head. */
static int on_headers_complete(llhttp_t *parser)
{
	((struct http_head *)parser->data)->complete = true;
	return HPE_PAUSED;
}

static int on_body(llhttp_t *parser, const char *data, size_t size)
{
	struct http_head *head = parser->data;

	return head->body(head, data, size) ? -1 : 0;
}

static int on_message_complete(llhttp_t *parser)
{
	(void)parser;
	return HPE_PAUSED;
}

void http_head_init(struct http_head *head, llhttp_type_t type, struct http_value *values,
		    unsigned int count)
{
	static const llhttp_settings_t settings = {
		.on_url = on_url,
		.on_header_field = on_field,
		.on_header_field_complete = on_field_complete,
		.on_header_value = on_value,
		.on_header_value_complete = on_value_complete,
		.on_headers_complete = on_headers_complete,
		.on_body = on_body,
		.on_message_complete = on_message_complete,
	};
	unsigned int i;

	memset(head, 0, sizeof(*head));
	llhttp_init(&head->parser, type, &settings);
	head->parser.data = head;
	head->values = values;
	head->value_count = count;
	head->value = -1;
	head->limit = HTTP_HEAD_MAX;
	for (i = 0; i < count; i++)
		values[i].text[0] = '\0';
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

/* Passes the parser's reason on, unless a callback has given one. */
static enum http_verdict refuse_parse(struct http_head *head)
{
	const char *reason = llhttp_get_error_reason(&head->parser);

	if (head->status)
		return HTTP_REFUSED;
	return http_head_refuse(head, 400, reason && *reason ? reason : "not HTTP");
}

enum http_verdict http_head_feed(struct http_head *head, const char *data, size_t size,
				 size_t *ret_used)
{
	llhttp_errno_t error;
	size_t used = size;

	if (size == 0)
		return HTTP_MORE;
	/* llhttp skips blank lines in front of an answer; nobody sends them. */
	if (head->size == 0 && head->parser.type == HTTP_RESPONSE && data[0] != 'H')
		return http_head_refuse(head, 400, "not an HTTP answer");
	error = llhttp_execute(&head->parser, data, size);
	if (error == HPE_PAUSED)
		used = (size_t)(llhttp_get_error_pos(&head->parser) - data);
	else if (error != HPE_OK)
		return refuse_parse(head);
	if (has_folded_line(head->last, data, used))
		return http_head_refuse(head, 400, "folded header line");
	if (used > head->limit - head->size)
		return http_head_refuse(head, 431, "the head is too large");
	head->size += used;
	if (used > 0)
		head->last = data[used - 1];
	if (!head->complete)
		return HTTP_MORE;
	*ret_used = used;
	return HTTP_COMPLETE;
}

void http_head_start_body(struct http_head *head)
{
	/* No offer to switch protocols is taken up (RFC 9110 section 7.8). */
	head->parser.upgrade = 0;
	llhttp_resume(&head->parser);
}

enum http_verdict http_head_feed_body(struct http_head *head, const char *data, size_t size,
				      size_t *ret_used)
{
	llhttp_errno_t error = llhttp_execute(&head->parser, data, size);

	if (error == HPE_OK)
		return HTTP_MORE;
	if (error != HPE_PAUSED)
		return refuse_parse(head);
	*ret_used = (size_t)(llhttp_get_error_pos(&head->parser) - data);
	return HTTP_COMPLETE;
}
