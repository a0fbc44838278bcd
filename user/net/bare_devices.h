/* SPDX-License-Identifier: Apache-2.0 */
/* Recognises a network namespace whose addresses another network stack has taken. */
#ifndef SIDESTEP_BARE_DEVICES_H
#define SIDESTEP_BARE_DEVICES_H

#include <stdbool.h>

/*
 * Tells whether the calling thread's network namespace has Ethernet devices, and no address on any
 * of them but of the link. gVisor (runsc) leaves it so, because its own stack has the addresses. No
 * packet of the application then passes the kernel's stack.
 */
bool devices_are_bare(void);

#endif
