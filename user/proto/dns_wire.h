/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of a DNS message on the wire: numbers, names and records (RFC 1035 section 4.1). */
#ifndef SIDESTEP_DNS_WIRE_H
#define SIDESTEP_DNS_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The longest name. */
#define DNS_NAME_OCTETS 255
/* The largest length octet of a label. The two upper bits tell the kind: 11 is a pointer, and 01
 * and 10 are obsolete. */
#define DNS_LABEL_MAX	  63
#define DNS_LABEL_KIND	  0xc0
#define DNS_LABEL_POINTER 0xc0

/* RFC 1035 section 3.2.2, RFC 3596 section 2.1. */
#define DNS_TYPE_A    1
#define DNS_TYPE_AAAA 28
/* RFC 9460 section 14.1. */
#define DNS_TYPE_SVCB  64
#define DNS_TYPE_HTTPS 65

static inline uint16_t dns_get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

/* Returns the end of the number. */
static inline uint8_t *dns_put16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
	return at + 2;
}

/* Returns the octets of the name at @at, or 0. It may end in a pointer, which is not followed. */
size_t dns_name_size(const uint8_t *at, size_t room);

/* A record: name, type, class, TTL, size of the data, data. Offsets count from its first octet. */
struct dns_record {
	size_t fixed; /* the offset of type, class, TTL and size, 10 octets */
	size_t data;
	size_t end;
	uint16_t type;
};

/* Returns false if the record at @at does not end within @room. */
bool dns_record_read(const uint8_t *at, size_t room, struct dns_record *ret_record);

#endif
