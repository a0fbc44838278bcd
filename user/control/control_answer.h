/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Formats and sends the answers of the control API.
 *
 * Each function sends the first bytes of a connection, which always fit its send buffer. So it
 * sends everything at once, or fails. All return 0 or negative errno.
 */
#ifndef SIDESTEP_CONTROL_ANSWER_H
#define SIDESTEP_CONTROL_ANSWER_H

#include <stddef.h>

/* The last answer of a connection: says "Connection: close" and sends FIN. @headers: further ones,
 * each with its line end. 204 has neither body nor Content-Length. */
int control_answer_send(int fd, unsigned int status, const char *headers, const char *body,
			size_t size);

/* The same with one line of plain text as its body, cut at 510 bytes. */
int control_answer_send_text(int fd, unsigned int status, const char *headers, const char *text);

/* Tells the client to send the body: 100. */
int control_answer_send_continue(int fd);

/* Tells the client that its tunnel is open: 200 without a body or FIN. */
int control_answer_send_tunnel(int fd);

#endif
