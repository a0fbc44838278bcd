#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# DNS through the real kernel path. The resolver answers, denies, fails, is silent, or does not exist. The
# internet is on, and every name may get a made-up answer.

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
		--made-up '*' --pin "$BED_BPFFS/sidestep/app"
	bed_wait_line sidecar "interception is live" 10
}

# ask NAME TYPE RESOLVER - puts the peer's line into $output. Fails without an answer from that resolver.
ask() {
	run bed_exec app "$PEER" dns "$1" "$2" "@$3" --timeout 8
	echo "$output"
	[ "$status" -eq 0 ] || return 1
	case $3 in
	*:*) [[ $output == *" from=[$3]:53 "* ]] ;;
	*) [[ $output == *" from=$3:53 "* ]] ;;
	esac
}

# within MILLISECONDS - the answer in $output took no longer.
within() {
	local us=${output##*us=}
	[ "$us" -lt $(($1 * 1000)) ]
}

@test "the resolver's answer is relayed from each of its addresses" {
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

@test "NXDOMAIN for an allowed name becomes a made-up answer, v4 and v6" {
	resolver
	sidecar
	for address in 1.1.1.1 2001:db8::1; do
		ask nx.test A "$address"
		[[ $output == *"rcode=noerror aa=1 tc=0 ra=0 answers=1 data=11.0.0.1 "* ]]
		ask nx.test AAAA "$address"
		[[ $output == *"rcode=noerror aa=1 tc=0 ra=0 answers=1 data=fd00::1 "* ]]
		ask nx.test ANY "$address"
		[[ $output == *"answers=2 data=11.0.0.1,fd00::1 "* ]]
		ask nx.test HTTPS "$address"
		[[ $output == *"rcode=noerror aa=1 tc=0 ra=0 answers=0 "* ]]
	done
	[ "$(bed_log resolver | grep -c '^query ')" = 8 ]
}

@test "ICMP ends the wait at once where no resolver listens" {
	sidecar
	for address in 1.1.1.1 2001:db8::1; do
		ask example.test A "$address"
		[[ $output == *"aa=1 tc=0 ra=0 answers=1 data=11.0.0.1 "* ]]
		within 2000
	done
}

@test "with a silent resolver the made-up answer comes before clients give up" {
	resolver
	sidecar
	for address in 1.1.1.1 2001:db8::1; do
		ask silent.test A "$address"
		[[ $output == *"aa=1 tc=0 ra=0 answers=1 data=11.0.0.1 "* ]]
		within 5000
	done
}

@test "without an uplink allowed names still get the made-up answer" {
	sidecar
	bed_exec host ip link set uplink down
	for address in 1.1.1.1 2001:db8::1; do
		ask example.test A "$address"
		[[ $output == *"aa=1 tc=0 ra=0 answers=1 data=11.0.0.1 "* ]]
		within 5000
	done
}

@test "in bridge mode the host asks the resolver, and the answer comes from its address" {
	resolver
	bed_spawn host sidecar "$SIDESTEP" sidecar --bridge br0 --gateway "$BED_HOST:8080" \
		--dns-enabled --made-up "*.test" --pin "$BED_BPFFS/sidestep/bridge"
	bed_wait_line sidecar "interception is live" 10
	for address in 1.1.1.1 2001:db8::1; do
		ask example.test A "$address"
		[[ $output == *"answers=1 data=192.0.2.7 "* ]]
		ask nx.test A "$address"
		[[ $output == *"answers=1 data=11.0.0.1 "* ]]
	done
}
