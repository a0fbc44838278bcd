#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Ordinary days of people who intercept containers: networks that come and go, tunnels, and containers inside the
# intercepted one. Each test has a control, as in field.bats.

load lib/testbed.bash
load lib/scenarios.bash
load lib/field.bash

# row 3: nobody to serve

# unplug, plug - the application's only device goes, or a new one comes.
unplug() {
	bed_exec app ip link delete eth0
}

plug() {
	_bed_plug app eth0 br0 $BED_APP $BED_APP6
	_bed_default_route app $BED_HOST $BED_HOST6
}

# reached - a connection to the outside arrives at the gateway.
reached() {
	local before
	before=$(arrived 192.0.2.77:80)
	connect 192.0.2.77 80 --send hello --half-close --read-all && [ "$(arrived 192.0.2.77:80)" -gt "$before" ]
}

# goes_on - the sidecar still runs when it would have ended.
goes_on() {
	run bed_wait_exit sidecar 2
	[ "$status" = 124 ]
	bed_until 5 reached
}

left_alone() { # START
	bed_spawn world server "$PEER" serve 80
	bed_wait_line server ready
	gateway
	"$1"
	reached
	# These lead nowhere by themselves.
	bed_exec app ip link add br-inner type bridge
	bed_exec app ip link add inner0 type veth peer name inner1
	bed_exec app ip link set inner0 master br-inner up
	bed_exec app ip link set br-inner up
	unplug
	run bed_wait_exit sidecar
	[ "$status" = 5 ]
	bed_log sidecar | grep -F "error: the last network device (eth0) that leads outside is gone"
	bed_log sidecar | grep -F "docker run --restart on-failure"
	# If somebody is left, and is connected again, nothing of it gets out until a sidecar steers.
	plug
	run connect 192.0.2.1 80 --send hello --expect hello --timeout 2
	echo "$output"
	[ "$status" -ne 0 ]
	[[ $output != *result=ok* ]]
	bed_kill agent
	"$1"
	bed_until 5 reached
	[ "$(bed_log server | grep -c "^accept")" = 0 ]
	# Control: the server would have answered.
	bed_kill sidecar
	bed_kill agent
	connect 192.0.2.1 80 --send hello --expect hello
}

@test "row 3: without a device that leads outside the sidecar ends with an error (own programs)" {
	left_alone own_sidecar
}

@test "row 3: without a device that leads outside the sidecar ends with an error (agent)" {
	left_alone agent_sidecar
}

@test "row 3: without a device that leads outside the sidecar ends with an error (nftables)" {
	left_alone nft_sidecar
}

@test "row 3: the agent says at once that a sidecar has nobody to serve" {
	gateway
	agent_sidecar
	unplug
	bed_wait_line agent "warning: .*has lost its last device that leads outside" 2
	run bed_wait_exit sidecar
	[ "$status" = 5 ]
}

other_devices_come() { # START
	gateway
	# Without a device from the start it waits.
	unplug
	"$1"
	run bed_wait_exit sidecar 2
	[ "$status" = 124 ]
	plug
	bed_until 5 reached
	# Another device takes the place, as after docker network disconnect and connect.
	unplug
	plug
	goes_on
	# The second network goes, and then the first one.
	bed_join_second_network
	bed_wait_line sidecar "bypass: $BED_SUBNET2 interface"
	bed_leave_second_network
	goes_on
	bed_join_second_network
	unplug
	run bed_wait_exit sidecar 2
	[ "$status" = 124 ]
	_bed_default_route app $BED_HOST2 fd31::1
	bed_exec host ip address add $BED_HOST/32 dev br1
	bed_until 5 reached
}

@test "row 3: a device that is replaced, and one of two networks, end nothing (own programs)" {
	other_devices_come own_sidecar
}

@test "row 3: a device that is replaced, and one of two networks, end nothing (agent)" {
	other_devices_come agent_sidecar
}

@test "row 3: a device that is replaced, and one of two networks, end nothing (nftables)" {
	other_devices_come nft_sidecar
}

# row 16: tunnels and policy routing

# tunnel DEVICE - joins the application to the world by a tunnel with MTU 1400: 10.8.0.2 and fd08::2 here. The
# world's 203.0.113.1 and 2001:db8:1::1 are beyond it.
tunnel() {
	[ -c /dev/net/tun ] || skip "CONFIG_TUN is needed: a TUN device"
	bed_spawn app tunnel "$PEER" tunnel "$1" "$(bed_netns world)" "$1"
	bed_wait_line tunnel ready
	_bed_ip app <<-COMMANDS
		address add 10.8.0.2/24 dev $1
		address add fd08::2/64 dev $1 nodad
		link set $1 mtu 1400 up
	COMMANDS
	_bed_ip world <<-COMMANDS
		address add 10.8.0.1/24 dev $1
		address add fd08::1/64 dev $1 nodad
		link set $1 mtu 1400 up
	COMMANDS
}

# tunnel_routes DEVICE - the main table leads there by the tunnel.
tunnel_routes() {
	_bed_ip app <<-COMMANDS
		route add 203.0.113.0/24 dev $1
		route add 2001:db8:1::/48 dev $1
	COMMANDS
}

# pinged SOURCE DESTINATION - prints how many of 3 echo requests from the world were answered.
pinged() {
	bed_exec world python3 -c '
import socket, sys
source, destination = sys.argv[1:]
ipv6 = ":" in source
family, protocol, kind = (socket.AF_INET6, 58, 128) if ipv6 else (socket.AF_INET, 1, 8)
client = socket.socket(family, socket.SOCK_RAW, protocol)
client.bind((source, 0))
client.settimeout(1)
answered = 0
for number in range(3):
    request = bytes([kind, 0, 0, 0, 7, 7, 0, number])
    total = sum(request[0::2]) * 256 + sum(request[1::2])
    if not ipv6:
        request = request[:2] + (65535 - total % 65535).to_bytes(2, "big") + request[4:]
    client.sendto(request, (destination, 0))
    try:
        while True:
            answer = client.recv(2048)[0 if ipv6 else 20:]
            if answer[0] == (129 if ipv6 else 0) and answer[4:8] == request[4:8]:
                answered += 1
                break
    except socket.timeout:
        pass
print(answered)' "$1" "$2"
}

# in_answers SOURCE DESTINATION - a client of the world gets 3 answers of 3 by TCP, UDP and ICMP.
in_answers() {
	for _ in 1 2 3; do
		bed_exec world "$PEER" connect "$2" 7000 --source "$1" --send hello --expect hello --timeout 1 &&
			bed_exec world "$PEER" udp "$2" 7001 --source "$1" --send hello --expect hello --timeout 1 ||
			return
	done
	[ "$(pinged "$1" "$2")" = 3 ]
}

tunnel_is_answered() { # START
	tunnel tun0
	tunnel_routes tun0
	serve_sizes
	in_answers 203.0.113.1 10.8.0.2
	in_answers 2001:db8:1::1 fd08::2
	gateway
	"$1"
	in_answers 203.0.113.1 10.8.0.2
	in_answers 2001:db8:1::1 fd08::2
	in_answers 10.8.0.1 10.8.0.2
	# A tunnel that comes later is another one.
	bed_kill tunnel TERM
	bed_wait_exit tunnel || true
	tunnel tun1
	tunnel_routes tun1
	bed_until 5 in_answers 203.0.113.1 10.8.0.2
	bed_until 5 in_answers 2001:db8:1::1 fd08::2
}

@test "row 16: what comes in by a tunnel is answered (own programs)" {
	tunnel_is_answered own_sidecar
}

@test "row 16: what comes in by a tunnel is answered (agent)" {
	tunnel_is_answered agent_sidecar
}

@test "row 16: what comes in by a tunnel is answered (nftables)" {
	tunnel_is_answered nft_sidecar
}

tunnel_is_judged() {
	local address device
	bed_spawn world sniff "$PEER" sniff --device tun0 --count-dst 203.0.113.0/24 --count-dst 2001:db8:1::/48 \
		--until-file "$BED_DIR/sniff-end"
	bed_wait_line sniff ready
	for address in 203.0.113.1 2001:db8:1::1; do
		connect "$address" 80 --send hello --half-close --read-all
		connect "$address" 80 --send hello --half-close --read-all --bind-device tun0
		for device in eth0 tun0; do
			at_once 100000 "unreachable|EACCES|EPERM" \
				bed_exec app "$PEER" udp "$address" 9 --send secret --bind-device $device --timeout 5
		done
		bed_exec app "$PEER" raw "$address" 9 --mode echo --socket inet --device tun0 || true
	done
	[ "$(arrived 203.0.113.1:80)" = 2 ]
	[ "$(arrived '\[2001:db8:1::1\]:80')" = 2 ]
	# Connections have the addresses that they would have without sidestep.
	[ "$(grep -c '"source":"10.8.0.2:' "$BED_DIR/gateway.log")" = 2 ]
	[ "$(grep -c '"source":"\[fd08::2\]:' "$BED_DIR/gateway.log")" = 2 ]
	[ "$(leaks)" = 0 ]
}

tunnel_is_steered() { # START
	tunnel tun0
	tunnel_routes tun0
	gateway
	"$1"
	tunnel_is_judged
}

@test "row 16: what goes out by a tunnel is steered or denied (own programs)" {
	tunnel_is_steered own_sidecar
}

@test "row 16: so is what goes out by a tunnel that comes later (own programs)" {
	gateway
	own_sidecar
	tunnel tun0
	tunnel_routes tun0
	guarded() { bed_programs bed_exec app | grep "tun0 .*l3_egress"; }
	bed_until 5 guarded
	tunnel_is_judged
}

@test "row 16: what goes out by a tunnel is steered or denied (agent)" {
	tunnel_is_steered agent_sidecar
}

@test "row 16: what goes out by a tunnel is steered or denied (nftables)" {
	tunnel_is_steered nft_sidecar
}

# vpn DEVICE - the tunnel has a table of its own, to which a rule leads all but the VPN's own packets (as wg-quick
# makes it). The main table keeps what is more specific than its default route.
vpn() {
	_bed_ip app <<-COMMANDS
		route add default dev $1 table 51820
		rule add not fwmark 51820 table 51820
		rule add table main suppress_prefixlength 0
	COMMANDS
	bed_exec app ip -6 -batch - <<-COMMANDS
		route add default dev $1 table 51820
		rule add not fwmark 51820 table 51820
		rule add table main suppress_prefixlength 0
	COMMANDS
}

# strict ADDRESS ADDRESS6 - the application's first network forwards nothing from these addresses of its.
strict() {
	bed_exec host nft -f - <<-RULES
		table inet strict {
			chain forward {
				type filter hook forward priority 0
				iifname br0 ip saddr $1 drop
				iifname br0 ip6 saddr $2 drop
			}
		}
	RULES
}

# tunnel_sizes SOURCE DESTINATION - what is larger than the tunnel's MTU arrives as well, both ways.
tunnel_sizes() {
	local size
	bed_exec world "$PEER" transfer "$2" 7000 --source "$1" --bytes 200000 --timeout 5 || return
	for size in 1340 1373 1473 9000; do
		run bed_exec world "$PEER" udp "$2" 7001 --source "$1" --send "$(head -c $size /dev/zero | tr '\0' u)" --timeout 2
		[[ $output == *"result=ok"*"bytes=$size "* ]] || return
	done
}

vpn_is_answered() { # START
	tunnel tun0
	vpn tun0
	strict 10.8.0.2 fd08::2
	serve_sizes
	resolver
	in_answers 203.0.113.1 10.8.0.2
	in_answers 2001:db8:1::1 fd08::2
	tunnel_sizes 203.0.113.1 10.8.0.2
	tunnel_sizes 2001:db8:1::1 fd08::2
	gateway
	"$1"
	in_answers 203.0.113.1 10.8.0.2
	in_answers 2001:db8:1::1 fd08::2
	tunnel_sizes 203.0.113.1 10.8.0.2
	tunnel_sizes 2001:db8:1::1 fd08::2
	# The proxy's own queries take the VPN as the application's would, and its connections are steered.
	sniff_start
	[ "$(answer good.test A @1.1.1.1)" = "noerror 192.0.2.7" ]
	[ "$(answer good.test A "@[2001:db8:1::1]:53")" = "noerror 192.0.2.7" ]
	run connect 192.0.2.77 80 --send hello --half-close --read-all
	echo "$output"
	[[ $output == *"local=10.8.0.2:"* ]]
	[ "$(arrived 192.0.2.77:80)" = 1 ]
	[ "$(leaks)" = 0 ]
}

@test "row 16: what comes in by a VPN with a table of its own is answered (own programs)" {
	vpn_is_answered own_sidecar
}

@test "row 16: what comes in by a VPN with a table of its own is answered (agent)" {
	vpn_is_answered agent_sidecar
}

@test "row 16: what comes in by a VPN with a table of its own is answered (nftables)" {
	vpn_is_answered nft_sidecar
}

# uplinks - the application's second network is a way to the world as well, for packets from its address there.
uplinks() {
	bed_join_second_network
	strict "$BED_APP2" "$BED_APP2_6"
	_bed_ip app <<-COMMANDS
		route add default via $BED_HOST2 table 200
		rule add from $BED_APP2 table 200
	COMMANDS
	bed_exec app ip -6 -batch - <<-COMMANDS
		route add default via fd31::1 table 200
		rule add from $BED_APP2_6 table 200
	COMMANDS
}

uplinks_answer() { # START
	uplinks
	serve_sizes
	in_answers "$BED_OUTSIDE" "$BED_APP2"
	in_answers "$BED_OUTSIDE6" "$BED_APP2_6"
	gateway
	"$1"
	in_answers "$BED_OUTSIDE" "$BED_APP2"
	in_answers "$BED_OUTSIDE6" "$BED_APP2_6"
	in_answers "$BED_OUTSIDE" "$BED_APP"
	in_answers "$BED_OUTSIDE6" "$BED_APP6"
	# Without the rule the kernel would answer by the first one.
	bed_exec app ip rule delete from "$BED_APP2" table 200
	bed_exec app ip -6 rule delete from "$BED_APP2_6" table 200
	silent_again() {
		! bed_exec world "$PEER" connect "$BED_APP2" 7000 --timeout 0.2 >/dev/null &&
			! bed_exec world "$PEER" connect "$BED_APP2_6" 7000 --timeout 0.2 >/dev/null
	}
	bed_until 5 silent_again
	in_answers "$BED_OUTSIDE" "$BED_APP"
}

@test "row 16: each of two uplinks answers what came in by it (own programs)" {
	uplinks_answer own_sidecar
}

@test "row 16: each of two uplinks answers what came in by it (agent)" {
	uplinks_answer agent_sidecar
}

@test "row 16: each of two uplinks answers what came in by it (nftables)" {
	uplinks_answer nft_sidecar
}

vpn_packets_pass() { # START
	tunnel tun0
	vpn tun0
	bed_spawn world vpn "$PEER" udp-serve 51820
	bed_wait_line vpn ready
	encapsulated() { # SERVER
		bed_exec app "$PEER" udp "$1" 51820 --mark 51820 --source "$BED_APP" --send hello --timeout 1
	}
	encapsulated "$BED_OUTSIDE"
	encapsulated "$BED_WORLD"
	gateway
	"$1" --bypass "$BED_OUTSIDE"
	encapsulated "$BED_OUTSIDE"
	! encapsulated "$BED_WORLD" || false
	connect 192.0.2.77 80 --send hello --half-close --read-all
	[ "$(arrived 192.0.2.77:80)" = 1 ]
}

@test "row 16: with --bypass of its server a VPN in the namespace gets through (own programs)" {
	vpn_packets_pass own_sidecar
}

@test "row 16: with --bypass of its server a VPN in the namespace gets through (agent)" {
	vpn_packets_pass agent_sidecar
}

@test "row 16: with --bypass of its server a VPN in the namespace gets through (nftables)" {
	vpn_packets_pass nft_sidecar
}

# Rules that come before ours, or select by more than addresses, are named by the log and the doctor.
rules_are_named() { # START
	local first="routing rules?:? 50 \(IPv4, table 51820\) comes before"
	local special="routing rules?:? 1000 \(IPv6, table 51820\) selects by more than addresses"
	tunnel tun0
	_bed_ip app <<-COMMANDS
		route add default dev tun0 table 51820
		rule add to 203.0.113.0/24 table 51820 priority 50
	COMMANDS
	gateway
	run bed_exec app "$SIDESTEP" doctor
	[[ $output =~ "warning "$first ]]
	[[ ! $output =~ $special ]]
	"$1"
	[[ $(bed_log sidecar) =~ "warning: the "$first ]]
	# One that comes later is named as well, and each once.
	bed_exec app ip -6 rule add fwmark 7 table 51820 priority 1000
	bed_wait_line sidecar "warning: the routing rule 1000 .*selects by more than addresses" 5
	bed_exec app ip address add 10.9.0.1/24 dev tun0
	bed_wait_line sidecar "bypass: 10.9.0.0/24 interface" 5
	[ "$(bed_log sidecar | grep -c "the routing rule")" = 2 ]
	run bed_exec app "$SIDESTEP" doctor
	[[ $output =~ "warning "$special ]]
	# The guard of the tunnel holds what the rule leads there.
	bed_spawn world sniff "$PEER" sniff --device tun0 --count-dst 203.0.113.0/24 --until-file "$BED_DIR/sniff-end"
	bed_wait_line sniff ready
	! connect 203.0.113.1 80 --timeout 0.5 || false
	[ "$(leaks)" = 0 ]
}

@test "row 16: rules that cannot be followed are named (own programs)" {
	rules_are_named own_sidecar
}

@test "row 16: rules that cannot be followed are named (agent)" {
	rules_are_named agent_sidecar
}

@test "row 16: rules that cannot be followed are named (nftables)" {
	rules_are_named nft_sidecar
}

# row 6: forwarded traffic

INNER=172.20.0.2 INNER_GATEWAY=172.20.0.1 INNER6=fd20::2 INNER_GATEWAY6=fd20::1
INNER2=172.21.0.2 INNER_GATEWAY2=172.21.0.1

# inner_container NAME BRIDGE ADDRESS GATEWAY - makes a container inside the application's, as an inner engine does:
# the namespace NAME behind a bridge of the application's namespace.
inner_container() {
	_bed_namespace "$1" || return
	_bed_ip app <<-COMMANDS || return
		link add $2 type bridge stp_state 0 forward_delay 0 mcast_snooping 0
		address add $4/24 dev $2
		link set $2 up
		link add $2-port type veth peer name eth0 netns $BED_DIR/ns/$1
		link set $2-port master $2 up
	COMMANDS
	_bed_ip "$1" <<-COMMANDS
		address add $3/24 dev eth0
		link set eth0 up
		route add default via $4
	COMMANDS
}

# inner_engine - the application's namespace forwards, masquerades, and publishes the port 8000 of `inner` as an
# inner engine does.
inner_engine() {
	bed_exec app sh -c '
		echo 1 >/proc/sys/net/ipv4/ip_forward
		echo 1 >/proc/sys/net/ipv6/conf/all/forwarding' || return
	bed_exec app nft -f - <<-RULES
		table inet engine {
			chain publish {
				type nat hook prerouting priority dstnat
				meta nfproto ipv4 fib daddr type local tcp dport 8000 dnat ip to $INNER:80
				meta nfproto ipv4 fib daddr type local udp dport 8000 dnat ip to $INNER:80
			}
			chain outgoing {
				type nat hook postrouting priority srcnat
				ip saddr $INNER_GATEWAY/24 oifname != inner0 masquerade
				ip saddr $INNER_GATEWAY2/24 oifname != inner2 masquerade
				ip6 saddr $INNER_GATEWAY6/64 oifname != inner0 masquerade
			}
		}
	RULES
}

# inner_make - both, with the containers inner and inner2 on bridges of their own. inner has IPv6, too.
inner_make() {
	inner_engine && inner_container inner inner0 $INNER $INNER_GATEWAY &&
		inner_container inner2 inner2 $INNER2 $INNER_GATEWAY2 || return
	bed_exec app ip address add $INNER_GATEWAY6/64 dev inner0 nodad || return
	_bed_ip inner <<-COMMANDS
		address add $INNER6/64 dev eth0 nodad
		route add default via $INNER_GATEWAY6
	COMMANDS
}

inner_connect() { # HOST PORT [ARGUMENT...]
	bed_exec inner "$PEER" connect "$@" --send hello --half-close --read-all
}

# inner_servers - servers in the world, in the containers inside, in the application and in its neighbour.
inner_servers() {
	bed_spawn world server "$PEER" serve 443
	bed_spawn world udp_server "$PEER" udp-serve 7000
	bed_spawn inner published "$PEER" serve 80
	bed_spawn inner udp_published "$PEER" udp-serve 80
	bed_spawn inner2 beside "$PEER" serve 5432
	bed_spawn app own "$PEER" serve 7001
	bed_spawn neighbour near "$PEER" serve 7002
	for name in server udp_server published udp_published beside own near; do
		bed_wait_line "$name" ready
	done
	resolver
}

# Everything that needs no interception, from inside and to the inside.
inner_untouched() {
	inner_connect $INNER2 5432
	inner_connect $INNER_GATEWAY 7001
	inner_connect "$BED_APP" 7001
	inner_connect "$BED_NEIGHBOUR" 7002
	bed_exec app "$PEER" connect $INNER 80 --send hello --half-close --read-all
	bed_exec outside "$PEER" connect "$BED_APP" 8000 --send hello --half-close --read-all
	bed_exec outside "$PEER" udp "$BED_APP" 8000
	bed_exec neighbour "$PEER" connect "$BED_APP" 8000 --send hello --half-close --read-all
}

# inner_denied HOST - a datagram from inside gets an error at once.
inner_denied() {
	at_once 100000 "unreachable|EACCES" bed_exec inner "$PEER" udp "$1" 7000 --timeout 3
}

inner_answer() { # NAME [ARGUMENT...]
	local line
	line=$(bed_exec inner "$PEER" dns "$1" A @1.1.1.1 "${@:2}") || true
	echo "dns $*: $line" >&2
	echo "$(bed_value rcode "$line") $(bed_value data "$line")"
}

forwarded() { # START
	inner_make
	inner_servers
	# Without Sidestep the containers inside reach the world directly.
	inner_connect "$BED_WORLD" 443
	bed_exec inner "$PEER" udp "$BED_WORLD" 7000
	[ "$(inner_answer good.test)" = "noerror 192.0.2.7" ]
	inner_untouched
	bed_kill server
	bed_kill resolver
	gateway
	resolver
	sniff_start
	"$1" --made-up "*.mine.test"
	[ "$(grep -c "inner device inner[02]: what containers behind it send is steered" "$BED_DIR/sidecar.log")" -ge 2 ]
	inner_connect "$BED_WORLD" 443
	inner_connect "$BED_WORLD6" 443
	bed_exec inner2 "$PEER" connect 203.0.113.1 80 --send hello --half-close --read-all
	for destination in "$BED_WORLD:443" "\[$BED_WORLD6\]:443" 203.0.113.1:80; do
		[ "$(arrived "$destination")" = 1 ]
	done
	grep -q "\"source\":\"$INNER2:" "$BED_DIR/gateway.log"
	inner_untouched
	inner_denied "$BED_WORLD"
	inner_denied "$BED_WORLD6"
	bed_exec inner "$PEER" raw "$BED_WORLD" 9 --mode echo --socket inet --device eth0
	[ "$(leaks)" = 0 ]
	# The relay asks the resolver in the world.
	[ "$(inner_answer good.test)" = "noerror 192.0.2.7" ]
	[ "$(inner_answer nx.mine.test)" = "noerror 11.0.0.1" ]
	[ "$(counter deny_udp)" -ge 2 ]
	[ "$(counter deny_protocol)" -ge 1 ]
	[ "$(grep -c destination "$BED_DIR/gateway.log")" = 3 ]
}

@test "row 6: containers inside are intercepted, and their published ports answer (own programs)" {
	forwarded own_sidecar
}

@test "row 6: containers inside are intercepted, and their published ports answer (agent)" {
	forwarded agent_sidecar
	# The outer guard is not missed at inner devices.
	run grep "no guard stands outside" "$BED_DIR/agent.log"
	[ "$status" -ne 0 ]
}

@test "row 6: containers inside are intercepted, and their published ports answer (nftables)" {
	forwarded nft_sidecar
}

# inner_comes_and_goes START - an inner device that comes later is followed. A network that is joined is none.
inner_comes_and_goes() {
	gateway
	"$1" --udp pass
	udp_server
	inner_engine
	inner_container inner inner0 $INNER $INNER_GATEWAY
	bed_wait_line sidecar "inner device inner0: "
	connected() {
		bed_exec inner "$PEER" connect "$1" 443 --send hello --half-close --read-all --timeout 1
	}
	bed_until 5 connected 192.0.2.77
	[ "$(arrived 192.0.2.77:443)" = 1 ]
	bed_exec inner "$PEER" udp "$BED_WORLD" 7000
	bed_exec app ip link delete inner0-port
	bed_exec app ip link delete inner0
	bed_wait_line sidecar "bypass: 172.20.0.0/24 removed"
	inner_rules() {
		bed_exec app ip rule show | grep -c "iif inner" || true
	}
	no_inner_rules() {
		[ "$(inner_rules)" = 0 ]
	}
	bed_until 5 no_inner_rules
	bed_join_second_network
	bed_wait_line sidecar "bypass: $BED_SUBNET2 interface"
	inner_container inner3 inner3 $INNER2 $INNER_GATEWAY2
	bed_wait_line sidecar "inner device inner3: "
	run grep "inner device eth" "$BED_DIR/sidecar.log"
	[ "$status" -ne 0 ]
	# A bridge is no inner one from the moment when a port of it leads outside.
	bed_exec app ip link set eth1 master inner3
	bed_until 5 no_inner_rules
}

@test "row 6: inner devices that come and go are followed, and a joined network is none (own programs)" {
	inner_comes_and_goes own_sidecar
	bed_programs bed_exec app | grep "eth1 .*dev_egress"
	bed_programs bed_exec app | grep "inner3 .*dev_egress"
	run grep "inner3 .*bridge_" <(bed_programs bed_exec app)
	[ "$status" -ne 0 ]
}

@test "row 6: inner devices that come and go are followed, and a joined network is none (agent)" {
	inner_comes_and_goes agent_sidecar
	bed_programs bed_exec app | grep "eth1 .*dev_egress"
	bed_programs bed_exec app | grep "inner3 .*dev_egress"
	run grep "inner3 .*bridge_" <(bed_programs bed_exec app)
	[ "$status" -ne 0 ]
}

@test "row 6: inner devices that come and go are followed, and a joined network is none (nftables)" {
	inner_comes_and_goes nft_sidecar
	bed_exec app nft list table netdev sidestep | grep "device \"eth1\""
}

# inner_off START - with --inner off a line says so, and nothing gets out from inside.
inner_off() {
	inner_make
	inner_servers
	inner_connect "$BED_WORLD" 443
	sniff_start
	gateway
	"$1" --inner off
	[ "$(grep -c "inner device inner0: containers behind it reach nothing outside.*--inner off" "$BED_DIR/sidecar.log")" = 1 ]
	run inner_connect "$BED_WORLD" 443 --timeout 0.3
	[ "$status" -ne 0 ]
	connect 192.0.2.77 80 --send hello --half-close --read-all
	[ "$(leaks)" = 0 ]
	[ "$(grep -c destination "$BED_DIR/gateway.log")" = 1 ]
}

# inner_doctor LINE - the doctor says so of inner devices.
inner_doctor() {
	bed_exec app "$SIDESTEP" doctor --gateway "$BED_HOST:8080" | grep "inner devices: $1"
}

@test "row 6: the doctor names inner devices, and a sidecar that does not steer them" {
	gateway
	inner_doctor none
	inner_make
	inner_doctor "inner0 inner2: a sidecar steers"
	own_sidecar --inner off
	bed_exec app "$SIDESTEP" doctor --gateway "$BED_HOST:8080" | grep "^warning inner devices: inner0 inner2 are not steered \[inner-unsteered]"
	bed_kill sidecar
	own_sidecar
	inner_doctor "inner0 inner2: what containers behind them send is steered"
}

@test "row 6: --inner off says what containers inside lack (own programs)" {
	inner_off own_sidecar
}

@test "row 6: --inner off says what containers inside lack (agent)" {
	inner_off agent_sidecar
}

@test "row 6: --inner off says what containers inside lack (nftables)" {
	inner_off nft_sidecar
}

@test "row 6: without tproxy the log and the doctor name inner devices that nobody steers" {
	inner_make
	gateway
	sniff_start
	own_sidecar --datapath nft-redirect
	grep -q "inner device inner0: containers behind it reach nothing outside.*the kernel lacks nft_tproxy" "$BED_DIR/sidecar.log"
	bed_exec app "$SIDESTEP" doctor --gateway "$BED_HOST:8080" | grep -A2 "^warning inner devices: inner0 inner2 are not" | grep nft_tproxy
	connect 192.0.2.77 443 --send hello --half-close --read-all
	run inner_connect "$BED_WORLD" 443 --timeout 0.3
	[ "$status" -ne 0 ]
	[ "$(leaks)" = 0 ]
}

# inner_killed LIMIT START... - after SIGKILL nothing gets out from inside, and the sender hears it within LIMIT us.
inner_killed() {
	local limit=$1
	inner_make
	gateway
	"${@:2}"
	inner_connect 192.0.2.77 443
	sniff_start
	bed_kill sidecar KILL
	# The last of its threads may outlive the one that is waited for.
	nobody_listens() {
		[ -z "$(bed_exec app ss -Hltn)" ]
	}
	bed_until 5 nobody_listens
	for address in $BED_WORLD $BED_WORLD6; do
		at_once "$limit" "refused|unreachable|EACCES" bed_exec inner "$PEER" connect "$address" 443 --timeout 3
		run bed_exec inner "$PEER" udp "$address" 7000 --timeout 0.3
		[ "$status" -ne 0 ]
	done
	[ "$(leaks)" = 0 ]
}

@test "row 6: after SIGKILL nothing gets out from inside (own programs)" {
	inner_killed 100000 own_sidecar
}

@test "row 6: after SIGKILL nothing gets out from inside (agent)" {
	inner_killed 100000 agent_sidecar
}

@test "row 6: after SIGKILL nothing gets out from inside (nftables)" {
	inner_killed 100000 nft_sidecar
}

# bridge_frames - the application makes its uplink a port of its bridge own0, sends frames to the world by that, and
# prints how many the world got. Without neighbours of its own the bridge floods them.
bridge_frames() {
	local mac mode world
	mac=$(bed_exec host ip -o link show br0 | grep -oP 'link/ether \K\S+')
	_bed_ip app <<-COMMANDS
		neigh replace $BED_HOST lladdr $mac dev own0 nud permanent
		link set eth0 master own0
	COMMANDS
	rm -f "$BED_DIR/sniff-end"
	sniff_start >&2
	for world in "$BED_WORLD" "$BED_WORLD6"; do
		for mode in udp syn; do
			bed_exec app "$PEER" raw "$world" 9 --device own0 --gateway "$BED_HOST" --mode "$mode" --send secret >&2 || true
		done
	done
	leaks
	bed_exec app ip link set eth0 nomaster
}

# bridge_is_no_way_out START - a bridge that counts as inner lets nothing out by an uplink that becomes its port.
bridge_is_no_way_out() {
	gateway
	bed_exec app ip link add own0 type bridge
	bed_exec app ip link set own0 up
	# Neither side has to find the other's address while packets are counted.
	bed_exec app "$PEER" udp "$BED_WORLD" 9 --timeout 0.3 || true
	bed_exec app "$PEER" udp "$BED_WORLD6" 9 --timeout 0.3 || true
	[ "$(bridge_frames)" -gt 0 ]
	"$1"
	bed_wait_line sidecar "inner device own0: "
	[ "$(bridge_frames)" = 0 ]
}

@test "row 6: a bridge that counts as inner lets nothing out by its uplink (own programs)" {
	bridge_is_no_way_out own_sidecar
}

@test "row 6: a bridge that counts as inner lets nothing out by its uplink (agent)" {
	bridge_is_no_way_out agent_sidecar
}

@test "row 6: a bridge that counts as inner lets nothing out by its uplink (nftables)" {
	bridge_is_no_way_out nft_sidecar
}

# engine_inside [SIDECAR-ARGUMENT...] - a real Docker engine inside the intercepted container: its namespace is the
# application's, and the gateway is its neighbour. DATAPATH is the sidecar's.
engine_inside() {
	local container_connect=(/bin/peer connect --send hello --half-close --read-all)
	bed_stop
	engine_start
	engine_exec sh -c 'echo nameserver 1.1.1.1 >/etc/resolv.conf'
	engine_image test "$PEER:/bin/peer"
	dk network create own >/dev/null
	dk run -d --name web -p 8000:80 test /bin/peer serve 80 >/dev/null
	dk run -d --name db --network own -p 8001:5432 test /bin/peer serve 5432 >/dev/null
	resolver
	bed_spawn world server "$PEER" serve 443
	bed_wait_line server ready
	bed_spawn world gateway "$SIDESTEP" gateway --server --log --listen "$BED_OUTSIDE:8080"
	bed_until 5 bed_listening world 8080
	published() {
		bed_exec world "$PEER" connect "$BED_UPLINK" "$1" --send hello --half-close --read-all
	}
	# Without Sidestep they reach the world directly.
	dk exec web "${container_connect[@]}" "$BED_WORLD" 443
	dk exec db "${container_connect[@]}" "$BED_WORLD" 443
	published 8000
	published 8001
	bed_kill server
	if [ "$DATAPATH" = nft ]; then
		set -- --datapath nft "$@"
	fi
	bed_spawn engine sidecar "$SIDESTEP" sidecar --gateway "$BED_OUTSIDE:8080" "$@"
	bed_wait_line sidecar "interception is live" 10
	dk exec web "${container_connect[@]}" "$BED_WORLD" 443
	dk exec db "${container_connect[@]}" 203.0.113.1 443
	[ "$(arrived "$BED_WORLD:443")$(arrived 203.0.113.1:443)" = 11 ]
	# The engine's resolver asks for containers of its networks.
	[[ $(dk exec web /bin/peer dns good.test A @1.1.1.1) == *data=192.0.2.7* ]]
	[[ $(dk exec db /bin/peer dns good.test A @127.0.0.11) == *data=192.0.2.7* ]]
	[[ $(dk exec db /bin/peer dns db A @127.0.0.11) == *data=$(engine_address db own)* ]]
	published 8000
	published 8001
	# A container that comes later, with a port of its own.
	dk network create later >/dev/null
	dk run -d --name late --network later -p 8002:80 test /bin/peer serve 80 >/dev/null
	bed_until 5 published 8002
	dk exec late "${container_connect[@]}" 203.0.113.7 443
	[ "$(arrived 203.0.113.7:443)" = 1 ]
	dk exec late "${container_connect[@]}" "$(engine_exec ip -4 -o address show docker0 | awk '{ sub("/.*", "", $4); print $4 }')" 8000
	dk exec late /bin/peer transfer 203.0.113.8 9000 --bytes 20000000
	[ "$(grep -c destination "$BED_DIR/gateway.log")" = 4 ]
}

@test "row 6: containers of a real engine are intercepted (own programs)" {
	engine_inside
}

@test "row 6: containers of a real engine are intercepted (nftables)" {
	DATAPATH=nft
	engine_inside
}
