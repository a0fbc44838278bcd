#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Ordinary days of people who intercept containers: their connections and datagrams. Each test has a control, which
# shows that the bed would see the fault, or that it is absent without Sidestep.
#
# More of them are in field_devices.bats (networks, tunnels, containers inside), field_dns.bats (names and policies)
# and field_starts.bats (starts, ends and the command line).

load lib/testbed.bash
load lib/scenarios.bash
load lib/field.bash

# row 1: late hints

# The ClientHello for a.test1, as tests/unit/test_proxy.c has it, and an HTTP request for the same name.
late_files() {
	{
		printf '\026\003\001\000\077\001\000\000\073\003\003'
		head -c 32 /dev/zero
		printf '\000\000\002\023\001\001\000\000\020\000\000\000\014\000\012\000\000\007a.test1'
	} >"$BED_DIR/tls"
	printf 'GET / HTTP/1.1\r\nHost: a.test1\r\n\r\n' >"$BED_DIR/http"
}

# late COUNT ADDRESS PORT FILE [SECONDS] - opens so many connections, sends the file a second after each is open,
# and waits for a byte of the answer.
late() {
	# shellcheck disable=SC2016 # for the inner shell
	bed_exec app bash -c '
		for ((i = 0; i < $1; i++)); do
			timeout 10 bash -c "exec 3<>/dev/tcp/$2/$3; sleep $5; cat $4 >&3; head -c 1 <&3" >/dev/null &
		done
		wait' bash "$1" "$2" "$3" "$BED_DIR/$4" "${5:-1}"
}

# named DESTINATION KEY - prints how many CONNECTs for it bore the name, as "sni" or "hostname".
named() {
	grep "\"destination\":\"$1\"" "$BED_DIR/gateway.log" | grep -c "\"$2\":\"a.test1\"" || true
}

# silent PORT - prints after how many ms a client that says nothing has the server's first byte.
silent() {
	local line
	line=$(connect 192.0.2.77 "$1" --wait-first-byte) || return
	echo $(($(bed_value first_byte_us "$line") / 1000))
}

late_hints() { # START
	late_files
	gateway
	"$1" --sni-hint
	late 10 192.0.2.77 443 tls &
	late 10 192.0.2.77 8443 tls &
	late 10 192.0.2.77 80 http &
	late 10 192.0.2.77 8080 http &
	late 10 192.0.2.78 8080 tls &
	wait
	[ "$(named 192.0.2.77:443 sni)" = 10 ]
	[ "$(named 192.0.2.77:8443 sni)" = 10 ]
	[ "$(named 192.0.2.77:80 hostname)" = 10 ]
	[ "$(named 192.0.2.77:8080 hostname)" = 10 ]
	[ "$(named 192.0.2.78:8080 sni)" = 10 ]
	# On another port the first client teaches it, whether its name is seen or not.
	late 1 192.0.2.77 9000 tls
	[ "$(named 192.0.2.77:9000 sni)" = 0 ]
	late 10 192.0.2.77 9000 tls
	[ "$(named 192.0.2.77:9000 sni)" = 10 ]
}

@test "row 1: a client that is a second late is named (own programs)" {
	late_hints own_sidecar
}

@test "row 1: a client that is a second late is named (agent)" {
	late_hints agent_sidecar
}

@test "row 1: a client that is a second late is named (nftables)" {
	late_hints nft_sidecar
}

# bats test_tags=alone
@test "row 1: servers that speak first are not kept waiting, on known ports and others" {
	gateway --map-all "$BED_NEIGHBOUR:7000"
	bed_spawn neighbour server "$PEER" serve 7000 --mode greet
	bed_wait_line server ready
	own_sidecar --sni-hint
	for port in 22 25 21 3306 110 143 587 9000 12345; do
		took=$(silent $port)
		echo "$port: $took ms"
		[ "$took" -lt 100 ]
	done
}

# bats test_tags=alone
@test "row 1: with the control API the peek is as workerd expects, on port 80 alone for a Host" {
	late_files
	gateway --map-all "$BED_NEIGHBOUR:7000"
	bed_spawn neighbour server "$PEER" serve 7000 --mode greet
	bed_wait_line server ready
	own_sidecar --sni-hint --http-ingress-address 127.0.0.1:39001
	late 1 192.0.2.77 80 http 0
	late 1 192.0.2.77 8080 http 0
	[ "$(named 192.0.2.77:80 hostname)" = 1 ]
	[ "$(arrived 192.0.2.77:8080)" = 1 ]
	[ "$(named 192.0.2.77:8080 hostname)" = 0 ]
	for port in 80 443 8080 22; do
		took=$(silent $port)
		echo "$port: $took ms"
		[ "$took" -lt 500 ]
	done
}

# rows 2 and 11: devices with a smaller MTU

# narrow MTU - the application's link carries this much, as in a VPN or a cloud. The outside's carries 1500.
narrow() {
	bed_exec app ip link set eth0 mtu "$1"
	bed_exec host ip link set app-eth0 mtu "$1"
	bed_exec host ip link set br0 mtu "$1"
}

# refused_by_devices - prints how many packets eth0 and the other end of its veth refused.
refused_by_devices() {
	{
		bed_exec app ip -s link show eth0
		bed_exec host ip -s link show app-eth0
	} | awk '/[RT]X:.*dropped/ { getline; sum += $4 } END { print sum + 0 }'
}

# sizes_are_answered - clients outside get every size back, in both families.
sizes_are_answered() {
	local address size text
	for address in "$BED_APP" "$BED_APP6"; do
		for size in 1 1200 1260 1261 1340 1360 1361 1400 1440 1460 4000 9000 200000; do
			bed_exec outside "$PEER" transfer "$address" 7000 --bytes $size --timeout 5 || return
		done
		for size in 1 1200 1372 1373 1472 1473 4000 9000; do
			text=$(head -c $size /dev/zero | tr '\0' u)
			run bed_exec outside "$PEER" udp "$address" 7001 --send "$text" --timeout 2
			# The first of its size tells the client that its path is narrow.
			[[ $output != *EMSGSIZE* ]] ||
				run bed_exec outside "$PEER" udp "$address" 7001 --send "$text" --timeout 2
			echo "$size: ${output:0:200}"
			[[ $output == *"result=ok"*"bytes=$size "* ]] || return
		done
	done
}

# announced FAMILY - prints the largest segment that the application's server announces to a client outside.
announced() {
	bed_exec outside python3 -c '
import socket, sys
client = socket.create_connection((sys.argv[1], 7000), 5)
print(client.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG))' "$1"
}

answers_fit() { # START
	local before
	narrow 1400
	serve_sizes
	sizes_are_answered
	gateway
	"$1"
	before=$(refused_by_devices)
	sizes_are_answered
	[ "$(refused_by_devices)" = "$before" ]
	[ "$DATAPATH" = nft ] || [ "$(counter too_big)" = 0 ]
	[ "$(counter deny_fragment)" = 0 ]
}

@test "rows 2 and 11: answers of every size fit a device of MTU 1400 (own programs)" {
	answers_fit sidecar
}

@test "rows 2 and 11: answers of every size fit a device of MTU 1400 (agent)" {
	answers_fit agent_sidecar
}

@test "rows 2 and 11: answers of every size fit a device of MTU 1400 (nftables)" {
	answers_fit nft_sidecar
}

segments_fit() { # START
	narrow 1400
	serve_sizes
	gateway
	"$1"
	# The client's own link carries 1500. Timestamps take 12 bytes of each segment (RFC 7323).
	[ "$(announced "$BED_APP")" = 1348 ]
	[ "$(announced "$BED_APP6")" = 1328 ]
}

@test "row 2: connections announce what the device carries (own programs)" {
	segments_fit sidecar
}

@test "row 2: connections announce what the device carries (agent)" {
	segments_fit agent_sidecar
}

@test "row 2: connections announce what the device carries (nftables)" {
	segments_fit nft_sidecar
}

# The line to the outside carries 1300 bytes, and the host tells by ICMP. The sender has to heed it.
path_is_heeded() { # START
	local address
	serve_sizes
	# The client's device takes more than that, and the client announces so.
	bed_exec host ip link set uplink mtu 1300
	gateway
	"$1"
	for address in "$BED_APP" "$BED_APP6"; do
		bed_exec outside "$PEER" transfer "$address" 7000 --bytes 200000 --timeout 10
	done
}

@test "row 2: the kernel's reports of a smaller path are heeded (own programs)" {
	path_is_heeded sidecar
}

@test "row 2: the kernel's reports of a smaller path are heeded (agent)" {
	path_is_heeded agent_sidecar
}

@test "row 2: the kernel's reports of a smaller path are heeded (nftables)" {
	path_is_heeded nft_sidecar
}

@test "row 2: uploads to a gateway off the link fit the device" {
	narrow 1400
	bed_spawn outside gateway "$SIDESTEP" gateway --server --listen "$BED_OUTSIDE:8080" --log
	bed_until 5 bed_listening outside 8080
	bed_spawn app sidecar "$SIDESTEP" sidecar --gateway "$BED_OUTSIDE:8080" --pin "$(SIDE_PIN)"
	bed_wait_line sidecar "interception is live" 10
	bed_exec app "$PEER" transfer 192.0.2.77 80 --bytes 200000 --timeout 10
	[ "$(counter too_big)" = 0 ]
}

@test "row 11: DNS answers above the bridge's MTU arrive (bridge mode)" {
	big_answers() {
		local server
		for server in 1.1.1.1 "[2001:db8::1]:53"; do
			run bed_exec app "$PEER" dns big.example A "@$server" --timeout 3
			echo "$output"
			[[ $output == *answers=200* ]] || return
		done
	}
	resolver
	big_answers
	gateway
	bridge_sidecar
	big_answers
	[ "$(counter steer_dns)" -ge 2 ]
}

# row 4: connections that conntrack has forgotten

# pool - a client of the application's. Its servers close first, and it closes when something is written to "close".
pool() {
	mkfifo "$BED_DIR/close"
	bed_spawn app pool python3 -uc '
import socket, sys
connections = [socket.create_connection((address, 80), 5) for address in ("192.0.2.77", "2001:db8:9::9")]
for connection in connections:
    connection.sendall(b"hello")
    while connection.recv(4096):
        pass
print("ready")
open(sys.argv[1]).read()' "$BED_DIR/close"
	bed_wait_line pool ready
}

late_close() { # START
	gateway --map-all "$BED_NEIGHBOUR:7000"
	bed_spawn neighbour server "$PEER" serve 7000 --mode echo --close-first
	bed_wait_line server ready
	"$1"
	pool
	forget
	: >"$BED_DIR/close"
	bed_wait_exit pool
	gone() { [ -z "$(bed_exec app ss -Htn '( sport = :80 or dport = :80 )')" ]; }
	bed_until 5 gone
}

@test "row 4: a client that closes long after its server leaves no socket (own programs)" {
	late_close own_sidecar
}

@test "row 4: a client that closes long after its server leaves no socket (agent)" {
	late_close agent_sidecar
}

@test "row 4: a client that closes long after its server leaves no socket (nftables)" {
	late_close nft_sidecar
}

# The client has said all, and its server thinks for longer than conntrack's timeouts.
late_answer() { # START
	local address
	for name in fin_wait close_wait; do
		bed_exec app sysctl -qw "net.netfilter.nf_conntrack_tcp_timeout_$name=1"
	done
	bed_spawn app server python3 -uc '
import socket, time
server = socket.create_server(("::", 7000), family=socket.AF_INET6, dualstack_ipv6=True)
print("ready")
while True:
    connection, _ = server.accept()
    while connection.recv(4096):
        pass
    time.sleep(3)
    connection.sendall(b"late")
    connection.close()'
	bed_wait_line server ready
	gateway
	"$1"
	for address in "$BED_APP" "$BED_APP6"; do
		bed_exec outside "$PEER" connect "$address" 7000 --send hello --half-close --read-all --expect late
	done
}

@test "row 4: the late answer to a half-closed connection from outside arrives (own programs)" {
	late_answer own_sidecar
}

@test "row 4: the late answer to a half-closed connection from outside arrives (agent)" {
	late_answer agent_sidecar
}

@test "row 4: the late answer to a half-closed connection from outside arrives (nftables)" {
	late_answer nft_sidecar
}

# row 5: footprint

# clients - the application has connections to somebody's port 3000. Those to port 443 have ended, and the server
# closed them first.
clients() {
	bed_spawn app clients python3 -uc '
import signal, socket
def connect(port):
    return [socket.create_connection((address, port), 5) for address in ("192.0.2.77", "2001:db8:9::9")]
live = connect(3000)
for connection in connect(443):
    connection.sendall(b"hello")
    while connection.recv(4096):
        pass
    connection.close()
print("ready")
signal.pause()'
	bed_wait_line clients ready
}

# bind_alone WHERE PORT [ADDRESS] - binds it without SO_REUSEADDR, and says what came of it.
bind_alone() {
	bed_exec "$1" python3 -c '
import socket, sys
try:
    socket.socket(socket.AF_INET6).bind((sys.argv[2], int(sys.argv[1])))
    print("bound")
except OSError as error:
    print(error.strerror)' "$2" "${3:-::}"
}

# serve_at PORT - a server of the application's binds it for both families, with SO_REUSEADDR, and listens.
serve_at() {
	bed_spawn app "server$1" "$PEER" serve "$1" --mode echo
	bed_wait_line "server$1" "ready listen=\[::\]:$1 "
}

own_servers() { # START
	local port
	gateway --map-all "$BED_NEIGHBOUR:7000"
	bed_spawn neighbour server "$PEER" serve 7000 --mode echo --close-first
	bed_wait_line server ready
	"$1"
	clients
	# The control: the proxy's sockets have these ports.
	waiting() { [ "$(bed_exec app ss -Htn state time-wait "( sport = :443 )" | wc -l)" = 2 ]; }
	bed_until 5 waiting
	[ "$(bind_alone app 3000)$(bind_alone app 443)" = "Address already in useAddress already in use" ]
	[ "$(bind_alone app 3000 "$BED_APP6")$(bind_alone app 443 "::ffff:$BED_APP")" = boundbound ]
	port=$(bed_exec app ss -Htn state established "( dport = :8080 )" | awk 'NR == 1 { sub(/.*:/, "", $3); print $3 }')
	for port in 3000 443 "$port"; do
		serve_at "$port"
		bed_exec outside "$PEER" connect "$BED_APP" "$port" --send hello --half-close --read-all --expect hello
	done
	# Others' ports of the same number still lead to the gateway.
	connect 192.0.2.77 3000 --send hello --half-close --read-all --expect hello
	[ "$(arrived 192.0.2.77:3000)" = 2 ]
}

@test "row 5: a server binds the port of somebody whom the application talks to (own programs)" {
	own_servers own_sidecar
}

@test "row 5: a server binds the port of somebody whom the application talks to (agent)" {
	own_servers agent_sidecar
}

@test "row 5: a server binds the port of somebody whom the application talks to (nftables)" {
	own_servers nft_sidecar
}

@test "row 5: in bridge mode the application's namespace has none of the proxy's sockets" {
	gateway --map-all "$BED_NEIGHBOUR:7000"
	bed_spawn neighbour server "$PEER" serve 7000 --mode echo --close-first
	bed_wait_line server ready
	bridge_sidecar
	clients
	[ "$(bind_alone app 3000)$(bind_alone app 443)" = boundbound ]
	[ "$(bind_alone host 3000)$(bind_alone host 443)" = boundbound ]
}

# held_ports WHERE - prints the ports of both protocols that are bound there by the sidecar.
held_ports() {
	bed_exec "$1" ss -Hlntup | grep '"sidestep",pid='"$(bed_pid sidecar)," | awk '{ sub(/.*:/, "", $5); print $5 }'
}

ports_above() { # START WHERE
	local high
	gateway
	"$1"
	high=$(bed_exec "$2" cut -f 2 /proc/sys/net/ipv4/ip_local_port_range)
	held_ports "$2" | awk -v "high=$high" '
		$1 <= high { print "port", $1; wrong++ }
		END { print NR, "ports"; exit !NR || wrong }'
}

@test "row 5: the proxy holds ports that neither clients get nor servers want (own programs)" {
	ports_above own_sidecar app
}

@test "row 5: the proxy holds ports that neither clients get nor servers want (agent)" {
	ports_above agent_sidecar app
}

@test "row 5: the proxy holds ports that neither clients get nor servers want (nftables)" {
	ports_above nft_sidecar app
}

@test "row 5: the proxy holds ports that neither clients get nor servers want (bridge mode)" {
	ports_above bridge_sidecar host
}

@test "row 5: where clients may have all ports, the proxy takes some of theirs" {
	bed_exec app sh -c 'echo 40000 65535 >/proc/sys/net/ipv4/ip_local_port_range'
	gateway
	own_sidecar
	held_ports app | awk '$1 < 40000 { exit 1 } END { exit !NR }'
	connect 192.0.2.77 80 --send hello --half-close --read-all
}

# row 9: peers that vanish

# cut_line - the host takes and sends no packet of the gateway any more.
cut_line() {
	bed_exec host nft -f - <<-'RULES'
		table inet cut {
			chain input {
				type filter hook input priority -300
				tcp dport 8080 drop
			}
			chain output {
				type filter hook output priority -300
				tcp sport 8080 drop
			}
		}
	RULES
}

# two_connections ARGUMENT... - starts the sidecar with them. The application has one connection that is silent
# ("idle"), and one that sends all the time ("busy").
two_connections() {
	gateway --map-all "$BED_NEIGHBOUR:7000"
	bed_spawn neighbour server "$PEER" serve 7000 --mode sink
	bed_wait_line server ready
	"$@"
	bed_spawn app idle "$PEER" connect 192.0.2.77 9000 --send hello --read-all --timeout 60
	bed_spawn app busy "$PEER" connect 192.0.2.77 9001 --send-bytes 1000000000000 --read-all --timeout 60
	both_arrived() { [ "$(arrived 192.0.2.77:9000)$(arrived 192.0.2.77:9001)" = 11 ]; }
	bed_until 5 both_arrived
}

# ends_with COUNT WHERE REASON - so many connections have ended by a time limit for this reason.
ends_with() {
	[ "$(bed_exec "$2" "$SIDESTEP" observe --json --reason "$3" | grep -c '"end":"timeout"')" = "$1" ]
}

gateway_vanishes() { # START
	two_connections "$1" --peer-timeout 4000
	cut_line
	bed_wait_line idle "result=reset" 6
	bed_wait_line busy "result=reset" 6
	bed_wait_line sidecar "lost the gateway $BED_HOST:8080 .* no sign of life"
	bed_until 2 ends_with 2 app gateway_vanished
}

@test "row 9: the gateway's machine vanishes, and the application gets an error (own programs)" {
	gateway_vanishes own_sidecar
}

@test "row 9: the gateway's machine vanishes, and the application gets an error (agent)" {
	gateway_vanishes agent_sidecar
}

@test "row 9: the gateway's machine vanishes, and the application gets an error (nftables)" {
	gateway_vanishes nft_sidecar
}

@test "row 9: a container vanishes, and the gateway gets an error (bridge mode)" {
	gateway_connections() {
		bed_exec host ss -Htn state established "( sport = :8080 )" | wc -l
	}
	two_connections bridge_sidecar --peer-timeout 4000
	[ "$(gateway_connections)" = 2 ]
	bed_exec host ip link set app-eth0 down
	none_left() { [ "$(gateway_connections)" = 0 ]; }
	bed_until 6 none_left
	bed_until 2 ends_with 2 host peer_vanished
}

@test "row 9: an end that is silent or reads nothing lives on, and --peer-timeout 0 waits for ever" {
	idle_arrived() { [ "$(arrived 192.0.2.77:9000)" = "$1" ]; }
	probes() { bed_exec app ss -Htno state established "( dport = :8080 )" | grep -q "timer:(keepalive"; }
	gateway --map-all "$BED_NEIGHBOUR:7000"
	bed_spawn neighbour server "$PEER" serve 7000 --mode hold
	bed_wait_line server ready
	own_sidecar --peer-timeout 4000
	bed_spawn app idle "$PEER" connect 192.0.2.77 9000 --send hello --read-all --timeout 60
	bed_until 5 probes
	# The server reads nothing, so the gateway's window closes.
	run connect 192.0.2.77 9001 --send-bytes 1000000000 --timeout 12
	echo "$output"
	[[ $output == *result=timeout* ]]
	bed_alive idle
	bed_kill sidecar
	run bed_wait_exit idle
	[ "$status" = 1 ]
	own_sidecar --peer-timeout 0
	bed_spawn app idle "$PEER" connect 192.0.2.77 9000 --send hello --read-all --timeout 8
	bed_until 5 idle_arrived 2
	cut_line
	# The limit above would have ended it by now. Only the client's own patience does, after 8 seconds.
	run bed_wait_exit idle 6
	[ "$status" = 124 ]
	run probes
	[ "$status" = 1 ]
	bed_wait_line idle "result=timeout"
}

# row 10: ports that run out

# few_ports COUNT - the application's namespace has so many local ports.
few_ports() {
	bed_exec app sh -c 'echo "40000 $((39999 + $1))" >/proc/sys/net/ipv4/ip_local_port_range' sh "$1"
}

# short_connections - opens 1000 connections one after the other, to ten destinations at once. The application
# closes first. Prints how long that took, in ms.
short_connections() {
	local start=${EPOCHREALTIME/[.,]/} i
	for i in {1..10}; do
		bed_spawn app "flood$i" "$PEER" flood "192.0.2.$((70 + i))" 9000 --count 100
	done
	for i in {1..10}; do
		bed_wait_exit "flood$i" 60 || return
	done
	echo $(((${EPOCHREALTIME/[.,]/} - start) / 1000))
}

ports_last() { # START
	bed_needs_linux 6.0 "SOCK_DESTROY of connections in TIME_WAIT"
	gateway
	few_ports 1000
	"$1"
	first=$(short_connections)
	for _ in 1 2 3 4 5; do
		last=$(short_connections)
	done
	echo "the first 1000 took $first ms, the last $last ms"
	[ "$last" -lt $((2 * first + 500)) ]
}

@test "row 10: 6000 short connections in a minute do with 1000 local ports (own programs)" {
	ports_last own_sidecar
}

@test "row 10: 6000 short connections in a minute do with 1000 local ports (agent)" {
	ports_last agent_sidecar
}

@test "row 10: 6000 short connections in a minute do with 1000 local ports (nftables)" {
	ports_last nft_sidecar
}

@test "row 10: the log names local ports when connections hold them all" {
	gateway
	own_sidecar
	few_ports 20
	# shellcheck disable=SC2016 # for the inner shell
	bed_spawn app holder bash -c 'for i in {1..40}; do
		exec {fd}<>"/dev/tcp/192.0.2.$i/9000"
	done
	sleep infinity'
	bed_wait_line sidecar "cannot connect to the gateway .* no local port is free"
	bed_exec app "$SIDESTEP" observe --json --reason no_local_port | grep -q '"end":"limit"'
}

# row 13: refused at once

# denied HOST [ARGUMENT...] - sends a datagram that is denied, and requires an error within 100 ms.
denied() {
	at_once 100000 "unreachable|EACCES|EPERM" bed_exec app "$PEER" udp "$1" 7000 --timeout 3 "${@:2}"
}

# unheard HOST [ARGUMENT...] - does likewise, and requires that nothing comes back.
unheard() {
	local line
	line=$(bed_exec app "$PEER" udp "$1" 7000 --timeout 0.3 "${@:2}") || true
	echo "udp $*: $line"
	[ "$(bed_value result "$line")" = timeout ]
}

refused_at_once() { # START
	local long
	long=$(printf '%03000d' 7)
	gateway
	udp_server
	for host in "$BED_WORLD" "$BED_WORLD6"; do
		bed_exec app "$PEER" udp "$host" 7000
		bed_exec app "$PEER" udp "$host" 7000 --send "$long"
	done
	"$1"
	for host in "$BED_WORLD" "$BED_WORLD6"; do
		denied "$host"
		denied "$host" --bind-device eth0
		denied "$host" --send "$long"
	done
	bed_kill sidecar
	[ "$1" != agent_sidecar ] || bed_kill agent
	"$1" --udp drop
	for host in "$BED_WORLD" "$BED_WORLD6"; do
		unheard "$host"
		unheard "$host" --bind-device eth0
		unheard "$host" --send "$long"
	done
	[ "$(counter deny_udp)" -ge 6 ]
}

@test "row 13: denied UDP fails at once, and hears nothing with --udp drop (own programs)" {
	refused_at_once own_sidecar
	[ "$(counter refused)" = 0 ]
}

@test "row 13: denied UDP fails at once, and hears nothing with --udp drop (agent)" {
	refused_at_once agent_sidecar
}

@test "row 13: denied UDP fails at once, and hears nothing with --udp drop (nftables)" {
	refused_at_once nft_sidecar
}

@test "row 13: denied UDP fails at once, and hears nothing with --udp drop (nftables without tproxy)" {
	refused_at_once redirect_sidecar
}

@test "row 13: denied UDP fails at once, and hears nothing with --udp drop (bridge mode)" {
	refused_at_once bridge_sidecar
}

# flooded START - sends 5000 denied datagrams as fast as it can. At most 1000 a second are answered.
flooded() {
	local from to answers
	gateway
	"$1"
	from=$(date +%s%3N)
	# shellcheck disable=SC2016 # for the inner shell
	bed_exec app bash -c 'exec 3<>/dev/udp/$1/7000; for ((i = 0; i < 5000; i++)); do echo >&3; done' bash "$BED_WORLD" \
		2>/dev/null || true
	to=$(date +%s%3N)
	answers=$(bed_exec app nstat -asz IcmpInDestUnreachs | awk '/InDestUnreachs/ { print $2 }')
	echo "$answers answers to $(counter deny_udp) datagrams in $((to - from)) ms"
	[ "$answers" = "$(counter refused)" ]
	[ "$answers" -ge 100 ]
	[ "$answers" -le $((100 + to - from)) ]
	[ "$(counter deny_udp)" -ge 2500 ]
}

@test "row 13: at most 1000 answers a second (own programs)" {
	flooded own_sidecar
}

@test "row 13: at most 1000 answers a second (agent)" {
	flooded agent_sidecar
}

@test "row 13: at most 1000 answers a second (bridge mode)" {
	flooded bridge_sidecar
}

# echo_refused START - a denied echo request gets an ICMP error.
echo_refused() {
	heard() { # COUNTER
		bed_exec app nstat -asz "$1" | awk '/InDestUnreachs/ { print $2 }'
	}
	# The peer's look for the next hop may cause one more for IPv4.
	both_heard() {
		[ "$(heard IcmpInDestUnreachs)" -ge 1 ] && [ "$(heard Icmp6InDestUnreachs)" = 1 ]
	}
	gateway
	"$1"
	for host in "$BED_WORLD" "$BED_WORLD6"; do
		bed_exec app "$PEER" raw "$host" 9 --mode echo --socket inet --device eth0
	done
	bed_until 5 both_heard
	[ "$(counter refused)" = 2 ]
	[ "$(counter deny_protocol)" = 2 ]
}

@test "row 13: a denied echo request gets an ICMP error (own programs)" {
	echo_refused own_sidecar
}

@test "row 13: a denied echo request gets an ICMP error (agent)" {
	echo_refused agent_sidecar
}

@test "row 13: a denied echo request gets an ICMP error (bridge mode)" {
	echo_refused bridge_sidecar
}

# refused_after_kill [PORT...] - after SIGKILL of the sidecar everything fails at once, and nothing leaks: TCP, and
# UDP to these ports.
refused_after_kill() {
	local port
	connect 192.0.2.77 80 --send hello --half-close --read-all
	sniff_start
	bed_kill sidecar KILL
	for options in "192.0.2.77 80" "192.0.2.77 80 --bind-device eth0" \
		"2001:db8:9::9 80" "2001:db8:9::9 80 --bind-device eth0"; do
		# shellcheck disable=SC2086 # words
		at_once 100000 refused connect $options --timeout 3
	done
	for port in "$@"; do
		for target in "$BED_WORLD" "$BED_WORLD6"; do
			at_once 100000 "unreachable|EACCES|EPERM" bed_exec app "$PEER" udp "$target" "$port" --timeout 3
		done
	done
	[ "$(leaks)" = 0 ]
}

# without_tun COMMAND... - runs it in the application's namespace, where it finds no /dev/net/tun.
without_tun() {
	# shellcheck disable=SC2016 # for the inner shell
	bed_spawn app sidecar unshare --mount sh -c 'mount --bind /dev/null /dev/net/tun && exec "$0" "$@"' "$@"
	bed_wait_line sidecar "interception is live" 10
}

@test "row 13: after SIGKILL everything fails at once (own programs)" {
	gateway
	without_tun "$SIDESTEP" sidecar --gateway "$BED_HOST:8080"
	refused_after_kill 53 7000
}

@test "row 13: after SIGKILL everything fails at once, UDP that was permitted too (own programs)" {
	gateway
	without_tun "$SIDESTEP" sidecar --gateway "$BED_HOST:8080" --udp pass
	refused_after_kill 53 7000
}

# The kernel makes no ICMP error for a query that nobody takes: its source would be the resolver's IPv4 address.
@test "row 13: after SIGKILL everything but DNS over UDP fails at once (nftables)" {
	gateway
	without_tun "$SIDESTEP" sidecar --datapath nft --gateway "$BED_HOST:8080"
	refused_after_kill 7000
}

@test "row 13: after SIGKILL everything but DNS over UDP fails at once (nftables without tproxy)" {
	gateway
	redirect_sidecar
	refused_after_kill 7000
}

@test "row 13: after SIGKILL everything fails at once, UDP that was permitted too (agent)" {
	bed_needs_linux 6.6 "TCX links"
	gateway
	without_tun "${NET_ADMIN[@]}" "$SIDESTEP" sidecar --gateway "$BED_HOST:8080" --udp pass
	bed_spawn host agent "$SIDESTEP" agent --pin "$(SIDE_PIN)" --pid "$(bed_pid sidecar)"
	bed_wait_line sidecar "the host's agent steers .* in place of the nftables table" 10
	refused_after_kill 53 7000
}

# row 15: a gateway without IPv6

# old_gateway [ARGUMENT...] - starts a gateway that dials, on a host that has no way to the world by IPv6.
old_gateway() {
	bed_exec host ip -6 route delete default
	bed_spawn world server "$PEER" serve 80 --mode http
	bed_wait_line server ready
	gateway --delay 0
}

# refused6 COUNT - so many IPv6 connections are opened, then reset.
refused6() {
	for ((i = 0; i < $1; i++)); do
		run connect 2001:db8::1 80 --send $'GET / HTTP/1.0\r\n\r\n' --read-all
		echo "$output"
		[[ $output == *result=reset* ]] || return
	done
}

falls_back() { # START
	old_gateway
	"$1"
	refused6 3
	bed_wait_line sidecar "the gateway has refused 3 IPv6 connections and opened none"
	unreachable6() { connect 2001:db8::1 80 --timeout 3 | grep "result=unreachable"; }
	bed_until 5 unreachable6
	[ "$(arrived '\[2001:db8::1\]:80')" = 3 ]
	# A socket that is bound to a device is steered as before.
	run connect 2001:db8::1 80 --bind-device eth0 --send hello --read-all --timeout 3
	echo "$output"
	[[ $output == *result=reset* ]]
	connect 192.0.2.1 80 --send $'GET / HTTP/1.0\r\n\r\n' --read-all
	if command -v curl >/dev/null; then
		bed_exec app curl -sS -m 5 --resolve 'both.test:80:[2001:db8::1],192.0.2.1' http://both.test/
	fi
}

@test "row 15: IPv6 fails at once where the gateway has none, and curl takes IPv4 (own programs)" {
	falls_back own_sidecar
}

@test "row 15: IPv6 fails at once where the gateway has none, and curl takes IPv4 (agent)" {
	falls_back agent_sidecar
}

@test "row 15: IPv6 fails at once where the gateway has none, and curl takes IPv4 (nftables)" {
	falls_back nft_sidecar
}

@test "row 15: another gateway is asked for IPv6 at once, and --ipv6-fallback=false goes on asking" {
	old_gateway
	own_sidecar --http-ingress-address "0.0.0.0:39001"
	refused6 3
	bed_wait_line sidecar "the gateway has refused 3 IPv6 connections and opened none"
	bed_spawn host other "$SIDESTEP" gateway --listen "$BED_HOST:8081" --server --log
	bed_until 5 bed_listening host 8081
	bed_exec host curl -fsS -X PUT -d '{"port": 8081}' "http://$BED_APP:39001/egress"
	opens6() { connect 2001:db8::1 80 --send hello --half-close --read-all; }
	bed_until 5 opens6
	bed_kill sidecar
	own_sidecar --ipv6-fallback=false
	refused6 6
}
