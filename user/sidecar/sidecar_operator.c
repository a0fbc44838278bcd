// SPDX-License-Identifier: Apache-2.0
#include "sidecar/sidecar_operator.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "operator/operator_server.h"
#include "sidecar/sidecar_state.h"
#include "sidecar/sidecar_takeover.h"
#include "steering/steering.h"

/* An answer that refuses the request. */
static json_t *refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));

static json_t *refuse(const char *format, ...)
{
	va_list arguments;
	char text[512];

	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	return json_pack("{s:s}", "error", text);
}

static void list_entry(void *context, const struct plan_bypass *bypass)
{
	char prefix[ADDRESS_TEXT_MAX], origin[BYPASS_ORIGIN_MAX];

	(void)json_array_append_new(context,
				    json_pack("{s:s, s:s, s:f}", "prefix",
					      prefix_format(&bypass->prefix, prefix), "origin",
					      bypass_origin(&bypass->origin, origin), "age_seconds",
					      (double)(clock_ns() - bypass->since) / 1e9));
}

static json_t *list(const struct sidecar *sidecar)
{
	json_t *entries = json_array();

	steering_bypass_each(sidecar->steering, list_entry, entries);
	return json_pack("{s:o}", "entries", entries);
}

/* Puts a change in force now. Returns 0 or a negative errno, logged. The main loop repeats what
 * fails. */
static int sync_now(struct sidecar *sidecar)
{
	sidecar->sync_error = sidecar_takeover_waits(&sidecar->takeover)
				      ? -EAGAIN
				      : steering_sync(sidecar->steering);
	return sidecar->sync_error;
}

static json_t *add(struct sidecar *sidecar, const struct prefix *prefix, const char *text)
{
	const struct plan_bypass *present = steering_bypass_find(sidecar->steering, prefix);
	char origin[BYPASS_ORIGIN_MAX];
	int error;

	if (prefix_is_default(prefix))
		return refuse("%s would leave nothing to intercept", text);
	if (present && present->origin.sources & SIDESTEP_FROM_OPTION)
		return refuse("%s is bypassed already: %s", text,
			      bypass_origin(&present->origin, origin));
	error = steering_bypass_add(sidecar->steering, prefix);
	if (error == 0)
		error = sync_now(sidecar);
	if (error == 0) {
		log_info("bypass: %s added by the operator", text);
		return json_object();
	}
	/* The old state comes back. */
	(void)steering_bypass_take(sidecar->steering, prefix);
	(void)sync_now(sidecar);
	return refuse("%s cannot be bypassed: %s; the sidecar's log has the reason", text,
		      strerror(-error));
}

static json_t *take(struct sidecar *sidecar, const struct prefix *prefix, const char *text)
{
	const struct plan_bypass *present = steering_bypass_find(sidecar->steering, prefix);
	char origin[BYPASS_ORIGIN_MAX];
	int error;

	if (steering_bypass_take(sidecar->steering, prefix) < 0)
		return present ? refuse("%s was not added by \"sidestep bypass add\": %s", text,
					bypass_origin(&present->origin, origin))
			       : refuse("%s is not bypassed", text);
	error = sync_now(sidecar);
	if (error < 0)
		return refuse("%s is not removed yet, and that is tried again: %s", text,
			      strerror(-error));
	log_info("bypass: %s taken back by the operator", text);
	return json_object();
}

/* Hands out one of the datapath's own programs or maps, for `sidestep explain` without
 * CAP_SYS_ADMIN. Its clients may add bypassed subnets, too. */
static json_t *hand_out(const struct sidecar *sidecar, bool map, uint32_t id, int *ret_fd)
{
	struct datapath *datapath = sidecar->datapath.current;
	int fd = datapath->ops->find_object ? datapath->ops->find_object(datapath, map, id)
					    : -ENOENT;

	if (fd < 0)
		return refuse("no %s of this sidecar's has the number %u", map ? "map" : "program",
			      id);
	*ret_fd = fd;
	return json_object();
}

static json_t *answer(void *context, const json_t *request, int *ret_fd)
{
	const char *object = json_string_value(json_object_get(request, "open"));
	json_int_t id = json_integer_value(json_object_get(request, "id"));
	const char *verb = json_string_value(json_object_get(request, "bypass"));
	const char *text = json_string_value(json_object_get(request, "prefix"));
	struct sidecar *sidecar = context;
	char plain[ADDRESS_TEXT_MAX];
	struct prefix prefix;

	if (object)
		return hand_out(sidecar, strcmp(object, "map") == 0, (uint32_t)id, ret_fd);
	if (verb && strcmp(verb, "list") == 0)
		return list(sidecar);
	if (!verb || !text || prefix_parse(text, &prefix) < 0)
		return refuse(
			"the sidecar does not understand the request: it has another version");
	(void)prefix_format(&prefix, plain);
	if (strcmp(verb, "add") == 0)
		return add(sidecar, &prefix, plain);
	if (strcmp(verb, "del") == 0)
		return take(sidecar, &prefix, plain);
	return refuse("the sidecar does not understand the request: it has another version");
}

int sidecar_operator_open(struct sidecar *sidecar)
{
	int error = operator_server_open(answer, sidecar, &sidecar->operator);

	if (error < 0)
		log_info("no socket for \"sidestep bypass\": %s; it needs a writable /run",
			 strerror(-error));
	return 0;
}

void sidecar_operator_close(struct sidecar *sidecar)
{
	operator_server_close(sidecar->operator);
	sidecar->operator= NULL;
}
