// SPDX-License-Identifier: Apache-2.0
#include "lib/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/decimal.h"

static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

bool address_is_ipv4(const uint8_t address[16])
{
	return memcmp(address, mapped_prefix, sizeof(mapped_prefix)) == 0;
}

int address_parse(const char *text, uint8_t ret_address[16])
{
	uint8_t address[16];

	if (inet_pton(AF_INET6, text, address) == 1) {
		memcpy(ret_address, address, sizeof(address));
		return 0;
	}
	if (inet_pton(AF_INET, text, address + 12) != 1)
		return -EINVAL;
	memcpy(address, mapped_prefix, sizeof(mapped_prefix));
	memcpy(ret_address, address, sizeof(address));
	return 0;
}

/* Returns the end of what it wrote, without a NUL. */
static char *put_ipv4(char *at, const uint8_t address[4])
{
	int i;

	for (i = 0; i < 4; i++) {
		if (i > 0)
			*at++ = '.';
		at = decimal_write(at, address[i]);
	}
	return at;
}

const char *address_format(const uint8_t address[16], char text[ADDRESS_TEXT_MAX])
{
	if (!address_is_ipv4(address))
		return inet_ntop(AF_INET6, address, text, ADDRESS_TEXT_MAX);
	*put_ipv4(text, address + 12) = '\0';
	return text;
}

void address_from_bytes(int family, const void *bytes, uint8_t ret_address[16])
{
	if (family == AF_INET6) {
		memcpy(ret_address, bytes, 16);
		return;
	}
	memcpy(ret_address, mapped_prefix, sizeof(mapped_prefix));
	memcpy(ret_address + 12, bytes, 4);
}

void address_from_sockaddr(const struct sockaddr *from, uint8_t ret_address[16])
{
	if (from->sa_family == AF_INET6)
		address_from_bytes(AF_INET6,
				   &((const struct sockaddr_in6 *)(const void *)from)->sin6_addr,
				   ret_address);
	else
		address_from_bytes(AF_INET,
				   &((const struct sockaddr_in *)(const void *)from)->sin_addr,
				   ret_address);
}

struct prefix prefix_default(int family)
{
	struct prefix prefix = {.length = 0};

	if (family == AF_INET) {
		memcpy(prefix.address, mapped_prefix, sizeof(mapped_prefix));
		prefix.length = 96;
	}
	return prefix;
}

bool prefix_is_default(const struct prefix *prefix)
{
	return prefix->length == (address_is_ipv4(prefix->address) ? 96 : 0);
}

/* Takes decimal digits only, as strtoul() alone would also take signs and blanks. */
static int number_parse(const char *text, unsigned int maximum, unsigned int *ret_number)
{
	unsigned int number = 0;

	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		number = number * 10 + (unsigned int)(*text - '0');
		if (number > maximum)
			return -EINVAL;
	}
	*ret_number = number;
	return 0;
}

bool prefix_clear_host_bits(struct prefix *prefix)
{
	bool cleared = false;
	size_t i;

	for (i = 0; i < sizeof(prefix->address); i++) {
		unsigned int bits = prefix->length > i * 8 ? prefix->length - (unsigned int)i * 8
							   : 0;
		uint8_t mask = bits >= 8 ? 0xff : (uint8_t)(0xff << (8 - bits));

		if (prefix->address[i] & (uint8_t)~mask)
			cleared = true;
		prefix->address[i] &= mask;
	}
	return cleared;
}

static int prefix_scan(const char *text, struct prefix *ret_prefix, bool *ret_cleared)
{
	char address[ADDRESS_TEXT_MAX];
	struct prefix prefix;
	unsigned int length;
	const char *slash = strchr(text, '/');
	size_t size = slash ? (size_t)(slash - text) : strlen(text);
	bool ipv4;

	if (size >= sizeof(address))
		return -EINVAL;
	memcpy(address, text, size);
	address[size] = '\0';
	if (address_parse(address, prefix.address) < 0)
		return -EINVAL;
	/* "::ffff:1.2.3.4/120" counts its bits as IPv6 does. */
	ipv4 = !strchr(address, ':');
	length = ipv4 ? 32 : 128;
	if (slash && number_parse(slash + 1, length, &length) < 0)
		return -EINVAL;
	prefix.length = (uint8_t)(ipv4 ? length + 96 : length);
	*ret_cleared = prefix_clear_host_bits(&prefix);
	*ret_prefix = prefix;
	return 0;
}

int prefix_parse(const char *text, struct prefix *ret_prefix)
{
	struct prefix prefix;
	bool cleared;
	int error = prefix_scan(text, &prefix, &cleared);

	if (error < 0)
		return error;
	if (cleared)
		return -ERANGE;
	*ret_prefix = prefix;
	return 0;
}

int prefix_parse_lenient(const char *text, struct prefix *ret_prefix)
{
	bool cleared;

	return prefix_scan(text, ret_prefix, &cleared);
}

const char *prefix_format(const struct prefix *prefix, char text[ADDRESS_TEXT_MAX])
{
	unsigned int length = prefix->length;
	size_t used;

	address_format(prefix->address, text);
	used = strlen(text);
	/* 0.0.0.0/0 is kept as ::ffff:0:0/96. A shorter prefix is IPv6. */
	if (address_is_ipv4(prefix->address) && length >= 96)
		length -= 96;
	(void)snprintf(text + used, ADDRESS_TEXT_MAX - used, "/%u", length);
	return text;
}

bool prefix_equal(const struct prefix *a, const struct prefix *b)
{
	return a->length == b->length && memcmp(a->address, b->address, sizeof(a->address)) == 0;
}

bool prefix_contains(const struct prefix *prefix, const uint8_t address[16])
{
	struct prefix other = {.length = prefix->length};

	memcpy(other.address, address, sizeof(other.address));
	prefix_clear_host_bits(&other);
	return memcmp(other.address, prefix->address, sizeof(other.address)) == 0;
}

bool prefixes_contain(const struct prefix *prefixes, size_t count, const struct sockaddr *address)
{
	uint8_t bytes[16];
	size_t i;

	address_from_sockaddr(address, bytes);
	for (i = 0; i < count; i++)
		if (prefix_contains(&prefixes[i], bytes))
			return true;
	return false;
}

int endpoint_parse(const char *text, struct endpoint *ret_endpoint)
{
	char host[ADDRESS_TEXT_MAX];
	const char *colon = strrchr(text, ':');
	struct endpoint endpoint = {0};
	unsigned int port;
	size_t size;
	bool bracket;

	if (!colon || number_parse(colon + 1, 65535, &port) < 0)
		return -EINVAL;
	bracket = text[0] == '[';
	if (bracket && (colon == text || colon[-1] != ']'))
		return -EINVAL;
	text += bracket;
	size = (size_t)(colon - text) - bracket;
	if (size >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, size);
	host[size] = '\0';
	if (bracket) {
		struct sockaddr_in6 *address = (struct sockaddr_in6 *)&endpoint.address;

		if (inet_pton(AF_INET6, host, &address->sin6_addr) != 1)
			return -EINVAL;
		address->sin6_family = AF_INET6;
		address->sin6_port = htons((uint16_t)port);
	} else {
		struct sockaddr_in *address = (struct sockaddr_in *)&endpoint.address;

		if (inet_pton(AF_INET, host, &address->sin_addr) != 1)
			return -EINVAL;
		address->sin_family = AF_INET;
		address->sin_port = htons((uint16_t)port);
	}
	*ret_endpoint = endpoint;
	return 0;
}

const char *endpoint_format(const struct sockaddr *address, char text[ADDRESS_TEXT_MAX])
{
	uint8_t bytes[16];
	char *at = text;
	uint16_t port;

	address_from_sockaddr(address, bytes);
	if (address_is_ipv4(bytes)) {
		at = put_ipv4(at, bytes + 12);
	} else {
		*at++ = '[';
		(void)inet_ntop(AF_INET6, bytes, at, INET6_ADDRSTRLEN);
		at = stpcpy(at + strlen(at), "]");
	}
	port = address->sa_family == AF_INET6
		       ? ((const struct sockaddr_in6 *)(const void *)address)->sin6_port
		       : ((const struct sockaddr_in *)(const void *)address)->sin_port;
	*at++ = ':';
	*decimal_write(at, ntohs(port)) = '\0';
	return text;
}

socklen_t endpoint_size(const struct endpoint *endpoint)
{
	return endpoint->address.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
						       : sizeof(struct sockaddr_in);
}
