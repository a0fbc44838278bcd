// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "control/control_client.h"
#include "lib/log.h"
#include "lib/util.h"

/* A client that goes on sending after its answer is reset. */
#define LINGER_BYTES_MAX (1024 * 1024)

void control_client_linger(struct control_client *client)
{
	struct loop_handler *side = &client->relay.side[0];

	while (side->latched & EPOLLIN) {
		ssize_t size = recv(side->fd, client->control->pool->buffer, RELAY_BUFFER, 0);

		if (size < 0 && errno == EAGAIN) {
			side->latched &= ~(uint32_t)EPOLLIN;
			return;
		}
		if (size < 0 && errno == EINTR)
			continue;
		client->dropped += size > 0 ? (uint32_t)size : 0;
		if (size <= 0 || client->dropped > LINGER_BYTES_MAX) {
			control_client_end(client, size != 0);
			return;
		}
	}
}

static void linger_expired(struct loop_timer *timer)
{
	control_client_end(container_of(timer, struct control_client, timer), false);
}

static const char *status_text(unsigned int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 204:
		return "No Content";
	case 403:
		return "Forbidden";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 408:
		return "Request Timeout";
	case 413:
		return "Content Too Large";
	case 417:
		return "Expectation Failed";
	case 431:
		return "Request Header Fields Too Large";
	case 500:
		return "Internal Server Error";
	case 501:
		return "Not Implemented";
	case 503:
		return "Service Unavailable";
	case 505:
		return "HTTP Version Not Supported";
	default:
		return "Bad Request";
	}
}

void control_client_answer(struct control_client *client, unsigned int status, const char *headers,
			   const char *body, size_t size)
{
	struct control *control = client->control;
	struct loop_handler *side = &client->relay.side[0];
	char head[512], length[48] = "";
	struct iovec parts[2] = {{.iov_base = head}, {.iov_base = (void *)body, .iov_len = size}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
	ssize_t total;

	if (status != 204)
		(void)snprintf(length, sizeof(length), "Content-Length: %zu\r\n", size);
	parts[0].iov_len = (size_t)snprintf(head, sizeof(head),
					    "HTTP/1.1 %u %s\r\n%s%sConnection: close\r\n\r\n",
					    status, status_text(status), headers, length);
	total = (ssize_t)(parts[0].iov_len + size);
	/* The first bytes of a connection always fit its send buffer. */
	if (sendmsg(side->fd, &message, MSG_NOSIGNAL) != total || shutdown(side->fd, SHUT_WR) < 0) {
		control_client_end(client, true);
		return;
	}
	control_client_request_free(client);
	client->state = CONTROL_LINGER;
	client->timer.expired = linger_expired;
	loop_timer_start(control->loop, &control->linger_class, &client->timer);
	control_client_linger(client);
}

void control_client_answer_text(struct control_client *client, unsigned int status,
				const char *headers, const char *text)
{
	char all[160], body[512];
	int size = snprintf(body, sizeof(body), "%s\n", text);

	(void)snprintf(all, sizeof(all), "Content-Type: text/plain; charset=utf-8\r\n%s", headers);
	control_client_answer(client, status, all, body,
			      (size_t)size < sizeof(body) ? (size_t)size : sizeof(body) - 1);
}

void control_client_refuse(struct control_client *client, unsigned int status, const char *format,
			   ...)
{
	char text[480];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	control_client_answer_text(client, status, "", text);
}

/* Quotes of a request are made fit for a log. */
static void make_printable(char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
	}
}

void control_client_refuse_logged(struct control_client *client, unsigned int status, char *reason)
{
	char suffix[COMPLAINT_SUFFIX_MAX];

	make_printable(reason);
	if (complaint_due(&client->control->complaints[CONTROL_COMPLAINT_REQUEST], suffix))
		log_warning("control: request of %s refused (%u): %s%s", client->peer, status,
			    reason, suffix);
	control_client_answer_text(client, status, "", reason);
}
