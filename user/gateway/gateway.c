// SPDX-License-Identifier: Apache-2.0
#include "gateway/gateway.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "gateway/gateway_client.h"
#include "lib/complaint.h"
#include "lib/log.h"
#include "lib/process.h"
#include "lib/util.h"
#include "stream/acceptor.h"

#define GATEWAY_BACKLOG	    4096
#define GATEWAY_LISTENS_MAX 64

struct gateway {
	struct gateway_clients clients;
	struct acceptor_reserve reserve;
	struct acceptor acceptors[GATEWAY_LISTENS_MAX + 1]; /* the last one: the unix socket's */
	struct complaint complaint;
};

struct gateway_stop {
	struct loop_handler handler;
	struct loop *loop;
};

static void client_accepted(struct acceptor *acceptor, int fd, const struct sockaddr_storage *peer)
{
	struct gateway *gateway = container_of(acceptor->reserve, struct gateway, reserve);

	(void)peer;
	gateway_client_accept(&gateway->clients, fd);
}

static void descriptors_exhausted(struct acceptor *acceptor, int fd,
				  const struct sockaddr_storage *peer)
{
	struct gateway *gateway = container_of(acceptor->reserve, struct gateway, reserve);
	char suffix[COMPLAINT_SUFFIX_MAX];

	(void)peer;
	if (fd >= 0) {
		relay_reset_on_close(fd);
		(void)close(fd);
	}
	if (complaint_due(&gateway->complaint, suffix))
		log_warning("gateway: connection reset: no file descriptors left; raise the limit "
			    "(ulimit -n)%s",
			    suffix);
}

static void stop_ready(struct loop_handler *handler, uint32_t events)
{
	(void)events;
	loop_stop(container_of(handler, struct gateway_stop, handler)->loop);
}

/* Listens on a TCP address and fills in its port. Returns the socket or negative errno. */
static int listen_tcp(struct endpoint *endpoint)
{
	static const int one = 1;
	struct sockaddr *address = (struct sockaddr *)&endpoint->address;
	socklen_t size = endpoint_size(endpoint);
	_cleanup_close_ int fd = socket(address->sa_family,
					SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0)
		return -errno;
	if (address->sa_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	/* Accepted sockets inherit it. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (bind(fd, address, size) < 0 || listen(fd, GATEWAY_BACKLOG) < 0 ||
	    getsockname(fd, address, &size) < 0)
		return -errno;
	return TAKE_FD(fd);
}

static int listen_unix(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct stat status;
	_cleanup_close_ int fd = -1;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* A killed gateway leaves its socket behind. A file of another kind stays, and bind()
	 * fails. */
	if (lstat(path, &status) == 0 && S_ISSOCK(status.st_mode))
		(void)unlink(path);
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, GATEWAY_BACKLOG) < 0)
		return -errno;
	return TAKE_FD(fd);
}

/* Opens all listeners. After a failure the caller closes those that were opened before. */
static int listeners_open(struct gateway *gateway, struct endpoint *addresses)
{
	const struct gateway_config *config = gateway->clients.config;
	size_t i, count = config->listen_count + (config->unix_path != NULL);
	char text[ADDRESS_TEXT_MAX];
	int error, fd;

	for (i = 0; i < count; i++) {
		const char *name = config->unix_path;

		if (i < config->listen_count) {
			addresses[i] = config->listen[i];
			name = endpoint_format((const struct sockaddr *)&addresses[i].address,
					       text);
			fd = listen_tcp(&addresses[i]);
		} else {
			fd = listen_unix(name);
		}
		error = fd < 0 ? fd : acceptor_start(&gateway->acceptors[i], &gateway->reserve, fd);
		if (error < 0)
			return log_errno(error, "gateway: cannot listen on %s", name);
	}
	return 0;
}

static int gateway_serve(struct gateway *gateway)
{
	struct gateway_clients *clients = &gateway->clients;
	const struct gateway_config *config = clients->config;
	struct endpoint addresses[GATEWAY_LISTENS_MAX];
	struct gateway_listening listening = {addresses, config->listen_count};
	size_t i;
	int error;

	error = listeners_open(gateway, addresses);
	if (error == 0) {
		if (config->listening)
			config->listening(config->context, &listening);
		log_set_patience(0);
		error = loop_run(clients->loop);
		log_set_patience(LOG_BOUND_MS);
		if (config->unix_path)
			(void)unlink(config->unix_path);
	}
	for (i = 0; i < ARRAY_SIZE(gateway->acceptors); i++)
		acceptor_close(&gateway->acceptors[i]);
	gateway_client_reset_all(clients);
	loop_flush(clients->loop);
	return error;
}

static int gateway_init(struct gateway *gateway)
{
	struct gateway_clients *clients = &gateway->clients;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(gateway->acceptors); i++)
		gateway->acceptors[i] = (struct acceptor) {
			.listener.fd = -1,
			.accepted = client_accepted,
			.exhausted = descriptors_exhausted,
		};
	clients->loop = loop_new();
	clients->pool = clients->loop ? relay_pool_new(clients->loop) : NULL;
	if (!clients->pool)
		return -ENOMEM;
	gateway_client_setup(clients);
	return acceptor_reserve_open(&gateway->reserve, clients->loop);
}

static int gateway_run_stoppable(const struct gateway_config *config, int signals)
{
	struct gateway gateway = {.clients.config = config, .reserve.fd = -1};
	struct gateway_stop on_signal = {.handler = {.fd = -1, .ready = stop_ready}};
	struct gateway_stop on_request = on_signal;
	struct loop *loop;
	int error;

	error = gateway_init(&gateway);
	loop = on_signal.loop = on_request.loop = gateway.clients.loop;
	if (error == 0)
		error = loop_add(loop, &on_signal.handler, signals, EPOLLIN);
	if (error == 0 && config->stop_fd > 0)
		error = loop_add(loop, &on_request.handler, config->stop_fd, EPOLLIN);
	if (error < 0)
		(void)log_errno(error, "gateway: cannot start");
	else
		error = gateway_serve(&gateway);
	acceptor_reserve_close(&gateway.reserve);
	relay_pool_free(gateway.clients.pool);
	loop_free(loop);
	return error;
}

int gateway_run(const struct gateway_config *config)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN}, pipe_before;
	_cleanup_close_ int signals = -1;
	sigset_t mask_before;
	int error;

	if ((config->listen_count == 0 && !config->unix_path) ||
	    config->listen_count > GATEWAY_LISTENS_MAX)
		return log_errno(-EINVAL, "gateway: needs 1 to %d addresses to listen on",
				 GATEWAY_LISTENS_MAX);
	log_set_patience(LOG_BOUND_MS);
	signals = process_open_signals(&mask_before);
	if (signals < 0)
		return log_errno(signals, "gateway: cannot wait for signals");
	/* splice(2) has no MSG_NOSIGNAL. */
	(void)sigaction(SIGPIPE, &ignore, &pipe_before);
	error = gateway_run_stoppable(config, signals);
	/* The signal is consumed. Otherwise it would end the caller as well. */
	process_read_signal(signals);
	(void)sigaction(SIGPIPE, &pipe_before, NULL);
	(void)pthread_sigmask(SIG_SETMASK, &mask_before, NULL);
	return error;
}
