// SPDX-License-Identifier: Apache-2.0
#include "metrics/metrics_server.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "lib/log.h"
#include "lib/process.h"
#include "lib/util.h"
#include "metrics/metrics_client.h"
#include "stream/acceptor.h"

struct metrics_server {
	struct metrics_clients clients;
	struct acceptor_reserve reserve;
	struct acceptor acceptor;
	pthread_t thread;
	bool bound; /* the socket's file, if there is one, is ours */
	bool running;
};

int metrics_server_parse(const char *text, bool application, size_t allow_count,
			 struct socket_address *ret_address)
{
	struct endpoint endpoint;

	if (strncmp(text, "unix:", 5) == 0) {
		if (socket_address_unix(text + 5, ret_address) == 0)
			return 0;
		log_error("--metrics-listen %s: give an absolute path of at most %zu characters",
			  text, sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
		return -EINVAL;
	}
	if (endpoint_parse(text, &endpoint) < 0) {
		log_error("--metrics-listen %s: give IP:PORT, [IPv6]:PORT or unix:/PATH", text);
		return -EINVAL;
	}
	*ret_address = (struct socket_address) {endpoint.address, endpoint_size(&endpoint)};
	if (application || allow_count > 0 || socket_address_is_loopback(ret_address))
		return 0;
	log_error("--metrics-listen %s: containers reach this address, too; give a loopback "
		  "address, unix:/PATH, or the readers' addresses with --metrics-allow",
		  text);
	return -EINVAL;
}

static void client_accepted(struct acceptor *acceptor, int fd, const struct sockaddr_storage *peer)
{
	struct metrics_server *server = container_of(acceptor, struct metrics_server, acceptor);

	metrics_client_accept(&server->clients, fd, (const struct sockaddr *)peer);
}

static void descriptors_exhausted(struct acceptor *acceptor, int fd,
				  const struct sockaddr_storage *peer)
{
	(void)acceptor;
	(void)peer;
	(void)safe_close(fd);
}

/* A killed predecessor's file would keep the new one from being bound. The mode counts from the
 * start, because nobody can connect before listen(2). */
static int bind_listener(const struct socket_address *address, int fd)
{
	const struct sockaddr *name = (const struct sockaddr *)&address->address;
	const char *path = ((const struct sockaddr_un *)(const void *)name)->sun_path;
	struct stat status;
	int error;

	if (name->sa_family == AF_UNIX && lstat(path, &status) == 0 && S_ISSOCK(status.st_mode))
		(void)unlink(path);
	if (bind(fd, name, address->size) < 0)
		return -errno;
	if (name->sa_family != AF_UNIX || chmod(path, S_IRUSR | S_IWUSR) == 0)
		return 0;
	error = -errno;
	(void)unlink(path);
	return error;
}

/* Returns a listening socket behind the gate, or negative errno. */
static int open_listener(const struct socket_address *address, struct metrics_gate *gate)
{
	static const int one = 1, zero = 0;
	sa_family_t family = address->address.ss_family;
	_cleanup_close_ int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error;

	if (fd < 0 ||
	    (family != AF_UNIX && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0))
		return -errno;
	/* "[::]" takes IPv4 as well, as that of the control API does. */
	if (family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero)) < 0)
		return -errno;
	error = bind_listener(address, fd);
	if (error < 0)
		return error;
	error = metrics_gate_open(gate, fd, address);
	if (error == 0 && listen(fd, METRICS_CLIENTS_MAX) < 0)
		error = -errno;
	if (error == 0)
		return TAKE_FD(fd);
	metrics_server_unlink(address);
	return error;
}

static int listen_at(const struct socket_address *address, struct metrics_gate *gate)
{
	char text[SOCKET_ADDRESS_TEXT_MAX];
	int fd = open_listener(address, gate);

	if (fd < 0)
		return log_errno(fd, "cannot serve metrics on %s (--metrics-listen)",
				 socket_address_format(address, text));
	return fd;
}

int metrics_server_listen(const struct socket_address *address)
{
	struct metrics_gate gate = {.application = false};

	return listen_at(address, &gate);
}

void metrics_server_unlink(const struct socket_address *address)
{
	const struct sockaddr *name = (const struct sockaddr *)&address->address;

	if (name->sa_family == AF_UNIX)
		(void)unlink(((const struct sockaddr_un *)(const void *)name)->sun_path);
}

static void *server_run(void *context)
{
	struct metrics_server *server = context;
	int error = loop_run(server->clients.loop);

	if (error < 0)
		(void)log_errno(error, "event loop of the metrics failed; restart sidestep");
	return NULL;
}

static void server_woken(void *context)
{
	loop_stop(((struct metrics_server *)context)->clients.loop);
}

/* Takes @fd, also on failure. */
static int server_accept(struct metrics_server *server, int fd)
{
	int error = acceptor_reserve_open(&server->reserve, server->clients.loop);

	if (error < 0)
		(void)safe_close(fd);
	else
		error = acceptor_start(&server->acceptor, &server->reserve, fd);
	return error < 0 ? log_errno(error, "cannot serve metrics") : 0;
}

static int server_init(struct metrics_server *server, const struct metrics_server_config *config)
{
	struct metrics_clients *clients = &server->clients;

	clients->config = *config;
	clients->gate.application = config->application;
	clients->gate.allow = config->allow;
	clients->gate.allow_count = config->allow_count;
	server->reserve.fd = -1;
	server->acceptor.listener.fd = -1;
	server->acceptor.accepted = client_accepted;
	server->acceptor.exhausted = descriptors_exhausted;
	clients->loop = loop_new();
	if (!clients->loop)
		return log_errno(-errno, "cannot serve metrics");
	metrics_clients_init(clients);
	loop_on_wake(clients->loop, server_woken, server);
	return 0;
}

int metrics_server_adopt(const struct metrics_server_config *config, int listener,
			 struct metrics_server **ret_server)
{
	_cleanup_close_ int fd = listener;
	struct metrics_server *server = calloc(1, sizeof(*server));
	int error;

	if (!server)
		return log_errno(-ENOMEM, "cannot serve metrics");
	error = server_init(server, config);
	if (error == 0)
		error = server_accept(server, TAKE_FD(fd));
	if (error < 0) {
		metrics_server_free(server);
		return error;
	}
	*ret_server = server;
	return 0;
}

int metrics_server_new(const struct metrics_server_config *config,
		       struct metrics_server **ret_server)
{
	struct metrics_gate gate = {.application = config->application};
	int fd = listen_at(&config->address, &gate);
	int error = fd < 0 ? fd : metrics_server_adopt(config, fd, ret_server);

	if (error < 0) {
		if (fd >= 0)
			metrics_server_unlink(&config->address);
		metrics_gate_close(&gate);
		return error;
	}
	(*ret_server)->clients.gate.origin = gate.origin;
	(*ret_server)->bound = true;
	return 0;
}

int metrics_server_start(struct metrics_server *server)
{
	int error = process_start_thread(&server->thread, server_run, server);

	if (error < 0)
		return log_errno(error, "cannot start the thread of the metrics");
	server->running = true;
	return 0;
}

void metrics_server_stop(struct metrics_server *server)
{
	if (!server->running)
		return;
	loop_wake(server->clients.loop);
	(void)pthread_join(server->thread, NULL);
	server->running = false;
}

void metrics_server_free(struct metrics_server *server)
{
	if (!server)
		return;
	metrics_server_stop(server);
	if (server->clients.loop) {
		acceptor_close(&server->acceptor);
		metrics_client_reset_all(&server->clients);
		loop_flush(server->clients.loop);
	}
	acceptor_reserve_close(&server->reserve);
	metrics_gate_close(&server->clients.gate);
	if (server->bound)
		metrics_server_unlink(&server->clients.config.address);
	loop_free(server->clients.loop);
	free(server);
}
