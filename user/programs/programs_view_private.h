/* SPDX-License-Identifier: Apache-2.0 */
/* Shows struct programs_view to the files that look at attached programs. */
#ifndef SIDESTEP_PROGRAMS_VIEW_PRIVATE_H
#define SIDESTEP_PROGRAMS_VIEW_PRIVATE_H

#include "programs/programs_private.h"

struct programs_view {
	struct programs programs; /* .maps alone; -1: the program does not use that map */
	uint32_t listeners;	  /* the map's number */
	uint32_t netns;
};

#endif
