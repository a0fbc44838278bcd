/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIDESTEP_MEMORY_H
#define SIDESTEP_MEMORY_H

/*
 * Gives back what the start needed and idling does not: free memory of the heap, and the mapped
 * pages of code and constants (libcrypto's, which made the CA, above all), which come back out of
 * the page cache where they are used again. Nothing that was written is touched; a breakpoint or
 * uprobe, which is written to code from outside, would be. Any thread, at any time; takes about
 * 0.3 ms.
 */
void memory_trim(void);

#endif
