/* SPDX-License-Identifier: Apache-2.0 */
/* Makes directories on a bpffs, where BPF maps and links are pinned. */
#ifndef SIDESTEP_BPFFS_H
#define SIDESTEP_BPFFS_H

/*
 * Makes the directory @path and its parent, below a bpffs. Where none is mounted at the usual
 * place, /sys/fs/bpf, it mounts one there, if the mount is the machine's and not only a
 * container's. Returns 0 or a negative errno, logged; -EMEDIUMTYPE: it would not be on a bpffs.
 */
int bpffs_make_directory(const char *path);

#endif
