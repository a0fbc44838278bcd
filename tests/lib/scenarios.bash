# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154 # bats sets status and output
# What holds of a sidecar whichever way it steers: for the .bats files of the datapaths, which set
# DATAPATH (bpf, nft). Needs testbed.bash and an open bed.

SIDE_PIN() { echo "$BED_BPFFS/sidestep/app"; }

# gateway [ARGUMENT...] - the reference gateway on the bridge's address; answers tunnels itself
# unless told otherwise.
gateway() {
	[ $# -gt 0 ] || set -- --server
	bed_spawn host gateway "$SIDESTEP" gateway --listen "$BED_HOST:8080" --listen "[$BED_HOST6]:8080" --log "$@"
	bed_until 5 bed_listening host 8080
}

bed_listening() {
	bed_exec "$1" sh -c 'ss -Hltn "sport = :$0" | grep -q .' "$2"
}

# sidecar_spawn [ARGUMENT...] - in the application's namespace, with the rights that its datapath has.
sidecar_spawn() {
	if [ "$DATAPATH" = nft ]; then
		bed_spawn app sidecar setpriv --bounding-set=-all,+net_admin --inh-caps=-all \
			"$SIDESTEP" sidecar --datapath nft "$@"
	else
		bed_spawn app sidecar "$SIDESTEP" sidecar --pin "$(SIDE_PIN)" "$@"
	fi
}

# sidecar [ARGUMENT...] - the same; returns when interception is live.
sidecar() {
	sidecar_spawn --gateway "$BED_HOST:8080" "$@"
	bed_wait_line sidecar "interception is live" 10
}

# arrived DESTINATION - how many CONNECTs for it the gateway has logged.
arrived() {
	grep -c "\"destination\":\"$1\"" "$BED_DIR/gateway.log" || true
}

# counter NAME - a verdict's, or another of enum sidestep_verdict, in small letters.
counter() {
	if [ "$DATAPATH" = nft ]; then
		bed_exec app nft list ruleset | awk -v "name=${1^^}" '
			$1 == "counter" { inside = $2 == name }
			$1 == "packets" && inside { sum += $2 }
			END { print sum + 0 }'
	else
		"$SIDESTEP" status --json --pin "$(SIDE_PIN)" | grep -oE "\"$1\": [0-9]+" | grep -oE '[0-9]+$'
	fi
}

# sniff_start / sniff_total - counts packets of the bridge's uplink to addresses of the internet.
sniff_start() {
	bed_spawn host sniff "$PEER" sniff --device uplink --count-dst 192.0.2.0/24 \
		--count-dst 1.1.1.1/32 --count-dst 203.0.113.0/24 --count-dst 2001:db8::/32 \
		--until-file "$BED_DIR/sniff-end"
	bed_wait_line sniff ready
}

# leaks - how many packets the sniffer counted to the internet's addresses.
leaks() {
	touch "$BED_DIR/sniff-end"
	bed_wait_exit sniff || return
	bed_log sniff >&2
	bed_log sniff | grep -oE 'to_(tcp|udp|icmp|fragment|other)=[0-9]+' |
		awk -F= '{ sum += $2 } END { print sum + 0 }'
}

connect() {
	bed_exec app "$PEER" connect "$@"
}

guard_dropped() {
	[ "$(counter guard_drops)" -ge "$1" ]
}

# TCP to addresses that do not exist arrives at the gateway, v4, v6 and any port.
scenario_any_port() {
	gateway
	sidecar
	for target in "192.0.2.77 80" "192.0.2.77 25" "203.0.113.9 6667" "2001:db8:9::9 443"; do
		# shellcheck disable=SC2086
		run connect $target --send hello --half-close --read-all
		echo "$output"
		[ "$status" -eq 0 ]
		[[ $output == *"result=ok"* ]]
		# What getpeername says is what was asked for.
		[[ $output == *"peer=${target% *}:${target#* }"* || $output == *"peer=[${target% *}]:${target#* }"* ]]
	done
	[ "$(arrived 192.0.2.77:25)" = 1 ]
	[ "$(arrived '\[2001:db8:9::9\]:443')" = 1 ]
	[ "$(counter steer_tcp)" = 4 ]
}

# the neighbour and the bridge's address are reached directly.
scenario_direct() {
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
	[ ! -s "$BED_DIR/gateway.log" ]
}

# replies of inbound connections leave, wherever they go, 10 MB each way.
scenario_replies() {
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
	[ ! -s "$BED_DIR/gateway.log" ]
}

# @device=lo or eth0, @then a command that sends: the largest packet that left by the device, bytes.
largest_packet() {
	local device=$1
	shift
	bed_spawn app sniffer "$PEER" sniff --device "$device" --timeout 60 --count-dst 0.0.0.0/0
	bed_wait_line sniffer ready >&2
	"$@" >&2 || return
	bed_kill sniffer >&2
	# It must have seen all: no drops.
	bed_wait_line sniffer "result=ok" >&2
	bed_log sniffer | tail -n 1 | bed_value largest
}

# what is steered goes over lo in packets of more than 64 KiB, and what leaves does not.
scenario_large_packets() {
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
	for destination in 192.0.2.77 2001:db8:9::9; do
		[ "$(largest_packet lo bed_exec app "$PEER" transfer "$destination" 9000 \
			--bytes 50000000 --direction up --timeout 20)" -gt 100000 ]
	done
	for local in "$BED_APP" "$BED_APP6"; do
		largest=$(largest_packet eth0 bed_exec outside "$PEER" transfer "$local" 7001 \
			--bytes 50000000 --timeout 20)
		[ "$largest" -gt 30000 ]
		[ "$largest" -lt 65536 ]
	done
	# A device with larger segments: those would no longer fit, so lo is as before.
	bed_exec app ip link add big mtu 9000 type veth peer name other
	usual() { [ "$(settings)" = "$before" ]; }
	bed_until 5 usual
	bed_exec app ip link delete big
	large() { ! usual; }
	bed_until 5 large
	bed_kill sidecar
	usual
}

# inbound UDP is answered.
scenario_inbound_udp() {
	gateway
	sidecar
	bed_spawn app server "$PEER" udp-serve 7000
	bed_wait_line server ready
	bed_exec outside "$PEER" udp "$BED_APP" 7000 --send hello
	bed_exec outside "$PEER" udp "$BED_APP6" 7000 --send hello
}

# rp_filter 0, 1, 2 and src_valid_mark 0, 1: outbound and inbound work in all six.
scenario_source_validation() {
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
			# The settings are put back.
			run bed_exec app sh -c 'cat /proc/sys/net/ipv4/conf/eth0/rp_filter /proc/sys/net/ipv4/conf/eth0/accept_local'
			[ "$output" = "$rp_filter"$'\n'0 ]
		done
	done
}

# 40 reconnects on one 4-tuple through TIME_WAIT.
scenario_time_wait() {
	gateway
	sidecar
	run bed_exec app "$PEER" reconnect 192.0.2.77 80 --source-port 40123 --times 40 --timeout 60
	echo "$output"
	[ "$status" -eq 0 ]
	[ "$(arrived 192.0.2.77:80)" = 40 ]
}

# SO_BINDTODEVICE does not walk past.
scenario_bind_device() {
	gateway
	sidecar
	sniff_start
	connect 192.0.2.77 80 --bind-device eth0 --send hello --half-close --read-all
	connect 2001:db8:9::9 80 --bind-device eth0 --send hello --half-close --read-all
	[ "$(arrived 192.0.2.77:80)" = 1 ]
	[ "$(arrived '\[2001:db8:9::9\]:80')" = 1 ]
	[ "$(leaks)" = 0 ]
}

# raw and packet sockets are stopped at the device.
scenario_raw() {
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

# UDP to other ports: denied by default, passes with --udp pass.
scenario_udp() {
	gateway
	bed_spawn world server "$PEER" udp-serve 7000
	bed_wait_line server ready
	sidecar
	run bed_exec app "$PEER" udp 192.0.2.1 7000 --send hello --timeout 1
	[ "$status" -ne 0 ]
	[ "$(counter deny_udp)" -ge 1 ]
	bed_kill sidecar
	sidecar --udp pass
	bed_exec app "$PEER" udp 192.0.2.1 7000 --send hello
}

# DNS is relayed to the resolver that was asked, and its answer comes from there.
scenario_dns() {
	gateway
	bed_spawn world resolver "$PEER" dns-serve 53
	bed_wait_line resolver ready
	sidecar
	for resolver in 1.1.1.1 8.8.8.8 2001:db8::1; do
		run bed_exec app "$PEER" dns example.test A "@$resolver"
		echo "$output"
		[ "$status" -eq 0 ]
		[[ $output == *"$resolver"* ]]
	done
	[ "$(counter steer_dns)" = 3 ]
}

# a gateway outside the bridge is reached by the proxy's own connections.
scenario_gateway_outside() {
	bed_spawn world gateway "$SIDESTEP" gateway --listen "192.0.2.1:8080" --server --log
	bed_until 5 bed_listening world 8080
	sidecar_spawn --gateway 192.0.2.1:8080
	bed_wait_line sidecar "interception is live" 10
	connect 192.0.2.77 80 --send hello --half-close --read-all
	connect 192.0.2.1 8080 --send hello --half-close --read-all
	if [ "$DATAPATH" = nft ]; then
		# There the gateway's address is bypassed, for the application as well.
		[ "$(arrived 192.0.2.1:8080)" = 0 ]
		return
	fi
	# The application itself is intercepted on its way to the very same address.
	[ "$(arrived 192.0.2.1:8080)" = 1 ]
	[ "$(counter own)" -gt 0 ]
}

# a second network, joined and left while it runs.
scenario_second_network() {
	gateway
	sidecar
	bed_join_second_network
	bed_spawn neighbour2 server "$PEER" serve 7000 --mode http
	bed_wait_line server ready
	connect "$BED_NEIGHBOUR2" 7000 --send $'GET / HTTP/1.0\r\n\r\n' --expect "$BED_APP2"
	connect 192.0.2.77 80 --send hello --half-close --read-all
	bed_wait_line sidecar "bypass: $BED_SUBNET2 connected"
	# The guard is there too.
	connect 192.0.2.77 80 --bind-device eth1 --send hello --half-close --read-all
	bed_leave_second_network
	bed_wait_line sidecar "bypass: $BED_SUBNET2 removed"
	connect 192.0.2.77 80 --send hello --half-close --read-all
	[ "$(arrived 192.0.2.77:80)" = 3 ]
}

# SIGKILL: an error at once, no leak, and a new one takes over by itself.
scenario_kill() {
	gateway
	bed_spawn app server "$PEER" serve 7000 --mode hold
	bed_wait_line server ready
	sidecar
	# An inbound connection that lives on.
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

# Who sends a SYN from outside with the endpoints of a steered connection lets out nothing of it, not
# even its end. Gateway and sidecar run already.
scenario_same_endpoints() {
	challenged() { # The SYN was seen, and answered as RFC 5961 section 4 has it.
		bed_exec app nstat -asz TcpExtTCPSYNChallenge | grep -qE "TCPSYNChallenge +$1 "
	}
	steered() { # COUNT - connections that the proxy has
		[ "$(bed_exec app ss -Htn state established '( sport = :4001 )' | wc -l)" = "$1" ]
	}
	sniff_start
	for round in 1 2; do
		bed_spawn app holder "$PEER" stall 192.0.2.77 4001 --bytes 10 --source-port 4002
		bed_until 5 steered 1
		bed_exec outside "$PEER" raw-send "$BED_APP" 4002 --source 192.0.2.77 --source-port 4001 --mode syn
		bed_until 5 challenged "$round"
		bed_kill holder TERM
		bed_until 5 steered 0
	done
	[ "$(arrived 192.0.2.77:4001)" = 2 ]
	[ "$(leaks)" = 0 ]
}

# An accepted socket that is disconnected and connected to the outside is steered like any other.
# Gateway and sidecar run already.
scenario_turned_socket() {
	sniff_start
	bed_spawn app turn "$PEER" turn 7000 192.0.2.77 80
	bed_wait_line turn ready
	bed_exec outside "$PEER" connect "$BED_APP" 7000 --send hello --expect answer
	bed_wait_line turn "turned result=ok"
	[ "$(arrived 192.0.2.77:80)" = 1 ]
	[ "$(leaks)" = 0 ]
}

# Answers to who is not bound to a device have lo's route, which the kernel caches: their end at the
# proxy is bound to lo, and routes of ours to the own addresses say so, of those that come, too.
# Gateway and sidecar run already.
scenario_answers_by_lo() {
	bed_needs_linux 5.17 "ingress_ifindex in sk_lookup"
	answer_routes() {
		bed_exec app ip route show table local proto 93 | cut -d' ' -f1-4 | sort | xargs
	}
	proxy_end_is() { # PORT ADDRESS - the local address of the proxy's end of a connection
		[ "$(bed_exec app ss -Htn state established "( sport = :$1 )" | awk '{ print $3 }')" = "$2:$1" ]
	}
	[ "$(answer_routes)" = "local $BED_APP dev lo" ]
	bed_spawn app plain "$PEER" stall 192.0.2.77 4001 --bytes 10
	bed_spawn app bound "$PEER" stall 192.0.2.77 4002 --bytes 10 --bind-device eth0
	bed_until 5 proxy_end_is 4001 192.0.2.77%lo
	bed_until 5 proxy_end_is 4002 192.0.2.77
	bed_join_second_network
	bed_wait_line sidecar "bypass: $BED_SUBNET2 connected"
	[ "$(answer_routes)" = "local $BED_APP dev lo local $BED_APP2 dev lo" ]
	connect 192.0.2.77 80 --source "$BED_APP2" --send hello --half-close --read-all
	[ "$(arrived 192.0.2.77:80)" = 1 ]
	# The kernel's own come first: nobody else is led by ours.
	[[ $(bed_exec app ip route get fibmatch "$BED_APP") == "local $BED_APP dev eth0 "* ]]
	bed_leave_second_network
	bed_wait_line sidecar "bypass: $BED_SUBNET2 removed"
	[ "$(answer_routes)" = "local $BED_APP dev lo" ]
}
