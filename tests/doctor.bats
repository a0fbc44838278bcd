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
