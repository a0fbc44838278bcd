/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes two network namespaces with a veth pair between them, for tests that run as root. The test
 * runs in "home", like a container; "far" plays the host. A failure fails the test.
 */
#ifndef SIDESTEP_TESTS_TWO_NETNS_H
#define SIDESTEP_TESTS_TWO_NETNS_H

#include <stdint.h>

#define HOME_IPV4 "10.9.0.2"
#define HOME_IPV6 "fd00:9::2"
#define FAR_IPV4  "10.9.0.1"
#define FAR_IPV6  "fd00:9::1"

/* Descriptors of the namespaces; -1 before make_namespaces(). */
extern int home_netns, far_netns;

/* Makes the namespaces and moves the thread to "home": a set-up of cmocka_run_group_tests(). */
int make_namespaces(void **state);

/* Moves the calling thread into the namespace. */
void enter_netns(int netns);

/* Adds an address to a device of the calling thread's namespace. */
void add_address(const char *link, const char *text, uint8_t length);

/* Makes "far" the gateway of the default routes of "home", as the host is a container's; or removes
 * these routes. Each may be repeated. */
void add_default_routes(void);
void delete_default_routes(void);

/* Makes a TCP socket in the namespace, and returns to "home". */
int socket_in(int netns, int family);

#endif
