/* SPDX-License-Identifier: Apache-2.0 */
/* The URL of an OTLP collector. */
#ifndef SIDESTEP_OTLP_URL_H
#define SIDESTEP_OTLP_URL_H

#include <stdbool.h>

#include "lib/socket_address.h"
#include "proto/hostname.h"

#define OTLP_PATH_MAX 200

struct otlp_url {
	bool tls;
	struct socket_address address;	  /* AF_UNSPEC: the name has to be looked up */
	char name[HOSTNAME_MAX + 1];	  /* without the port; "": an address was given */
	char host[HOSTNAME_PORT_MAX + 1]; /* for the header Host, with the port */
	char path[OTLP_PATH_MAX];	  /* "" or "/..." without a slash at its end */
};

/* Reads http://HOST[:PORT][/PATH] or the same with https. HOST is an address or a name. The port is
 * 4318 by default, with https 443. Returns 0 or -EINVAL. */
int otlp_url_parse(const char *text, struct otlp_url *ret_url);

#endif
