// SPDX-License-Identifier: Apache-2.0
#include "proto/control_request.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/util.h"

static enum http_verdict refuse(struct control_request *request, unsigned int status,
				const char *reason)
{
	return http_head_refuse(&request->head, status, reason);
}

static int keep_body(struct http_head *head, const char *data, size_t size)
{
	struct control_request *request = container_of(head, struct control_request, head);
	size_t capacity = request->body_capacity ? request->body_capacity : 1024;
	char *body;

	if (size > CONTROL_BODY_MAX - request->body_size) {
		(void)refuse(request, 413, "the body is larger than 64 KiB");
		return -1;
	}
	while (capacity < request->body_size + size)
		capacity *= 2;
	if (capacity > request->body_capacity) {
		body = realloc(request->body, capacity);
		if (!body) {
			(void)refuse(request, 500, "out of memory");
			return -1;
		}
		request->body = body;
		request->body_capacity = capacity;
	}
	memcpy(request->body + request->body_size, data, size);
	request->body_size += size;
	return 0;
}

void control_request_init(struct control_request *request)
{
	static const char *const names[CONTROL_FIELDS] = {
		[CONTROL_TARGET] = NULL,
		[CONTROL_HOST] = "host",
		[CONTROL_DESTINATION] = "x-dst-addr",
		[CONTROL_TRANSFER_ENCODING] = "transfer-encoding",
		[CONTROL_EXPECT] = "expect",
	};
	int i;

	memset(request, 0, sizeof(*request));
	for (i = 0; i < CONTROL_FIELDS; i++)
		request->value[i] = (struct http_value) {.name = names[i],
							 .text = request->text[i],
							 .size = CONTROL_VALUE_MAX};
	http_head_init(&request->head, HTTP_REQUEST, request->value, CONTROL_FIELDS);
	request->head.body = keep_body;
}

void control_request_clear(struct control_request *request)
{
	free(request->body);
	request->body = NULL;
}

/* Applies the rules of RFC 9112 section 6.3 for the length of the body, without exception. */
static enum http_verdict judge_framing(struct control_request *request, bool http11)
{
	llhttp_t *parser = &request->head.parser;
	bool length = parser->flags & F_CONTENT_LENGTH;
	bool chunked = request->value[CONTROL_TRANSFER_ENCODING].count > 0;
	bool body = chunked || (length && parser->content_length > 0);

	if (chunked && strcasecmp(request->text[CONTROL_TRANSFER_ENCODING], "chunked") != 0)
		return refuse(request, 501, "Transfer-Encoding is not \"chunked\"");
	if (chunked && length)
		return refuse(request, 400, "both Content-Length and Transfer-Encoding");
	if (chunked && !http11)
		return refuse(request, 400, "Transfer-Encoding in an HTTP/1.0 request");
	if (body && parser->method == HTTP_CONNECT)
		return refuse(request, 400, "a CONNECT has no body");
	if (length && parser->content_length > CONTROL_BODY_MAX)
		return refuse(request, 413, "the body is larger than 64 KiB");
	if (request->value[CONTROL_EXPECT].count > 0) {
		if (strcasecmp(request->text[CONTROL_EXPECT], "100-continue") != 0)
			return refuse(request, 417, "Expect is not \"100-continue\"");
		request->continue_due = body && http11;
	}
	return HTTP_MORE;
}

static enum http_verdict judge_head(struct control_request *request)
{
	llhttp_t *parser = &request->head.parser;
	bool http11 = parser->http_minor == 1;
	int i;

	if (parser->http_major != 1 || parser->http_minor > 1)
		return refuse(request, 505, "neither HTTP/1.0 nor HTTP/1.1");
	for (i = CONTROL_HOST; i < CONTROL_FIELDS; i++) {
		static const char *const reasons[CONTROL_FIELDS] = {
			[CONTROL_HOST] = "more than one Host",
			[CONTROL_DESTINATION] = "more than one X-Dst-Addr",
			[CONTROL_TRANSFER_ENCODING] = "more than one Transfer-Encoding",
			[CONTROL_EXPECT] = "more than one Expect",
		};

		if (request->value[i].count > 1)
			return refuse(request, 400, reasons[i]);
	}
	for (i = CONTROL_HOST; i < CONTROL_FIELDS; i++) {
		if (request->value[i].cut)
			return refuse(request, 400,
				      "the value of Host, X-Dst-Addr, Transfer-Encoding or "
				      "Expect is longer than 127 characters");
	}
	if (http11 && request->value[CONTROL_HOST].count == 0 && parser->method != HTTP_CONNECT)
		return refuse(request, 400, "an HTTP/1.1 request needs a Host header");
	return judge_framing(request, http11);
}

static enum http_verdict feed_body(struct control_request *request, const char *data, size_t size,
				   size_t *ret_used)
{
	enum http_verdict verdict = http_head_feed_body(&request->head, data, size, ret_used);

	if (verdict != HTTP_MORE)
		return verdict;
	if (size > CONTROL_WIRE_MAX - request->wire_size)
		return refuse(request, 413, "the body takes more than 256 KiB to send");
	request->wire_size += size;
	return HTTP_MORE;
}

enum http_verdict control_request_feed(struct control_request *request, const char *data,
				       size_t size, size_t *ret_used)
{
	struct http_head *head = &request->head;
	size_t head_used = 0, body_used = 0;
	enum http_verdict verdict;

	if (size == 0)
		return HTTP_MORE;
	if (!head->complete) {
		verdict = http_head_feed(head, data, size, &head_used);
		if (verdict == HTTP_COMPLETE)
			verdict = judge_head(request);
		if (verdict != HTTP_MORE || !head->complete)
			return verdict;
		if (head->parser.method == HTTP_CONNECT) {
			*ret_used = head_used;
			return HTTP_COMPLETE;
		}
		http_head_start_body(head);
	}
	/* Also with nothing left to read: a request without body ends here. */
	verdict = feed_body(request, data + head_used, size - head_used, &body_used);
	if (verdict == HTTP_COMPLETE)
		*ret_used = head_used + body_used;
	return verdict;
}

bool control_request_begun(const struct control_request *request)
{
	return request->head.size > 0;
}

llhttp_method_t control_request_method(const struct control_request *request)
{
	return (llhttp_method_t)request->head.parser.method;
}

const char *control_request_path(const struct control_request *request,
				 char path[CONTROL_VALUE_MAX])
{
	static const char scheme[] = "http://";
	const char *begin = request->text[CONTROL_TARGET];
	size_t length;

	/* RFC 9112 section 3.2.2: a server accepts the absolute form. */
	if (strncasecmp(begin, scheme, sizeof(scheme) - 1) == 0) {
		begin += sizeof(scheme) - 1;
		begin += strcspn(begin, "/");
	}
	length = strcspn(begin, "?");
	memcpy(path, begin, length);
	path[length] = '\0';
	return path;
}
