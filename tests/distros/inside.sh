#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Mounts the file systems that an init mounts, and runs commands: the first process of a system of check.sh.
#
#   tests/distros/inside.sh ROOT SECONDS <COMMANDS
#
# Reads one command a line and prints each with its time. Ends with the status of the first one that fails.
set -u

# enter ROOT - makes ROOT the root of the mount namespace. chroot would not do, because nsenter leaves it.
enter() {
	mount --bind "$1" "$1" && cd "$1" || return
	mount -t proc proc proc
	mount --rbind /sys sys
	mount --rbind /dev dev
	# Pins, sockets and shared memory are separate from the machine's.
	mount -t bpf bpf sys/fs/bpf
	mount -t tmpfs -o mode=755 run run
	mount -t tmpfs shm dev/shm
	mkdir -p run/lock
	pivot_root . mnt && cd / && umount -l /mnt
}

main() {
	local limit=$2 started status command
	enter "$1" || return
	while read -r command; do
		printf '$ %s\n' "$command"
		started=$SECONDS
		timeout --kill-after=10 "$((limit - SECONDS))" bash -c "cd /root/sidestep && $command" </dev/null
		status=$?
		printf '# %s: status %d, %d s\n' "$command" "$status" "$((SECONDS - started))"
		[ "$status" = 0 ] || return "$status"
	done
}

main "$@"
exit
