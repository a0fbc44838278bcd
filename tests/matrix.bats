#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The matrix of docs/THREAT-MODEL.md: the packets of an application with some capabilities that get past each
# datapath, counted at the world's line. The application tries the ways of tests/lib/ways.bash.

# shellcheck disable=SC2034 # CAPS is for ways.bash

load lib/testbed.bash
load lib/scenarios.bash
load lib/ways.bash

setup() {
	DATAPATH=bpf
	bed_start
	mkdir -p "$BED_BPFFS/sidestep"
	# The host finds the world's MAC addresses before packets are counted.
	attempt udp $BED_WORLD 9 --timeout 1
	attempt udp $BED_WORLD6 9 --timeout 1
}

teardown() {
	bed_stop
}

ALL_WAYS="way_plain way_frames way_rewrite way_device way_address way_remove"

assault() { # STEERED
	local way
	for way in $ALL_WAYS; do
		"$way" "$1" || return
	done
}

# cell START CAPS EXPECTED - starts a datapath; "out" expects that packets get out, "0" that none does.
cell() {
	local steered=steered
	gateway
	"$1"
	[ "$1" != bridge_sidecar ] || steered=
	CAPS=$2
	run world_hears assault "$steered"
	echo "$output"
	[ "$status" -eq 0 ]
	if [ "$3" = out ]; then
		[ "${lines[-1]}" -gt 0 ]
	else
		[ "${lines[-1]}" = 0 ]
	fi
}

@test "without Sidestep each way of an application with all capabilities is open" {
	local way
	for way in way_plain way_frames way_device way_address way_remove; do
		run world_hears "$way"
		echo "$way: $output"
		[ "$status" -eq 0 ]
		[ "${lines[-1]}" -gt 0 ]
	done
}

@test "own programs: no capability: nothing gets out" {
	cell sidecar -all 0
}

@test "own programs: NET_RAW: packets get out" {
	cell sidecar -all,+net_raw out
}

@test "own programs: NET_ADMIN: packets get out" {
	cell sidecar -all,+net_admin out
}

@test "own programs: NET_RAW and NET_ADMIN: packets get out" {
	cell sidecar -all,+net_raw,+net_admin out
}

@test "agent: no capability: nothing gets out" {
	cell agent_sidecar -all 0
}

@test "agent: NET_RAW: nothing gets out" {
	cell agent_sidecar -all,+net_raw 0
}

@test "agent: NET_ADMIN: nothing gets out" {
	cell agent_sidecar -all,+net_admin 0
}

@test "agent: NET_RAW and NET_ADMIN: nothing gets out" {
	cell agent_sidecar -all,+net_raw,+net_admin 0
}

@test "nftables: no capability: nothing gets out" {
	cell nft_sidecar -all 0
}

@test "nftables: NET_RAW: packets get out" {
	cell nft_sidecar -all,+net_raw out
}

@test "nftables: NET_ADMIN: packets get out" {
	cell nft_sidecar -all,+net_admin out
}

@test "nftables: NET_RAW and NET_ADMIN: packets get out" {
	cell nft_sidecar -all,+net_raw,+net_admin out
}

@test "bridge mode: no capability: nothing gets out" {
	cell bridge_sidecar -all 0
}

@test "bridge mode: NET_RAW: nothing gets out" {
	cell bridge_sidecar -all,+net_raw 0
}

@test "bridge mode: NET_ADMIN: nothing gets out" {
	cell bridge_sidecar -all,+net_admin 0
}

@test "bridge mode: NET_RAW and NET_ADMIN: nothing gets out" {
	cell bridge_sidecar -all,+net_raw,+net_admin 0
}
