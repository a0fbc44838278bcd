/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names the files that record the attachments of a namespace: PIN/links/NETNS/PROGRAM or
 * PROGRAM-IFINDEX. A link is pinned there. A symbolic link of the same name plus
 * AGENT_FILTER_SUFFIX records a clsact filter.
 */
#ifndef SIDESTEP_AGENT_PINS_H
#define SIDESTEP_AGENT_PINS_H

#include <stdbool.h>
#include <stdint.h>

#include "programs/programs.h"

#define AGENT_FILTER_SUFFIX "-clsact"

#define AGENT_PIN_PATH_MAX 4096

/* The directory of a namespace. */
struct agent_pins {
	const char *pin; /* the agent's directory on a bpffs; the caller's */
	uint32_t netns;
};

/* The meaning of a file name in the directory. */
struct agent_pin {
	enum programs_program program; /* PROGRAMS: the name is not one of ours */
	uint32_t ifindex;	       /* 0: attached once in each namespace */
	bool filter;
};

/* Is the program attached to a device of the host's, and not to one in the namespace? */
bool agent_pin_is_outer(const struct agent_pin *pin);

/* Returns the index of the device that the program is attached to. */
uint32_t agent_pin_device(const struct agent_pin *pin);

/* Makes the directory. Returns 0 or a negative errno, logged. */
int agent_pins_make(const struct agent_pins *pins);

/* Removes the directory if it is empty. */
void agent_pins_remove(const struct agent_pins *pins);

/* Fills @path with the file of a link or a filter, as ->filter says. */
void agent_pins_path(const struct agent_pins *pins, const struct agent_pin *pin,
		     char path[AGENT_PIN_PATH_MAX]);

/* Calls @visit with each file of the namespace, as long as it returns 0. Returns what it returned,
 * or a negative errno. */
int agent_pins_each(const struct agent_pins *pins,
		    int (*visit)(void *context, const struct agent_pin *pin, const char *path),
		    void *context);

/* Calls @visit with the number of each namespace that has files below @pin. Returns 0 or a negative
 * errno. */
int agent_pins_list(const char *pin, void (*visit)(void *context, uint32_t netns), void *context);

/* Calls @visit with each of the host's devices that the outer guard is recorded for. */
void agent_pins_each_outer(const struct agent_pins *pins,
			   void (*visit)(void *context, uint32_t ifindex), void *context);

#endif
