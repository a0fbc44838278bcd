// SPDX-License-Identifier: Apache-2.0
#include "proto/dns_ech.h"

#include <stdint.h>
#include <string.h>

#include "proto/dns_message.h"
#include "proto/dns_wire.h"

#define FLAG_AD 0x20 /* in the header's fourth octet */

/* Keys of parameters (RFC 9460 section 14.3.2). */
#define KEY_MANDATORY 0
#define KEY_ECH	      5
#define KEY_PRIVATE   65280
/* Key and size stand in front of a parameter's value. */
#define PARAMETER_FIXED 4

/* Returns the octets of the parameter at @at, or 0. */
static size_t parameter_size(const uint8_t *at, size_t room)
{
	size_t size;

	if (room < PARAMETER_FIXED)
		return 0;
	size = PARAMETER_FIXED + (size_t)dns_get16(at + 2);
	return size <= room ? size : 0;
}

/*
 * Moves the parameter of @size octets at @at behind those with smaller keys than its new one,
 * because keys ascend (RFC 9460 section 2.2). Returns the new key.
 */
static uint16_t parameter_hide(uint8_t *at, size_t size, size_t room)
{
	uint16_t key = KEY_PRIVATE;
	size_t behind;

	for (room -= size; (behind = parameter_size(at + size, room)) > 0; room -= behind) {
		uint16_t next = dns_get16(at + size);

		if (next > key)
			break;
		if (next == key)
			key++;
		memmove(at, at + size, behind);
		at += behind;
	}
	at = dns_put16(at, key);
	at = dns_put16(at, (uint16_t)(size - PARAMETER_FIXED));
	memset(at, 0, size - PARAMETER_FIXED);
	return key;
}

/* Replaces `ech` by @key in a list of mandatory keys, which ascend too. */
static void mandatory_replace(uint8_t *list, size_t size, uint16_t key)
{
	size_t i;

	for (i = 0; i + 2 <= size && dns_get16(list + i) != KEY_ECH; i += 2)
		;
	if (i + 2 > size)
		return;
	for (; i + 4 <= size && dns_get16(list + i + 2) < key; i += 2)
		memmove(list + i, list + i + 2, 2);
	(void)dns_put16(list + i, key);
}

/* @data: priority, target and parameters. */
static bool record_clean(uint8_t *data, size_t room)
{
	uint8_t *mandatory = NULL;
	size_t target, size, mandatory_size = 0;

	target = room > 2 ? dns_name_size(data + 2, room - 2) : 0;
	if (!target)
		return false;
	data += 2 + target;
	room -= 2 + target;
	for (; (size = parameter_size(data, room)) > 0; data += size, room -= size) {
		if (dns_get16(data) == KEY_MANDATORY) {
			mandatory = data + PARAMETER_FIXED;
			mandatory_size = size - PARAMETER_FIXED;
		}
		if (dns_get16(data) == KEY_ECH) {
			mandatory_replace(mandatory, mandatory_size,
					  parameter_hide(data, size, room));
			return true;
		}
	}
	return false;
}

bool dns_ech_remove(void *message, size_t size)
{
	uint8_t *bytes = message, *at = bytes + DNS_HEADER_SIZE;
	struct dns_record record;
	unsigned int left;
	bool found = false;

	if (size < DNS_HEADER_SIZE)
		return false;
	size -= DNS_HEADER_SIZE;
	for (left = dns_get16(bytes + 4); left > 0; left--) {
		size_t name = dns_name_size(at, size);

		if (!name || name + 4 > size)
			return false;
		at += name + 4;
		size -= name + 4;
	}
	left = (unsigned int)dns_get16(bytes + 6) + dns_get16(bytes + 8) + dns_get16(bytes + 10);
	for (; left > 0 && dns_record_read(at, size, &record); left--) {
		if (record.type == DNS_TYPE_HTTPS || record.type == DNS_TYPE_SVCB)
			found |= record_clean(at + record.data, record.end - record.data);
		at += record.end;
		size -= record.end;
	}
	if (found)
		bytes[3] &= (uint8_t)~FLAG_AD;
	return found;
}
