#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Ordinary days of people who intercept containers. Each test has a control, which shows that the bed would see
# the fault, or that it is absent without Sidestep.

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

# nft_sidecar [ARGUMENT...] - starts a sidecar that steers with nftables; returns when interception is live.
nft_sidecar() {
	DATAPATH=nft
	sidecar "$@"
}

# agent_sidecar [ARGUMENT...] - starts a sidecar without rights, and the host's agent; returns when the agent
# steers.
agent_sidecar() {
	bed_needs_linux 6.6 "TCX links"
	bed_spawn app sidecar setpriv --bounding-set=-all,+net_admin --inh-caps=-all \
		"$SIDESTEP" sidecar --gateway "$BED_HOST:8080" "$@"
	bed_wait_line sidecar "interception is live" 10
	bed_spawn host agent "$SIDESTEP" agent --pin "$(SIDE_PIN)" --pid "$(bed_pid sidecar)"
	bed_wait_line sidecar "the host's agent steers .* in place of the nftables table" 10
}

# resolver - starts a resolver in the world that logs its queries.
resolver() {
	bed_spawn world resolver "$PEER" dns-serve 53
	bed_wait_line resolver ready
}

# answer NAME TYPE [ARGUMENT...] - prints rcode and records of the answer to the application's query.
answer() {
	local name=$1 type=$2 line
	shift 2
	[[ "$*" == *@* ]] || set -- "$@" @1.1.1.1
	line=$(bed_exec app "$PEER" dns "$name" "$type" "$@" --timeout 8) || true
	echo "dns $name $type: $line" >&2
	echo "$(bed_value rcode "$line") $(bed_value data "$line")"
}

# row 7: names that nobody made up

# The resolver's word is the same with and without Sidestep.
names_stay() { # START
	resolver
	names_are_true
	"$1"
	names_are_true
}

names_are_true() {
	local type
	for type in A AAAA ANY HTTPS MX TXT SRV; do
		[ "$(answer nx.example.test "$type")" = "nxdomain -" ]
	done
	[ "$(answer nx A)" = "nxdomain -" ]
	[ "$(answer good.test A)" = "noerror 192.0.2.7" ]
}

@test "row 7: without the control API no answer is made up (own programs)" {
	names_stay sidecar
}

@test "row 7: without the control API no answer is made up (agent)" {
	names_stay agent_sidecar
}

@test "row 7: without the control API no answer is made up (nftables)" {
	names_stay nft_sidecar
}

@test "row 7: --made-up names what is made up, and only addresses are" {
	local type
	resolver
	[ "$(answer nx.mine.test A)" = "nxdomain -" ]
	sidecar --made-up "*.mine.test" --made-up nxhost
	[ "$(answer nx.mine.test A)" = "noerror 11.0.0.1" ]
	[ "$(answer nx.mine.test AAAA)" = "noerror fd00::1" ]
	[ "$(answer nx.mine.test HTTPS)" = "noerror -" ]
	[ "$(answer nxhost A)" = "noerror 11.0.0.1" ]
	for type in MX TXT SRV; do
		[ "$(answer nx.mine.test "$type")" = "nxdomain -" ]
	done
	[ "$(answer nx.other.test A)" = "nxdomain -" ]
	[ "$(answer a.mine.test A)" = "noerror 192.0.2.7" ]
}

# put JSON - PUT /egress of the host, as workerd does; prints the status.
put() {
	bed_exec host curl -sS --max-time 5 -o "$BED_DIR/put" -w '%{http_code}' -X PUT -d "$1" \
		"http://$BED_APP:39001/egress"
	cat "$BED_DIR/put" >&2
}

@test "row 7: with the control API the search list and single labels stay unknown" {
	resolver
	echo "search corp.test svc.test" >"$BED_DIR/resolv.conf"
	bed_spawn app sidecar unshare --mount --propagation slave sh -c \
		'mount --bind "$0" /etc/resolv.conf && exec "$@"' "$BED_DIR/resolv.conf" \
		"$SIDESTEP" sidecar --gateway "$BED_HOST:8080" --http-ingress-address 0.0.0.0:39001
	bed_wait_line sidecar "interception is live" 10
	# The client of a resolver tries "nx.good.test" so, until a name exists.
	[ "$(answer nx.good.test.corp.test A)" = "nxdomain -" ]
	[ "$(answer nx.good.test.svc.test AAAA)" = "nxdomain -" ]
	[ "$(answer nxhost A)" = "nxdomain -" ]
	# The contract holds for the others, whatever their type.
	[ "$(answer nx.good.test A)" = "noerror 11.0.0.1" ]
	[ "$(answer nx.good.test MX)" = "noerror -" ]
	# A mapped name is meant.
	[ "$(put '{"dns": {"allowHostnames": ["nxhost", "nx.db.corp.test"]}}')" = 204 ]
	[ "$(answer nxhost A)" = "noerror 11.0.0.1" ]
	[ "$(answer nx.db.corp.test A)" = "noerror 11.0.0.1" ]
	[ "$(answer nx.good.test A)" = "nxdomain -" ]
}

# Any opcode is relayed where the internet is on

opcodes_pass() { # START
	local opcode
	resolver
	"$1"
	for opcode in 4 5 6 15; do
		[ "$(answer "op$opcode.test" SOA --opcode "$opcode")" = "noerror -" ]
		bed_log resolver | grep -q "name=op$opcode.test. type=6 opcode=$opcode"
	done
}

@test "row 7: NOTIFY, UPDATE, DSO and unknown opcodes reach the resolver (own programs)" {
	opcodes_pass sidecar
}

@test "row 7: NOTIFY, UPDATE, DSO and unknown opcodes reach the resolver (agent)" {
	opcodes_pass agent_sidecar
}

@test "row 7: NOTIFY, UPDATE, DSO and unknown opcodes reach the resolver (nftables)" {
	opcodes_pass nft_sidecar
}
