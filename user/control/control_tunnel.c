// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "control/control_client.h"
#include "lib/address.h"
#include "lib/log.h"
#include "lib/util.h"

static void relay_finished(struct relay *relay, bool reset)
{
	control_client_end(container_of(relay, struct control_client, relay), reset);
}

static void tunnel_open(struct control_client *client)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\n\r\n";

	loop_timer_stop(&client->timer);
	/* The first bytes of a connection always fit its send buffer. */
	if (send(client->relay.side[0].fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL) !=
	    sizeof(answer) - 1) {
		control_client_end(client, true);
		return;
	}
	control_request_clear(client->request);
	free(client->request);
	client->request = NULL;
	client->state = CONTROL_RELAY;
	client->relay.finish = relay_finished;
	relay_start(&client->relay);
}

/* workerd reads 400 as "not listening to that port". */
static void dial_failed(struct control_client *client, int error)
{
	char target[ADDRESS_TEXT_MAX], suffix[64];

	loop_close(&client->relay.side[1]);
	endpoint_format((const struct sockaddr *)&client->target.address, target);
	if (complaint_due(&client->control->complaints[CONTROL_COMPLAINT_DIAL], suffix))
		log_warning(
			"control: CONNECT to %s for %s failed: %s; is the application listening "
			"there?%s",
			target, client->peer, strerror(error), suffix);
	control_client_refuse(client, 400,
			      "cannot connect to %s: %s; is the application listening "
			      "there?",
			      target, strerror(error));
}

static void dial_expired(struct loop_timer *timer)
{
	dial_failed(container_of(timer, struct control_client, timer), ETIMEDOUT);
}

static void target_ready(struct loop_handler *handler, uint32_t events)
{
	struct control_client *client = container_of(handler, struct control_client, relay.side[1]);
	int error = 0;
	socklen_t size = sizeof(error);

	if (client->state != CONTROL_DIAL)
		return;
	/* A target that accepted and closed at once is connected all the same. */
	if (events & EPOLLERR) {
		(void)getsockopt(handler->fd, SOL_SOCKET, SO_ERROR, &error, &size);
		dial_failed(client, error ? error : ECONNABORTED);
	} else if (events & EPOLLOUT) {
		tunnel_open(client);
	}
}

/* Returns 0 when the connection is under way, or negative errno. */
static int dial(struct control_client *client)
{
	const struct control_config *config = &client->control->config;
	const struct sockaddr *target = (const struct sockaddr *)&client->target.address;
	static const int one = 1;
	_cleanup_close_ int fd = socket(target->sa_family,
					SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error;

	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	error = config->own_socket ? config->own_socket(config->context, fd, target) : 0;
	if (error < 0)
		return error;
	if (connect(fd, target, endpoint_size(&client->target)) < 0 && errno != EINPROGRESS)
		return -errno;
	client->relay.side[1].ready = target_ready;
	error = loop_add(client->control->loop, &client->relay.side[1], fd, RELAY_EVENTS);
	if (error < 0)
		return error;
	(void)TAKE_FD(fd);
	return 0;
}

void control_tunnel_start(struct control_client *client)
{
	const struct control_request *request = client->request;
	struct control *control = client->control;
	char suffix[COMPLAINT_SUFFIX_MAX];
	int error;

	if (request->value[CONTROL_DESTINATION].count == 0) {
		control_client_refuse(client, 400, "CONNECT needs the header X-Dst-Addr: IP:port");
		return;
	}
	if (endpoint_parse(request->text[CONTROL_DESTINATION], &client->target) < 0) {
		control_client_refuse(client, 400,
				      "X-Dst-Addr is not a literal address with a port, such as "
				      "127.0.0.1:8080 or [::1]:8080");
		return;
	}
	if (control->tunnels.count >= CONTROL_TUNNELS_MAX) {
		if (complaint_due(&control->complaints[CONTROL_COMPLAINT_LIMIT], suffix))
			log_warning(
				"control: CONNECT from %s refused: there are %d tunnels, which is "
				"the limit; find who keeps them open%s",
				client->peer, CONTROL_TUNNELS_MAX, suffix);
		control_client_refuse(client, 503, "there are too many tunnels; close some");
		return;
	}
	control_client_move(client, &control->tunnels);
	client->state = CONTROL_DIAL;
	client->timer.expired = dial_expired;
	loop_timer_start(control->loop, &control->dial_class, &client->timer);
	error = dial(client);
	if (error < 0)
		dial_failed(client, -error);
}
