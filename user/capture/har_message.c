// SPDX-License-Identifier: Apache-2.0
#include "capture/har_message.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/util.h"

/* Bytes that a field takes besides its text, about. */
#define FIELD_OVERHEAD 64

static int append(struct har_bytes *bytes, const char *data, size_t size)
{
	if (bytes->size + size > bytes->capacity) {
		size_t capacity = (bytes->size + size) * 2;
		char *larger = realloc(bytes->data, capacity);

		if (!larger)
			return -1;
		bytes->data = larger;
		bytes->capacity = capacity;
	}
	memcpy(bytes->data + bytes->size, data, size);
	bytes->size += size;
	return 0;
}

static void bytes_release(struct har_bytes *bytes)
{
	free(bytes->data);
	*bytes = (struct har_bytes) {.data = NULL};
}

/* Appends to what is kept of a message, if there is room. */
static int keep(struct har_parser *parser, struct har_bytes *bytes, const char *data, size_t size)
{
	if (size + *parser->kept > HAR_KEPT_MAX) {
		parser->full = true;
		return -1;
	}
	if (append(bytes, data, size) < 0)
		return -1;
	parser->message.kept += size;
	*parser->kept += size;
	return 0;
}

static int keep_head(struct har_parser *parser, struct har_bytes *bytes, const char *data,
		     size_t size)
{
	if (size + parser->message.head_size > HAR_HEAD_MAX) {
		parser->full = true;
		return -1;
	}
	parser->message.head_size += size;
	return keep(parser, bytes, data, size);
}

static void message_release(struct har_parser *parser)
{
	struct har_message *message = &parser->message;

	*parser->kept -= message->kept;
	bytes_release(&message->target);
	bytes_release(&message->reason);
	bytes_release(&message->body);
	json_decref(message->headers);
	*message = (struct har_message) {.begin_us = 0};
}

/* Text that is not UTF-8 counts as Latin-1 (RFC 9110 section 5.5). */
static json_t *text_of(const char *data, size_t size)
{
	json_t *text = json_stringn(size ? data : "", size);
	size_t used = 0, i;
	char *wide;

	if (text)
		return text;
	wide = malloc(size * 2 + 1);
	for (i = 0; wide && i < size; i++) {
		uint8_t byte = (uint8_t)data[i];

		if (byte >= 0x80)
			wide[used++] = (char)(0xc0 | byte >> 6);
		wide[used++] = (char)(byte < 0x80 ? byte : 0x80 | (byte & 0x3f));
	}
	text = wide ? json_stringn(wide, used) : NULL;
	free(wide);
	return text;
}

static int on_begin(llhttp_t *llhttp)
{
	struct har_parser *parser = container_of(llhttp, struct har_parser, parser);

	message_release(parser);
	parser->message.begin_us = parser->now_us;
	parser->message.headers = json_array();
	return parser->message.headers ? 0 : -1;
}

static int on_target(llhttp_t *llhttp, const char *data, size_t size)
{
	struct har_parser *parser = container_of(llhttp, struct har_parser, parser);

	return keep_head(parser, &parser->message.target, data, size);
}

static int on_reason(llhttp_t *llhttp, const char *data, size_t size)
{
	struct har_parser *parser = container_of(llhttp, struct har_parser, parser);

	return keep_head(parser, &parser->message.reason, data, size);
}

static int on_field(llhttp_t *llhttp, const char *data, size_t size)
{
	struct har_parser *parser = container_of(llhttp, struct har_parser, parser);

	return keep_head(parser, &parser->field, data, size);
}

static int on_value(llhttp_t *llhttp, const char *data, size_t size)
{
	struct har_parser *parser = container_of(llhttp, struct har_parser, parser);

	return keep_head(parser, &parser->value, data, size);
}

static bool is_field(const struct har_bytes *field, const char *name)
{
	return field->size == strlen(name) && strncasecmp(field->data, name, field->size) == 0;
}

static int on_value_complete(llhttp_t *llhttp)
{
	struct har_parser *parser = container_of(llhttp, struct har_parser, parser);
	struct har_message *message = &parser->message;
	const char *value = parser->value.size ? parser->value.data : "";
	int size = (int)parser->value.size;
	int error;

	message->head_size += FIELD_OVERHEAD;
	if (message->head_size > HAR_HEAD_MAX) {
		parser->full = true;
		return -1;
	}
	error = json_array_append_new(message->headers,
				      json_pack("{s:o,s:o}", "name",
						text_of(parser->field.data, parser->field.size),
						"value", text_of(value, parser->value.size)));

	if (is_field(&parser->field, "host"))
		(void)snprintf(message->host, sizeof(message->host), "%.*s", size, value);
	else if (is_field(&parser->field, "content-type"))
		(void)snprintf(message->type, sizeof(message->type), "%.*s", size, value);
	else if (is_field(&parser->field, "location"))
		(void)snprintf(message->location, sizeof(message->location), "%.*s", size, value);
	parser->field.size = 0;
	parser->value.size = 0;
	return error;
}

/* 1 tells llhttp that there is no body. */
static int on_headers_complete(llhttp_t *llhttp)
{
	struct har_parser *parser = container_of(llhttp, struct har_parser, parser);

	return parser->has_no_body && parser->has_no_body(parser);
}

static int on_body(llhttp_t *llhttp, const char *data, size_t size)
{
	struct har_parser *parser = container_of(llhttp, struct har_parser, parser);
	struct har_message *message = &parser->message;
	size_t room = HAR_BODY_MAX - message->body.size;

	message->body_size += size;
	return keep(parser, &message->body, data, size < room ? size : room);
}

static int on_complete(llhttp_t *llhttp)
{
	struct har_parser *parser = container_of(llhttp, struct har_parser, parser);

	parser->message.end_us = parser->now_us;
	parser->done(parser);
	message_release(parser);
	return 0;
}

void har_parser_init(struct har_parser *parser, llhttp_type_t type, size_t *kept)
{
	static const llhttp_settings_t settings = {
		.on_message_begin = on_begin,
		.on_url = on_target,
		.on_status = on_reason,
		.on_header_field = on_field,
		.on_header_value = on_value,
		.on_header_value_complete = on_value_complete,
		.on_headers_complete = on_headers_complete,
		.on_body = on_body,
		.on_message_complete = on_complete,
	};

	memset(parser, 0, sizeof(*parser));
	parser->kept = kept;
	llhttp_init(&parser->parser, type, &settings);
}

void har_parser_release(struct har_parser *parser)
{
	message_release(parser);
	bytes_release(&parser->field);
	bytes_release(&parser->value);
}

void har_parser_feed(struct har_parser *parser, uint64_t now_us, const char *data, size_t size)
{
	parser->now_us = now_us;
	/* Behind an upgrade (101) it is another protocol. */
	if (!parser->failed && llhttp_execute(&parser->parser, data, size) != HPE_OK)
		parser->failed = true;
}

void har_parser_end(struct har_parser *parser, uint64_t now_us)
{
	parser->now_us = now_us;
	if (!parser->failed)
		(void)llhttp_finish(&parser->parser);
}

static int hex_digit(char digit)
{
	const char *digits = "0123456789abcdef";
	const char *found = digit ? strchr(digits, digit | 0x20) : NULL;

	return found ? (int)(found - digits) : -1;
}

/* Decodes a name or a value of a query string (application/x-www-form-urlencoded). */
static json_t *decoded(const char *data, size_t size)
{
	char *out = malloc(size + 1);
	size_t used = 0, i;
	json_t *text;

	if (!out)
		return NULL;
	for (i = 0; i < size; i++) {
		int high = data[i] == '%' && i + 2 < size ? hex_digit(data[i + 1]) : -1;
		int low = high >= 0 ? hex_digit(data[i + 2]) : -1;

		out[used++] = (char)(low >= 0 ? high << 4 | low : data[i] == '+' ? ' ' : data[i]);
		i += low >= 0 ? 2 : 0;
	}
	text = text_of(out, used);
	free(out);
	return text;
}

static json_t *query_of(const struct har_bytes *target)
{
	const char *end = target->data + target->size;
	const char *at = target->size ? memchr(target->data, '?', target->size) : NULL;
	json_t *list = json_array();

	while (at && at < end) {
		const char *name = at + 1, *next = memchr(name, '&', (size_t)(end - name));
		const char *stop = next ? next : end;
		const char *equals = memchr(name, '=', (size_t)(stop - name));
		const char *value = equals ? equals + 1 : stop;

		if (stop > name)
			(void)json_array_append_new(
				list,
				json_pack("{s:o,s:o}", "name",
					  decoded(name, (size_t)((equals ? equals : stop) - name)),
					  "value", decoded(value, (size_t)(stop - value))));
		at = next;
	}
	return list;
}

static json_t *url_of(const struct har_message *message, const char *name)
{
	struct har_bytes url = {.data = NULL};
	const char *host = message->host[0] ? message->host : name;
	json_t *text = NULL;

	/* The target of a request to a proxy is a URL by itself. */
	if ((message->target.size && message->target.data[0] != '/')
		    ? append(&url, message->target.data, message->target.size) == 0
		    : append(&url, "https://", 8) == 0 && append(&url, host, strlen(host)) == 0 &&
			      append(&url, message->target.data, message->target.size) == 0)
		text = text_of(url.data, url.size);
	bytes_release(&url);
	return text;
}

static json_t *version_of(const struct har_parser *parser)
{
	return json_sprintf("HTTP/%u.%u", parser->parser.http_major, parser->parser.http_minor);
}

/* The body as text, or in base64 with its name in *@ret_encoding. */
static json_t *body_text(const struct har_bytes *body, const char **ret_encoding)
{
	json_t *text = json_stringn(body->size ? body->data : "", body->size);
	unsigned char *encoded;
	int size;

	*ret_encoding = NULL;
	if (text)
		return text;
	*ret_encoding = "base64";
	encoded = malloc((body->size + 2) / 3 * 4 + 1);
	if (!encoded)
		return NULL;
	size = EVP_EncodeBlock(encoded, (const unsigned char *)body->data, (int)body->size);
	text = json_stringn((const char *)encoded, (size_t)size);
	free(encoded);
	return text;
}

json_t *har_request(const struct har_parser *parser, const char *name)
{
	const struct har_message *message = &parser->message;
	json_t *request = json_pack("{s:s,s:o,s:o,s:[],s:O,s:o,s:i,s:I}", "method",
				    llhttp_method_name((llhttp_method_t)parser->parser.method),
				    "url", url_of(message, name), "httpVersion", version_of(parser),
				    "cookies", "headers", message->headers, "queryString",
				    query_of(&message->target), "headersSize", -1, "bodySize",
				    (json_int_t)message->body_size);
	const char *encoding;

	if (!request || message->body.size == 0)
		return request;
	(void)json_object_set_new(request, "postData",
				  json_pack("{s:o,s:o}", "mimeType",
					    text_of(message->type, strlen(message->type)), "text",
					    body_text(&message->body, &encoding)));
	if (encoding)
		(void)json_object_set_new(json_object_get(request, "postData"), "comment",
					  json_string(encoding));
	return request;
}

json_t *har_response(const struct har_parser *parser)
{
	const struct har_message *message = &parser->message;
	const char *encoding;
	json_t *content = json_pack("{s:I,s:o,s:o}", "size", (json_int_t)message->body_size,
				    "mimeType", text_of(message->type, strlen(message->type)),
				    "text", body_text(&message->body, &encoding));

	if (content && encoding)
		(void)json_object_set_new(content, "encoding", json_string(encoding));
	return json_pack("{s:i,s:o,s:o,s:[],s:O,s:o,s:o,s:i,s:I}", "status",
			 (int)parser->parser.status_code, "statusText",
			 text_of(message->reason.data, message->reason.size), "httpVersion",
			 version_of(parser), "cookies", "headers", message->headers, "content",
			 content, "redirectURL",
			 text_of(message->location, strlen(message->location)), "headersSize", -1,
			 "bodySize", (json_int_t)message->body_size);
}
