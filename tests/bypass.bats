#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# `sidestep bypass`: the subnets that a running sidecar leaves alone, in each datapath, and who may change them.

load lib/testbed.bash
load lib/scenarios.bash

setup() {
	bed_start
	mkdir -p "$BED_BPFFS/sidestep"
	gateway
}

teardown() {
	bed_stop
}

# bypass STATUS [ARGUMENT...] - runs it in the application's namespace as the sidecar's user, puts its lines into $output
# and compares its status.
bypass() {
	local expected=$1
	shift
	run bed_exec app "$SIDESTEP" bypass "$@"
	echo "$output"
	[ "$status" = "$expected" ]
}

# adds_and_takes_back WAY - a sidecar of this way (own, nft, redirect, agent) leaves a subnet alone while it is added.
adds_and_takes_back() {
	"$1_sidecar" --bypass 10.1.0.0/16
	bed_spawn world server "$PEER" serve 7000 --mode http
	bed_wait_line server ready
	connect 203.0.113.1 7000 --send hello --half-close --read-all
	[ "$(arrived 203.0.113.1:7000)" = 1 ]
	bypass 0 add 203.0.113.0/24
	bypass 1 add 203.0.113.0/24
	[[ $output == *"203.0.113.0/24 is bypassed already: sidestep bypass add" ]]
	connect 203.0.113.1 7000 --send $'GET / HTTP/1.0\r\n\r\n' --expect "$BED_APP"
	# It outlives a sync, and its age is not that of the sync.
	bed_join_second_network
	bed_wait_line sidecar "bypass: $BED_SUBNET2 interface eth1"
	connect 203.0.113.1 7000 --send $'GET / HTTP/1.0\r\n\r\n' --expect "$BED_APP"
	bypass 0 list
	grep -qE "^203.0.113.0/24 +[0-9]+ s  sidestep bypass add$" <<<"$output"
	grep -qE "^10.1.0.0/16 +[0-9]+ s  option --bypass$" <<<"$output"
	grep -qE "^$BED_SUBNET2 +[0-9]+ s  interface eth1$" <<<"$output"
	bypass 0 del 203.0.113.0/24
	bypass 1 del 203.0.113.0/24
	[[ $output == *"203.0.113.0/24 is not bypassed" ]]
	connect 203.0.113.1 7000 --send hello --half-close --read-all
	[ "$(arrived 203.0.113.1:7000)" = 2 ]
	bypass 1 del 10.1.0.0/16
	[[ $output == *'10.1.0.0/16 was not added by "sidestep bypass add": option --bypass' ]]
	bypass 1 del "$BED_SUBNET"
	[[ $output == *'was not added by "sidestep bypass add": interface eth0'* ]]
	bypass 1 add 0.0.0.0/0
	[[ $output == *"0.0.0.0/0 would leave nothing to intercept" ]]
}

@test "a subnet is added, outlives a sync, and is taken back; others are not (own programs)" {
	adds_and_takes_back own
	run "$SIDESTEP" status --pin "$(SIDE_PIN)"
	echo "$output"
	grep -qE "^ +10.1.0.0/16 +option --bypass$" <<<"$output"
	bed_kill sidecar
	[ ! -e "$(bed_socket app control)" ]
	bypass 1 list
	[[ $output == *"no sidecar of this network namespace can be asked from here"* ]]
}

@test "a subnet is added, outlives a sync, and is taken back; others are not (nftables)" {
	adds_and_takes_back nft
}

@test "a subnet is added, outlives a sync, and is taken back; others are not (agent)" {
	adds_and_takes_back agent
	# On the host its sidecar is found by the lock of the namespace.
	run bed_exec host "$SIDESTEP" bypass list --json --netns "$(bed_netns app)"
	[[ $output == *'"origin": "option --bypass"'* ]]
}

@test "the application cannot ask: it has other files, and another user may not" {
	own_sidecar
	run bed_exec app unshare --mount sh -c 'mount -t tmpfs none /run && exec "$0" bypass add 203.0.113.0/24' "$SIDESTEP"
	echo "$output"
	[ "$status" = 1 ]
	[[ $output == *"no sidecar of this network namespace can be asked from here"* ]]
	chmod 755 "$BED_DIR"
	run bed_exec app setpriv --reuid 1000 --regid 1000 --clear-groups "$SIDESTEP" bypass add 203.0.113.0/24
	echo "$output"
	[ "$status" = 1 ]
	[[ $output == *"Permission denied"* ]]
	# Abstract sockets belong to the network namespace, which the application shares.
	[ -z "$(bed_exec app ss -xlH src '@*sidestep*')" ]
	# A request that is no request changes nothing, and nobody waits for a client that does not ask.
	for i in 1 2 3 4 5 6 7 8 9 10; do
		bed_spawn app "silent$i" python3 -c '
import socket, sys, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.connect(sys.argv[1])
print("ready", flush=True)
time.sleep(600)' "$(bed_socket app control)"
		bed_wait_line "silent$i" ready
	done
	bypass 0 list
	bypass 2 add 203.0.113.1/24
	[[ $output == *"the subnet is 203.0.113.0/24" ]]
	bypass 2 list 203.0.113.0/24
	bypass 2 show
}
