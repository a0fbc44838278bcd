// SPDX-License-Identifier: Apache-2.0
#include "control/control.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "control/control_client.h"
#include "lib/log.h"
#include "lib/util.h"

#define CONTROL_BACKLOG 512
/* Connections taken before others get their turn. */
#define ACCEPT_BURST 32
/* How long the listener rests when not even the reserve descriptor helps. */
#define ACCEPT_PAUSE_MS 10

static void pause_over(struct loop_timer *timer)
{
	struct control *control = container_of(timer, struct control, pause);

	(void)loop_modify(control->loop, &control->listener, EPOLLIN);
}

/* No descriptor is left: resets one waiting connection with the help of the reserve. False: the
 * listener rests, or it would keep the loop busy. */
static bool accept_without_descriptors(struct control *control)
{
	char suffix[COMPLAINT_SUFFIX_MAX];
	int fd;

	control->reserve = safe_close(control->reserve);
	fd = accept4(control->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0) {
		relay_reset_on_close(fd);
		(void)close(fd);
	}
	control->reserve = eventfd(0, EFD_CLOEXEC);
	if (complaint_due(&control->complaints[CONTROL_COMPLAINT_LIMIT], suffix))
		log_warning("control: connection reset: no file descriptors left; raise the limit "
			    "(ulimit -n)%s",
			    suffix);
	if (fd >= 0)
		return true;
	(void)loop_modify(control->loop, &control->listener, 0);
	loop_timer_start(control->loop, &control->pause_class, &control->pause);
	return false;
}

static void listener_ready(struct loop_handler *handler, uint32_t events)
{
	struct control *control = container_of(handler, struct control, listener);
	int i;

	(void)events;
	for (i = 0; i < ACCEPT_BURST; i++) {
		struct sockaddr_storage peer;
		socklen_t size = sizeof(peer);
		int fd = accept4(handler->fd, (struct sockaddr *)&peer, &size,
				 SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			control_client_accept(control, fd, (struct sockaddr *)&peer);
			continue;
		}
		if (errno == EAGAIN)
			return;
		if ((errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) &&
		    !accept_without_descriptors(control))
			return;
		/* Anything else is a connection that died in the queue: accept(2). */
	}
}

/* A listening socket that hears nothing from loopback; negative errno. */
static int listener_socket(const struct endpoint *address)
{
	static const int one = 1, zero = 0;
	const struct sockaddr *name = (const struct sockaddr *)&address->address;
	_cleanup_close_ int fd = socket(name->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
					0);
	int error;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0)
		return -errno;
	/* "[::]" takes IPv4 as well, as it does in Go; whatever the sysctl says. */
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
	int error = loop_run(control->loop);

	if (error < 0)
		(void)log_errno(error, "event loop of the control API failed; PUT /egress does not "
				       "work any more, restart the sidecar");
	return NULL;
}

static void control_woken(void *context)
{
	loop_stop(((struct control *)context)->loop);
}

static int control_listen(struct control *control)
{
	char text[ADDRESS_TEXT_MAX];
	int error, fd = listener_socket(&control->config.address);

	endpoint_format((const struct sockaddr *)&control->config.address.address, text);
	if (fd == -EADDRINUSE)
		return log_errno(fd,
				 "cannot open the control API on %s: another program has the "
				 "port; find it with `ss -ltnp`, or choose another port",
				 text);
	if (fd < 0)
		return log_errno(fd, "cannot open the control API on %s", text);
	control->listener.ready = listener_ready;
	error = loop_add(control->loop, &control->listener, fd, EPOLLIN);
	if (error < 0) {
		(void)close(fd);
		return log_errno(error, "cannot wait for connections to the control API");
	}
	return 0;
}

static int control_init(struct control *control)
{
	int error;

	control->loop = loop_new();
	control->reserve = eventfd(0, EFD_CLOEXEC);
	if (!control->loop || control->reserve < 0)
		return log_errno(-errno, "cannot create the control API");
	control->pool = relay_pool_new(control->loop);
	if (!control->pool)
		return log_errno(-ENOMEM, "cannot create the control API");
	control_client_setup(control);
	loop_timer_class_init(control->loop, &control->pause_class, ACCEPT_PAUSE_MS);
	control->pause.expired = pause_over;
	loop_on_wake(control->loop, control_woken, control);
	error = control_origin_new(&control->origin);
	if (error < 0)
		return log_errno(error, "cannot tell who asks the control API (netlink)");
	return 0;
}

static int control_start(struct control *control)
{
	sigset_t all, before;
	int error;

	/* Signals are the main thread's; SIGPIPE must not come from splice(2) either. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_BLOCK, &all, &before);
	error = -pthread_create(&control->thread, NULL, control_run, control);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
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
	control->config = *config;
	control->listener.fd = -1;
	control->reserve = -1;
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
		loop_wake(control->loop);
		(void)pthread_join(control->thread, NULL);
	}
	if (control->loop) {
		loop_close(&control->listener);
		control_client_reset_all(control);
		loop_flush(control->loop);
	}
	relay_pool_free(control->pool);
	control_origin_free(control->origin);
	loop_free(control->loop);
	(void)safe_close(control->reserve);
	free(control);
}
