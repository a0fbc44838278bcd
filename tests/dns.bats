#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# DNS through the real kernel path: what the application gets when the resolver answers, says no,
# fails, or is not there at all. The policy is what it is at start: internet on, every name allowed.

load lib/testbed.bash

setup() {
	bed_start
	mkdir -p "$BED_BPFFS/sidestep"
}

teardown() {
	bed_stop
}

sidecar() {
	bed_spawn app sidecar "$SIDESTEP" sidecar --gateway "$BED_HOST:8080" \
		--pin "$BED_BPFFS/sidestep/app"
	bed_wait_line sidecar "interception is live" 10
}

resolver() {
	bed_spawn world resolver "$PEER" dns-serve 53
	bed_wait_line resolver ready
}

# ask NAME TYPE RESOLVER - the peer's one line in $output; it fails when nothing comes from there.
ask() {
	run bed_exec app "$PEER" dns "$1" "$2" "@$3" --timeout 8
	echo "$output"
	[ "$status" -eq 0 ] || return 1
	case $3 in
	*:*) [[ $output == *" from=[$3]:53 "* ]] ;;
	*) [[ $output == *" from=$3:53 "* ]] ;;
	esac
}

# within MILLISECONDS - the answer in $output came in that time.
within() {
	local us=${output##*us=}
	[ "$us" -lt $(($1 * 1000)) ]
}

@test "what the resolver answers is relayed, whichever of its addresses was asked" {
	resolver
	sidecar
	for address in 1.1.1.1 8.8.8.8 2001:db8::1 2001:db8:1::1; do
		ask example.test A "$address"
		[[ $output == *"rcode=noerror aa=0 tc=0 ra=1 answers=1 data=192.0.2.7 "* ]]
		ask fail.test A "$address"
		[[ $output == *"rcode=servfail aa=0 "*" ra=1 "* ]]
		ask empty.test AAAA "$address"
		[[ $output == *"rcode=noerror aa=0 tc=0 ra=1 answers=0 "* ]]
	done
}

@test "NXDOMAIN of an allowed name becomes a made-up answer, v4 and v6" {
	resolver
	sidecar
	for address in 1.1.1.1 2001:db8::1; do
		ask nx.test A "$address"
		[[ $output == *"rcode=noerror aa=1 tc=0 ra=0 answers=1 data=11.0.0.1 "* ]]
		ask nx.test AAAA "$address"
		[[ $output == *"rcode=noerror aa=1 tc=0 ra=0 answers=1 data=fd00::1 "* ]]
		ask nx.test ANY "$address"
		[[ $output == *"answers=2 data=11.0.0.1,fd00::1 "* ]]
		ask nx.test TXT "$address"
		[[ $output == *"rcode=noerror aa=1 tc=0 ra=0 answers=0 "* ]]
	done
	[ "$(bed_log resolver | grep -c '^query ')" = 8 ]
}

@test "no resolver at that address: ICMP ends the wait at once" {
	sidecar
	for address in 1.1.1.1 2001:db8::1; do
		ask example.test A "$address"
		[[ $output == *"aa=1 tc=0 ra=0 answers=1 data=11.0.0.1 "* ]]
		within 2000
	done
}

@test "a resolver that says nothing: the made-up answer comes before clients give up" {
	resolver
	sidecar
	for address in 1.1.1.1 2001:db8::1; do
		ask silent.test A "$address"
		[[ $output == *"aa=1 tc=0 ra=0 answers=1 data=11.0.0.1 "* ]]
		within 5000
	done
}

@test "offline, DNS lives while the internet is on: the way out is gone" {
	sidecar
	bed_exec host ip link set uplink down
	for address in 1.1.1.1 2001:db8::1; do
		ask example.test A "$address"
		[[ $output == *"aa=1 tc=0 ra=0 answers=1 data=11.0.0.1 "* ]]
		within 5000
	done
}

@test "bridge mode: the resolver is asked from the host, and the answer comes from its address" {
	resolver
	bed_spawn host sidecar "$SIDESTEP" sidecar --bridge br0 --gateway "$BED_HOST:8080" \
		--dns-enabled --pin "$BED_BPFFS/sidestep/bridge"
	bed_wait_line sidecar "interception is live" 10
	for address in 1.1.1.1 2001:db8::1; do
		ask example.test A "$address"
		[[ $output == *"answers=1 data=192.0.2.7 "* ]]
		ask nx.test A "$address"
		[[ $output == *"answers=1 data=11.0.0.1 "* ]]
	done
}
