#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The gateway's preflight in the sidecar's log, and `sidestep doctor`.

load lib/testbed.bash
load lib/scenarios.bash

# shellcheck disable=SC2034 # for scenarios.bash
DATAPATH=bpf

setup() {
	bed_start
}

teardown() {
	bed_stop
}

# doctor STATUS [ARGUMENT...] - runs it in the application's namespace, puts its lines into $output and
# compares its status.
doctor() {
	local expected=$1
	shift
	run bed_exec app "$SIDESTEP" doctor "$@"
	echo "$output"
	[ "$status" = "$expected" ]
}

@test "without a gateway the log names cause and remedy before any connection, and doctor ends with 4" {
	sidecar
	bed_wait_line sidecar \
		"warning: preflight: the gateway $BED_HOST:8080 cannot be reached.*: nothing listens there; start the gateway" 5
	bed_kill sidecar
	doctor 4 --gateway "$BED_HOST:8080"
	[[ $output == *"failed  gateway: $BED_HOST:8080 cannot be reached: nothing listens there; start the gateway"* ]]
	doctor 4 --gateway-ip "$BED_HOST" --http-egress-port 8080
	doctor 4 --gateway "unix:$BED_DIR/none"
	[[ $output == *"no such socket; start the gateway, and mount"* ]]
}

@test "with a gateway the log says so, the gateway sees no CONNECT, and doctor ends with 0" {
	gateway
	doctor 0 --gateway "$BED_HOST:8080"
	[[ $output == *"ok      gateway: $BED_HOST:8080 accepts connections"* ]]
	sidecar
	bed_wait_line sidecar "preflight: the gateway $BED_HOST:8080 can be reached" 5
	doctor 0 --gateway "$BED_HOST:8080"
	[[ $output == *"warning other instance: process "* ]]
	[ "$(grep -c destination "$BED_DIR/gateway.log")" = 0 ]
}

@test "a port that the control API changes is checked again" {
	gateway
	sidecar --http-ingress-address "0.0.0.0:39001"
	bed_wait_line sidecar "preflight: the gateway $BED_HOST:8080 can be reached" 5
	bed_exec host curl -fsS --max-time 5 -X PUT -d '{"port":8999}' "http://$BED_APP:39001/egress"
	bed_wait_line sidecar "preflight: the gateway $BED_HOST:8999 cannot be reached" 5
}

@test "doctor names missing rights and the remedy, and warns without a gateway" {
	run bed_exec app setpriv --bounding-set=-all --inh-caps=-all "$SIDESTEP" doctor
	echo "$output"
	[ "$status" = 1 ]
	[[ $output == *"warning gateway: not checked"* ]]
	[[ $output == *"failed  CAP_NET_ADMIN: missing; --cap-add NET_ADMIN"* ]]
	[[ $output == *"failed  nftables: "* ]]
	run bed_exec app "${NET_ADMIN[@]}" "$SIDESTEP" doctor
	echo "$output"
	[ "$status" = 0 ]
	[[ $output == *"CAP_BPF: not held: an nftables table steers"* ]]
}

@test "row 2: doctor names a gateway that takes smaller packets than the device sends" {
	gateway
	doctor 0 --gateway "$BED_HOST:8080"
	[[ $output == *"ok      MTU: 1500 bytes on the way to the gateway"* ]]
	bed_exec host ip link set br0 mtu 1400
	doctor 0 --gateway "$BED_HOST:8080"
	[[ $output == *"warning MTU: the gateway takes packets of 1400 bytes, the device here sends 1500"* ]]
}

@test "row 3: doctor names a network namespace that its application has left" {
	doctor 0
	[[ $output == *"ok      way out: by eth0"* ]]
	bed_exec app ip link del eth0
	doctor 1
	[[ $output == *"failed  way out: no device leads outside"*"docker restart"* ]]
}

@test "row 10: doctor names local ports that soon run out" {
	doctor 0
	[[ $output == *"ok      local ports: "* ]]
	bed_exec app sysctl -qw net.ipv4.ip_local_port_range="40000 40999"
	doctor 0
	[[ $output == *"warning local ports: 1000, and "*"net.ipv4.ip_local_port_range="* ]]
}

@test "row 17: doctor names a gateway whose own connections would come back to it" {
	bed_spawn app near "$SIDESTEP" gateway --listen 127.0.0.1:8080
	bed_until 5 bed_listening app 8080
	doctor 0 --gateway 127.0.0.1:8080
	[[ $output == *"warning gateway loop: it is in this network namespace"*"--exempt-uid"* ]]
	gateway
	doctor 0 --gateway "$BED_HOST:8080"
	[[ $output != *"gateway loop"* ]]
}

@test "row 18: doctor names a limit of open files that is low" {
	doctor 0
	[[ $output == *"ok      open files: "* ]]
	run bed_exec app sh -c 'ulimit -n 256; exec "$0" doctor' "$SIDESTEP"
	echo "$output"
	[ "$status" = 0 ]
	[[ $output == *"warning open files: 256, and each connection takes two"*"--ulimit nofile=65536"* ]]
}

@test "row 19: doctor names an engine's resolver that no sidecar steers" {
	doctor 0
	[[ $output == *"ok      internet off: no resolver of the engine's here"* ]]
	printf 'nameserver 127.0.0.11\n# ExtServers: [host(127.0.0.53)]\n' >"$BED_DIR/resolv.conf"
	run bed_exec app unshare --mount sh -c 'mount --bind "$1" /etc/resolv.conf; exec "$0" doctor' "$SIDESTEP" \
		"$BED_DIR/resolv.conf"
	echo "$output"
	[ "$status" = 0 ]
	[[ $output == *"warning internet off: the engine's resolver asks from the host's network namespace"*"--dns"* ]]
}

@test "the agent mounts a bpffs where that lasts, and names the command where it would not, as doctor does" {
	local pinned=/sys/fs/bpf/sidestep/agent
	bed_needs_linux 6.6 "TCX links"
	# Process 1 is in another mount namespace, as for a container.
	run bed_exec host unshare --mount sh -c 'umount /sys/fs/bpf; exec "$@"' - "$SIDESTEP" agent --pid 1
	echo "$output"
	[ "$status" = 1 ]
	[[ $output == *"cannot pin maps in $pinned, which is not on a bpffs (mount -t bpf bpf /sys/fs/bpf, and for"* ]]
	bed_spawn host agent unshare --mount --pid --fork --mount-proc \
		sh -c 'umount /sys/fs/bpf; exec "$@"' - "$SIDESTEP" agent --pid 2
	bed_wait_line agent "info: mounted a bpffs at /sys/fs/bpf"
	bed_wait_line agent "programs loaded, pinned below $pinned"
	# Only on the machine's own network does doctor look for it.
	run unshare --mount sh -c 'umount /sys/fs/bpf; exec "$@"' - "$SIDESTEP" doctor
	echo "$output"
	[[ $output == *"warning bpffs: not mounted at /sys/fs/bpf"*"mount -t bpf bpf /sys/fs/bpf"* ]]
}
