/* SPDX-License-Identifier: Apache-2.0 */
/* The address of an OTLP collector. */
#ifndef SIDESTEP_OTLP_URL_H
#define SIDESTEP_OTLP_URL_H

#include "lib/address.h"
#include "lib/socket_address.h"

#define OTLP_PATH_MAX 200

struct otlp_url {
	struct socket_address address;
	char host[ADDRESS_TEXT_MAX]; /* for the header Host */
	char path[OTLP_PATH_MAX];    /* "" or "/..." without a slash at its end */
};

/* Reads http://IP[:PORT][/PATH]; the port is 4318 by default. Returns 0 or -EINVAL, logged. */
int otlp_url_parse(const char *text, struct otlp_url *ret_url);

#endif
