#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The nftables datapath: a sidecar with CAP_NET_ADMIN and nothing else (see sidecar_spawn).

load lib/testbed.bash
load lib/scenarios.bash

# shellcheck disable=SC2034 # for scenarios.bash
DATAPATH=nft

setup() {
	bed_start
}

teardown() {
	bed_stop
}

@test "a mark that the application sets does not let its packets out" {
	gateway
	sidecar
	sniff_start
	# 1373525993 is the mark of packets that may leave. `ip rule` shows it to everybody.
	for mark in 100 1373525993; do
		connect 192.0.2.77 80 --mark $mark --send hello --half-close --read-all
		connect 2001:db8:9::9 80 --mark $mark --send hello --half-close --read-all
		run bed_exec app "$PEER" udp 192.0.2.1 7000 --mark $mark --send hello --timeout 0.3
		[ "$status" -ne 0 ]
	done
	[ "$(arrived 192.0.2.77:80)" = 2 ]
	[ "$(arrived '\[2001:db8:9::9\]:80')" = 2 ]
	[ "$(leaks)" = 0 ]
}

@test "steered queries do not reach a resolver of the application's own" {
	gateway
	resolver
	sidecar
	bed_spawn app own "$PEER" udp-serve 53
	bed_wait_line own ready
	run bed_exec app "$PEER" dns example.test A @1.1.1.1
	echo "$output"
	[ "$status" -eq 0 ]
	[ "$(counter steer_dns)" -ge 1 ]
}

@test "a closed port answers the outside with a reset" {
	gateway
	sidecar
	run bed_exec outside "$PEER" connect "$BED_APP" 7999 --send hello --timeout 3
	echo "$output"
	[[ $output == *refused* ]]
}

@test "connections from outside that were open before the start go on" {
	gateway
	bed_spawn app server "$PEER" serve 7000 --mode echo
	bed_wait_line server ready
	bed_spawn outside client "$PEER" transfer "$BED_APP" 7000 --bytes 300000000 --timeout 60
	bed_until 5 bed_exec app sh -c "ss -Htn state established '( sport = :7000 )' | grep -q ."
	sidecar
	bed_alive client
	bed_wait_exit client 60
	grep -q "1 connections from outside were open already" "$BED_DIR/sidecar.log"
}

@test "1000 bypassed prefixes, some within others, are added and removed while the sidecar runs" {
	gateway
	bed_spawn world server "$PEER" serve 7000 --mode http
	bed_wait_line server ready
	sidecar --bypass 203.0.113.0/24 --bypass 203.0.113.0/28 --bypass 10.0.0.0/8
	addresses() { seq 0 999 | awk -v "verb=$1" '{ printf "address %s 10.%d.%d.2/24 dev eth0\n", verb, $1 / 250, $1 % 250 }'; }
	bed_exec app ip -batch - < <(addresses add)
	bed_wait_line sidecar "bypass: 10.3.249.0/24 interface" 20
	connect 203.0.113.1 7000 --send $'GET / HTTP/1.0\r\n\r\n' --expect "$BED_APP"
	connect 192.0.2.77 80 --send hello --half-close --read-all
	bed_exec app ip -batch - < <(addresses delete)
	bed_wait_line sidecar "bypass: 10.3.249.0/24 removed" 20
	connect 203.0.113.1 7000 --send $'GET / HTTP/1.0\r\n\r\n' --expect "$BED_APP"
	connect 192.0.2.77 80 --send hello --half-close --read-all
	[ "$(arrived 192.0.2.77:80)" = 2 ]
	! grep -E "error|warning" "$BED_DIR/sidecar.log" || false
}

@test "SIGTERM leaves nothing" {
	state() {
		bed_exec app sh -c 'ip rule; ip -6 rule; ip -o link | cut -d: -f2
			ip route show table all; ip -6 route show table all | sort; nft list ruleset'
	}
	before=$(state)
	gateway
	sidecar
	[ "$(state)" != "$before" ]
	bed_kill sidecar
	diff <(echo "$before") <(state)
	run bed_exec app nft list ruleset
	[ "$output" = "" ]
}

@test "one transaction installs the table after one that tries tproxy, without libnftables" {
	gateway
	bed_spawn app monitor stdbuf -oL nft monitor
	announced() {
		bed_exec app sh -c 'nft add table ip probe && nft delete table ip probe'
		grep -q "delete table ip probe" "$BED_DIR/monitor.log"
	}
	bed_until 5 announced
	sidecar
	bed_until 5 grep -q "^# new generation [0-9]* by process [0-9]* (sidestep)" "$BED_DIR/monitor.log"
	[ "$(grep -c "^# new generation .*(sidestep)" "$BED_DIR/monitor.log")" = 2 ]
	run grep -E "libnft(ables|nl)" "/proc/$(bed_pid sidecar)/maps"
	[[ $output != *libnftables* ]]
}

@test "without CAP_NET_ADMIN: refused, with the remedy" {
	run bed_exec app setpriv --bounding-set=-all --inh-caps=-all "$SIDESTEP" sidecar --datapath nft \
		--gateway "$BED_HOST:8080"
	echo "$output"
	[ "$status" = 1 ]
	[[ $output == *CAP_NET_ADMIN* ]]
}
