/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds out whether the gateway's own connections are intercepted (proxy/echo.h).
 *
 * Only a gateway that is near is asked. It has an address of the intercepted network namespace, or
 * it listens there on a unix socket. In bridge mode it is on a bridge of the host. It gets a
 * CONNECT for a random port of a random address of TEST-NET-3, which nobody has (203.0.113.0/24,
 * RFC 5737).
 */
#ifndef SIDESTEP_GATEWAY_ECHO_H
#define SIDESTEP_GATEWAY_ECHO_H

#include <stdbool.h>

#include "lib/socket_address.h"
#include "proxy/proxy.h"
#include "stream/dial.h"

/* The time that the gateway has to connect, ms. */
#define GATEWAY_ECHO_MS 1000

/* Tells whether the kernel has a route to the gateway, which is no unix socket. Sends nothing. */
bool gateway_has_route(const struct socket_address *gateway);

/* Tells whether the gateway is near. Sends nothing to it. */
bool gateway_is_near(const struct socket_address *gateway, bool bridge_mode);

/* Writes the request into @fd, which is connected to the gateway, and waits. Returns 1 when the
 * connection came back, 0 when it did not, -ECANCELED when @stop_fd became readable, or another
 * negative errno. */
int gateway_echo_check(int fd, struct proxy *proxy, int stop_fd);

#endif
