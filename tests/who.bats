#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Who opened a flow, and which packets were denied, as the kernel tells it.

# shellcheck disable=SC2034 # DATAPATH is for scenarios.bash

load lib/testbed.bash
load lib/scenarios.bash

setup() {
	DATAPATH=bpf
	export BATS_TEST_TIMEOUT=60
	bed_start
	mkdir -p "$BED_BPFFS/sidestep"
	BPFTOOL=$("$BED_REPO/tests/deps.sh" bpftool)
}

teardown() {
	bed_stop
}

# opener PORT - prints "COMM PID UID CGROUP-ID" of the live connection from that port of the application.
opener() {
	"$SIDESTEP" status --json --pin "$(SIDE_PIN)" | python3 -c '
import json, sys
for instance in json.load(sys.stdin):
    for flow in instance["flows"]:
        if flow["local_port"] == int(sys.argv[1]):
            process = flow["process"] or {}
            print(*[process.get(key) for key in ("comm", "pid", "uid", "cgroup_id")])' "$1"
}

# hold NAME PORT [COMMAND...] - opens a connection from that port and holds it.
hold() {
	local name=$1 port=$2
	shift 2
	bed_spawn app "$name" "$@" "$PEER" stall 192.0.2.77 80 --bytes 10 --source-port "$port"
	listed() { [ -n "$(opener "$port")" ]; }
	bed_until 5 listed
}

# A connection has the process, the user and the control group of its socket.
openers_are_right() {
	local group
	group=$(stat -c %i /sys/fs/cgroup"$(sed -n 's/^0:://p' /proc/self/cgroup)")
	hold first 4001
	hold second 4002 setpriv --reuid 65534 --clear-groups
	opener 4001 && opener 4002
	[ "$(opener 4001)" = "peer $(bed_pid first) 0 $group" ]
	[ "$(opener 4002)" = "peer $(bed_pid second) 65534 $group" ]
}

@test "own programs know the process that opened a connection" {
	gateway
	own_sidecar
	openers_are_right
}

@test "the agent's programs know the process that opened a connection" {
	gateway
	agent_sidecar
	openers_are_right
}

noted() { # PORT - `openers` has the connection from that port
	"$BPFTOOL" map dump pinned "$(SIDE_PIN)/openers" | grep -q "\"local_port\": $1,"
}

@test "a raw socket that forges a connection's SYN names no process" {
	gateway
	own_sidecar
	bed_exec app "$PEER" raw-send 192.0.2.77 80 --mode syn --source "$BED_APP" --source-port 4003
	hold first 4001
	noted 4001
	! noted 4003
}

# A timer sends it, in the context of whichever process runs.
@test "a SYN that is sent again names no process" {
	local key
	retransmitted() { bed_exec app nstat -asz TcpRetransSegs | grep -qE 'TcpRetransSegs +[1-9]'; }
	gateway
	own_sidecar
	bed_exec app nft -f - <<-'RULES'
		table ip deaf {
			chain input { type filter hook input priority 0; iif lo tcp dport 80 drop; }
		}
	RULES
	bed_spawn app client "$PEER" connect 192.0.2.77 80 --source-port 4004 --send hello
	bed_until 5 noted 4004
	key=$("$BPFTOOL" map getnext pinned "$(SIDE_PIN)/openers" | sed -n '/next key/,$p' | grep -oE '\b[0-9a-f]{2}\b' | xargs)
	# shellcheck disable=SC2086 # a list of bytes
	"$BPFTOOL" map delete pinned "$(SIDE_PIN)/openers" key hex $key
	! noted 4004
	bed_until 5 retransmitted
	! noted 4004
}
