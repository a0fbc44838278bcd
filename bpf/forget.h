/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Has the verifier forget what it knows of a number, so that a program loads faster. */
#ifndef SIDESTEP_FORGET_H
#define SIDESTEP_FORGET_H

#include "vmlinux.h"

/*
 * Returns @value, which is any number to the verifier from here on. The verifier walks the rest of
 * a program once for each constant that a later branch depends on. Without the constants it walks
 * the rest once. @unknown: a number that the verifier does not know, such as skb->len. It costs
 * two additions.
 */
static __always_inline __u64 forget(__u64 value, __u64 unknown)
{
	asm volatile("%[value] += %[unknown];"
		     "%[value] -= %[unknown];"
		     : [value] "+r"(value)
		     : [unknown] "r"(unknown));
	return value;
}

#endif
