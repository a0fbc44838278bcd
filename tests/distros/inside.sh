#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The first process of a system that check.sh runs: mounts what an init would have, and runs commands.
#
#   tests/distros/inside.sh ROOT SECONDS <COMMANDS
#
# Reads one command a line, prints each with its time, and ends at the first that fails with its status.
# The root is entered by pivot_root: who joins the mount namespace later (nsenter) must arrive there too.
set -u

enter() {
	mount --bind "$1" "$1" && cd "$1" || return
	mount -t proc proc proc
	mount --rbind /sys sys
	mount --rbind /dev dev
	# Of its own: pins, sockets and shared memory meet nobody else's.
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
