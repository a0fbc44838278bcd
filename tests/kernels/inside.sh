#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs tests inside a virtual machine of check.sh, after mounting the file systems that an init mounts.
#
#   tests/kernels/inside.sh ROOT FILE...   ROOT is where the kernel's package is unpacked; the files are for
#                                          tests/run.sh
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
root=$1
shift
cd "$(dirname "$0")/../.." || exit 1
mkdir -p /lib/modules /dev/pts /dev/shm
ln -sfn "$root/lib/modules/$(uname -r)" "/lib/modules/$(uname -r)"
mount -t tmpfs run /run
mount -t tmpfs shm /dev/shm
mount -t devpts devpts /dev/pts
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t bpf bpf /sys/fs/bpf
ln -sfn /proc/self/fd /dev/fd
ln -sfn fd/0 /dev/stdin
ln -sfn fd/1 /dev/stdout
ln -sfn fd/2 /dev/stderr
# The module brings /dev/net/tun, which a machine with an init has.
modprobe tun
ip link set lo up
# Emulated processors compute more than they wait.
JOBS=$(nproc) tests/run.sh --light "$@"
