/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds out where the application wanted to connect. An accepted socket that was steered by its
 * packets has the destination for its own address. One that was redirected (NAT) has the
 * listener's, and conntrack knows the destination.
 */
#ifndef SIDESTEP_DESTINATION_H
#define SIDESTEP_DESTINATION_H

#include <stdbool.h>
#include <sys/socket.h>

/* Sets the destination of an accepted connection. Returns 0 or negative errno. */
int destination_get(int fd, struct sockaddr_storage *ret_destination);

/* Tells whether it is a loopback address. Steered packets never went to one, so such a client has
 * connected to the listener. */
bool destination_is_loopback(const struct sockaddr_storage *destination);

#endif
