#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# `sidestep explain`. That it agrees with real connections is tested by every use of `connect`, `datagram` and `query`
# (lib/explained.bash). Here are its steps, its reasons, and what it leaves behind.

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

# explain STATUS [ARGUMENT...] - asks in the application's namespace, puts the answer into $output and compares the status.
explain() {
	local expected=$1
	shift
	run bed_exec app "$SIDESTEP" explain "$@"
	echo "$output"
	[ "$status" = "$expected" ]
}

# says STEP REGEX - the answer has such a line.
says() {
	grep -qE "^  $1 +$2" <<<"$output" || fail "no line '$1 $2'"
}

@test "each step of an intercepted connection is told, and a gateway that is gone" {
	own_sidecar
	explain 0 192.0.2.77:80
	says route "local by lo, table 9301 \(rule 103\), source $BED_APP"
	says lo_egress "keeps it"
	says steer "hands it to the proxy's listener, counts steer_tcp"
	says gateway "$BED_HOST:8080 accepts connections"
	says destination "192.0.2.77 is in no bypassed subnet"
	says source "$BED_APP is in $BED_APP/32: local"
	[[ $output == *$'\nintercepted (steer_tcp)' ]]
	explain 0 2001:db8::77
	[[ ${lines[0]} == "tcp $BED_APP6 -> [2001:db8::77]:443, steered by own programs" ]]
	explain 0 --device eth0 192.0.2.77:80
	says route "local by lo, table 9302 \(rule 102\)"
	# In the sidecar's container it has no right to open programs, and the sidecar hands them out.
	run bed_exec app "${NET_ADMIN[@]}" "$SIDESTEP" explain --json 192.0.2.77:80
	echo "$output"
	[[ $output == *'"datapath": "own programs"'*'"outcome": "intercepted"'* ]]
	bed_kill gateway
	explain 4 192.0.2.77:80
	says gateway "$BED_HOST:8080 cannot be reached: Connection refused"
	explain 0 --ask-gateway=false 192.0.2.77:80
	# A DNS query does not go there. Options may stand behind the addresses.
	explain 0 "$BED_APP" 192.0.2.77:53 --udp
	says resolver "the proxy asks 192.0.2.77:53"
	explain 0 192.0.2.77:53 --udp --json
	[[ $output == *'"outcome": "intercepted"'*'"gateway_reachable": null'* ]]
}

@test "an address of zeros is this machine, and TCP reaches no broadcast or multicast address" {
	local way address broadcast=${BED_SUBNET%0/24}255
	bed_spawn app server "$PEER" serve 7000
	bed_until 5 bed_listening app 7000
	for way in own nft; do
		"${way}_sidecar"
		connect 0.0.0.0 7000 --send x --half-close --read-all
		connect :: 7000 --send x --half-close --read-all
		explain 0 "[::]:7000"
		[[ $output == *$'\nlocal (local)' ]]
		for address in 0.0.0.0:7001 224.0.0.1:80 239.1.1.1:80 255.255.255.255:80 "$broadcast:80"; do
			! connect "${address%:*}" "${address##*:}"
		done
		! connect ff02::1 80
		! connect ff0e::1 80
		explain 0 "[ff02::1]"
		says sender "is told: Network is unreachable"
		[[ $output == *$'\n'unreachable ]]
		# UDP does. The nftables rules see the packet as that of a socket that may.
		explain 0 --udp "$broadcast:80"
		[[ $output == *$'\ndirect (bridge)' ]]
		explain 0 --udp "[ff02::1]:80"
		[[ $output == *$'\ndirect (link)' ]]
		bed_kill sidecar
	done
}

@test "the entry that decides is told with its origin, and so is a route that is missing" {
	own_sidecar --bypass 203.0.113.0/24
	explain 0 "$BED_NEIGHBOUR:7000"
	says dev_egress "lets it leave by eth0, counts bridge"
	says destination "$BED_NEIGHBOUR is in $BED_SUBNET: interface eth0"
	[[ $output == *$'\ndirect (bridge)' ]]
	explain 0 203.0.113.1:80
	says destination "203.0.113.1 is in 203.0.113.0/24: option --bypass"
	[[ $output == *$'\ndirect (bridge)' ]]
	explain 0 --udp 192.0.2.77:5000
	says lo_egress "answers with an ICMP error, counts deny_udp"
	explain 0 127.0.0.1:7000
	says socket "nobody listens at 127.0.0.1:7000"
	bed_exec app ip route add unreachable 203.0.113.7
	explain 0 203.0.113.7:80
	[[ $output == *unreachable || $output == *direct* ]]
}

@test "the rules of nftables are told, also others', and nothing is left of the question" {
	nft_sidecar
	explain 0 192.0.2.77:80
	says judge "goes to stay"
	says to_proxy "counts STEER_TCP"
	says destination "192.0.2.77 is in no bypassed subnet"
	says source "$BED_APP is in $BED_APP/32: local"
	explain 0 --udp 192.0.2.77:5000
	says judge "counts DENY_UDP, goes to drop_DENY_UDP \(the sender is told EPERM\)"
	says drop_DENY_UDP "drops it"
	says sender "is told: Operation not permitted"
	bed_exec app nft -f - <<-RULES
		table inet firewall {
			chain out {
				type filter hook output priority 0
				tcp dport 25 reject with tcp reset
			}
		}
	RULES
	explain 0 192.0.2.77:25
	says "firewall out" "drops it"
	[[ $output == *$'\n'refused* || $output == *$'\n'dropped* ]]
	[ "$(bed_exec app nft list tables | sort | xargs)" = "table inet firewall table inet sidestep table netdev sidestep" ]
	[ -z "$(bed_exec app ss -Htan '( dport = :80 or dport = :25 )')" ]
	[ "$(arrived '.*')" = 0 ]
}

@test "on the host the agent's programs and the outer guard answer for a container" {
	agent_sidecar
	run bed_exec host "$SIDESTEP" explain --netns "$(bed_netns app)" "$BED_NEIGHBOUR:7000"
	echo "$output"
	[ "$status" = 0 ]
	says dev_egress "lets it leave by eth0"
	says host_ingress "lets it pass \(the outer guard\)"
	[[ ${lines[0]} == *"steered by the host's agent" ]]
	run bed_exec app "${NET_ADMIN[@]}" "$SIDESTEP" explain 192.0.2.77:80
	echo "$output"
	[ "$status" = 1 ]
	[[ $output == *"cannot see who steers in this network namespace."* ]]
}

@test "bridge mode answers for a container's address, and before any sidecar nobody does" {
	explain 1 192.0.2.77:80
	[[ $output == *"Sidestep does not steer in this network namespace"* ]]
	bridge_sidecar
	run bed_exec host "$SIDESTEP" explain --json "$BED_APP" 192.0.2.77:80
	echo "$output"
	[ "$status" = 0 ]
	[[ $output == *'"datapath": "bridge mode"'*'"outcome": "intercepted"'*'"step": "bridge_ingress"'* ]]
	run bed_exec host "$SIDESTEP" explain --udp "$BED_APP" 192.0.2.77:5000
	says bridge_ingress "answers with an ICMP error, counts deny_udp"
	explain 2 nowhere
	[[ $output == *"'nowhere' is no IP address"*"Of a name ask about an address" ]]
	explain 1 --netns /dev/null 192.0.2.77
	[[ $output == *"/dev/null is no network namespace"* ]]
	explain 1 --netns /dev/null --container app 192.0.2.77
	[[ $output == *"--container and --netns exclude each other"* ]]
	explain 2 "$BED_APP6" 192.0.2.77:80
}

@test "a question leaves nothing that changes the answer to the next one from the same port (nftables without tproxy)" {
	redirect_sidecar
	# All sockets of the application have this port.
	bed_exec app sh -c 'echo 40001 40001 >/proc/sys/net/ipv4/ip_local_port_range'
	for _ in 1 2 3; do
		explain 0 --ask-gateway=false 192.0.2.77:80
		[[ $output == *$'\nintercepted (steer_tcp)' ]]
		explain 0 --ask-gateway=false 2001:db8::77
		[[ $output == *$'\nintercepted (steer_tcp)' ]]
		explain 0 --ask-gateway=false --udp 1.1.1.1:53
		[[ $output == *$'\nintercepted (steer_dns)' ]]
	done
}
