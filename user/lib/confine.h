/* SPDX-License-Identifier: Apache-2.0 */
/* Makes the process one that can harm nobody: no rights, no files, no network. */
#ifndef SIDESTEP_CONFINE_H
#define SIDESTEP_CONFINE_H

/*
 * Gives up all rights for good. The process becomes user and group 65534 (nobody) without groups
 * and capabilities, and its root is an empty file system that cannot be written. It ends with its
 * parent, and others cannot read its memory. Its descriptors and namespaces stay. It must be root,
 * have one thread, and no directory open. Returns 0 or a negative errno, logged.
 */
int confine_process(void);

#endif
