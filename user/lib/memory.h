/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of the process. */
#ifndef SIDESTEP_MEMORY_H
#define SIDESTEP_MEMORY_H

/*
 * Gives memory back that only the start needed: free memory of the heap, and mapped pages of code
 * and constants. Most of those are libcrypto's, which made the CA. A page that is used again comes
 * back from the page cache.
 *
 * Pages that the program wrote stay. A breakpoint or uprobe, which somebody else wrote into code,
 * is lost. Any thread may call it at any time. It takes about 0.3 ms.
 */
void memory_trim(void);

#endif
