// SPDX-License-Identifier: Apache-2.0
#include "metrics/otlp_url.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/address.h"
#include "lib/util.h"
#include "names/name_lookup.h"

/* The default of OTLP/HTTP, and that of https, which collectors on the internet have. */
static const struct {
	const char *prefix;
	const char *port;
	bool tls;
} schemes[] = {
	{"http://", "4318", false},
	{"https://", "443", true},
};

/* Its characters stand in a request line as they are. */
static int copy_path(const char *text, char path[OTLP_PATH_MAX])
{
	size_t length = strlen(text), i;

	while (length > 0 && text[length - 1] == '/')
		length--;
	if (length >= OTLP_PATH_MAX)
		return -EINVAL;
	for (i = 0; i < length; i++)
		if (text[i] <= ' ' || text[i] >= 0x7f || text[i] == '?' || text[i] == '#')
			return -EINVAL;
	memcpy(path, text, length);
	path[length] = '\0';
	return 0;
}

/* Reads the address @host with its port, or with @port. */
static int parse_address(const char *host, const char *port, struct otlp_url *url)
{
	char text[ADDRESS_TEXT_MAX];
	struct endpoint endpoint;

	if (endpoint_parse(host, &endpoint) < 0) {
		int size = snprintf(text, sizeof(text), "%s:%s", host, port);

		if (size >= (int)sizeof(text) || endpoint_parse(text, &endpoint) < 0)
			return -EINVAL;
	}
	url->address = (struct socket_address) {endpoint.address, endpoint_size(&endpoint)};
	endpoint_format((const struct sockaddr *)&endpoint.address, url->host);
	return 0;
}

/* Does so for a name. */
static int parse_name(const char *host, const char *port, struct otlp_url *url)
{
	const char *colon = strchr(host, ':');
	size_t length = colon ? (size_t)(colon - host) : strlen(host);
	uint8_t address[16];
	unsigned long number;

	if (colon)
		port = colon + 1;
	number = strtoul(port, NULL, 10);
	if (length > HOSTNAME_MAX || port[strspn(port, "0123456789")] || number == 0 ||
	    number > UINT16_MAX)
		return -EINVAL;
	memcpy(url->name, host, length);
	url->name[length] = '\0';
	/* Digits and dots alone are an address that is wrong. */
	if (!name_lookup_valid(url->name) || address_parse(url->name, address) == 0 ||
	    url->name[strspn(url->name, "0123456789.")] == '\0')
		return -EINVAL;
	socket_address_unknown(htons((uint16_t)number), &url->address);
	(void)snprintf(url->host, sizeof(url->host), "%s:%lu", url->name, number);
	return 0;
}

int otlp_url_parse(const char *text, struct otlp_url *ret_url)
{
	char host[HOSTNAME_PORT_MAX + 1];
	size_t i, length;

	memset(ret_url, 0, sizeof(*ret_url));
	for (i = 0; i < ARRAY_SIZE(schemes); i++) {
		const char *port = schemes[i].port;

		if (strncasecmp(text, schemes[i].prefix, strlen(schemes[i].prefix)) != 0)
			continue;
		text += strlen(schemes[i].prefix);
		length = strcspn(text, "/");
		if (length >= sizeof(host) || copy_path(text + length, ret_url->path) < 0)
			return -EINVAL;
		memcpy(host, text, length);
		host[length] = '\0';
		ret_url->tls = schemes[i].tls;
		return parse_address(host, port, ret_url) == 0 ? 0
							       : parse_name(host, port, ret_url);
	}
	return -EINVAL;
}
