// SPDX-License-Identifier: Apache-2.0
#include "proxy/proxy_worker.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "lib/address.h"
#include "lib/local_ports.h"
#include "lib/log.h"
#include "lib/process.h"
#include "lib/util.h"
#include "proxy/connection_admit.h"
#include "proxy/connection_machine.h"
#include "proxy/dns_relay.h"

#define WORKER_BACKLOG 4096
#define FLOW_MS	       1000

static const int families[WORKER_FAMILIES] = {AF_INET, AF_INET6};

/* Opens a transparent socket. @device: bind to it, or NULL. Returns it or negative errno. */
static int transparent_socket(int family, int type, const char *device)
{
	static const int one = 1;
	bool ipv6 = family == AF_INET6;
	int level = ipv6 ? IPPROTO_IPV6 : IPPROTO_IP;
	_cleanup_close_ int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 ||
	    setsockopt(fd, level, ipv6 ? IPV6_TRANSPARENT : IP_TRANSPARENT, &one, sizeof(one)) <
		    0 ||
	    (ipv6 && setsockopt(fd, level, IPV6_V6ONLY, &one, sizeof(one)) < 0) ||
	    (device &&
	     setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)strlen(device)) < 0))
		return -errno;
	return TAKE_FD(fd);
}

/* Opens a worker's listener. */
static int tcp_listener(struct listener_group *group, const char *device)
{
	static const int one = 1;
	_cleanup_close_ int fd = transparent_socket(group->family, SOCK_STREAM, device);
	int error;

	if (fd < 0)
		return fd;
	/* Accepted sockets inherit it. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	error = listener_group_join(group, fd, WORKER_BACKLOG);
	return error < 0 ? error : TAKE_FD(fd);
}

/* Opens the socket for DNS of all workers. It shares its port with none, so none can take part.
 * @any: it receives what goes to any address. */
static int udp_listener(int family, bool any)
{
	struct sockaddr_in ipv4 = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(any ? INADDR_ANY : INADDR_LOOPBACK)};
	struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6,
				    .sin6_addr = any ? in6addr_any : in6addr_loopback};
	_cleanup_close_ int fd = transparent_socket(family, SOCK_DGRAM, NULL);
	int error;

	if (fd < 0)
		return fd;
	error = dns_listener_prepare(fd, family);
	if (error < 0)
		return error;
	error = family == AF_INET6
			? local_ports_bind_above(fd, (struct sockaddr *)&ipv6, sizeof(ipv6))
			: local_ports_bind_above(fd, (struct sockaddr *)&ipv4, sizeof(ipv4));
	return error < 0 ? error : TAKE_FD(fd);
}

static void drain_expired(struct loop_timer *timer)
{
	loop_stop(container_of(timer, struct worker, drain)->loop);
}

static void worker_woken(void *context)
{
	struct worker *worker = context;
	const struct worker_shared *shared = worker->shared;

	if (!atomic_load(&shared->draining))
		return;
	if (atomic_load(&shared->live) == 0 || shared->drain_ms == 0) {
		loop_stop(worker->loop);
	} else if (!loop_timer_running(&worker->drain)) {
		worker->drain_class.duration_ms = shared->drain_ms;
		loop_timer_start(worker->loop, &worker->drain_class, &worker->drain);
	}
}

void proxy_worker_init(struct worker *worker, struct worker_shared *shared)
{
	int i;

	worker->shared = shared;
	worker->reserve.fd = -1;
	list_init(&worker->connections);
	for (i = 0; i < WORKER_FAMILIES; i++)
		worker->udp[i] = -1;
	for (i = 0; i < WORKER_LISTENERS; i++) {
		worker->tcp[i].worker = worker;
		worker->tcp[i].acceptor = (struct acceptor) {.listener.fd = -1,
							     .accepted = connection_accepted,
							     .exhausted = connection_exhausted};
	}
	/* One behind, so that the first connection fetches the gateway. */
	worker->generation = atomic_load(&shared->generation) - 1;
}

/* Accepts from @fd. Returns a negative @fd as it is: it is an error. */
static int worker_watch(struct worker *worker, int listener, int fd)
{
	return fd < 0 ? fd : acceptor_start(&worker->tcp[listener].acceptor, &worker->reserve, fd);
}

/* Opens a family's socket for DNS, or a descriptor of the first worker's. */
static int worker_listen_udp(struct worker *worker, struct worker_listening *listening, int i)
{
	if (listening->udp[i] >= 0) {
		worker->udp[i] = fcntl(listening->udp[i], F_DUPFD_CLOEXEC, 0);
		return worker->udp[i] < 0 ? -errno : 0;
	}
	worker->udp[i] = listening->udp[i] = udp_listener(families[i],
							  worker->shared->config.dns_by_port);
	if (worker->udp[i] < 0)
		return worker->udp[i];
	return dial_announce(&worker->shared->config.announcer, worker->udp[i], NULL);
}

static int worker_listen(struct worker *worker, struct worker_listening *listening)
{
	const struct proxy_config *config = &worker->shared->config;
	int i, error, fd;

	fd = tcp_listener(&listening->tcp[WORKER_LISTENER_LO], "lo");
	/* Before Linux 5.7 it needs CAP_NET_RAW. Without it connections only cost more. */
	if (fd != -EPERM && (error = worker_watch(worker, WORKER_LISTENER_LO, fd)) < 0)
		return error;
	for (i = 0; i < (config->ipv6 ? WORKER_FAMILIES : WORKER_IPV6); i++) {
		error = worker_watch(worker, i, tcp_listener(&listening->tcp[i], NULL));
		if (error == 0 && config->dns)
			error = worker_listen_udp(worker, listening, i);
		if (error < 0)
			return error;
	}
	if (!config->dns)
		return 0;
	return dns_relay_new(worker, worker->udp, (DNS_QUERIES_MAX - 1) / config->threads + 1,
			     DNS_LIMIT_MS, &worker->dns);
}

int proxy_worker_open(struct worker *worker, struct worker_listening *listening)
{
	const struct proxy_config *config = &worker->shared->config;
	int error;

	worker->loop = loop_new();
	if (!worker->loop)
		return -errno;
	error = acceptor_reserve_open(&worker->reserve, worker->loop);
	if (error < 0)
		return error;
	worker->pool = relay_pool_new(worker->loop);
	if (!worker->pool)
		return -ENOMEM;
	if (config->tls) {
		worker->tls = tls_relay_pool_new(worker->pool, TLS_HANDSHAKE_MS);
		if (!worker->tls)
			return -ENOMEM;
	}
	dialer_init(&worker->dialer, worker->loop, config->connect_ms);
	loop_timer_class_init(worker->loop, &worker->peek_class, config->peek_ms);
	loop_timer_class_init(worker->loop, &worker->client_first_class, config->client_first_ms);
	loop_timer_class_init(worker->loop, &worker->answer_class, config->answer_ms);
	peer_watches_init(&worker->watches, worker->loop, config->peer_ms);
	loop_timer_class_init(worker->loop, &worker->flow_class, FLOW_MS);
	loop_timer_class_init(worker->loop, &worker->drain_class, 0);
	worker->drain.expired = drain_expired;
	loop_on_wake(worker->loop, worker_woken, worker);
	return worker_listen(worker, listening);
}

static void *worker_run(void *context)
{
	struct worker *worker = context;
	int error = loop_run(worker->loop);

	if (error < 0)
		(void)log_errno(error, "event loop of a proxy thread failed");
	connection_reset_all(worker);
	return NULL;
}

int proxy_worker_start(struct worker *worker)
{
	int error = process_start_thread(&worker->thread, worker_run, worker);

	worker->running = error == 0;
	return error;
}

void proxy_worker_join(struct worker *worker)
{
	if (worker->running)
		(void)pthread_join(worker->thread, NULL);
	worker->running = false;
}

void proxy_worker_free(struct worker *worker)
{
	int i;

	if (worker->loop) {
		dns_relay_free(worker->dns);
		worker->dns = NULL;
		loop_flush(worker->loop);
	}
	tls_relay_pool_free(worker->tls);
	worker->tls = NULL;
	relay_pool_free(worker->pool);
	worker->pool = NULL;
	for (i = 0; i < WORKER_LISTENERS; i++)
		acceptor_close(&worker->tcp[i].acceptor);
	for (i = 0; i < WORKER_FAMILIES; i++)
		worker->udp[i] = safe_close(worker->udp[i]);
	loop_free(worker->loop);
	worker->loop = NULL;
	acceptor_reserve_close(&worker->reserve);
	time_waits_clear(&worker->waits);
}
