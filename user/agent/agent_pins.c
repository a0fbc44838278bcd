// SPDX-License-Identifier: Apache-2.0
#include "agent/agent_pins.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/util.h"
#include "sidestep.h"

bool agent_pin_is_outer(const struct agent_pin *pin)
{
	return pin->program == PROGRAM_HOST_INGRESS || pin->program == PROGRAM_HOST_EGRESS;
}

uint32_t agent_pin_device(const struct agent_pin *pin)
{
	return pin->ifindex ? pin->ifindex : LOOPBACK_IFINDEX;
}

static void directory_path(const struct agent_pins *pins, char path[AGENT_PIN_PATH_MAX])
{
	(void)snprintf(path, AGENT_PIN_PATH_MAX, "%s/links/%u", pins->pin, pins->netns);
}

void agent_pins_path(const struct agent_pins *pins, const struct agent_pin *pin,
		     char path[AGENT_PIN_PATH_MAX])
{
	char directory[AGENT_PIN_PATH_MAX];
	int used;

	directory_path(pins, directory);
	used = snprintf(path, AGENT_PIN_PATH_MAX, "%.3900s/%s", directory,
			programs_name(pin->program));
	if (pin->ifindex)
		used += snprintf(path + used, AGENT_PIN_PATH_MAX - (size_t)used, "-%u",
				 pin->ifindex);
	if (pin->filter)
		(void)snprintf(path + used, AGENT_PIN_PATH_MAX - (size_t)used, "%s",
			       AGENT_FILTER_SUFFIX);
}

static struct agent_pin parse_name(const char *name)
{
	size_t length = strcspn(name, "-");
	struct agent_pin pin = {.program = PROGRAMS};
	char plain[64], *end;

	(void)snprintf(plain, sizeof(plain), "%.*s", (int)length, name);
	name += length;
	if (name[0] == '-' && name[1] >= '1' && name[1] <= '9') {
		pin.ifindex = (uint32_t)strtoul(name + 1, &end, 10);
		name = end;
	}
	pin.filter = strcmp(name, AGENT_FILTER_SUFFIX) == 0;
	if (pin.filter || *name == '\0')
		pin.program = programs_by_name(plain);
	return pin;
}

int agent_pins_make(const struct agent_pins *pins)
{
	char path[AGENT_PIN_PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/links", pins->pin);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return log_errno(-errno, "cannot make the directory %s", path);
	directory_path(pins, path);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return log_errno(-errno, "cannot make the directory %s", path);
	return 0;
}

void agent_pins_remove(const struct agent_pins *pins)
{
	char path[AGENT_PIN_PATH_MAX];

	directory_path(pins, path);
	(void)rmdir(path);
}

int agent_pins_each(const struct agent_pins *pins,
		    int (*visit)(void *context, const struct agent_pin *pin, const char *path),
		    void *context)
{
	_cleanup_closedir_ DIR *directory = NULL;
	const struct dirent *entry;
	char path[AGENT_PIN_PATH_MAX], file[AGENT_PIN_PATH_MAX];
	int result = 0;

	directory_path(pins, path);
	directory = opendir(path);
	if (!directory)
		return errno == ENOENT ? 0 : -errno;
	while (result == 0 && (entry = readdir(directory))) {
		struct agent_pin pin = parse_name(entry->d_name);

		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(file, sizeof(file), "%.3800s/%s", path, entry->d_name);
		result = visit(context, &pin, file);
	}
	return result;
}

int agent_pins_list(const char *pin, void (*visit)(void *context, uint32_t netns), void *context)
{
	_cleanup_closedir_ DIR *directory = NULL;
	const struct dirent *entry;
	char path[AGENT_PIN_PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/links", pin);
	directory = opendir(path);
	if (!directory)
		return errno == ENOENT ? 0 : -errno;
	while ((entry = readdir(directory))) {
		unsigned long netns = strtoul(entry->d_name, NULL, 10);

		if (netns > 0 && netns <= UINT32_MAX)
			visit(context, (uint32_t)netns);
	}
	return 0;
}

struct outer_visit {
	void (*visit)(void *context, uint32_t ifindex);
	void *context;
};

static int visit_outer(void *context, const struct agent_pin *pin, const char *path)
{
	const struct outer_visit *outer = context;

	(void)path;
	if (pin->program == PROGRAM_HOST_INGRESS)
		outer->visit(outer->context, pin->ifindex);
	return 0;
}

void agent_pins_each_outer(const struct agent_pins *pins,
			   void (*visit)(void *context, uint32_t ifindex), void *context)
{
	struct outer_visit outer = {.visit = visit, .context = context};

	(void)agent_pins_each(pins, visit_outer, &outer);
}
