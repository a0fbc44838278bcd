#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The runtime of the test bed's engine: runc, after it has corrected the container's configuration where Docker
# 20.10 differs from newer engines.
#
#   - It removes capabilities that this machine does not have. Docker 20.10 asks for all capabilities when a
#     container is --privileged, and runc fails. Newer engines ask for the machine's own.
#   - It grants the capabilities of BED_CAPS=BPF,PERFMON in the container's environment (see engine_caps), for
#     which Docker 20.10 has no names. As in newer profiles, seccomp lets bpf(2) and perf_event_open(2) pass.
#   - It sets src_valid_mark to that of the bed's machine, as the kernel does outside the bed. The kernel copies
#     the value of the initial namespace, which is not the bed's machine.
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
	# A container that joins another's namespace gets no settings.
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
