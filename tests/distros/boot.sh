#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Boots the systemd of a bare Debian system as that of a container: the first process of deb.sh's second part.
#
#   tests/distros/boot.sh ROOT UNIT
#
# The caller has made all namespaces but that of users. The machine's devices and settings are out of reach, except
# those of the network, which are the namespace's own.
set -eu

root=$1 unit=$2
mount --bind "$root" "$root"
cd "$root"
mount -t proc proc proc
mount --bind proc/sys/net proc/sys/net
mount --rbind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t bpf bpf sys/fs/bpf
mount -t tmpfs -o mode=755 dev dev
for name in null zero full random urandom tty; do
	touch "dev/$name"
	mount --bind "/dev/$name" "dev/$name"
done
ln -s /proc/self/fd dev/fd
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs shm dev/shm
mount -t tmpfs -o mode=755 run run
pivot_root . mnt
umount -l /mnt
exec env -i container=other PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
	/lib/systemd/systemd "--unit=$unit"
