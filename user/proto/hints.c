// SPDX-License-Identifier: Apache-2.0
#include "proto/hints.h"

#include <stdlib.h>
#include <string.h>

#include "lib/util.h"
#include "proto/hostname.h"

/* RFC 8446 sections 5.1 and 4: record header, handshake header, and their types. */
#define TLS_RECORD_HEADER    5
#define TLS_RECORD_MAX	     16384
#define TLS_HANDSHAKE	     22
#define TLS_HANDSHAKE_HEADER 4
#define TLS_CLIENT_HELLO     1
#define TLS_SERVER_NAME	     0
#define TLS_NAME_HOST	     0

enum {
	TARGET,
	HOST,
};

/* A bounded reader. A failed read leaves it empty, so only the end needs a check. */
struct reader {
	const uint8_t *data;
	size_t size;
};

/* Reads a vector whose length has @width bytes. One that does not fit is empty, and so is the rest
 * of the reader then. */
static struct reader read_vector(struct reader *reader, size_t width)
{
	struct reader vector = {0};
	size_t i, size = 0;

	for (i = 0; i < width && i < reader->size; i++)
		size = size << 8 | reader->data[i];
	if (reader->size < width || size > reader->size - width) {
		*reader = (struct reader) {0};
		return vector;
	}
	vector = (struct reader) {reader->data + width, size};
	reader->data += width + size;
	reader->size -= width + size;
	return vector;
}

static bool skip(struct reader *reader, size_t size)
{
	if (reader->size < size) {
		*reader = (struct reader) {0};
		return false;
	}
	reader->data += size;
	reader->size -= size;
	return true;
}

/* @data is the body of a server_name extension. */
static void server_name_parse(struct hints *hints, struct reader extension)
{
	struct reader names = read_vector(&extension, 2);

	while (names.size > 0) {
		uint8_t type = names.data[0];
		struct reader name;

		(void)skip(&names, 1);
		name = read_vector(&names, 2);
		if (type != TLS_NAME_HOST)
			continue;
		if (!name.data || !hostname_valid((const char *)name.data, name.size))
			return;
		memcpy(hints->name, name.data, name.size);
		hints->name[name.size] = '\0';
		hints->kind = HINTS_SNI;
		return;
	}
}

/* @hello is a ClientHello without its handshake header (RFC 8446 section 4.1.2). */
static void client_hello_parse(struct hints *hints, struct reader hello)
{
	struct reader extensions;

	if (!skip(&hello, 2 + 32))
		return;
	(void)read_vector(&hello, 1); /* session id */
	(void)read_vector(&hello, 2); /* cipher suites */
	(void)read_vector(&hello, 1); /* compression methods */
	extensions = read_vector(&hello, 2);
	while (extensions.size >= 4) {
		unsigned int type = (unsigned int)extensions.data[0] << 8 | extensions.data[1];
		struct reader extension;

		(void)skip(&extensions, 2);
		extension = read_vector(&extensions, 2);
		if (type == TLS_SERVER_NAME) {
			server_name_parse(hints, extension);
			return;
		}
	}
}

static size_t record_size(const uint8_t *record)
{
	return (size_t)record[3] << 8 | record[4];
}

/* Copies up to @size handshake bytes out of the records at the start of @data. */
static void records_copy(const uint8_t *data, size_t available, uint8_t *to, size_t size)
{
	size_t done = 0, offset = 0;

	while (done < size && available - offset > TLS_RECORD_HEADER) {
		size_t part = record_size(data + offset);

		offset += TLS_RECORD_HEADER;
		if (part > available - offset)
			part = available - offset;
		if (part > size - done)
			part = size - done;
		memcpy(to + done, data + offset, part);
		offset += part;
		done += part;
	}
}

/* Walks the records up to the end of the message. Early data behind it is ignored. Returns 1 when
 * the message is complete, 0 when it is not, -1 when it is no ClientHello that can be read. */
static int records_gather(struct hints *hints, const uint8_t *data, size_t size,
			  size_t *ret_message)
{
	uint8_t header[TLS_HANDSHAKE_HEADER] = {0};
	size_t gathered = hints->gathered, message = sizeof(header);

	for (;;) {
		const uint8_t *record = data + hints->offset;
		size_t length, part;

		if (gathered >= sizeof(header)) {
			records_copy(data, size, header, sizeof(header));
			message = sizeof(header) +
				  ((size_t)header[1] << 16 | (size_t)header[2] << 8 | header[3]);
			if (header[0] != TLS_CLIENT_HELLO || message > HINTS_MAX)
				return -1;
		}
		if (gathered >= message) {
			*ret_message = message;
			return 1;
		}
		/* The last record was partial, so the next call counts it anew. */
		if (gathered > hints->gathered || size - hints->offset < TLS_RECORD_HEADER)
			return 0;
		length = record_size(record);
		if (record[0] != TLS_HANDSHAKE || record[1] != 3 || length == 0 ||
		    length > TLS_RECORD_MAX)
			return -1;
		part = size - hints->offset - TLS_RECORD_HEADER;
		if (part < length) {
			gathered += part;
			if (part == 0)
				return 0;
			continue;
		}
		gathered += length;
		hints->gathered = gathered;
		hints->offset += TLS_RECORD_HEADER + length;
	}
}

static bool tls_feed(struct hints *hints, const uint8_t *data, size_t size)
{
	_cleanup_free_ uint8_t *message = NULL;
	size_t length;
	int complete = records_gather(hints, data, size, &length);

	/* The handshake type stands right behind the first record's header. */
	hints->hello = complete >= 0 && (size < 2 || data[1] == 3) &&
		       (size <= TLS_RECORD_HEADER || data[TLS_RECORD_HEADER] == TLS_CLIENT_HELLO);
	if (complete <= 0)
		return complete < 0;
	message = malloc(length);
	if (!message)
		return true;
	records_copy(data, size, message, length);
	client_hello_parse(hints, (struct reader) {message + TLS_HANDSHAKE_HEADER,
						   length - TLS_HANDSHAKE_HEADER});
	return true;
}

/*
 * No hint is better than a wrong one, so there must be exactly one Host and a target in origin
 * form. An absolute form has precedence over Host (RFC 9112 section 3.2.2), but only proxies are
 * sent that.
 */
static void host_take(struct hints *hints)
{
	const struct http_value *host = &hints->value[HOST];
	bool absolute = hints->head.parser.method == HTTP_CONNECT ||
			(hints->target[0] != '/' && hints->target[0] != '*');

	if (host->count == 1 && !host->cut && !absolute &&
	    hostname_valid_with_port(host->text, host->length))
		hints->kind = HINTS_HOST;
}

static bool http_feed(struct hints *hints, const uint8_t *data, size_t size)
{
	enum http_verdict verdict;
	size_t used;

	if (hints->parsed == 0) {
		hints->value[TARGET] = (struct http_value) {.text = hints->target,
							    .size = sizeof(hints->target)};
		hints->value[HOST] = (struct http_value) {.name = "host",
							  .text = hints->name,
							  .size = sizeof(hints->name)};
		http_head_init(&hints->head, HTTP_REQUEST, hints->value, ARRAY_SIZE(hints->value));
		hints->head.limit = HINTS_MAX;
	}
	verdict = http_head_feed(&hints->head, (const char *)data + hints->parsed,
				 size - hints->parsed, &used);
	hints->parsed = size;
	if (verdict == HTTP_COMPLETE)
		host_take(hints);
	return verdict != HTTP_MORE;
}

void hints_init(struct hints *hints, bool tls, bool http)
{
	memset(hints, 0, sizeof(*hints));
	hints->tls = tls;
	hints->http = http;
}

bool hints_feed(struct hints *hints, const uint8_t *data, size_t size)
{
	bool final;

	if (size == 0)
		return false;
	if (!hints->decided) {
		hints->decided = true;
		hints->tls = hints->tls && data[0] == TLS_HANDSHAKE;
		hints->http = hints->http && data[0] != TLS_HANDSHAKE;
	}
	if (hints->tls)
		final = tls_feed(hints, data, size);
	else
		final = !hints->http || http_feed(hints, data, size);
	return final || size >= HINTS_MAX;
}
