/* SPDX-License-Identifier: Apache-2.0 */
/* The sidecar's end of the operator's socket. It belongs to one thread, which polls a descriptor.
 */
#ifndef SIDESTEP_OPERATOR_SERVER_H
#define SIDESTEP_OPERATOR_SERVER_H

#include <jansson.h>

struct operator_server;

/* Answers a request with a new object, which becomes the caller's. NULL: no memory. *@ret_fd is -1,
 * and may be set to a descriptor of the handler's, which is sent as well. */
typedef json_t *operator_handler(void *context, const json_t *request, int *ret_fd);

/* Opens the socket of the calling thread's network namespace. Returns 0 or a negative errno. */
int operator_server_open(operator_handler *handler, void *context,
			 struct operator_server **ret_server);

/* Closes and removes it. NULL is allowed. */
void operator_server_close(struct operator_server *server);

/* Returns a descriptor (the server's) that is readable when operator_server_serve() has work, or -1
 * if @server is NULL. */
int operator_server_fd(const struct operator_server *server);

/* Returns the socket's path, or NULL if @server is NULL. */
const char *operator_server_path(const struct operator_server *server);

/* Takes connections and requests, and answers them. Does not block. */
void operator_server_serve(struct operator_server *server);

#endif
