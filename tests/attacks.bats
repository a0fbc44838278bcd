#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Ways past the interception, tried by the means that a container has. Each test has a control, which shows that
# the way is open without Sidestep, or that the bed would see the escape. (docs/THREAT-MODEL.md)

# shellcheck disable=SC2034 # DATAPATH is for scenarios.bash

load lib/testbed.bash
load lib/scenarios.bash

setup() {
	DATAPATH=bpf
	bed_start
	mkdir -p "$BED_BPFFS/sidestep"
}

teardown() {
	bed_stop
}

# 2. The control API

# ask NAMESPACE METHOD PATH ADDRESS [ARGUMENT...] - asks the application's control API and prints the status.
ask() {
	local name=$1 method=$2 path=$3 address=$4
	shift 4
	bed_exec "$name" curl -gsS --max-time 5 -o /dev/null -w '%{http_code}' -X "$method" "$@" \
		"http://$address:39001$path"
}

# tunnel NAMESPACE ADDRESS TARGET - asks it for a tunnel and for a page of the target. Prints the answer's status,
# and "page" if the page came.
tunnel() {
	bed_exec "$1" curl -gsS --max-time 5 -o "$BED_DIR/page" -w '%{http_connect}' --proxytunnel \
		-x "http://$2:39001" --proxy-header "X-Dst-Addr: $3" "http://$3/" 2>/dev/null || true
	[ ! -s "$BED_DIR/page" ] || echo " page"
	rm -f "$BED_DIR/page"
}

world_serves() {
	bed_spawn world world "$PEER" serve 80 --mode http
	bed_wait_line world ready
}

# The host itself asks, so that only the target can be the reason for a refusal.
tunnels_lead_inside() {
	local target
	world_serves
	gateway
	sidecar --http-ingress-address "[::]:39001"
	bed_spawn app server "$PEER" serve 80 --mode http
	bed_wait_line server ready
	# Controls: the world answers the host, and the application's server answers through a tunnel.
	for target in "$BED_WORLD" "[$BED_WORLD6]"; do
		bed_exec host curl -gfsS --max-time 5 -o /dev/null "http://$target/"
	done
	for target in 127.0.0.1:80 "$BED_APP:80" "[::1]:80" "[$BED_APP6]:80"; do
		[ "$(tunnel host "$BED_APP" "$target")" = "200 page" ]
	done
	sniff_start
	for target in "$BED_WORLD:80" "[$BED_WORLD6]:80" "$BED_HOST:8080" "[$BED_HOST6]:8080" "$BED_NEIGHBOUR:80" \
		224.0.0.1:80 172.30.0.255:80; do
		[ "$(tunnel host "$BED_APP" "$target")" = 400 ]
		[ "$(tunnel host "[$BED_APP6]" "$target")" = 400 ]
	done
	[ "$(leaks)" = 0 ]
	[ "$(grep -c destination "$BED_DIR/gateway.log")" = 0 ]
	grep -q "is no address of this network namespace" "$BED_DIR/sidecar.log"
}

@test "2: the control API's CONNECT leads into the container and nowhere else (own programs)" {
	tunnels_lead_inside
}

@test "2: the control API's CONNECT leads into the container and nowhere else (nftables)" {
	DATAPATH=nft
	tunnels_lead_inside
}

# asks_get NAMESPACE PUT CA CONNECT - the answers to the three requests, over both families.
asks_get() {
	local address
	for address in "$BED_APP" "[$BED_APP6]"; do
		[ "$(ask "$1" PUT /egress "$address" -d '{"port":8080}')" = "$2" ]
		[ "$(ask "$1" GET /ca "$address")" = "$3" ]
		[[ $(tunnel "$1" "$address" 127.0.0.1:80) = "$4"* ]]
	done
}

neighbours_are_refused() {
	gateway
	sidecar --http-ingress-address "[::]:39001"
	bed_spawn app server "$PEER" serve 80 --mode http
	bed_wait_line server ready
	# Controls: the host, and a client that comes through it.
	asks_get host 204 404 200
	asks_get outside 204 404 200
	asks_get neighbour 403 403 403
	asks_get app 403 403 403
	grep -qE "request of ($BED_NEIGHBOUR|\[$BED_NEIGHBOUR6\]):[0-9]+ refused \(403\): .* --control-allow" \
		"$BED_DIR/sidecar.log"
	# A neighbour on a second network of the application is none the less one.
	bed_join_second_network
	[ "$(bed_exec neighbour2 curl -sS --max-time 5 -o /dev/null -w '%{http_code}' \
		"http://$BED_APP2:39001/ca")" = 403 ]
}

@test "2: the control API refuses neighbours, and answers the host and those who come through it (own programs)" {
	neighbours_are_refused
}

@test "2: the control API refuses neighbours, and answers the host and those who come through it (nftables)" {
	DATAPATH=nft
	neighbours_are_refused
}

# from_second_network CURL-ARGUMENT... - a neighbour asks from its address on another network.
from_second_network() {
	bed_exec neighbour curl -gsS --max-time 5 -o /dev/null -w '%{http_code}' "$@"
}

# The reply finds its way through the host, so the neighbour looks like a machine that the host forwards.
@test "2: a neighbour's address on a second network does not pass for one behind the host" {
	gateway
	_bed_bridge br1 172.31.0.1 fd31::1
	_bed_plug neighbour eth1 br1 172.31.0.3 fd31::3
	sidecar --http-ingress-address "[::]:39001"
	bed_spawn app server "$PEER" serve 80
	bed_wait_line server ready
	# Controls: such connections work, and a machine behind the host may ask.
	bed_exec neighbour "$PEER" connect "$BED_APP" 80 --source 172.31.0.3
	bed_exec neighbour "$PEER" connect "$BED_APP6" 80 --source fd31::3
	[ "$(ask outside GET /ca "$BED_APP")" = 404 ]
	[ "$(from_second_network --interface 172.31.0.3 "http://$BED_APP:39001/ca")" = 403 ]
	[ "$(from_second_network --interface fd31::3 "http://[$BED_APP6]:39001/ca")" = 403 ]
	# The host may change its MAC address. A refused client need only try again.
	bed_exec host ip link set br0 address 02:00:00:00:00:99
	host_is_heard() { [ "$(ask host GET /ca "$1")" = 404 ]; }
	bed_until 5 host_is_heard "$BED_APP"
	bed_until 5 host_is_heard "[$BED_APP6]"
}

@test "2: without a default route the control API answers only addresses of --control-allow" {
	gateway
	bed_exec app ip route delete default
	bed_exec app ip -6 route delete default
	sidecar --http-ingress-address "[::]:39001" --control-allow "$BED_NEIGHBOUR" --control-allow "$BED_NEIGHBOUR6/128"
	bed_spawn app server "$PEER" serve 80 --mode http
	bed_wait_line server ready
	asks_get neighbour 204 404 200
	asks_get host 403 403 403
	bed_exec app ip route add default via "$BED_HOST"
	bed_exec app ip -6 route add default via "$BED_HOST6"
	asks_get host 204 404 200
}
