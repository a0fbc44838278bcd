// SPDX-License-Identifier: Apache-2.0
#include "proxy/proxy.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "lib/socket_address.h"
#include "lib/util.h"
#include "proxy/connection.h"
#include "proxy/dns_relay.h"
#include "stream/acceptor.h"

#define PROXY_THREADS_MAX 64
#define PROXY_BACKLOG	  4096

enum {
	FAMILY_IPV4,
	FAMILY_IPV6,
	FAMILIES
};

static const int families[FAMILIES] = {AF_INET, AF_INET6};

/* Of a thread, TCP: one for each family, and the one that is bound to lo. */
enum {
	LISTENER_LO = FAMILIES,
	LISTENERS
};

/* Ports of the groups, network byte order; 0: the first socket of the group gets one. */
struct proxy_ports {
	in_port_t tcp[LISTENERS];
	in_port_t udp[FAMILIES];
};

struct proxy_worker;

struct proxy_listener {
	struct acceptor acceptor;
	struct proxy_worker *worker;
};

struct proxy_worker {
	struct connection_worker base;
	struct proxy *proxy;
	struct proxy_listener tcp[LISTENERS];
	int udp[FAMILIES];
	struct dns_relay *dns;
	struct acceptor_reserve reserve;
	struct loop_timer_class drain_class;
	struct loop_timer drain;
	pthread_t thread;
	bool running;
};

struct proxy {
	struct connection_shared shared;
	unsigned int drain_ms;
	unsigned int threads;
	struct proxy_worker workers[];
};

/* A transparent socket of a SO_REUSEPORT group; port 0: the first of the group, the kernel picks.
 * @device: bound to it, or NULL. Negative errno. */
static int listener_socket(int family, int type, const char *device, in_port_t *port)
{
	static const int one = 1;
	bool ipv6 = family == AF_INET6;
	int level = ipv6 ? IPPROTO_IPV6 : IPPROTO_IP;
	struct sockaddr_in ipv4_address = {.sin_family = AF_INET,
					   .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
					   .sin_port = *port};
	struct sockaddr_in6 ipv6_address = {.sin6_family = AF_INET6,
					    .sin6_addr = IN6ADDR_LOOPBACK_INIT,
					    .sin6_port = *port};
	struct sockaddr *address = ipv6 ? (struct sockaddr *)&ipv6_address
					: (struct sockaddr *)&ipv4_address;
	socklen_t size = ipv6 ? sizeof(ipv6_address) : sizeof(ipv4_address);
	_cleanup_close_ int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error;

	if (fd < 0 ||
	    setsockopt(fd, level, ipv6 ? IPV6_TRANSPARENT : IP_TRANSPARENT, &one, sizeof(one)) <
		    0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) < 0 ||
	    (ipv6 && setsockopt(fd, level, IPV6_V6ONLY, &one, sizeof(one)) < 0) ||
	    (device &&
	     setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)strlen(device)) < 0))
		return -errno;
	if (type == SOCK_DGRAM) {
		error = dns_listener_prepare(fd, family);
		if (error < 0)
			return error;
	} else {
		/* Accepted sockets inherit it. */
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	}
	if (bind(fd, address, size) < 0 || getsockname(fd, address, &size) < 0)
		return -errno;
	if (type == SOCK_STREAM && listen(fd, PROXY_BACKLOG) < 0)
		return -errno;
	*port = ipv6 ? ipv6_address.sin6_port : ipv4_address.sin_port;
	return TAKE_FD(fd);
}

static void listener_exhausted(struct acceptor *acceptor, int fd,
			       const struct sockaddr_storage *source)
{
	struct proxy_worker *worker =
		container_of(acceptor, struct proxy_listener, acceptor)->worker;
	char suffix[COMPLAINT_SUFFIX_MAX];

	if (fd >= 0) {
		counter_add(&worker->base.counters.refused_limit, 1);
		connection_refuse(&worker->base, fd, source);
	}
	if (complaint_due(&worker->proxy->shared.complaints[COMPLAINT_DESCRIPTORS], suffix))
		log_warning("connection reset: no file descriptors left; raise the limit "
			    "(ulimit -n) or lower the connection limit%s",
			    suffix);
}

static void listener_accepted(struct acceptor *acceptor, int fd,
			      const struct sockaddr_storage *source)
{
	struct proxy_worker *worker =
		container_of(acceptor, struct proxy_listener, acceptor)->worker;
	struct connection_shared *shared = &worker->proxy->shared;
	unsigned int limit = shared->config.max_connections;
	char suffix[COMPLAINT_SUFFIX_MAX];

	if (atomic_load(&shared->draining)) {
		connection_refuse(&worker->base, fd, source);
		return;
	}
	if (atomic_fetch_add(&shared->live, 1) < limit) {
		connection_accept(&worker->base, fd, source);
		return;
	}
	(void)atomic_fetch_sub(&shared->live, 1);
	/* Counted before the client can know of it. */
	counter_add(&worker->base.counters.refused_limit, 1);
	connection_refuse(&worker->base, fd, source);
	if (complaint_due(&shared->complaints[COMPLAINT_LIMIT], suffix))
		log_warning("connection reset: the limit of %u connections is reached; raise it or "
			    "find who keeps them open%s",
			    limit, suffix);
}

static void wake_all(struct proxy *proxy)
{
	unsigned int i;

	for (i = 0; i < proxy->threads; i++)
		loop_wake(proxy->workers[i].base.loop);
}

static void connection_ended(struct connection_worker *base)
{
	struct proxy *proxy = container_of(base, struct proxy_worker, base)->proxy;

	if (atomic_load(&proxy->shared.draining) && atomic_load(&proxy->shared.live) == 0)
		wake_all(proxy);
}

static void drain_expired(struct loop_timer *timer)
{
	loop_stop(container_of(timer, struct proxy_worker, drain)->base.loop);
}

static void worker_woken(void *context)
{
	struct proxy_worker *worker = context;
	struct connection_shared *shared = &worker->proxy->shared;

	if (!atomic_load(&shared->draining))
		return;
	if (atomic_load(&shared->live) == 0 || worker->proxy->drain_ms == 0) {
		loop_stop(worker->base.loop);
	} else if (!loop_timer_running(&worker->drain)) {
		worker->drain_class.duration_ms = worker->proxy->drain_ms;
		loop_timer_start(worker->base.loop, &worker->drain_class, &worker->drain);
	}
}

static void *worker_run(void *context)
{
	struct proxy_worker *worker = context;
	int error = loop_run(worker->base.loop);

	if (error < 0)
		(void)log_errno(error, "event loop of a proxy thread failed");
	connection_reset_all(&worker->base);
	return NULL;
}

static void worker_free(struct proxy_worker *worker)
{
	int i;

	if (worker->base.loop) {
		dns_relay_free(worker->dns);
		worker->dns = NULL;
		loop_flush(worker->base.loop);
	}
	connection_worker_release(&worker->base);
	relay_pool_free(worker->base.pool);
	worker->base.pool = NULL;
	for (i = 0; i < LISTENERS; i++)
		acceptor_close(&worker->tcp[i].acceptor);
	for (i = 0; i < FAMILIES; i++)
		worker->udp[i] = safe_close(worker->udp[i]);
	loop_free(worker->base.loop);
	worker->base.loop = NULL;
	acceptor_reserve_close(&worker->reserve);
}

/* Takes what @fd accepts as @listener's; a negative @fd is an error to be passed on. */
static int worker_watch(struct proxy_worker *worker, struct proxy_listener *listener, int fd)
{
	return fd < 0 ? fd : acceptor_start(&listener->acceptor, &worker->reserve, fd);
}

static int worker_listen(struct proxy_worker *worker, struct proxy_ports *ports)
{
	const struct proxy_config *config = &worker->proxy->shared.config;
	int i, error, fd;

	fd = listener_socket(AF_INET, SOCK_STREAM, "lo", &ports->tcp[LISTENER_LO]);
	/* Before Linux 5.7 it takes CAP_NET_RAW. Connections do without, they only cost more. */
	if (fd != -EPERM && (error = worker_watch(worker, &worker->tcp[LISTENER_LO], fd)) < 0)
		return error;
	for (i = 0; i < (config->ipv6 ? FAMILIES : FAMILY_IPV6); i++) {
		fd = listener_socket(families[i], SOCK_STREAM, NULL, &ports->tcp[i]);
		error = worker_watch(worker, &worker->tcp[i], fd);
		if (error < 0)
			return error;
		if (!config->dns)
			continue;
		worker->udp[i] = listener_socket(families[i], SOCK_DGRAM, NULL, &ports->udp[i]);
		if (worker->udp[i] < 0)
			return worker->udp[i];
		error = dial_announce(&config->announcer, worker->udp[i], NULL);
		if (error < 0)
			return error;
	}
	if (!config->dns)
		return 0;
	return dns_relay_new(&worker->base, worker->udp,
			     (DNS_QUERIES_MAX - 1) / worker->proxy->threads + 1, DNS_LIMIT_MS,
			     &worker->dns);
}

static int worker_init(struct proxy_worker *worker, struct proxy *proxy, struct proxy_ports *ports)
{
	int error, i;

	worker->proxy = proxy;
	worker->base.shared = &proxy->shared;
	worker->base.ended = connection_ended;
	worker->base.loop = loop_new();
	if (!worker->base.loop)
		return -errno;
	error = acceptor_reserve_open(&worker->reserve, worker->base.loop);
	if (error < 0)
		return error;
	worker->base.pool = relay_pool_new(worker->base.loop);
	if (!worker->base.pool)
		return -ENOMEM;
	if (connection_worker_init(&worker->base) < 0)
		return -ENOMEM;
	loop_timer_class_init(worker->base.loop, &worker->drain_class, 0);
	worker->drain.expired = drain_expired;
	loop_on_wake(worker->base.loop, worker_woken, worker);
	for (i = 0; i < LISTENERS; i++) {
		worker->tcp[i].worker = worker;
		worker->tcp[i].acceptor.accepted = listener_accepted;
		worker->tcp[i].acceptor.exhausted = listener_exhausted;
	}
	return worker_listen(worker, ports);
}

int proxy_new(const struct proxy_config *config, struct proxy **ret_proxy)
{
	struct proxy_ports ports = {{0}, {0}};
	struct proxy *proxy;
	unsigned int i, j;
	int error = 0;

	if (config->threads < 1 || config->threads > PROXY_THREADS_MAX)
		return log_errno(-EINVAL, "cannot run %u proxy threads, 1 to %d are possible",
				 config->threads, PROXY_THREADS_MAX);
	proxy = calloc(1, sizeof(*proxy) + config->threads * sizeof(proxy->workers[0]));
	if (!proxy)
		return log_errno(-ENOMEM, "cannot create the proxy");
	proxy->threads = config->threads;
	proxy->shared.config = *config;
	proxy->shared.gateway = config->gateway;
	(void)pthread_mutex_init(&proxy->shared.gateway_lock, NULL);
	for (i = 0; i < proxy->threads; i++) {
		struct proxy_worker *worker = &proxy->workers[i];

		worker->reserve.fd = -1;
		worker->udp[0] = worker->udp[1] = -1;
		for (j = 0; j < LISTENERS; j++)
			worker->tcp[j].acceptor.listener.fd = -1;
	}
	for (i = 0; i < proxy->threads && error == 0; i++)
		error = worker_init(&proxy->workers[i], proxy, &ports);
	if (error < 0) {
		proxy_free(proxy);
		return log_errno(error, "cannot create the transparent listeners (these need "
					"CAP_NET_ADMIN, and IPv6 unless it is turned off)");
	}
	*ret_proxy = proxy;
	return 0;
}

int proxy_listener(const struct proxy *proxy, int family, int type, bool lo)
{
	int i = family == AF_INET6 ? FAMILY_IPV6 : FAMILY_IPV4;
	int fd = type == SOCK_DGRAM
			 ? proxy->workers[0].udp[i]
			 : proxy->workers[0].tcp[lo ? LISTENER_LO : i].acceptor.listener.fd;

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
	sigset_t all, before;
	unsigned int i;
	int error = proxy_open_resolvers(proxy);

	if (error < 0)
		return error;
	/* Signals are the main thread's; SIGPIPE must not come from splice(2) either. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_BLOCK, &all, &before);
	for (i = 0; i < proxy->threads && error == 0; i++) {
		struct proxy_worker *worker = &proxy->workers[i];

		error = -pthread_create(&worker->thread, NULL, worker_run, worker);
		worker->running = error == 0;
	}
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
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
		for (j = 0; j < FAMILIES && error == 0; j++)
			if (proxy->workers[i].udp[j] >= 0)
				error = dial_announce(&proxy->shared.config.announcer,
						      proxy->workers[i].udp[j], NULL);
		if (error == 0)
			error = dns_relay_announce(proxy->workers[i].dns);
	}
	return error < 0 ? log_errno(error, "cannot announce the sockets for DNS queries") : 0;
}

void proxy_set_gateway(struct proxy *proxy, const struct socket_address *gateway)
{
	struct connection_shared *shared = &proxy->shared;

	(void)pthread_mutex_lock(&shared->gateway_lock);
	shared->gateway = *gateway;
	(void)atomic_fetch_add(&shared->generation, 1);
	(void)pthread_mutex_unlock(&shared->gateway_lock);
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
		const struct proxy_counters *part = &proxy->workers[i].base.counters;

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
	proxy->drain_ms = drain_ms;
	atomic_store(&proxy->shared.draining, true);
	wake_all(proxy);
	for (i = 0; i < proxy->threads; i++) {
		struct proxy_worker *worker = &proxy->workers[i];

		if (worker->running)
			(void)pthread_join(worker->thread, NULL);
		worker->running = false;
	}
	/* Only now: a thread that is still draining wakes the others. */
	for (i = 0; i < proxy->threads; i++)
		worker_free(&proxy->workers[i]);
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
	for (i = 0; i < proxy->threads; i++)
		worker_free(&proxy->workers[i]);
	(void)pthread_mutex_destroy(&proxy->shared.gateway_lock);
	free(proxy);
}
