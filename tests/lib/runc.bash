#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The runtime of the test bed's engine: runc, with the container's configuration corrected where
# Docker 20.10 is behind what newer engines do.
#
#   - Capabilities that this machine does not have are not asked for. Docker 20.10 asks for all that
#     exist when a container is --privileged, and runc then fails; newer engines ask for their own.
#   - BED_CAPS=BPF,PERFMON in the container's environment grants these (see engine_caps), because
#     Docker 20.10 has no names for them. As in newer profiles, seccomp then lets bpf(2) and
#     perf_event_open(2) pass.
#   - A namespace begins with the src_valid_mark of the machine's, as it does outside the bed. The
#     kernel copies that of the initial namespace, which the bed's machine is not.
set -eu

names=(CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE
	NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO
	SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME
	SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG
	WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE)

# Both files are JSON on one line, as the engine and the shim write them.
correct() {
	local file=$1 bound index add name mark script=() list=
	bound=$(awk '/^CapBnd:/ { print $2 }' /proc/self/status)
	for index in "${!names[@]}"; do
		(((16#$bound >> index & 1) == 0)) || continue
		name=${names[index]}
		script+=(-e "s/\"CAP_$name\",//g; s/,\"CAP_$name\"//g")
	done
	add=$(grep -oE '"BED_CAPS=[A-Z_,]*"' "$file" | head -n 1 | sed 's/.*=//; s/"//; s/,/ /g')
	for name in $add; do
		list+="\"CAP_$name\","
	done
	if [ -n "$list" ]; then
		script+=(-e "s/\"\\(bounding\\|effective\\|permitted\\)\":\\[/&$list/g")
		script+=(-e 's/"syscalls":\[/&{"names":["bpf","perf_event_open"],"action":"SCMP_ACT_ALLOW"},/')
	fi
	mark=$(</proc/sys/net/ipv4/conf/all/src_valid_mark)
	# A container that joins another's namespace is given no settings at all.
	if [ "$mark" = 1 ]; then
		for name in all default; do
			script+=(-e "s/\"sysctl\":{/&\"net.ipv4.conf.$name.src_valid_mark\":\"$mark\",/")
		done
	fi
	[ ${#script[@]} = 0 ] || sed -i "${script[@]}" "$file"
}

previous=
command=
for argument; do
	case $argument in
	create | run | exec) command=${command:-$argument} ;;
	esac
	case $command:$previous in
	create:--bundle | run:--bundle) correct "$argument/config.json" ;;
	exec:--process) correct "$argument" ;;
	esac
	previous=$argument
done
exec runc "$@"
