// SPDX-License-Identifier: Apache-2.0
#include "sidecar/gateway_target.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/address.h"
#include "lib/hosts_file.h"
#include "lib/util.h"
#include "sidecar/gateway_echo.h"

/* Reads a port. Returns it, or negative errno. */
static int parse_port(const char *text)
{
	size_t digits = strspn(text, "0123456789");
	unsigned long port = strtoul(text, NULL, 10);

	return digits == 0 || digits > 5 || text[digits] || port > UINT16_MAX ? -EINVAL : (int)port;
}

int gateway_target_parse(const char *text, struct gateway_target *ret_target)
{
	const char *colon = strrchr(text, ':');
	struct endpoint endpoint;
	uint8_t address[16];
	int port;

	memset(ret_target, 0, sizeof(*ret_target));
	if (endpoint_parse(text, &endpoint) == 0) {
		ret_target->address.address = endpoint.address;
		ret_target->address.size = endpoint_size(&endpoint);
		return 0;
	}
	port = colon ? parse_port(colon + 1) : -EINVAL;
	if (port < 0 || (size_t)(colon - text) >= sizeof(ret_target->host))
		return -EINVAL;
	memcpy(ret_target->host, text, (size_t)(colon - text));
	/* Digits and dots alone are an address that is wrong. */
	if (!name_lookup_valid(ret_target->host) || address_parse(ret_target->host, address) == 0 ||
	    ret_target->host[strspn(ret_target->host, "0123456789.")] == '\0')
		return -EINVAL;
	socket_address_unknown(htons((uint16_t)port), &ret_target->address);
	return 0;
}

int gateway_finder_find(struct gateway_finder *finder, const struct socket_address *present,
			struct socket_address ret_addresses[NAME_LOOKUP_MAX])
{
	const struct gateway_target *target = finder->target;
	struct socket_address copy = *present, unreached[NAME_LOOKUP_MAX];
	in_port_t port = *socket_address_port(&copy);
	uint8_t found[NAME_LOOKUP_MAX][16];
	size_t count = 0, others = 0;
	int total, i;

	if (target->hosts_only)
		total = (int)hosts_file_find(HOSTS_FILE_PATH, target->host, found, NAME_LOOKUP_MAX);
	else
		total = name_lookup(&finder->lookup, target->host, found);
	if (total <= 0)
		return total == 0 ? -ENOENT : total;
	for (i = 0; i < total; i++) {
		socket_address_inet(found[i], port, &copy);
		if (gateway_has_route(&copy))
			ret_addresses[count++] = copy;
		else
			unreached[others++] = copy;
	}
	memcpy(ret_addresses + count, unreached, others * sizeof(unreached[0]));
	name_first_learn(&finder->first, ret_addresses, (size_t)total);
	return total;
}

void gateway_finder_clear(struct gateway_finder *finder)
{
	name_lookup_clear(&finder->lookup);
}

void gateway_target_explain(int error, const char **ret_cause, const char **ret_remedy)
{
	static _Thread_local char text[128];

	if (error == -ENOENT) {
		*ret_cause = "neither /etc/hosts nor a resolver of /etc/resolv.conf knows it";
		*ret_remedy =
			"start the gateway's container on a network of this one. For a name of "
			"the host's start the container that owns the network namespace with "
			"--add-host host.docker.internal:host-gateway";
	} else if (error == -ETIMEDOUT) {
		*ret_cause = "no resolver of /etc/resolv.conf has an answer";
		*ret_remedy = "check /etc/resolv.conf and the resolvers, or give the gateway's "
			      "address";
	} else {
		*ret_cause = strerror_r(-error, text, sizeof(text));
		*ret_remedy = "give the gateway's address";
	}
}
