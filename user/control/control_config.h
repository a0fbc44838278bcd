/* SPDX-License-Identifier: Apache-2.0 */
/* The settings of a control API, which its parts share. */
#ifndef SIDESTEP_CONTROL_CONFIG_H
#define SIDESTEP_CONTROL_CONFIG_H

#include "lib/address.h"
#include "lib/socket_address.h"
#include "proxy/policy.h"
#include "proxy/proxy.h"
#include "tls/tls_authority.h"

/* The pointers stay the caller's and outlive the control. */
struct control_config {
	struct endpoint address; /* to listen on */
	/* These may ask although they are not the host. */
	const struct prefix *allow;
	size_t allow_count;
	unsigned int peer_ms; /* limit for a sign of life of a tunnel's ends, 0: none */
	struct proxy *proxy;  /* whose gateway gets another port; a unix socket has none (400) */
	struct policy *policy;
	const struct tls_authority *tls; /* NULL: GET /ca is 404 */
	/* The proxy's gateway has another port. Called in the control's thread; may be NULL. */
	void (*gateway_changed)(void *context);
	/* Steers DNS for the internet to be on or off, before it is off and after it is on. It
	 * waits for "off" alone. Returns 0, or negative errno with the cause in @reason. Called in
	 * the control's thread; may be NULL. */
	int (*set_internet)(void *context, bool on, char *reason, size_t size);
	void *context;
};

#endif
