/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transparent proxy accepts the connections that the kernel side steers to its listeners. It
 * carries each one to the gateway in an HTTP CONNECT tunnel of its own (RFC 9110 section 9.3.6). It
 * knows nothing of BPF, routes or Docker.
 */
#ifndef SIDESTEP_PROXY_H
#define SIDESTEP_PROXY_H

#include <netinet/in.h>
#include <stdbool.h>

#include "lib/socket_address.h"
#include "proxy/proxy_config.h"

struct ipv6_verdict;
struct proxy;

/* File descriptors that a thread holds without connections. These are an event loop and its wakeup,
 * a reserve, three TCP listeners, two UDP listeners, and 16 sockets for DNS queries. One more ends
 * TIME_WAIT. Idle pipes are not among them, because they are closed where descriptors end. */
#define PROXY_THREAD_DESCRIPTORS 25

/*
 * Creates the listeners in the calling thread's network namespace: transparent TCP sockets, and UDP
 * ones with @dns, on 127.0.0.1 and, with @ipv6, on ::1. Each family has a group of TCP sockets, one
 * per thread (proxy/listener_group.h), and one UDP socket. One more TCP group for IPv4 is bound to
 * lo (SO_BINDTODEVICE). It needs CAP_NET_RAW before Linux 5.7, and is left out where it is refused.
 * The rest needs CAP_NET_ADMIN. -EBUSY: somebody else joined a group each time.
 * Nothing is accepted before proxy_start(). Returns 0 or negative errno, logged.
 */
int proxy_new(const struct proxy_config *config, struct proxy **ret_proxy);

/* Returns a listener of the group for @family (AF_INET, AF_INET6) and @type (SOCK_STREAM,
 * SOCK_DGRAM), or of the TCP group that is bound to lo (@lo). It stays the proxy's. -ENOENT: there
 * is none. The kernel picks within the group. */
int proxy_listener(const struct proxy *proxy, int family, int type, bool lo);

/* Opens the sockets for DNS queries in the calling thread's network namespace, and announces them.
 * Before the datapath judges, so that it learns of them all at once; otherwise proxy_start() does
 * it. Returns 0 or negative errno, logged. */
int proxy_open_resolvers(struct proxy *proxy);

/* Starts the threads. They inherit the calling thread's network namespace, in which they dial the
 * gateway, and its capabilities. Returns 0 or negative errno, logged. */
int proxy_start(struct proxy *proxy);

/* Announces all long-lived sockets once more, because the kernel side has changed. Not while the
 * proxy starts or stops. Returns 0 or negative errno, logged. */
int proxy_announce(struct proxy *proxy);

/* Replaces the gateway, or its port (network byte order) or address alone. The port is that of a
 * gateway without a path. Connections that have sent their CONNECT keep the old one. @origin: a
 * constant, who names the port. Thread safe. */
void proxy_set_gateway(struct proxy *proxy, const struct socket_address *gateway);
void proxy_set_gateway_port(struct proxy *proxy, in_port_t port, const char *origin);
void proxy_set_gateway_address(struct proxy *proxy, const struct socket_address *gateway);

/* Returns the present gateway. Thread safe. */
struct socket_address proxy_gateway(struct proxy *proxy);

/* Awaits a connection to @destination, which is reset, in place of the last one. As it comes, the
 * descriptor of proxy_echo_fd() becomes readable, until the next call. Thread safe. */
void proxy_await_echo(struct proxy *proxy, const struct sockaddr_in *destination);
int proxy_echo_fd(const struct proxy *proxy);

/* Resets all new connections, because the gateway's own are among them; or no longer. Thread safe.
 */
void proxy_set_looping(struct proxy *proxy, bool is_looping);

/* Returns what is known of the gateway's IPv6. It stays the proxy's. */
struct ipv6_verdict *proxy_ipv6_verdict(struct proxy *proxy);

void proxy_counters(const struct proxy *proxy, struct proxy_counters *ret_counters);

/* Resets new connections from now on, waits up to @drain_ms until the running ones have ended, and
 * resets the rest. Stops the threads. */
void proxy_stop(struct proxy *proxy, unsigned int drain_ms);

/* Stops, without a drain if it still runs, and frees. NULL is allowed. */
void proxy_free(struct proxy *proxy);

#endif
