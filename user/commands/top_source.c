// SPDX-License-Identifier: Apache-2.0
#include "commands/top_source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "commands/status_read.h"
#include "lib/util.h"

/* The longest line of an event, bytes. A longer one is skipped. */
#define LINE_MAX_SIZE (64 * 1024)
/* Asks for what comes, and for connections that begin. */
#define REQUEST "{\"last\":0,\"open\":true,\"follow\":true}\n"

struct top_socket {
	char path[RUN_SOCKET_PATH_MAX];
	int fd;
	size_t used;
	bool skips; /* the rest of a line that is too long */
	char line[LINE_MAX_SIZE];
};

struct top_source {
	struct top_model *model;
	const char *folder, *pin;
	struct top_socket *sockets[TOP_SOCKETS_MAX];
	size_t count;
};

struct top_source *top_source_new(struct top_model *model, const char *folder, const char *pin)
{
	struct top_source *source = calloc(1, sizeof(*source));

	if (!source)
		return NULL;
	source->model = model;
	source->folder = folder;
	source->pin = pin;
	return source;
}

static void close_socket(struct top_source *source, size_t index)
{
	(void)safe_close(source->sockets[index]->fd);
	free(source->sockets[index]);
	source->sockets[index] = source->sockets[--source->count];
}

void top_source_free(struct top_source *source)
{
	if (!source)
		return;
	while (source->count > 0)
		close_socket(source, 0);
	free(source);
}

static bool is_known(const struct top_source *source, const char *path)
{
	size_t i;

	for (i = 0; i < source->count; i++)
		if (strcmp(source->sockets[i]->path, path) == 0)
			return true;
	return false;
}

/* Returns a connected socket that has sent the request, or -1. */
static int dial(const char *path)
{
	_cleanup_close_ int fd = run_socket_connect(path, SOCK_STREAM);

	/* It is read when poll(2) says so. */
	if (fd < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ||
	    send(fd, REQUEST, strlen(REQUEST), MSG_NOSIGNAL) < 0)
		return -1;
	return TAKE_FD(fd);
}

static void add_socket(struct top_source *source, const char *name)
{
	struct top_socket *socket;
	char path[sizeof(socket->path)];
	int size = snprintf(path, sizeof(path), "%s/%s", source->folder, name);

	if (size >= (int)sizeof(path) || source->count == TOP_SOCKETS_MAX || is_known(source, path))
		return;
	socket = calloc(1, sizeof(*socket));
	if (!socket)
		return;
	memcpy(socket->path, path, sizeof(path));
	socket->fd = dial(path);
	if (socket->fd < 0)
		free(socket);
	else
		source->sockets[source->count++] = socket;
}

static void look_for_sockets(struct top_source *source)
{
	_cleanup_closedir_ DIR *folder = opendir(source->folder);
	const struct dirent *entry;

	while (folder && (entry = readdir(folder))) {
		const char *suffix = strrchr(entry->d_name, '.');

		if (suffix && strcmp(suffix, ".events") == 0)
			add_socket(source, entry->d_name);
	}
}

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

/* As endpoints stand in events. */
static void endpoint(const json_t *flow, const char *address, const char *port, char text[TOP_TEXT])
{
	const char *host = text_of(flow, address);

	(void)snprintf(text, TOP_TEXT, strchr(host, ':') ? "[%.100s]:%d" : "%.100s:%d", host,
		       (int)json_integer_value(json_object_get(flow, port)));
}

static void read_instance(struct top_model *model, const json_t *instance)
{
	json_t *counters = json_object_get(instance, "counters"), *value;
	const char *container = text_of(instance, "name"), *verdict;
	const json_t *flow;
	size_t i;

	json_object_foreach (counters, verdict, value) {
		top_model_counter(model, container[0] ? container : "-", verdict,
				  json_number_value(value));
	}
	json_array_foreach (json_object_get(instance, "flows"), i, flow) {
		char source[TOP_TEXT], destination[TOP_TEXT];

		endpoint(flow, "local", "local_port", source);
		endpoint(flow, "remote", "remote_port", destination);
		top_model_flow(model, container, source, destination,
			       json_number_value(json_object_get(flow, "bytes_sent")),
			       json_number_value(json_object_get(flow, "bytes_received")));
	}
}

void top_source_look(struct top_source *source)
{
	_cleanup_json_ json_t *instances = json_array();
	const json_t *instance;
	size_t i;

	look_for_sockets(source);
	/* A failure was logged, and the rest counts. */
	if (source->pin)
		(void)status_read_directory(source->pin, instances);
	else
		(void)status_read_all(instances);
	json_array_foreach (instances, i, instance)
		read_instance(source->model, instance);
}

size_t top_source_poll(const struct top_source *source, struct pollfd ret_events[])
{
	size_t i;

	for (i = 0; i < source->count; i++)
		ret_events[i] = (struct pollfd) {.fd = source->sockets[i]->fd, .events = POLLIN};
	return source->count;
}

/* Takes the whole lines, and keeps the rest. */
static void take_lines(struct top_model *model, struct top_socket *socket)
{
	char *line = socket->line, *end = socket->line + socket->used, *newline;

	while ((newline = memchr(line, '\n', (size_t)(end - line)))) {
		if (!socket->skips)
			(void)top_model_event(model, line, (size_t)(newline - line));
		socket->skips = false;
		line = newline + 1;
	}
	socket->used = (size_t)(end - line);
	memmove(socket->line, line, socket->used);
	if (socket->used == sizeof(socket->line)) {
		socket->skips = true;
		socket->used = 0;
	}
}

/* Returns false at its end. */
static bool read_socket(struct top_model *model, struct top_socket *socket)
{
	ssize_t size = recv(socket->fd, socket->line + socket->used,
			    sizeof(socket->line) - socket->used, 0);

	if (size < 0)
		return errno == EAGAIN || errno == EINTR;
	socket->used += (size_t)size;
	take_lines(model, socket);
	return size > 0;
}

void top_source_read(struct top_source *source, const struct pollfd events[], size_t count)
{
	size_t i;

	/* From the last one, because the end of one moves the last into its place. */
	for (i = count; i-- > 0;) {
		if (!events[i].revents || read_socket(source->model, source->sockets[i]))
			continue;
		close_socket(source, i);
		top_model_forget_open(source->model);
	}
}

size_t top_source_count(const struct top_source *source)
{
	return source->count;
}
