// SPDX-License-Identifier: Apache-2.0
#include "proxy/proxy.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/log.h"
#include "lib/socket_address.h"
#include "lib/util.h"
#include "proxy/dns_relay.h"
#include "proxy/proxy_worker.h"
#include "proxy/worker.h"

#define PROXY_THREADS_MAX 64
/* How often the ports are chosen until nobody else has joined one of them. */
#define LISTEN_TRIES 8

struct proxy {
	struct worker_shared shared;
	struct worker_listening listening;
	unsigned int threads;
	struct worker workers[];
};

static void wake_all(struct proxy *proxy)
{
	unsigned int i;

	for (i = 0; i < proxy->threads; i++)
		loop_wake(proxy->workers[i].loop);
}

static void proxy_drained(struct worker_shared *shared)
{
	wake_all(container_of(shared, struct proxy, shared));
}

static int open_workers(struct proxy *proxy)
{
	struct worker_listening *listening = &proxy->listening;
	unsigned int i;
	int error = 0;

	for (i = 0; i < WORKER_LISTENERS; i++)
		listener_group_init(&listening->tcp[i], i == WORKER_IPV6 ? AF_INET6 : AF_INET);
	for (i = 0; i < WORKER_FAMILIES; i++)
		listening->udp[i] = -1;
	for (i = 0; i < proxy->threads; i++)
		proxy_worker_init(&proxy->workers[i], &proxy->shared);
	for (i = 0; i < proxy->threads && error == 0; i++)
		error = proxy_worker_open(&proxy->workers[i], listening);
	for (i = 0; i < WORKER_LISTENERS && error == 0; i++)
		if (listening->tcp[i].members > 0)
			error = listener_group_seal(&listening->tcp[i]);
	return error;
}

/* The workers do not run. */
static void close_workers(struct proxy *proxy)
{
	unsigned int i;

	for (i = 0; i < proxy->threads; i++)
		proxy_worker_free(&proxy->workers[i]);
	for (i = 0; i < WORKER_LISTENERS; i++)
		listener_group_release(&proxy->listening.tcp[i]);
}

int proxy_new(const struct proxy_config *config, struct proxy **ret_proxy)
{
	struct proxy *proxy;
	unsigned int i;
	int error;

	if (config->threads < 1 || config->threads > PROXY_THREADS_MAX)
		return log_errno(-EINVAL, "cannot run %u proxy threads, 1 to %d are possible",
				 config->threads, PROXY_THREADS_MAX);
	proxy = calloc(1, sizeof(*proxy) + config->threads * sizeof(proxy->workers[0]));
	if (!proxy)
		return log_errno(-ENOMEM, "cannot create the proxy");
	proxy->threads = config->threads;
	proxy->shared.config = *config;
	proxy->shared.gateway = config->gateway;
	proxy->shared.gateway_origin = config->gateway_origin;
	echo_init(&proxy->shared.echo);
	proxy->shared.ipv6.fd = -1;
	(void)pthread_mutex_init(&proxy->shared.gateway_lock, NULL);
	proxy->shared.drained = proxy_drained;
	error = open_workers(proxy);
	for (i = 1; i < LISTEN_TRIES && error == -EADDRINUSE; i++) {
		close_workers(proxy);
		error = open_workers(proxy);
	}
	if (error == 0)
		error = echo_open(&proxy->shared.echo);
	if (error == 0)
		error = ipv6_verdict_open(&proxy->shared.ipv6);
	if (error < 0) {
		proxy_free(proxy);
		/* -EADDRINUSE would mean another instance. */
		if (error == -EADDRINUSE)
			return log_errno(-EBUSY,
					 "another process takes each port that the proxy opens; "
					 "find it with `ss -ltnp`");
		return log_errno(error, "cannot create the transparent listeners (these need "
					"CAP_NET_ADMIN, and IPv6 unless it is turned off)");
	}
	*ret_proxy = proxy;
	return 0;
}

int proxy_listener(const struct proxy *proxy, int family, int type, bool lo)
{
	int i = family == AF_INET6 ? WORKER_IPV6 : WORKER_IPV4;
	int fd = type == SOCK_DGRAM
			 ? proxy->workers[0].udp[i]
			 : proxy->workers[0].tcp[lo ? WORKER_LISTENER_LO : i].acceptor.listener.fd;

	return fd < 0 ? -ENOENT : fd;
}

int proxy_open_resolvers(struct proxy *proxy)
{
	unsigned int i;
	int error = 0;

	for (i = 0; i < proxy->threads && error == 0; i++)
		error = dns_relay_open(proxy->workers[i].dns);
	return error < 0 ? log_errno(error, "cannot open the sockets for DNS queries") : 0;
}

int proxy_start(struct proxy *proxy)
{
	unsigned int i;
	int error = proxy_open_resolvers(proxy);

	if (error < 0)
		return error;
	for (i = 0; i < proxy->threads && error == 0; i++)
		error = proxy_worker_start(&proxy->workers[i]);
	if (error < 0) {
		proxy_stop(proxy, 0);
		return log_errno(error, "cannot start %u proxy threads", proxy->threads);
	}
	return 0;
}

int proxy_announce(struct proxy *proxy)
{
	unsigned int i;
	int error = 0, j;

	for (i = 0; i < proxy->threads && error == 0; i++) {
		for (j = 0; j < WORKER_FAMILIES && error == 0; j++)
			if (proxy->workers[i].udp[j] >= 0)
				error = dial_announce(&proxy->shared.config.announcer,
						      proxy->workers[i].udp[j], NULL);
		if (error == 0)
			error = dns_relay_announce(proxy->workers[i].dns);
	}
	return error < 0 ? log_errno(error, "cannot announce the sockets for DNS queries") : 0;
}

static struct socket_address *gateway_lock(struct worker_shared *shared)
{
	(void)pthread_mutex_lock(&shared->gateway_lock);
	return &shared->gateway;
}

static void gateway_changed(struct worker_shared *shared)
{
	(void)atomic_fetch_add(&shared->generation, 1);
	(void)pthread_mutex_unlock(&shared->gateway_lock);
}

void proxy_set_gateway(struct proxy *proxy, const struct socket_address *gateway)
{
	*gateway_lock(&proxy->shared) = *gateway;
	gateway_changed(&proxy->shared);
}

void proxy_set_gateway_port(struct proxy *proxy, in_port_t port, const char *origin)
{
	*socket_address_port(gateway_lock(&proxy->shared)) = port;
	proxy->shared.gateway_origin = origin;
	gateway_changed(&proxy->shared);
}

void proxy_set_gateway_address(struct proxy *proxy, const struct socket_address *gateway)
{
	struct socket_address *present = gateway_lock(&proxy->shared);
	in_port_t port = *socket_address_port(present);

	*present = *gateway;
	*socket_address_port(present) = port;
	gateway_changed(&proxy->shared);
}

struct socket_address proxy_gateway(struct proxy *proxy)
{
	struct socket_address gateway = *gateway_lock(&proxy->shared);

	(void)pthread_mutex_unlock(&proxy->shared.gateway_lock);
	return gateway;
}

void proxy_await_echo(struct proxy *proxy, const struct sockaddr_in *destination)
{
	echo_await(&proxy->shared.echo, destination);
}

int proxy_echo_fd(const struct proxy *proxy)
{
	return proxy->shared.echo.fd;
}

void proxy_set_looping(struct proxy *proxy, bool is_looping)
{
	atomic_store(&proxy->shared.echo.is_looping, is_looping);
}

struct ipv6_verdict *proxy_ipv6_verdict(struct proxy *proxy)
{
	return &proxy->shared.ipv6;
}

static uint64_t counter_read(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

void proxy_counters(const struct proxy *proxy, struct proxy_counters *ret_counters)
{
	struct proxy_counters sum = {0};
	unsigned int i;

	for (i = 0; i < proxy->threads; i++) {
		const struct proxy_counters *part = &proxy->workers[i].counters;

		sum.accepted += counter_read(&part->accepted);
		sum.relayed += counter_read(&part->relayed);
		sum.refused_limit += counter_read(&part->refused_limit);
		sum.gateway_errors += counter_read(&part->gateway_errors);
		sum.gateway_refusals += counter_read(&part->gateway_refusals);
		sum.bytes_sent += counter_read(&part->bytes_sent);
		sum.bytes_received += counter_read(&part->bytes_received);
		sum.dns_queries += counter_read(&part->dns_queries);
		sum.dns_failures += counter_read(&part->dns_failures);
		sum.tls_handshakes += counter_read(&part->tls_handshakes);
		sum.tls_failures += counter_read(&part->tls_failures);
	}
	sum.connections = atomic_load(&proxy->shared.live);
	*ret_counters = sum;
}

void proxy_stop(struct proxy *proxy, unsigned int drain_ms)
{
	unsigned int i;

	if (atomic_load(&proxy->shared.draining))
		return;
	proxy->shared.drain_ms = drain_ms;
	atomic_store(&proxy->shared.draining, true);
	wake_all(proxy);
	for (i = 0; i < proxy->threads; i++)
		proxy_worker_join(&proxy->workers[i]);
	/* Only now: a thread that is still draining wakes the others. */
	close_workers(proxy);
}

void proxy_free(struct proxy *proxy)
{
	unsigned int i;

	if (!proxy)
		return;
	for (i = 0; i < proxy->threads; i++) {
		if (proxy->workers[i].running)
			break;
	}
	if (i < proxy->threads)
		proxy_stop(proxy, 0);
	close_workers(proxy);
	echo_free(&proxy->shared.echo);
	ipv6_verdict_close(&proxy->shared.ipv6);
	(void)pthread_mutex_destroy(&proxy->shared.gateway_lock);
	free(proxy);
}
