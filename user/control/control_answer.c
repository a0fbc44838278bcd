// SPDX-License-Identifier: Apache-2.0
#include "control/control_answer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

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
	case 409:
		return "Conflict";
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

static int send_parts(int fd, struct iovec parts[2])
{
	const struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
	ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);

	if (sent < 0)
		return -errno;
	return (size_t)sent == parts[0].iov_len + parts[1].iov_len ? 0 : -ENOBUFS;
}

static int send_line(int fd, const char *line)
{
	struct iovec parts[2] = {{(void *)line, strlen(line)}, {(void *)"\r\n\r\n", 4}};

	return send_parts(fd, parts);
}

int control_answer_send(int fd, unsigned int status, const char *headers, const char *body,
			size_t size)
{
	char head[512], length[48] = "";
	struct iovec parts[2] = {{.iov_base = head}, {.iov_base = (void *)body, .iov_len = size}};
	int error;

	if (status != 204)
		(void)snprintf(length, sizeof(length), "Content-Length: %zu\r\n", size);
	parts[0].iov_len = (size_t)snprintf(head, sizeof(head),
					    "HTTP/1.1 %u %s\r\n%s%sConnection: close\r\n\r\n",
					    status, status_text(status), headers, length);
	error = send_parts(fd, parts);
	if (error < 0)
		return error;
	return shutdown(fd, SHUT_WR) < 0 ? -errno : 0;
}

int control_answer_send_text(int fd, unsigned int status, const char *headers, const char *text)
{
	char all[160], body[512];
	int size = snprintf(body, sizeof(body), "%.510s\n", text);

	(void)snprintf(all, sizeof(all), "Content-Type: text/plain; charset=utf-8\r\n%s", headers);
	return control_answer_send(fd, status, all, body, (size_t)size);
}

int control_answer_send_continue(int fd)
{
	return send_line(fd, "HTTP/1.1 100 Continue");
}

int control_answer_send_tunnel(int fd)
{
	return send_line(fd, "HTTP/1.1 200 OK");
}
