/* SPDX-License-Identifier: Apache-2.0 */
/* The firewall between a container and the gateway. */
#ifndef SIDESTEP_DOCTOR_FIREWALL_H
#define SIDESTEP_DOCTOR_FIREWALL_H

#include <stdbool.h>

#include "doctor/doctor.h"

/* How connections to the gateway pass the network namespace that is looked at. */
enum doctor_way {
	DOCTOR_WAY_IN,	    /* from outside to an address of its own */
	DOCTOR_WAY_THROUGH, /* from outside to another machine or namespace */
	DOCTOR_WAY_OUT,	    /* from inside */
	DOCTOR_WAY_WITHIN,  /* from inside to an address of its own */
};

/* Tells of each firewall in the calling thread's network namespace that may drop or refuse them.
 * Returns whether there is one. */
bool doctor_check_firewall(struct doctor *doctor, enum doctor_way way);

#endif
