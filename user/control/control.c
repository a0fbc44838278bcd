// SPDX-License-Identifier: Apache-2.0
#include "control/control.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "control/control_client.h"
#include "lib/log.h"
#include "lib/process.h"
#include "lib/util.h"
#include "stream/acceptor.h"

#define CONTROL_BACKLOG 512

struct control {
	struct control_clients clients;
	struct acceptor_reserve reserve;
	struct acceptor acceptor;
	pthread_t thread;
	bool running;
};

static void client_accepted(struct acceptor *acceptor, int fd, const struct sockaddr_storage *peer)
{
	struct control *control = container_of(acceptor, struct control, acceptor);

	control_client_accept(&control->clients, fd, (const struct sockaddr *)peer);
}

static void descriptors_exhausted(struct acceptor *acceptor, int fd,
				  const struct sockaddr_storage *peer)
{
	struct control *control = container_of(acceptor, struct control, acceptor);
	char suffix[COMPLAINT_SUFFIX_MAX];

	(void)peer;
	if (fd >= 0) {
		relay_reset_on_close(fd);
		(void)close(fd);
	}
	if (complaint_due(&control->clients.complaints[CONTROL_COMPLAINT_LIMIT], suffix))
		log_warning("control: connection reset: no file descriptors left; raise the limit "
			    "(ulimit -n)%s",
			    suffix);
}

/* Returns a listening socket that drops data from loopback, or negative errno. */
static int listener_socket(const struct endpoint *address)
{
	static const int one = 1, zero = 0;
	const struct sockaddr *name = (const struct sockaddr *)&address->address;
	_cleanup_close_ int fd = socket(name->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
					0);
	int error;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0)
		return -errno;
	/* "[::]" takes IPv4 as well, as in Go, independent of the sysctl (net.ipv6.bindv6only). */
	if (name->sa_family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero)) < 0)
		return -errno;
	/* Accepted sockets inherit both. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	error = control_origin_guard(fd);
	if (error < 0)
		return error;
	if (bind(fd, name, endpoint_size(address)) < 0 || listen(fd, CONTROL_BACKLOG) < 0)
		return -errno;
	return TAKE_FD(fd);
}

static void *control_run(void *context)
{
	struct control *control = context;
	int error = loop_run(control->clients.loop);

	if (error < 0)
		(void)log_errno(error, "event loop of the control API failed; PUT /egress does not "
				       "work any more, restart the sidecar");
	return NULL;
}

static void control_woken(void *context)
{
	loop_stop(((struct control *)context)->clients.loop);
}

static int control_listen(struct control *control)
{
	char text[ADDRESS_TEXT_MAX];
	int error, fd = listener_socket(&control->clients.config.address);

	endpoint_format((const struct sockaddr *)&control->clients.config.address.address, text);
	if (fd == -EADDRINUSE)
		return log_errno(fd,
				 "cannot open the control API on %s: another program has the "
				 "port; find it with `ss -ltnp`, or choose another port",
				 text);
	if (fd < 0)
		return log_errno(fd, "cannot open the control API on %s", text);
	error = acceptor_start(&control->acceptor, &control->reserve, fd);
	return error < 0 ? log_errno(error, "cannot wait for connections to the control API") : 0;
}

static int control_init(struct control *control)
{
	struct control_clients *clients = &control->clients;
	int error;

	clients->loop = loop_new();
	if (!clients->loop)
		return log_errno(-errno, "cannot create the control API");
	clients->pool = relay_pool_new(clients->loop);
	if (!clients->pool)
		return log_errno(-ENOMEM, "cannot create the control API");
	error = acceptor_reserve_open(&control->reserve, clients->loop);
	if (error < 0)
		return log_errno(error, "cannot create the control API");
	control_client_setup(clients);
	clients->gate.allow = clients->config.allow;
	clients->gate.allow_count = clients->config.allow_count;
	loop_on_wake(clients->loop, control_woken, control);
	error = control_origin_new(&clients->gate.origin);
	if (error < 0)
		return log_errno(error, "cannot tell the origin of control requests (netlink)");
	return 0;
}

static int control_start(struct control *control)
{
	int error = process_start_thread(&control->thread, control_run, control);

	if (error < 0)
		return log_errno(error, "cannot start the control API's thread");
	control->running = true;
	return 0;
}

int control_new(const struct control_config *config, struct control **ret_control)
{
	struct control *control = calloc(1, sizeof(*control));
	int error;

	if (!control)
		return log_errno(-ENOMEM, "cannot create the control API");
	control->clients.config = *config;
	control->reserve.fd = -1;
	control->acceptor.listener.fd = -1;
	control->acceptor.accepted = client_accepted;
	control->acceptor.exhausted = descriptors_exhausted;
	error = control_init(control);
	if (error == 0)
		error = control_listen(control);
	if (error == 0)
		error = control_start(control);
	if (error < 0) {
		control_free(control);
		return error;
	}
	*ret_control = control;
	return 0;
}

void control_free(struct control *control)
{
	if (!control)
		return;
	if (control->running) {
		loop_wake(control->clients.loop);
		(void)pthread_join(control->thread, NULL);
	}
	if (control->clients.loop) {
		acceptor_close(&control->acceptor);
		control_client_reset_all(&control->clients);
		loop_flush(control->clients.loop);
	}
	acceptor_reserve_close(&control->reserve);
	relay_pool_free(control->clients.pool);
	control_origin_free(control->clients.gate.origin);
	loop_free(control->clients.loop);
	free(control);
}
