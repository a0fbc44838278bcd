// SPDX-License-Identifier: Apache-2.0
#include "gateway/gateway.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "gateway/gateway_client.h"
#include "lib/log.h"
#include "lib/process.h"
#include "lib/util.h"

#define GATEWAY_BACKLOG	    4096
#define GATEWAY_LISTENS_MAX 64

struct gateway_listener {
	struct loop_handler handler;
	struct gateway *gateway;
};

struct gateway_stop {
	struct loop_handler handler;
	struct loop *loop;
};

static void listener_ready(struct loop_handler *handler, uint32_t events)
{
	struct gateway_listener *listener = container_of(handler, struct gateway_listener, handler);
	int i;

	(void)events;
	/* A limit instead of EAGAIN, so that tunnels get their turn; level-triggered. */
	for (i = 0; i < 32; i++) {
		int fd = accept4(handler->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0)
			return;
		gateway_client_accept(listener->gateway, fd);
	}
}

static void stop_ready(struct loop_handler *handler, uint32_t events)
{
	(void)events;
	loop_stop(container_of(handler, struct gateway_stop, handler)->loop);
}

/* Listens on a TCP address and fills in its port. Negative errno. */
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
	/* A socket that a killed gateway left behind; anything else stays and bind() fails. */
	if (lstat(path, &status) == 0 && S_ISSOCK(status.st_mode))
		(void)unlink(path);
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, GATEWAY_BACKLOG) < 0)
		return -errno;
	return TAKE_FD(fd);
}

/* Opens all listeners; those opened before a failure stay the array's. */
static int listeners_open(struct gateway *gateway, struct gateway_listener *listeners,
			  struct endpoint *addresses)
{
	const struct gateway_config *config = gateway->config;
	char text[ADDRESS_TEXT_MAX];
	size_t i, count = config->listen_count + (config->unix_path != NULL);
	int error, fd;

	for (i = 0; i < count; i++) {
		bool local = i == config->listen_count;

		if (local) {
			fd = listen_unix(config->unix_path);
		} else {
			addresses[i] = config->listen[i];
			fd = listen_tcp(&addresses[i]);
		}
		error = fd < 0 ? fd : loop_add(gateway->loop, &listeners[i].handler, fd, EPOLLIN);
		if (error < 0) {
			(void)safe_close(fd);
			return log_errno(
				error, "gateway: cannot listen on %s",
				local ? config->unix_path
				      : endpoint_format(
						(const struct sockaddr *)&config->listen[i].address,
						text));
		}
	}
	return 0;
}

static int gateway_loop(struct gateway *gateway)
{
	const struct gateway_config *config = gateway->config;
	struct gateway_listener listeners[GATEWAY_LISTENS_MAX + 1];
	struct endpoint addresses[GATEWAY_LISTENS_MAX];
	struct gateway_listening listening = {addresses, config->listen_count};
	size_t i;
	int error;

	for (i = 0; i < ARRAY_SIZE(listeners); i++)
		listeners[i] = (struct gateway_listener) {
			.handler = {.fd = -1, .ready = listener_ready}, .gateway = gateway};
	error = listeners_open(gateway, listeners, addresses);
	if (error == 0) {
		if (config->listening)
			config->listening(config->context, &listening);
		error = loop_run(gateway->loop);
		if (config->unix_path)
			(void)unlink(config->unix_path);
	}
	for (i = 0; i < ARRAY_SIZE(listeners); i++)
		loop_close(&listeners[i].handler);
	gateway_client_reset_all(gateway);
	loop_flush(gateway->loop);
	return error;
}

static int gateway_run_stoppable(const struct gateway_config *config, int signals)
{
	struct gateway gateway = {.config = config};
	struct gateway_stop on_signal = {{.fd = -1, .ready = stop_ready}, NULL};
	struct gateway_stop on_request = {{.fd = -1, .ready = stop_ready}, NULL};
	int error = -ENOMEM;

	gateway.loop = loop_new();
	gateway.pool = gateway.loop ? relay_pool_new(gateway.loop) : NULL;
	if (gateway.pool) {
		on_signal.loop = on_request.loop = gateway.loop;
		gateway_client_setup(&gateway);
		error = loop_add(gateway.loop, &on_signal.handler, signals, EPOLLIN);
		if (error == 0 && config->stop_fd > 0)
			error = loop_add(gateway.loop, &on_request.handler, config->stop_fd,
					 EPOLLIN);
	}
	if (error < 0)
		(void)log_errno(error, "gateway: cannot start");
	else
		error = gateway_loop(&gateway);
	relay_pool_free(gateway.pool);
	loop_free(gateway.loop);
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
	signals = process_open_signals(&mask_before);
	if (signals < 0)
		return log_errno(signals, "gateway: cannot wait for signals");
	/* splice(2) has no MSG_NOSIGNAL. */
	(void)sigaction(SIGPIPE, &ignore, &pipe_before);
	error = gateway_run_stoppable(config, signals);
	/* The signal that ended it is spent, or it would end the caller as well. */
	process_read_signal(signals);
	(void)sigaction(SIGPIPE, &pipe_before, NULL);
	(void)pthread_sigmask(SIG_SETMASK, &mask_before, NULL);
	return error;
}
