// SPDX-License-Identifier: Apache-2.0
#include "commands/status_print.h"

#include <stdio.h>

/* At most so many flows are printed, and so many inbound connections. --json has all of them. */
#define SHOWN_FLOWS 20

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "?";
}

static long long number_of(const json_t *object, const char *name)
{
	return (long long)json_integer_value(json_object_get(object, name));
}

/* @process: of a flow, or NULL. Without rights its number is not known, nor its name. */
static void print_process(const json_t *process)
{
	if (process && number_of(process, "pid") > 0)
		(void)printf("  %s[%lld]", text_of(process, "comm"), number_of(process, "pid"));
}

static void print_flow(const json_t *flow)
{
	(void)printf("    %-4s %s:%lld -> %s:%lld", text_of(flow, "protocol"),
		     text_of(flow, "local"), number_of(flow, "local_port"), text_of(flow, "remote"),
		     number_of(flow, "remote_port"));
	if (json_object_get(flow, "verdict"))
		(void)printf("  %s  %lld sent, %lld received", text_of(flow, "verdict"),
			     number_of(flow, "bytes_sent"), number_of(flow, "bytes_received"));
	print_process(json_object_get(flow, "process"));
	(void)printf("\n");
}

static void print_flows(const char *title, const json_t *flows)
{
	size_t i, count = json_array_size(flows);

	(void)printf("  %s: %zu\n", title, count);
	for (i = 0; i < count && i < SHOWN_FLOWS; i++)
		print_flow(json_array_get(flows, i));
	if (count > SHOWN_FLOWS)
		(void)printf("    ... and %zu more (--json lists all)\n", count - SHOWN_FLOWS);
}

/* @names: the agent's attachments, or NULL. */
static void print_attached(const char *way, const json_t *names)
{
	const json_t *name;
	size_t i;

	if (json_array_size(names) == 0)
		return;
	(void)printf("  attached by %s:", way);
	json_array_foreach (names, i, name)
		(void)printf(" %s", json_string_value(name));
	(void)printf("\n");
}

/* @devices: of an outer guard, or NULL. */
static void print_devices(const json_t *devices)
{
	const json_t *device;
	size_t i;

	if (!devices)
		return;
	(void)printf("  guarded devices:%s", json_array_size(devices) ? "" : " none");
	json_array_foreach (devices, i, device)
		(void)printf(" %lld (by the host's %lld)", number_of(device, "ifindex"),
			     number_of(device, "host_ifindex"));
	(void)printf("\n");
}

void status_print(const json_t *instance)
{
	const json_t *bypass = json_object_get(instance, "bypass");
	json_t *counters = json_object_get(instance, "counters");
	const char *name;
	json_t *value, *entry;
	size_t i;

	name = text_of(instance, "name");
	(void)printf("%s: %s%s%s, sidestep %s, ", text_of(instance, "pin"),
		     text_of(instance, "mode"), name[0] ? " " : "", name,
		     text_of(instance, "version"));
	if (json_is_true(json_object_get(instance, "running")))
		(void)printf("process %lld", number_of(instance, "pid"));
	else
		(void)printf("process gone");
	(void)printf(", gateway %s\n", text_of(instance, "gateway"));
	(void)printf("  bypassed:\n");
	json_array_foreach (bypass, i, entry)
		(void)printf("    %-24s %s\n", text_of(entry, "prefix"), text_of(entry, "origin"));
	print_attached("links", json_object_get(instance, "links"));
	print_attached("clsact filters", json_object_get(instance, "filters"));
	print_devices(json_object_get(instance, "devices"));
	print_flows("steered connections", json_object_get(instance, "flows"));
	print_flows("connections from outside", json_object_get(instance, "inbound"));
	(void)printf("  counters:");
	json_object_foreach (counters, name, value) {
		if (json_integer_value(value) > 0)
			(void)printf(" %s=%lld", name, (long long)json_integer_value(value));
	}
	(void)printf("\n");
}
