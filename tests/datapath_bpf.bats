#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A sidecar in the application's network namespace, on a container network without Docker: the tests that
# hold for each datapath. The file runs under three names, of which two are links to it. Under its own name BPF
# steers. As datapath_nft.bats nftables steers, and the sidecar has CAP_NET_ADMIN and nothing else. As
# datapath_nft_redirect.bats nftables does without tproxy.

load lib/testbed.bash
load lib/scenarios.bash

setup() {
	DATAPATH=bpf
	case $BATS_TEST_FILENAME in
	*_nft.bats) DATAPATH=nft ;;
	*_nft_redirect.bats) DATAPATH=nft-redirect ;;
	esac
	bed_start
	mkdir -p "$BED_BPFFS/sidestep"
}

teardown() {
	bed_stop
}

@test "TCP to addresses that do not exist arrives at the gateway, v4, v6 and any port" {
	gateway
	sidecar
	for target in "192.0.2.77 80" "192.0.2.77 25" "203.0.113.9 6667" "2001:db8:9::9 443"; do
		# shellcheck disable=SC2086
		run connect $target --send hello --half-close --read-all
		echo "$output"
		[ "$status" -eq 0 ]
		[[ $output == *"result=ok"* ]]
		# getpeername returns the destination that was asked for.
		[[ $output == *"peer=${target% *}:${target#* }"* || $output == *"peer=[${target% *}]:${target#* }"* ]]
	done
	[ "$(arrived 192.0.2.77:25)" = 1 ]
	[ "$(arrived '\[2001:db8:9::9\]:443')" = 1 ]
	[ "$(counter steer_tcp)" = 4 ]
}

@test "the neighbour and the bridge's address are reached directly" {
	gateway
	sidecar
	bed_spawn neighbour server "$PEER" serve 7000 --mode http
	bed_wait_line server ready
	bed_spawn host server2 "$PEER" serve 7001 --mode http
	bed_wait_line server2 ready
	connect "$BED_NEIGHBOUR" 7000 --send $'GET / HTTP/1.0\r\n\r\n' --expect "$BED_APP"
	connect "$BED_NEIGHBOUR6" 7000 --send $'GET / HTTP/1.0\r\n\r\n' --expect "$BED_APP6"
	connect "$BED_HOST" 7001 --send $'GET / HTTP/1.0\r\n\r\n' --expect "$BED_APP"
	[ "$(counter steer_tcp)" = 0 ]
	[ "$(arrived '.*')" = 0 ]
}

@test "replies on inbound connections leave directly, 10 MB each way" {
	gateway
	sidecar
	bed_spawn app server "$PEER" serve 7000 --mode echo
	bed_wait_line server ready
	run bed_exec outside "$PEER" transfer "$BED_APP" 7000 --bytes 10000000 --timeout 20
	echo "$output"
	[ "$status" -eq 0 ]
	run bed_exec outside "$PEER" transfer "$BED_APP6" 7000 --bytes 10000000 --timeout 20
	echo "$output"
	[ "$status" -eq 0 ]
	bed_exec neighbour "$PEER" transfer "$BED_APP" 7000 --bytes 1000000 --timeout 20
	[ "$(counter reply)" -gt 100 ]
	[ "$(counter guard_drops)" = 0 ]
	[ "$(arrived '.*')" = 0 ]
}

# largest_packet DEVICE COMMAND... - prints the size of the largest packet that left by the device (lo, eth0)
# while the command ran, bytes.
largest_packet() {
	local device=$1
	shift
	bed_spawn app sniffer "$PEER" sniff --device "$device" --timeout 60 --count-dst 0.0.0.0/0
	bed_wait_line sniffer ready >&2
	"$@" >&2 || return
	bed_kill sniffer >&2
	# The sniffer fails when it missed a packet.
	bed_wait_line sniffer "result=ok" >&2
	bed_log sniffer | tail -n 1 | bed_value largest
}

@test "packets over lo exceed 64 KiB, and packets that leave fit the device" {
	bed_needs_linux 6.3 "BIG TCP over IPv4"
	settings() {
		bed_exec app ip -d link show lo | grep -o "gso_max_[a-z]* [0-9]*"
	}
	before=$(settings)
	gateway --map-all "$BED_NEIGHBOUR:7000"
	bed_spawn neighbour sink "$PEER" serve 7000 --mode sink
	bed_wait_line sink ready
	bed_spawn app server "$PEER" serve 7001 --mode echo
	bed_wait_line server ready
	sidecar
	exceeds() {
		[ "$(largest_packet lo bed_exec app "$PEER" transfer "$1" 9000 \
			--bytes 50000000 --direction up --timeout 20)" -gt 100000 ]
	}
	# On a busy machine TCP may not fill such a packet during a whole transfer.
	for destination in 192.0.2.77 2001:db8:9::9; do
		bed_until 30 exceeds "$destination"
	done
	for local in "$BED_APP" "$BED_APP6"; do
		largest=$(largest_packet eth0 bed_exec outside "$PEER" transfer "$local" 7001 \
			--bytes 50000000 --timeout 20)
		[ "$largest" -gt 30000 ]
		[ "$largest" -lt 65536 ]
	done
	# Packets that large do not fit a device with larger segments, so lo gets its old settings.
	bed_exec app ip link add big mtu 9000 type veth peer name other
	usual() { [ "$(settings)" = "$before" ]; }
	bed_until 5 usual
	bed_exec app ip link delete big
	large() { ! usual; }
	bed_until 5 large
	bed_kill sidecar
	usual
}

@test "inbound UDP is answered" {
	gateway
	sidecar
	bed_spawn app server "$PEER" udp-serve 7000
	bed_wait_line server ready
	bed_exec outside "$PEER" udp "$BED_APP" 7000 --send hello
	bed_exec outside "$PEER" udp "$BED_APP6" 7000 --send hello
}

@test "outbound and inbound traffic work with each rp_filter and src_valid_mark" {
	gateway
	bed_spawn app server "$PEER" serve 7000 --mode echo
	bed_wait_line server ready
	for rp_filter in 0 1 2; do
		for mark in 0 1; do
			bed_exec app sh -c "echo $rp_filter >/proc/sys/net/ipv4/conf/all/rp_filter
				echo $rp_filter >/proc/sys/net/ipv4/conf/eth0/rp_filter
				echo $mark >/proc/sys/net/ipv4/conf/all/src_valid_mark"
			sidecar
			connect 192.0.2.77 80 --send hello --half-close --read-all
			bed_exec outside "$PEER" transfer "$BED_APP" 7000 --bytes 100000
			bed_kill sidecar
			# The sidecar has restored the settings.
			run bed_exec app sh -c 'cat /proc/sys/net/ipv4/conf/eth0/rp_filter /proc/sys/net/ipv4/conf/eth0/accept_local'
			[ "$output" = "$rp_filter"$'\n'0 ]
		done
	done
}

@test "one 4-tuple reconnects 40 times through TIME_WAIT" {
	gateway
	sidecar
	run bed_exec app "$PEER" reconnect 192.0.2.77 80 --source-port 40123 --times 40 --timeout 60
	echo "$output"
	[ "$status" -eq 0 ]
	[ "$(arrived 192.0.2.77:80)" = 40 ]
}

@test "sockets bound to a device are steered as well" {
	gateway
	sidecar
	sniff_start
	connect 192.0.2.77 80 --bind-device eth0 --send hello --half-close --read-all
	connect 2001:db8:9::9 80 --bind-device eth0 --send hello --half-close --read-all
	[ "$(arrived 192.0.2.77:80)" = 1 ]
	[ "$(arrived '\[2001:db8:9::9\]:80')" = 1 ]
	[ "$(leaks)" = 0 ]
}

guard_dropped() {
	[ "$(counter guard_drops)" -ge "$1" ]
}

@test "raw and packet sockets are stopped at the device" {
	bed_needs_linux 5.16 "the egress hook of nftables"
	bed_needs_linux 5.16 "the egress hook of nftables"
	gateway
	sidecar
	sniff_start
	for mode in syn data udp; do
		bed_exec app "$PEER" raw-send 192.0.2.77 80 --mode $mode || true
		bed_exec app "$PEER" packet-send 192.0.2.77 80 --mode $mode --device eth0 || true
	done
	bed_until 5 guard_dropped 3
	[ "$(leaks)" = 0 ]
}

@test "UDP to other ports is denied by default, and passes with --udp pass" {
	gateway
	bed_spawn world server "$PEER" udp-serve 7000
	bed_wait_line server ready
	sidecar
	run datagram 192.0.2.1 7000 --send hello --timeout 1
	[ "$status" -ne 0 ]
	[ "$(counter deny_udp)" -ge 1 ]
	bed_kill sidecar
	sidecar --udp pass
	datagram 192.0.2.1 7000 --send hello
}

@test "DNS is relayed to the resolver that was asked, and its answer comes from there" {
	gateway
	resolver
	sidecar
	for resolver in 1.1.1.1 8.8.8.8 2001:db8::1; do
		run query example.test A "@$resolver"
		echo "$output"
		[ "$status" -eq 0 ]
		[[ $output == *"$resolver"* ]]
	done
	[ "$(counter steer_dns)" = 3 ]
}

@test "without a default route a DNS query is answered at once and does not loop" {
	gateway
	bed_exec app sh -c 'ip route del default; ip -6 route del default'
	sidecar
	for resolver in 1.1.1.1 2001:db8::1; do
		run query example.test A "@$resolver"
		echo "$output"
		[[ $output == *rcode=servfail* ]]
	done
	[ "$(counter steer_dns)" = 2 ]
	# The proxy sends a few packets for each query, and the kernel refuses each.
	own=$(counter own)
	echo "own packets: ${own:-0}"
	[ "${own:-0}" -le 10 ]
}

@test "a gateway outside the bridge is reached by the proxy's own connections" {
	bed_spawn world gateway "$SIDESTEP" gateway --listen "192.0.2.1:8080" --server --log
	bed_until 5 bed_listening world 8080
	sidecar_spawn --gateway 192.0.2.1:8080
	bed_wait_line sidecar "interception is live" 10
	connect 192.0.2.77 80 --send hello --half-close --read-all
	connect 192.0.2.1 8080 --send hello --half-close --read-all
	if [[ $DATAPATH == nft* ]]; then
		# This datapath bypasses the gateway's address for the application as well.
		[ "$(arrived 192.0.2.1:8080)" = 0 ]
		return
	fi
	# The application's own connections to that address are intercepted.
	[ "$(arrived 192.0.2.1:8080)" = 1 ]
	[ "$(counter own)" -gt 0 ]
}

@test "a second network is joined and left while the sidecar runs" {
	gateway
	sidecar
	bed_join_second_network
	bed_spawn neighbour2 server "$PEER" serve 7000 --mode http
	bed_wait_line server ready
	connect "$BED_NEIGHBOUR2" 7000 --send $'GET / HTTP/1.0\r\n\r\n' --expect "$BED_APP2"
	connect 192.0.2.77 80 --send hello --half-close --read-all
	bed_wait_line sidecar "bypass: $BED_SUBNET2 interface"
	# The guard is on the new device as well.
	connect 192.0.2.77 80 --bind-device eth1 --send hello --half-close --read-all
	bed_leave_second_network
	bed_wait_line sidecar "bypass: $BED_SUBNET2 removed"
	connect 192.0.2.77 80 --send hello --half-close --read-all
	[ "$(arrived 192.0.2.77:80)" = 3 ]
}

@test "a socket accepted from outside is steered when it connects anew" {
	gateway
	sidecar
	scenario_turned_socket
}

@test "a SYN from outside with a steered connection's endpoints does not free that connection" {
	gateway
	sidecar
	scenario_same_endpoints
}

@test "the kernel's answer to a packet of an unknown connection leaves before the start, and not after it" {
	gateway
	[ "$(stray)" = 1 ]
	sidecar
	[ "$(stray)" = 0 ]
}

@test "after a clean stop nothing leaves of connections with unsent bytes" {
	gateway
	sidecar --drain 0
	scenario_clean_stop
}

@test "after SIGKILL connections fail at once, nothing leaks, and a new sidecar takes over" {
	gateway
	bed_spawn app server "$PEER" serve 7000 --mode hold
	bed_wait_line server ready
	sidecar
	# This inbound connection stays open.
	bed_spawn outside client "$PEER" stall "$BED_APP" 7000 --bytes 10
	bed_until 5 bed_exec app sh -c "ss -Htn state established '( sport = :7000 )' | grep -q ."
	sniff_start
	bed_kill sidecar KILL
	for target in 192.0.2.77 2001:db8:9::9; do
		run connect $target 80 --send hello --read-all --timeout 3
		echo "$output"
		[ "$status" -ne 0 ]
		[[ $output != *timeout* ]]
	done
	[ "$(leaks)" = 0 ]
	sidecar
	connect 192.0.2.77 80 --send hello --half-close --read-all
	connect 2001:db8:9::9 80 --send hello --half-close --read-all
	grep -q "1 connections from outside were open already" "$BED_DIR/sidecar.log"
}
