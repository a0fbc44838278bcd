// SPDX-License-Identifier: Apache-2.0
#include "proto/dns_wire.h"

#define RECORD_FIXED 10

size_t dns_name_size(const uint8_t *at, size_t room)
{
	size_t size = 0;

	while (size < room && size < DNS_NAME_OCTETS) {
		if (at[size] == 0)
			return size + 1;
		if ((at[size] & DNS_LABEL_KIND) == DNS_LABEL_POINTER)
			return size + 2 <= room ? size + 2 : 0;
		if (at[size] > DNS_LABEL_MAX)
			return 0;
		size += at[size] + 1u;
	}
	return 0;
}

bool dns_record_read(const uint8_t *at, size_t room, struct dns_record *ret_record)
{
	struct dns_record *record = ret_record;

	record->fixed = dns_name_size(at, room);
	record->data = record->fixed + RECORD_FIXED;
	if (!record->fixed || record->data > room)
		return false;
	record->type = dns_get16(at + record->fixed);
	record->end = record->data + dns_get16(at + record->fixed + 8);
	return record->end <= room;
}
