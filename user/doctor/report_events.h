/* SPDX-License-Identifier: Apache-2.0 */
/* Asks sidecars and the agent for their last events (docs/EVENTS.md). */
#ifndef SIDESTEP_REPORT_EVENTS_H
#define SIDESTEP_REPORT_EVENTS_H

#include "doctor/report_archive.h"
#include "lib/run_socket.h"

#define REPORT_EVENTS_FOLDER RUN_SOCKET_FOLDER

/* Adds a file events/NAME.jsonl for each socket NAME.events in the folder. One that does not answer
 * within two seconds is left out. Returns how many files were added. */
unsigned int report_events(struct report_archive *archive, const char *folder);

#endif
