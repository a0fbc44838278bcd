// SPDX-License-Identifier: Apache-2.0
#include "proto/tunnel.h"

#include <string.h>

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
	const char *const parts[] = {
		"CONNECT ",
		endpoint_format(destination, to),
		" HTTP/1.1\r\nHost: ",
		to,
		"\r\nUser-Agent: proxy-everything/0.0.1/",
		endpoint_format(source, from),
		"\r\nConnection: close\r\nX-Forwarded-For: ",
		from,
		"\r\nX-Proto: tcp\r\n",
		hint ? hint_headers[hints->kind] : "",
		hint ? hints->name : "",
		hint ? "\r\n\r\n" : "\r\n",
	};
	char *at = text;
	size_t i;

	/* They always fit: each address has at most 64 characters, the name at most 264. */
	for (i = 0; i < ARRAY_SIZE(parts); i++)
		at = stpcpy(at, parts[i]);
	return (size_t)(at - text);
}

/* Begins with an interim answer, or with the final one. Fields of earlier ones do not count. */
static void answer_begin(struct tunnel_answer *answer)
{
	static const char *const names[TUNNEL_ANSWER_FIELDS] = {
		[TUNNEL_ANSWER_PLAINTEXT] = "x-tls-plaintext",
		[TUNNEL_ANSWER_VIA] = "via",
		[TUNNEL_ANSWER_PROXY_AGENT] = "proxy-agent",
	};
	int i;

	for (i = 0; i < TUNNEL_ANSWER_FIELDS; i++)
		answer->value[i] = (struct http_value) {.name = names[i],
							.text = answer->text[i],
							.size = sizeof(answer->text[i])};
	http_head_init(&answer->head, HTTP_RESPONSE, answer->value, TUNNEL_ANSWER_FIELDS);
}

void tunnel_answer_init(struct tunnel_answer *answer)
{
	memset(answer, 0, sizeof(*answer));
	answer_begin(answer);
}

enum http_verdict tunnel_answer_feed(struct tunnel_answer *answer, const char *data, size_t size,
				     size_t *ret_used)
{
	size_t used, total = 0;

	for (;;) {
		enum http_verdict verdict = http_head_feed(&answer->head, data + total,
							   size - total, &used);

		if (verdict != HTTP_COMPLETE)
			return verdict;
		total += used;
		answer->status = llhttp_get_status_code(&answer->head.parser);
		/* RFC 9110 section 15.2: a client reads on after interim answers. */
		if (answer->status / 100 != 1)
			break;
		if (answer->status == HTTP_STATUS_SWITCHING_PROTOCOLS)
			return http_head_refuse(&answer->head, 400, "101 to a CONNECT");
		answer->size += answer->head.size;
		answer_begin(answer);
		/* One limit for all of them: interim answers must not go on for ever. */
		answer->head.limit -= answer->size;
	}
	if (answer->status < 200)
		return http_head_refuse(&answer->head, 400, "status below 100");
	*ret_used = total;
	return HTTP_COMPLETE;
}

enum tunnel_content tunnel_answer_content(const struct tunnel_answer *answer,
					  enum tunnel_protocol protocol)
{
	const struct http_value *declared = &answer->value[TUNNEL_ANSWER_PLAINTEXT];

	if (answer->status != HTTP_STATUS_OK)
		return TUNNEL_UNCHANGED;
	if (!declared->cut && strcmp(declared->text, TUNNEL_PLAINTEXT_VALUE) == 0)
		return TUNNEL_PLAINTEXT;
	if (protocol == TUNNEL_PROTOCOL_CONNECT)
		return TUNNEL_UNCHANGED;
	return answer->value[TUNNEL_ANSWER_VIA].count > 0 ||
			       answer->value[TUNNEL_ANSWER_PROXY_AGENT].count > 0
		       ? TUNNEL_DOUBTFUL
		       : TUNNEL_PLAINTEXT;
}

void tunnel_request_init(struct tunnel_request *request)
{
	static const char *const names[TUNNEL_FIELDS] = {
		[TUNNEL_TARGET] = NULL,
		[TUNNEL_HOST] = "host",
		[TUNNEL_USER_AGENT] = "user-agent",
		[TUNNEL_FORWARDED_FOR] = "x-forwarded-for",
		[TUNNEL_PROTO] = "x-proto",
		[TUNNEL_SNI] = "x-tls-sni",
		[TUNNEL_HOSTNAME] = "x-hostname",
	};
	int i;

	for (i = 0; i < TUNNEL_FIELDS; i++)
		request->value[i] = (struct http_value) {.name = names[i],
							 .text = request->text[i],
							 .size = TUNNEL_VALUE_MAX};
	http_head_init(&request->head, HTTP_REQUEST, request->value, TUNNEL_FIELDS);
}

enum http_verdict tunnel_request_feed(struct tunnel_request *request, const char *data, size_t size,
				      size_t *ret_used)
{
	enum http_verdict verdict = http_head_feed(&request->head, data, size, ret_used);
	int i;

	if (verdict != HTTP_COMPLETE)
		return verdict;
	if (llhttp_get_method(&request->head.parser) != HTTP_CONNECT)
		return http_head_refuse(&request->head, 400, "not a CONNECT");
	if (request->value[TUNNEL_HOST].count != 1)
		return http_head_refuse(&request->head, 400, "needs exactly one Host");
	for (i = 0; i < TUNNEL_FIELDS; i++) {
		if (request->value[i].cut)
			return http_head_refuse(&request->head, 400,
						"a value is longer than 319 characters");
	}
	return HTTP_COMPLETE;
}

const char *tunnel_request_value(const struct tunnel_request *request, enum tunnel_field field)
{
	return request->text[field];
}
