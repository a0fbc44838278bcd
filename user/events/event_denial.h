/* SPDX-License-Identifier: Apache-2.0 */
/* Makes events of what the kernel's side of a datapath reports. */
#ifndef SIDESTEP_EVENT_DENIAL_H
#define SIDESTEP_EVENT_DENIAL_H

#include "events/event.h"

/* Makes the event of a denied packet, with its reason, the rule and the remedy. Its texts are
 * constants. The namespace is the record's, without SIDESTEP_OUTER. */
struct event event_of_denial(const struct sidestep_denial *denial);

/* A process's name for an event. */
struct event_comm {
	char text[sizeof(((struct sidestep_process *)0)->comm) + 1];
};

/* Sets the event's process, if its number is known. @comm gets the name, and stays the event's. */
void event_set_process(struct event *event, const struct sidestep_process *process,
		       struct event_comm *comm);

#endif
