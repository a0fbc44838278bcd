// SPDX-License-Identifier: Apache-2.0
#include "metrics/otlp_url.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "lib/log.h"

#define SCHEME	     "http://"
#define DEFAULT_PORT ":4318"

/* The text may have a password, and stays out of the log. */
static int refuse(void)
{
	log_error("--otlp: give http://IP:PORT or http://IP:PORT/PATH of an OTLP/HTTP collector, "
		  "without a name, TLS or a password");
	return -EINVAL;
}

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

/* Reads the @length bytes of @host with @port behind them. Returns 0 or -EINVAL. */
static int parse_host(const char *host, size_t length, const char *port, struct endpoint *endpoint)
{
	char text[ADDRESS_TEXT_MAX];
	int size = snprintf(text, sizeof(text), "%.*s%s", (int)length, host, port);

	return size < (int)sizeof(text) ? endpoint_parse(text, endpoint) : -EINVAL;
}

int otlp_url_parse(const char *text, struct otlp_url *ret_url)
{
	struct endpoint endpoint;
	const char *host;
	size_t length;

	memset(ret_url, 0, sizeof(*ret_url));
	if (strncmp(text, SCHEME, strlen(SCHEME)) != 0)
		return refuse();
	host = text + strlen(SCHEME);
	length = strcspn(host, "/");
	if (copy_path(host + length, ret_url->path) < 0 || length > INT32_MAX ||
	    (parse_host(host, length, "", &endpoint) < 0 &&
	     parse_host(host, length, DEFAULT_PORT, &endpoint) < 0))
		return refuse();
	ret_url->address.address = endpoint.address;
	ret_url->address.size = endpoint_size(&endpoint);
	endpoint_format((const struct sockaddr *)&endpoint.address, ret_url->host);
	return 0;
}
