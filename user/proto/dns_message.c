// SPDX-License-Identifier: Apache-2.0
#include "proto/dns_message.h"

#include <errno.h>
#include <string.h>

#include "lib/address.h"
#include "proto/dns_wire.h"
#include "proto/hostname.h"

/* Bits of the header's second word. */
#define FLAG_QR	    0x8000
#define OPCODE_MASK 0x7800
#define FLAG_AA	    0x0400
#define FLAG_RD	    0x0100
#define FLAG_CD	    0x0010
#define RCODE_MASK  0x000f

#define TYPE_OPT  41
#define TYPE_ANY  255
#define CLASS_IN  1
#define CLASS_ANY 255

/* A message of this size passes any link without fragments (DNS flag day 2020). Bytes. */
#define EDNS_SIZE 1232
#define EDNS_DO	  0x8000
#define TTL	  60

#define MADE_UP_A    "11.0.0.1"
#define MADE_UP_AAAA "fd00::1"
static const uint8_t made_up_a[] = {11, 0, 0, 1};
static const uint8_t made_up_aaaa[] = {0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};

/* Returns the octets of the uncompressed name at @at, or 0. */
static size_t name_size(const uint8_t *at, size_t room)
{
	size_t size = 0;

	while (size < room && size < DNS_NAME_OCTETS) {
		if (at[size] == 0)
			return size + 1;
		if (at[size] > DNS_LABEL_MAX)
			return 0;
		size += at[size] + 1u;
	}
	return 0;
}

/* Reads the OPT record. There may be only one, and its name is the root. */
static int read_opt(struct dns_question *question, const uint8_t *fixed, size_t owner)
{
	if (question->edns || owner != 1)
		return DNS_FORMERR;
	question->edns = true;
	question->edns_version = fixed[5];
	question->edns_do = dns_get16(fixed + 6) & EDNS_DO;
	return 0;
}

/* Walks the records behind the question. The last @additional of them are the additional section,
 * which may have an OPT record. Each record has at least 11 bytes, so the message bounds the walk.
 */
static int walk_records(struct dns_question *question, const uint8_t *at, size_t room,
			unsigned int records, unsigned int additional)
{
	struct dns_record record;

	for (; records > 0; records--) {
		if (!dns_record_read(at, room, &record))
			return DNS_FORMERR;
		if (records <= additional && record.type == TYPE_OPT &&
		    read_opt(question, at + record.fixed, record.fixed) != DNS_NOERROR)
			return DNS_FORMERR;
		at += record.end;
		room -= record.end;
	}
	return DNS_NOERROR;
}

/* @response: the value of QR that the message has. */
static int question_parse(const void *message, size_t size, uint16_t response,
			  struct dns_question *ret_question)
{
	const uint8_t *bytes = message, *at = bytes + DNS_HEADER_SIZE;
	struct dns_question *question = ret_question;
	size_t room, name;

	if (size < DNS_HEADER_SIZE || (dns_get16(bytes + 2) & FLAG_QR) != response)
		return -EBADMSG;
	room = size - DNS_HEADER_SIZE;
	question->id = dns_get16(bytes);
	question->flags = dns_get16(bytes + 2);
	question->type = question->class = question->size = 0;
	question->edns = question->edns_do = false;
	question->edns_version = 0;
	if (question->flags & OPCODE_MASK)
		return DNS_NOTIMP;
	if (dns_get16(bytes + 4) != 1)
		return DNS_FORMERR;
	name = name_size(at, room);
	if (!name || name + 4 > room)
		return DNS_FORMERR;
	if (walk_records(question, at + name + 4, room - name - 4,
			 (unsigned int)dns_get16(bytes + 6) + dns_get16(bytes + 8) +
				 dns_get16(bytes + 10),
			 dns_get16(bytes + 10)) != DNS_NOERROR) {
		question->edns = false;
		question->edns_version = 0;
		return DNS_FORMERR;
	}
	question->type = dns_get16(at + name);
	question->class = dns_get16(at + name + 2);
	question->size = (uint16_t)(name + 4);
	memcpy(question->bytes, at, name + 4);
	return 0;
}

int dns_query_parse(const void *message, size_t size, struct dns_question *ret_question)
{
	return question_parse(message, size, 0, ret_question);
}

int dns_answer_question(const void *message, size_t size, struct dns_question *ret_question)
{
	return question_parse(message, size, FLAG_QR, ret_question);
}

bool dns_begins_query(const uint8_t header[6])
{
	return !(dns_get16(header + 2) & FLAG_QR) && dns_get16(header + 4) <= 1;
}

void dns_question_name(const struct dns_question *question, char text[DNS_NAME_TEXT_MAX])
{
	const uint8_t *label = question->bytes;
	char *end = text;
	unsigned int i;

	if (question->size > 0) {
		for (; *label; label += *label + 1) {
			if (end != text)
				*end++ = '.';
			for (i = 1; i <= *label; i++) {
				if (hostname_has((char)label[i])) {
					*end++ = (char)label[i];
					continue;
				}
				*end++ = '\\';
				*end++ = (char)('0' + label[i] / 100);
				*end++ = (char)('0' + label[i] / 10 % 10);
				*end++ = (char)('0' + label[i] % 10);
			}
		}
	}
	*end = '\0';
}

/* Length octets are smaller than letters, so names compare like text. */
static bool names_equal(const uint8_t *a, const uint8_t *b, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++) {
		if (hostname_lower((char)a[i]) != hostname_lower((char)b[i]))
			return false;
	}
	return true;
}

bool dns_answers(const void *message, size_t size, const struct dns_question *question)
{
	const uint8_t *bytes = message, *asked = question->bytes;
	size_t name = question->size - 4u;

	if (size < DNS_HEADER_SIZE || !(dns_get16(bytes + 2) & FLAG_QR) ||
	    (dns_get16(bytes + 2) ^ question->flags) & OPCODE_MASK)
		return false;
	if (question->flags & OPCODE_MASK)
		return true;
	if (question->size == 0)
		return false;
	if (dns_get16(bytes + 4) == 0)
		return dns_get16(bytes + 6) == 0 && dns_rcode(message) != DNS_NOERROR &&
		       dns_rcode(message) != DNS_NXDOMAIN;
	bytes += DNS_HEADER_SIZE;
	return dns_get16((const uint8_t *)message + 4) == 1 &&
	       size >= DNS_HEADER_SIZE + (size_t)question->size &&
	       names_equal(bytes, asked, name) && memcmp(bytes + name, asked + name, 4) == 0;
}

bool dns_question_for_addresses(const struct dns_question *question)
{
	return question->type == DNS_TYPE_A || question->type == DNS_TYPE_AAAA ||
	       question->type == TYPE_ANY || question->type == DNS_TYPE_SVCB ||
	       question->type == DNS_TYPE_HTTPS;
}

size_t dns_query_write(uint16_t id, const char *name, uint16_t type, uint8_t *message)
{
	uint8_t *at = message + DNS_HEADER_SIZE;

	memset(message, 0, DNS_HEADER_SIZE);
	(void)dns_put16(message, id);
	(void)dns_put16(message + 2, FLAG_RD);
	(void)dns_put16(message + 4, 1);
	while (*name) {
		size_t label = strcspn(name, ".");

		*at++ = (uint8_t)label;
		memcpy(at, name, label);
		at += label;
		name += label + (name[label] == '.');
	}
	*at++ = 0;
	at = dns_put16(at, type);
	return (size_t)(dns_put16(at, CLASS_IN) - message);
}

bool dns_is_made_up(const void *message, size_t size)
{
	const uint8_t *bytes = message;
	struct dns_question question;
	struct dns_record record;
	size_t at;

	if (dns_answer_question(message, size, &question) != 0 ||
	    dns_rcode(message) != DNS_NOERROR || dns_get16(bytes + 6) != 1)
		return false;
	at = DNS_HEADER_SIZE + (size_t)question.size;
	return dns_record_read(bytes + at, size - at, &record) && record.type == DNS_TYPE_A &&
	       record.end - record.data == sizeof(made_up_a) &&
	       memcmp(bytes + at + record.data, made_up_a, sizeof(made_up_a)) == 0;
}

/* Tells whether the data is an address of the type, and none that was made up. */
static bool is_address(uint16_t type, const uint8_t *data, size_t size)
{
	if (type == DNS_TYPE_A)
		return size == sizeof(made_up_a) && memcmp(data, made_up_a, size) != 0;
	return type == DNS_TYPE_AAAA && size == sizeof(made_up_aaaa) &&
	       memcmp(data, made_up_aaaa, size) != 0;
}

size_t dns_addresses(const void *message, size_t size, const struct dns_question *question,
		     uint8_t (*ret_addresses)[16], size_t max)
{
	const uint8_t *bytes = message;
	size_t at = DNS_HEADER_SIZE + (size_t)question->size, count = 0;
	struct dns_record record;
	unsigned int left;

	if (!dns_answers(message, size, question) || dns_rcode(message) != DNS_NOERROR)
		return 0;
	for (left = dns_get16(bytes + 6); left > 0 && count < max; left--, at += record.end) {
		if (!dns_record_read(bytes + at, size - at, &record))
			break;
		if (record.type == question->type &&
		    is_address(record.type, bytes + at + record.data, record.end - record.data))
			address_from_bytes(record.type == DNS_TYPE_A ? AF_INET : AF_INET6,
					   bytes + at + record.data, ret_addresses[count++]);
	}
	return count;
}

uint16_t dns_id(const void *message)
{
	return dns_get16(message);
}

enum dns_rcode dns_rcode(const void *message)
{
	return (enum dns_rcode)(dns_get16((const uint8_t *)message + 2) & RCODE_MASK);
}

void dns_set_id(void *message, uint16_t id)
{
	(void)dns_put16(message, id);
}

/* Writes the header, except three of its counts, and the question. Returns the end. */
static uint8_t *write_start(const struct dns_question *question, uint16_t flags,
			    enum dns_rcode rcode, uint8_t *message)
{
	memset(message, 0, DNS_HEADER_SIZE);
	flags |= question->flags & (OPCODE_MASK | FLAG_RD | FLAG_CD);
	(void)dns_put16(message, question->id);
	(void)dns_put16(message + 2, FLAG_QR | flags | (rcode & RCODE_MASK));
	if (question->size == 0)
		return message + DNS_HEADER_SIZE;
	(void)dns_put16(message + 4, 1);
	memcpy(message + DNS_HEADER_SIZE, question->bytes, question->size);
	return message + DNS_HEADER_SIZE + question->size;
}

static uint8_t *write_opt(const struct dns_question *question, enum dns_rcode rcode,
			  uint8_t *message, uint8_t *at)
{
	if (!question->edns)
		return at;
	(void)dns_put16(message + 10, 1);
	*at++ = 0; /* the root */
	at = dns_put16(at, TYPE_OPT);
	at = dns_put16(at, EDNS_SIZE);
	*at++ = (uint8_t)(rcode >> 4);
	*at++ = 0; /* version */
	at = dns_put16(at, question->edns_do ? EDNS_DO : 0);
	return dns_put16(at, 0);
}

/* Writes an address record with the question's name. Returns the end. */
static uint8_t *write_address(uint8_t *at, uint16_t type, const uint8_t *address, uint16_t size)
{
	at = dns_put16(at, DNS_LABEL_POINTER << 8 | DNS_HEADER_SIZE);
	at = dns_put16(at, type);
	at = dns_put16(at, CLASS_IN);
	at = dns_put16(at, 0);
	at = dns_put16(at, TTL);
	at = dns_put16(at, size);
	memcpy(at, address, size);
	return at + size;
}

size_t dns_error_write(const struct dns_question *question, enum dns_rcode rcode,
		       uint8_t message[DNS_ANSWER_MAX])
{
	uint8_t *end;

	if (question->edns_version > 0)
		rcode = DNS_BADVERS;
	end = write_start(question, rcode == DNS_NXDOMAIN ? FLAG_AA : 0, rcode, message);
	return (size_t)(write_opt(question, rcode, message, end) - message);
}

size_t dns_made_up_write(const struct dns_question *question, uint8_t message[DNS_ANSWER_MAX])
{
	bool internet = question->class == CLASS_IN || question->class == CLASS_ANY;
	uint16_t records = 0;
	uint8_t *end;

	if (question->edns_version > 0)
		return dns_error_write(question, DNS_BADVERS, message);
	end = write_start(question, FLAG_AA, DNS_NOERROR, message);
	if (internet && (question->type == DNS_TYPE_A || question->type == TYPE_ANY)) {
		end = write_address(end, DNS_TYPE_A, made_up_a, sizeof(made_up_a));
		records++;
	}
	if (internet && (question->type == DNS_TYPE_AAAA || question->type == TYPE_ANY)) {
		end = write_address(end, DNS_TYPE_AAAA, made_up_aaaa, sizeof(made_up_aaaa));
		records++;
	}
	(void)dns_put16(message + 6, records);
	return (size_t)(write_opt(question, DNS_NOERROR, message, end) - message);
}

const char *dns_made_up_text(const struct dns_question *question, const uint8_t *message)
{
	switch (dns_get16(message + 6)) {
	case 0:
		return NULL;
	case 1:
		return question->type == DNS_TYPE_A ? MADE_UP_A : MADE_UP_AAAA;
	default:
		return MADE_UP_A " " MADE_UP_AAAA;
	}
}
