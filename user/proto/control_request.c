// SPDX-License-Identifier: Apache-2.0
#include "proto/control_request.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const field_names[CONTROL_FIELDS] = {
	[CONTROL_HOST] = "host",
	[CONTROL_DESTINATION] = "x-dst-addr",
	[CONTROL_TRANSFER_ENCODING] = "transfer-encoding",
	[CONTROL_EXPECT] = "expect",
};

static enum control_verdict refuse(struct control_request *request, unsigned int status,
				   const char *reason)
{
	request->status = status;
	request->reason = reason;
	return CONTROL_REFUSED;
}

static int on_url(llhttp_t *parser, const char *data, size_t size)
{
	struct control_request *request = parser->data;
	size_t room = CONTROL_VALUE_MAX - 1 - request->target_length;

	memcpy(request->target + request->target_length, data, size < room ? size : room);
	request->target_length += size < room ? size : room;
	return 0;
}

static int on_field(llhttp_t *parser, const char *data, size_t size)
{
	struct control_request *request = parser->data;
	size_t room = sizeof(request->name) - request->name_length;

	/* A longer name than any of ours stays one, cut. */
	memcpy(request->name + request->name_length, data, size < room ? size : room);
	request->name_length += size < room ? size : room;
	return 0;
}

static int on_field_complete(llhttp_t *parser)
{
	struct control_request *request = parser->data;
	int i;

	request->field = -1;
	/* What comes behind a chunked body is a trailer, which no field of ours may be. */
	for (i = 0; i < CONTROL_FIELDS && !request->head_complete; i++) {
		if (strlen(field_names[i]) == request->name_length &&
		    strncasecmp(field_names[i], request->name, request->name_length) == 0)
			request->field = i;
	}
	request->name_length = 0;
	if (request->field >= 0)
		request->count[request->field]++;
	return 0;
}

static int on_value(llhttp_t *parser, const char *data, size_t size)
{
	struct control_request *request = parser->data;
	size_t length;

	if (request->field < 0)
		return 0;
	length = request->length[request->field];
	if (size >= CONTROL_VALUE_MAX - length) {
		request->too_long = true;
		return 0;
	}
	memcpy(request->value[request->field] + length, data, size);
	request->length[request->field] = length + size;
	return 0;
}

static int on_value_complete(llhttp_t *parser)
{
	struct control_request *request = parser->data;
	char *value;
	size_t length;

	if (request->field < 0)
		return 0;
	value = request->value[request->field];
	length = request->length[request->field];
	while (length > 0 && (value[length - 1] == ' ' || value[length - 1] == '\t'))
		length--;
	value[length] = '\0';
	request->length[request->field] = length;
	return 0;
}

/* The head is judged outside of the parser, which stops here. */
static int on_headers_complete(llhttp_t *parser)
{
	struct control_request *request = parser->data;

	request->head_complete = true;
	return HPE_PAUSED;
}

static int on_body(llhttp_t *parser, const char *data, size_t size)
{
	struct control_request *request = parser->data;
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

static int on_message_complete(llhttp_t *parser)
{
	(void)parser;
	return HPE_PAUSED;
}

void control_request_init(struct control_request *request)
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

	memset(request, 0, sizeof(*request));
	llhttp_init(&request->parser, HTTP_REQUEST, &settings);
	request->parser.data = request;
	request->field = -1;
}

void control_request_clear(struct control_request *request)
{
	free(request->body);
	request->body = NULL;
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

/* How the body is delimited: the rules of RFC 9112 section 6.3, none of them bent. */
static enum control_verdict judge_framing(struct control_request *request, bool http11)
{
	llhttp_t *parser = &request->parser;
	bool length = parser->flags & F_CONTENT_LENGTH;
	bool chunked = request->count[CONTROL_TRANSFER_ENCODING] > 0;
	bool body = chunked || (length && parser->content_length > 0);

	if (chunked && strcasecmp(request->value[CONTROL_TRANSFER_ENCODING], "chunked") != 0)
		return refuse(request, 501, "Transfer-Encoding is not \"chunked\"");
	if (chunked && length)
		return refuse(request, 400, "both Content-Length and Transfer-Encoding");
	if (chunked && !http11)
		return refuse(request, 400, "Transfer-Encoding in an HTTP/1.0 request");
	if (body && parser->method == HTTP_CONNECT)
		return refuse(request, 400, "a CONNECT has no body");
	if (length && parser->content_length > CONTROL_BODY_MAX)
		return refuse(request, 413, "the body is larger than 64 KiB");
	if (request->count[CONTROL_EXPECT] > 0) {
		if (strcasecmp(request->value[CONTROL_EXPECT], "100-continue") != 0)
			return refuse(request, 417, "Expect is not \"100-continue\"");
		request->continue_due = body && http11;
	}
	return CONTROL_MORE;
}

static enum control_verdict judge_head(struct control_request *request)
{
	llhttp_t *parser = &request->parser;
	bool http11 = parser->http_minor == 1;
	int i;

	if (parser->http_major != 1 || parser->http_minor > 1)
		return refuse(request, 505, "neither HTTP/1.0 nor HTTP/1.1");
	for (i = 0; i < CONTROL_FIELDS; i++) {
		static const char *const reasons[CONTROL_FIELDS] = {
			[CONTROL_HOST] = "more than one Host",
			[CONTROL_DESTINATION] = "more than one X-Dst-Addr",
			[CONTROL_TRANSFER_ENCODING] = "more than one Transfer-Encoding",
			[CONTROL_EXPECT] = "more than one Expect",
		};

		if (request->count[i] > 1)
			return refuse(request, 400, reasons[i]);
	}
	if (request->too_long)
		return refuse(request, 400,
			      "the value of Host, X-Dst-Addr, Transfer-Encoding or "
			      "Expect is longer than 127 characters");
	if (http11 && request->count[CONTROL_HOST] == 0 && parser->method != HTTP_CONNECT)
		return refuse(request, 400, "an HTTP/1.1 request needs a Host header");
	return judge_framing(request, http11);
}

/* What llhttp says, unless a callback said it already. */
static enum control_verdict refuse_parse(struct control_request *request)
{
	const char *reason = llhttp_get_error_reason(&request->parser);

	return request->status ? CONTROL_REFUSED
			       : refuse(request, 400, reason && *reason ? reason : "not HTTP");
}

/* Reads the head only; @ret_used is set once it is complete. */
static enum control_verdict feed_head(struct control_request *request, const char *data,
				      size_t size, size_t *ret_used)
{
	llhttp_errno_t error = llhttp_execute(&request->parser, data, size);
	size_t used = size;

	if (error == HPE_PAUSED)
		used = (size_t)(llhttp_get_error_pos(&request->parser) - data);
	else if (error != HPE_OK)
		return refuse_parse(request);
	if (has_folded_line(request->last, data, used))
		return refuse(request, 400, "folded header line");
	if (used > CONTROL_HEAD_MAX - request->head_size)
		return refuse(request, 431, "the head is larger than 16 KiB");
	request->head_size += used;
	if (used > 0)
		request->last = data[used - 1];
	*ret_used = used;
	return request->head_complete ? judge_head(request) : CONTROL_MORE;
}

static enum control_verdict feed_body(struct control_request *request, const char *data,
				      size_t size, size_t *ret_used)
{
	llhttp_errno_t error = llhttp_execute(&request->parser, data, size);

	if (error == HPE_PAUSED) {
		*ret_used = (size_t)(llhttp_get_error_pos(&request->parser) - data);
		return CONTROL_COMPLETE;
	}
	if (error != HPE_OK)
		return refuse_parse(request);
	if (size > CONTROL_WIRE_MAX - request->wire_size)
		return refuse(request, 413, "the body takes more than 256 KiB to send");
	request->wire_size += size;
	return CONTROL_MORE;
}

enum control_verdict control_request_feed(struct control_request *request, const char *data,
					  size_t size, size_t *ret_used)
{
	enum control_verdict verdict;
	size_t head_used = 0, body_used = 0;

	if (size == 0)
		return CONTROL_MORE;
	if (!request->head_complete) {
		verdict = feed_head(request, data, size, &head_used);
		if (verdict != CONTROL_MORE || !request->head_complete)
			return verdict;
		if (request->parser.method == HTTP_CONNECT) {
			*ret_used = head_used;
			return CONTROL_COMPLETE;
		}
		/* No offer to switch protocols is taken up (RFC 9110 section 7.8). */
		request->parser.upgrade = 0;
		llhttp_resume(&request->parser);
	}
	/* Even with nothing left to read: a request without body ends here. */
	verdict = feed_body(request, data + head_used, size - head_used, &body_used);
	if (verdict == CONTROL_COMPLETE)
		*ret_used = head_used + body_used;
	return verdict;
}

bool control_request_begun(const struct control_request *request)
{
	return request->head_size > 0;
}

llhttp_method_t control_request_method(const struct control_request *request)
{
	return (llhttp_method_t)request->parser.method;
}

const char *control_request_path(const struct control_request *request,
				 char path[CONTROL_VALUE_MAX])
{
	static const char scheme[] = "http://";
	const char *begin = request->target;
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
