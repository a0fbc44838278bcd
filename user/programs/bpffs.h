/* SPDX-License-Identifier: Apache-2.0 */
/* Makes directories on a bpffs, where BPF maps and links are pinned. */
#ifndef SIDESTEP_BPFFS_H
#define SIDESTEP_BPFFS_H

#include <stdbool.h>

#define BPFFS_USUAL_PLACE "/sys/fs/bpf"

/* Whether the path is on a bpffs. */
bool bpffs_is(const char *path);

/* Mounts one at the usual place. Returns 0, -EXDEV if the mount would be a container's alone and
 * end with it, or another negative errno. */
int bpffs_mount(void);

/*
 * Makes the directory @path and its parent, below a bpffs. Where none is mounted at the usual
 * place, /sys/fs/bpf, it mounts one there, if the mount is the machine's and not only a
 * container's. Returns 0 or a negative errno, logged; -EMEDIUMTYPE: it would not be on a bpffs.
 */
int bpffs_make_directory(const char *path);

#endif
