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

# answer NAME TYPE [ARGUMENT...] - prints rcode and records of the answer to the application's query.
answer() {
	local name=$1 type=$2 line
	shift 2
	[[ "$*" == *@* ]] || set -- "$@" @1.1.1.1
	line=$(bed_exec app "$PEER" dns "$name" "$type" "$@" --timeout 8) || true
	echo "dns $name $type: $line" >&2
	echo "$(bed_value rcode "$line") $(bed_value data "$line")"
}

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

# put JSON - PUT /egress of the host, as workerd does; prints the status.
put() {
	bed_exec host curl -sS --max-time 5 -o "$BED_DIR/put" -w '%{http_code}' -X PUT -d "$1" \
		"http://$BED_APP:39001/egress"
	cat "$BED_DIR/put" >&2
}

# rows 2 and 11: devices with a smaller MTU

# narrow MTU - the application's link carries this much, as in a VPN or a cloud. The outside's carries 1500.
narrow() {
	bed_exec app ip link set eth0 mtu "$1"
	bed_exec host ip link set app-eth0 mtu "$1"
	bed_exec host ip link set br0 mtu "$1"
}

# serve_sizes - servers in the application's namespace: connections at 7000, datagrams at 7001.
serve_sizes() {
	bed_spawn app server "$PEER" serve 7000 --mode echo
	bed_wait_line server ready
	bed_spawn app datagrams "$PEER" udp-serve 7001
	bed_wait_line datagrams ready
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
	run bed_wait_exit sidecar 2
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
	run bed_wait_exit sidecar 2
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
	bed_wait_line sidecar "bypass: $BED_SUBNET2 connected"
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

# row 4: connections that conntrack has forgotten

# forget - conntrack forgets all connections of the application's namespace (`conntrack -F`).
forget() {
	bed_exec app python3 -c '
import socket, struct
netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) # NETLINK_NETFILTER
# IPCTNL_MSG_CT_DELETE of all families, with an acknowledgement.
netlink.send(struct.pack("=IHHIIBBH", 20, 1 << 8 | 2, 5, 1, 0, 0, 0, 0))
error = struct.unpack_from("=i", netlink.recv(4096), 16)[0]
assert error == 0, error'
}

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

gateway_vanishes() { # START
	two_connections "$1" --peer-timeout 4000
	cut_line
	bed_wait_line idle "result=reset" 6
	bed_wait_line busy "result=reset" 6
	bed_wait_line sidecar "lost the gateway $BED_HOST:8080 .* no sign of life"
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
}

# row 13: refused at once

# denied HOST [ARGUMENT...] - sends a datagram that is denied, and requires an error within 100 ms.
denied() {
	local line
	line=$(bed_exec app "$PEER" udp "$1" 7000 --timeout 3 "${@:2}") || true
	echo "udp $*: $line"
	[[ $(bed_value result "$line") =~ ^(unreachable|EACCES|EPERM)$ ]]
	[ "$(bed_value us "$line")" -lt 100000 ]
}

# unheard HOST [ARGUMENT...] - does likewise, and requires that nothing comes back.
unheard() {
	local line
	line=$(bed_exec app "$PEER" udp "$1" 7000 --timeout 1 "${@:2}") || true
	echo "udp $*: $line"
	[ "$(bed_value result "$line")" = timeout ]
}

udp_server() {
	bed_spawn world server "$PEER" udp-serve 7000
	bed_wait_line server ready
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
	local line port
	connect 192.0.2.77 80 --send hello --half-close --read-all
	sniff_start
	bed_kill sidecar KILL
	for options in "192.0.2.77 80" "192.0.2.77 80 --bind-device eth0" \
		"2001:db8:9::9 80" "2001:db8:9::9 80 --bind-device eth0"; do
		# shellcheck disable=SC2086 # words
		line=$(connect $options --timeout 3) || true
		echo "connect $options: $line"
		[ "$(bed_value result "$line")" = refused ]
		[ "$(bed_value total_us "$line")" -lt 100000 ]
	done
	for port in "$@"; do
		for target in "$BED_WORLD" "$BED_WORLD6"; do
			line=$(bed_exec app "$PEER" udp "$target" "$port" --timeout 3) || true
			echo "udp $target $port: $line"
			[[ $(bed_value result "$line") =~ ^(unreachable|EACCES|EPERM)$ ]]
			[ "$(bed_value us "$line")" -lt 100000 ]
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
	bed_spawn host other "$SIDESTEP" gateway --listen "$BED_HOST:8081" --server
	bed_until 5 bed_listening host 8081
	bed_exec host curl -fsS -X PUT -d '{"port": 8081}' "http://$BED_APP:39001/egress"
	opens6() { connect 2001:db8::1 80 --send hello --half-close --read-all; }
	bed_until 5 opens6
	bed_kill sidecar
	own_sidecar --ipv6-fallback=false
	refused6 6
}

# row n2: another way follows a killed one

# traces - prints what sidecars leave in the application's namespace.
traces() {
	bed_exec app sh -c '
		nft list tables
		ip rule; ip -6 rule
		ip route show table all proto 93; ip -6 route show table all proto 93
		grep -H . /proc/sys/net/ipv4/conf/*/accept_local /proc/sys/net/ipv4/conf/*/rp_filter'
	bed_programs bed_exec app
}

# killed WAY - a sidecar of this way (own, agent, nft, redirect) steered, and was killed. So was its agent.
killed() {
	"$1_sidecar"
	connect 192.0.2.1 7000 --send hello --half-close --read-all
	bed_kill sidecar KILL
	run connect 192.0.2.1 7000 --send hello --read-all --timeout 2
	echo "$output"
	[[ $output != *result=ok* ]]
	bed_kill agent KILL
	# The maps of own programs are not the agent's, which pins its own here.
	[ "$1" = agent ] || rm -rf "$(SIDE_PIN)"
}

# steers WAY - another one steers everything, and ends.
steers() {
	"$1_sidecar"
	connect 192.0.2.77 7000 --send hello --half-close --read-all
	connect 2001:db8::77 7000 --send hello --half-close --read-all
	[ "$(arrived 192.0.2.77:7000)$(arrived '\[2001:db8::77\]:7000')" = 11 ]
	bed_exec outside "$PEER" connect "$BED_APP" 7001 --send hello --expect hello
	bed_kill sidecar
}

# Links of an agent are the host's. A sidecar of another way removes filters only, so something of them stays.
cleaned() {
	run connect 192.0.2.1 7000 --send hello --read-all --timeout 2
	echo "$output"
	[[ $output != *result=ok* ]]
	bed_exec host "$SIDESTEP" agent --clean --pin "$(SIDE_PIN)"
}

traces_gone() { traces | diff "$BED_DIR/before" -; }

# servers - a gateway, and a server on either side. Nothing is left of any sidecar yet.
servers() {
	gateway
	bed_spawn world server "$PEER" serve 7000
	bed_spawn app inner "$PEER" serve 7001
	bed_wait_line server ready
	bed_wait_line inner ready
	traces >"$BED_DIR/before"
}

follows() { # FIRST SECOND
	servers
	killed "$1"
	steers "$2"
	[ "$1" != agent ] || [ "$2" = agent ] || cleaned
	bed_until 5 traces_gone
	connect 192.0.2.1 7000 --send hello --expect hello
	connect 2001:db8::1 7000 --send hello --expect hello
}

# follows_links WAY - an agent's links let nothing out until the host removes them, whatever sidecar follows.
follows_links() {
	servers
	ATTACH=tcx killed agent
	"$1_sidecar"
	run connect 192.0.2.77 7000 --send hello --read-all --timeout 2
	echo "$output"
	[[ $output == *result=refused* ]]
	[ "$(arrived 192.0.2.77:7000)" = 0 ]
	bed_exec host "$SIDESTEP" agent --clean --pin "$(SIDE_PIN)"
	connect 192.0.2.77 7000 --send hello --half-close --read-all
	connect 2001:db8::77 7000 --send hello --half-close --read-all
	[ "$(arrived 192.0.2.77:7000)$(arrived '\[2001:db8::77\]:7000')" = 11 ]
	bed_kill sidecar
	bed_until 5 traces_gone
	connect 192.0.2.1 7000 --send hello --expect hello
}

@test "row n2: own programs after own programs: it steers, and leaves nothing" {
	follows own own
}

@test "row n2: the agent after own programs: it steers, and leaves nothing" {
	follows own agent
}

@test "row n2: nftables after own programs: it steers, and leaves nothing" {
	follows own nft
}

@test "row n2: own programs after the agent's filters: it steers, and leaves nothing" {
	ATTACH=clsact follows agent own
}

@test "row n2: the agent after the agent: it steers, and leaves nothing" {
	follows agent agent
}

@test "row n2: nftables after the agent's filters: it steers, and leaves nothing" {
	ATTACH=clsact follows agent nft
}

@test "row n2: own programs after the agent's links: it steers once the host has removed them" {
	follows_links own
}

@test "row n2: nftables after the agent's links: it steers once the host has removed them" {
	follows_links nft
}

@test "row n2: own programs after nftables: it steers, and leaves nothing" {
	follows nft own
}

@test "row n2: the agent after nftables: it steers, and leaves nothing" {
	follows nft agent
}

@test "row n2: nftables after nftables: it steers, and leaves nothing" {
	follows nft nft
}

@test "row n2: the agent takes over from nftables, and its sidecar leaves nothing" {
	gateway
	traces >"$BED_DIR/before"
	agent_sidecar
	bed_kill sidecar
	traces_gone() { traces | diff "$BED_DIR/before" -; }
	bed_until 5 traces_gone
}

@test "row n2: nftables without tproxy after own programs: it steers, and leaves nothing" {
	follows own redirect
}

@test "row n2: own programs after nftables without tproxy: it steers, and leaves nothing" {
	follows redirect own
}

# row n4: the machine's own network namespace

# without_rights WHERE ARGUMENT... - starts a sidecar that could change nothing, in the application's namespace
# or (machine) where the tests run. It prints the log.
without_rights() {
	local where=$1 enter=()
	shift
	[ "$where" = machine ] || enter=(bed_exec "$where")
	run "${enter[@]}" setpriv --bounding-set=-all --inh-caps=-all --no-new-privs \
		"$SIDESTEP" sidecar --gateway "$BED_HOST:8080" "$@"
	echo "$output"
}

@test "row n4: the machine's own namespace is refused without --host, and a container's is not" {
	[ -e /proc/sys/net/core/netdev_max_backlog ] || skip "the tests run in a container's network namespace"
	without_rights machine
	[ "$status" = 2 ]
	[[ $output == *"error: this is the machine's own network namespace"*"--bridge NAME"*"--host"* ]]
	without_rights machine --guard-first
	[ "$status" = 2 ]
	# These get as far as the rights that they lack.
	without_rights machine --host
	[ "$status" = 1 ]
	[[ $output == *"--cap-add NET_ADMIN"* ]]
	without_rights machine --bridge nosuch
	[ "$status" = 1 ]
	without_rights app
	[ "$status" = 1 ]
	[[ $output == *"--cap-add NET_ADMIN"* ]]
	# Here it shares the machine's processes.
	gateway
	own_sidecar
}

@test "row n4: a container's namespace is none of the machine's in any process or user namespace" {
	gateway
	bed_spawn app sidecar unshare --pid --fork --kill-child --mount-proc \
		"$SIDESTEP" sidecar --gateway "$BED_HOST:8080"
	bed_wait_line sidecar "interception is live" 10
}

# row n1: ready (tests/order.bats has the application's side)

ready_follows() { # START
	gateway
	run bed_exec app "$SIDESTEP" ready
	[ "$status" = 1 ]
	[ "$output" = "sidestep: error: not ready: no sidecar runs in this network namespace" ]
	bed_spawn app ready "$SIDESTEP" ready --wait 30
	"$1"
	bed_wait_exit ready
	# It takes no rights and no common processes.
	bed_exec app unshare --pid --fork --mount-proc setpriv --bounding-set=-all --inh-caps=-all \
		--reuid 65534 --regid 65534 --clear-groups "$SIDESTEP" ready
	run bed_exec neighbour "$SIDESTEP" ready
	[ "$status" = 1 ]
	bed_kill sidecar KILL
	# The kernel closes its sockets when the last of its threads has ended.
	is_unready() { ! bed_exec app "$SIDESTEP" ready; }
	bed_until 5 is_unready
	run bed_exec app "$SIDESTEP" ready --wait 1
	[ "$status" = 1 ]
}

@test "row n1: ready tells whether interception is live (own programs)" {
	ready_follows own_sidecar
}

@test "row n1: ready tells whether interception is live (agent)" {
	ready_follows agent_sidecar
}

@test "row n1: ready tells whether interception is live (nftables)" {
	ready_follows nft_sidecar
}

@test "row n1: a sidecar that is starting or stopping is not ready" {
	gateway --map-all "$BED_NEIGHBOUR:7000"
	bed_spawn neighbour server "$PEER" serve 7000 --mode hold
	bed_wait_line server ready
	# Without an agent this start waits.
	weak_sidecar app sidecar --datapath bpf --agent-wait 60000 --gateway "$BED_HOST:8080"
	not_live() { [[ $(bed_exec app "$SIDESTEP" ready 2>&1) == *"is starting or stopping" ]]; }
	bed_until 5 not_live
	bed_kill sidecar KILL
	own_sidecar --drain 60000
	bed_spawn app holder "$PEER" connect 192.0.2.77 9000 --send hello --read-all --timeout 60
	held() { [ "$(arrived 192.0.2.77:9000)" = 1 ]; }
	bed_until 5 held
	bed_exec app "$SIDESTEP" ready
	bed_signal sidecar TERM
	bed_until 5 not_live
}

# row n13: what the command line says

@test "row n13: version and help are found under their usual names, and a misspelled command is guessed" {
	local word
	for word in version --version -version -V -v; do
		[[ $("$SIDESTEP" "$word") == "sidestep $(<"$BED_REPO/VERSION")"* ]]
	done
	[ "$("$SIDESTEP" help status)" = "$("$SIDESTEP" status --help)" ]
	[[ $("$SIDESTEP" help) == "Usage: sidestep COMMAND"* ]]
	run "$SIDESTEP" statsu
	[ "$status" = 2 ]
	[[ $output == *'unknown command "statsu"; did you mean "status"?'* ]]
	run "$SIDESTEP" help nonsense
	[ "$status" = 2 ]
	[[ $output == *'unknown command "nonsense"; "sidestep --help"'* ]]
	# Each command that the help lists explains itself, and knows its version.
	for word in $("$SIDESTEP" help | sed -n 's/^  \([a-z]*\)  .*/\1/p'); do
		[[ $("$SIDESTEP" help "$word") == "sidestep $word - "* ]] || fail "help $word"
		[ "$("$SIDESTEP" help "$word")" = "$("$SIDESTEP" "$word" -h)" ] || fail "$word -h"
		[ "$("$SIDESTEP" "$word" -V)" = "$("$SIDESTEP" --version)" ] || fail "$word -V"
	done
	[ "$word" = help ]
	[ -z "$(git -C "$BED_REPO" status --porcelain -uno)" ] || return 0
	[[ $("$SIDESTEP" version) == *"($(git -C "$BED_REPO" rev-parse --short=12 HEAD))"$'\n'* ]]
}

@test "row n13: the gateway says where it listens, by default for this machine alone" {
	bed_spawn host gateway "$SIDESTEP" gateway
	bed_wait_line gateway "gateway: listens on 127.0.0.1:8080, and dials nothing"
	bed_kill gateway
	bed_spawn host gateway "$SIDESTEP" gateway --listen "unix:$BED_DIR/gateway.sock" --listen "[::1]:8080"
	bed_wait_line gateway "gateway: listens on $BED_DIR/gateway.sock, and connects clients to any destination"
	bed_wait_line gateway "gateway: listens on \\[::1\\]:8080, and connects"
	bed_kill gateway
	bed_spawn host gateway env SERVER=1 "$SIDESTEP"
	bed_wait_line gateway "gateway: listens on 0.0.0.0:8080, and dials nothing"
}

@test "row n13: status says that a killed process is gone (own programs)" {
	own_sidecar
	[[ $("$SIDESTEP" status --pin "$(SIDE_PIN)") == *", process $(bed_pid sidecar), gateway"* ]]
	bed_kill sidecar KILL
	shown_gone() { [[ $("$SIDESTEP" status --pin "$(SIDE_PIN)") == *", process gone, gateway"* ]]; }
	bed_until 5 shown_gone
	"$SIDESTEP" status --json --pin "$(SIDE_PIN)" | grep -q '"running": false'
}

@test "row n13: status says that a killed process is gone (bridge mode)" {
	bridge_sidecar
	[[ $("$SIDESTEP" status --pin "$(SIDE_PIN)") == *", process $(bed_pid sidecar), gateway"* ]]
	bed_kill sidecar KILL
	shown_gone() { [[ $("$SIDESTEP" status --pin "$(SIDE_PIN)") == *", process gone, gateway"* ]]; }
	bed_until 5 shown_gone
}

# row n6: a CA of the user's own

# own_ca ARGUMENT... - makes ca.crt and ca.key with a key of this kind.
own_ca() {
	mkdir -p "$BED_DIR/ca"
	openssl req -x509 -newkey "$@" -nodes -subj "/CN=Mine" -days 30 \
		-keyout "$BED_DIR/ca/ca.key" -out "$BED_DIR/ca/ca.crt" 2>/dev/null
}

@test "row n6: a CA of the user's own in --ca-dir signs, and stays as it is" {
	local kind before
	command -v openssl >/dev/null || skip "openssl is not installed"
	gateway
	for kind in "ec -pkeyopt ec_paramgen_curve:P-384" rsa:2048 ed25519; do
		# shellcheck disable=SC2086 # a list of words
		own_ca $kind
		before=$(sha256sum "$BED_DIR"/ca/*)
		own_sidecar --tls-intercept --ca-dir "$BED_DIR/ca" --http-ingress-address 0.0.0.0:39001
		bed_exec app openssl s_client -connect 192.0.2.7:443 -servername www.example.com \
			-CAfile "$BED_DIR/ca/ca.crt" -verify_return_error </dev/null
		bed_exec host curl -fsS "http://$BED_APP:39001/ca" | diff "$BED_DIR/ca/ca.crt" -
		bed_kill sidecar
		[ "$(sha256sum "$BED_DIR"/ca/*)" = "$before" ]
	done
}

@test "row n6: a CA that cannot sign is refused, and stays as it is" {
	local before
	command -v openssl >/dev/null || skip "openssl is not installed"
	own_ca rsa:2048
	openssl genrsa -out "$BED_DIR/ca/ca.key" 2048 2>/dev/null
	before=$(sha256sum "$BED_DIR"/ca/*)
	run bed_exec app timeout 10 "$SIDESTEP" sidecar --gateway "$BED_HOST:8080" --tls-intercept --ca-dir "$BED_DIR/ca"
	[ "$status" = 1 ]
	[[ $output == *"the CA in $BED_DIR/ca is left alone, and cannot be used: ca.key is not the key of ca.crt"* ]]
	[ "$(sha256sum "$BED_DIR"/ca/*)" = "$before" ]
}

# row n10: gVisor beside a sidecar

# runsc takes the addresses of the devices into its own network stack.
as_gvisor() {
	bed_exec app ip address flush dev eth0
	bed_exec app ip -6 address flush dev eth0 scope global
}

bare_is_named() { # START
	gateway
	"$1"
	bed_wait_line sidecar "preflight: the gateway $BED_HOST:8080 can be reached"
	bed_kill sidecar
	as_gvisor
	"$1"
	bed_wait_line sidecar "preflight: .* as in a container of gVisor .* --bridge" 10
	bed_kill sidecar
	run bed_exec app "$SIDESTEP" doctor --gateway "$BED_HOST:8080"
	[ "$status" = 4 ]
	[[ $output == *"failed  gateway: "*"gVisor"*"--bridge"* ]]
	! bed_log sidecar | grep "sandbox refuses" || return
}

@test "row n10: devices without addresses are named (own programs)" {
	bare_is_named own_sidecar
}

@test "row n10: devices without addresses are named (nftables)" {
	bare_is_named nft_sidecar
}

# row n12: the doctor

@test "row n12: the doctor takes a container's network namespace for one" {
	run bed_exec app "$SIDESTEP" doctor
	[[ $output == *"ok      network namespace: a container's"* ]]
}

@test "row n12: the doctor names the machine's own network namespace, where a sidecar would be refused" {
	[ -e /proc/sys/net/core/netdev_max_backlog ] || skip "the tests run in a container's network namespace"
	run "$SIDESTEP" doctor
	[[ $output == *"warning network namespace: the machine's own; give --bridge"* ]]
}

# row n15: what an example lacks

@test "row n15: without a registry the example of wrangler says so at once" {
	local tool
	mkdir "$BED_DIR/tools"
	ln -s /usr/bin/* /bin/* "$BED_DIR/tools" 2>/dev/null || true
	for tool in docker npm node; do
		ln -sf /bin/true "$BED_DIR/tools/$tool"
	done
	rm -f "$BED_DIR/tools/docker-registry"
	run bed_exec app env "PATH=$BED_DIR/tools" timeout 10 "$BED_REPO/examples/wrangler/run"
	echo "$output"
	[ "$status" = 1 ]
	[[ $output == "run: no registry listens at 127.0.0.1:5001, and docker-registry is not installed;"* ]]
}

# row n8: NET_ADMIN forgotten

@test "row n8: without NET_ADMIN one line of the log names the option of docker run" {
	local with
	for with in "" --guard-first "--datapath nft" "--datapath bpf"; do
		# shellcheck disable=SC2086 # two words
		without_rights app $with
		[ "$status" = 1 ]
		[ "${#lines[@]}" = 1 ]
		[[ $output == *"CAP_NET_ADMIN"*"docker run --cap-add NET_ADMIN"* ]]
	done
}

# row 17: loops

# inner_gateway WHERE ADDRESS [ARGUMENT...] - starts a gateway among those who are intercepted. It dials.
inner_gateway() {
	local where=$1 address=$2
	shift 2
	bed_spawn "$where" gateway "$@" "$SIDESTEP" gateway --listen "$address:8080" --log
	bed_until 5 bed_listening "$where" 8080
}

loop_is_refused() { # WHERE ADDRESS START [ARGUMENT...]
	local where=$1 address=$2
	shift 2
	# The world is there, and the gateway reaches it as long as nobody steers.
	bed_spawn world server "$PEER" serve 80 --mode http
	bed_wait_line server ready
	bed_exec app "$PEER" connect 192.0.2.1 80 --send $'GET / HTTP/1.0\r\n\r\n' --read-all
	inner_gateway "$where" "$address"
	"$@" --gateway "$address:8080"
	bed_wait_line sidecar "the gateway $address:8080 is itself intercepted"
	run connect 192.0.2.1 80 --send $'GET / HTTP/1.0\r\n\r\n' --read-all
	echo "$output"
	[[ $output == *result=reset* ]]
	[ "$(arrived 192.0.2.1:80)" = 0 ]
	# A gateway that dials nobody here takes its place.
	bed_kill gateway
	bed_spawn "$where" gateway "$SIDESTEP" gateway --listen "$address:8080" --server --log
	bed_wait_line sidecar "the gateway $address:8080 can be reached"
	connect 192.0.2.1 80 --send hello --half-close --read-all
	# And then the other one again, which is noticed by the failures.
	bed_kill gateway
	run connect 192.0.2.1 80 --send hello --read-all
	inner_gateway "$where" "$address"
	refusals() { [ "$(grep -c "is itself intercepted" "$BED_DIR/sidecar.log")" = 2 ]; }
	bed_until 6 refusals
}

@test "row 17: a gateway on the application's loopback whose connections come back is refused (own programs)" {
	loop_is_refused app 127.0.0.1 own_sidecar
}

@test "row 17: a gateway on the application's address whose connections come back is refused (agent)" {
	loop_is_refused app "$BED_APP" agent_sidecar
}

@test "row 17: a gateway on the application's address whose connections come back is refused (nftables)" {
	loop_is_refused app "$BED_APP" nft_sidecar
}

@test "row 17: a gateway on a unix socket in the namespace whose connections come back is refused" {
	bed_spawn app gateway "$SIDESTEP" gateway --listen "unix:$BED_DIR/gateway.sock" --log
	bed_until 5 test -S "$BED_DIR/gateway.sock"
	own_sidecar --gateway "unix:$BED_DIR/gateway.sock"
	bed_wait_line sidecar "the gateway unix:$BED_DIR/gateway.sock is itself intercepted"
	run connect 192.0.2.1 80 --send hello --read-all
	echo "$output"
	[[ $output == *result=reset* ]]
	[ "$(arrived 192.0.2.1:80)" = 0 ]
}

@test "row 17: a gateway in a container of a steered bridge is refused (bridge mode)" {
	loop_is_refused neighbour "$BED_NEIGHBOUR" bridge_sidecar
}

gateway_is_exempt() { # START [ARGUMENT...]
	bed_spawn world server "$PEER" serve 80 --mode http
	bed_wait_line server ready
	"$@" --gateway 127.0.0.1:8080
	bed_wait_line sidecar "the gateway 127.0.0.1:8080 can be reached"
	# The application's connection goes to the gateway, and the gateway's goes to the world.
	run connect 192.0.2.1 80 --send $'GET / HTTP/1.0\r\n\r\n' --read-all
	echo "$output"
	[[ $output == *'first="HTTP/1.1 200'* ]]
	run connect 2001:db8::1 80 --send $'GET / HTTP/1.0\r\n\r\n' --read-all
	[[ $output == *'first="HTTP/1.1 200'* ]]
	[ "$(arrived 192.0.2.1:80)" = 1 ]
	[ "$(arrived '\[2001:db8::1\]:80')" = 1 ]
	# A destination that refuses is a refusal for the application.
	run connect 192.0.2.1 81 --send hello --read-all
	echo "$output"
	[[ $output == *result=reset* ]]
	# The check's destination does not leave.
	! grep -q 203.0.113 "$BED_DIR/server.log" || false
}

@test "row 17: --exempt-uid lets a gateway of this user out, and nobody else (own programs)" {
	inner_gateway app 127.0.0.1 setpriv --reuid 4711 --clear-groups
	gateway_is_exempt own_sidecar --exempt-uid 4711
	# Another user's connection is asked of the gateway.
	bed_exec app setpriv --reuid 4712 --clear-groups "$PEER" connect 192.0.2.1 80 \
		--send $'GET / HTTP/1.0\r\n\r\n' --read-all
	[ "$(arrived 192.0.2.1:80)" = 2 ]
}

@test "row 17: with --exempt-uid no agent takes over, because its outer guard would let nobody out" {
	inner_gateway app 127.0.0.1 setpriv --reuid 4711 --clear-groups
	without_rights() {
		weak_sidecar app sidecar "$@"
		bed_wait_line sidecar "interception is live" 10
		bed_spawn host agent "$SIDESTEP" agent --pin "$(SIDE_PIN)" --pid "$(bed_pid sidecar)"
	}
	gateway_is_exempt without_rights --exempt-uid 4711
	bed_log sidecar | grep "an nftables table steers, without the host's agent"
	bed_kill sidecar
	run bed_exec app "${NET_ADMIN[@]}" \
		"$SIDESTEP" sidecar --gateway 127.0.0.1:8080 --exempt-uid 4711 --datapath bpf
	echo "$output"
	[ "$status" -eq 1 ]
	[[ $output == *"do not go with the host's agent"* ]]
}

@test "row 17: --exempt-uid lets a gateway of this user out (nftables)" {
	inner_gateway app 127.0.0.1 setpriv --reuid 4711 --clear-groups
	gateway_is_exempt nft_sidecar --exempt-uid 4711
}

@test "row 17: --exempt-cgroup lets a gateway of this control group out" {
	mkdir "$BED_DIR/cgroup"
	mount -t cgroup2 none "$BED_DIR/cgroup"
	group=$BED_DIR/cgroup/$BED_ID
	mkdir "$group"
	# shellcheck disable=SC2016 # for the inner shell
	inner_gateway app 127.0.0.1 sh -c 'echo 0 >"$0/cgroup.procs" && exec "$@"' "$group"
	gateway_is_exempt own_sidecar --exempt-cgroup "$group"
}

@test "row 17: an exemption that anybody could have is refused" {
	run bed_exec app "$SIDESTEP" sidecar --gateway 127.0.0.1:8080 --exempt-uid 0
	echo "$output"
	[ "$status" -ne 0 ]
	[[ $output == *"the application may be root as well"* ]]
	run bed_exec app "$SIDESTEP" sidecar --gateway 127.0.0.1:8080 --exempt-cgroup /tmp
	echo "$output"
	[ "$status" -ne 0 ]
	[[ $output == *"give a folder of a cgroup v2 file system"* ]]
	run bed_exec app "$SIDESTEP" sidecar --gateway 127.0.0.1:8080 --bridge br0 --exempt-uid 4711
	[ "$status" -eq 2 ]
}

@test "row 17: a gateway elsewhere is asked for nothing but the application's destinations" {
	gateway
	own_sidecar
	connect 192.0.2.77 80 --send hello --half-close --read-all
	bed_wait_line sidecar "preflight: the gateway $BED_HOST:8080 can be reached"
	[ "$(arrived '.*')" = 1 ]
}

# n11: gateways by name

# zone [NAME ADDRESS]... - what the resolver 1.1.1.1 knows from now on.
zone() {
	printf '%s %s\n' "$@" >"$BED_DIR/zone"
}

# named_bed [NAME ADDRESS]... - starts a resolver with these names. The sidecar has files of its own in /etc.
named_bed() {
	zone "$@"
	echo "127.0.0.1 localhost" >"$BED_DIR/hosts"
	echo "nameserver 1.1.1.1" >"$BED_DIR/resolv.conf"
	bed_spawn world resolver python3 -uc '
import ipaddress, socket, struct, sys
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("1.1.1.1", 53))
print("ready")
while True:
    query, peer = server.recvfrom(512)
    end = query.index(b"\0", 12)
    kind = struct.unpack(">H", query[end + 1:end + 3])[0]
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode())
        at += 1 + query[at]
    known = [line.split() for line in open(sys.argv[1]) if line.split()]
    found = [ipaddress.ip_address(address) for name, address in known if name == ".".join(labels)]
    print("query", peer[0], ".".join(labels), kind)
    chosen = [address.packed for address in found if {4: 1, 6: 28}[address.version] == kind]
    answer = query[:2] + struct.pack(">HHHHH", 0x8180 if found else 0x8183, 1, len(chosen), 0, 0)
    answer += query[12:end + 5]
    for data in chosen:
        answer += b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 0, len(data)) + data
    server.sendto(answer, peer)' "$BED_DIR/zone"
	bed_wait_line resolver ready
}

# own_named, nft_named, agent_named [ARGUMENT...] - start a sidecar of that datapath in the bed of named_bed.
named_spawn() {
	# shellcheck disable=SC2016 # for the inner shell
	bed_spawn app sidecar unshare --mount sh -c '
		mount --bind "$0/hosts" /etc/hosts && mount --bind "$0/resolv.conf" /etc/resolv.conf && exec "$@"' \
		"$BED_DIR" "$@"
	bed_wait_line sidecar "interception is live" 10
}

own_named() {
	named_spawn "$SIDESTEP" sidecar --pin "$(SIDE_PIN)" "$@"
}

nft_named() {
	named_spawn setpriv --bounding-set=-all,+net_admin --inh-caps=-all "$SIDESTEP" sidecar --datapath nft "$@"
}

agent_named() {
	bed_needs_linux 6.6 "TCX links"
	named_spawn setpriv --bounding-set=-all,+net_admin --inh-caps=-all "$SIDESTEP" sidecar "$@"
	bed_spawn host agent "$SIDESTEP" agent --pin "$(SIDE_PIN)" --pid "$(bed_pid sidecar)"
	bed_wait_line sidecar "the host's agent steers .* in place of the nftables table" 10
}

# world_gateway NAME ADDRESS - starts a gateway in the world.
world_gateway() {
	bed_spawn world "$1" "$SIDESTEP" gateway --listen "$2:8080" --server --log
	bed_until 5 bed_listening world 8080
}

# through NAME DESTINATION PORT - a connection of the application's arrives at that gateway.
through() {
	local host=${2#[}
	connect "${host%]}" "$3" --send hello --half-close --read-all
	grep -F "\"destination\":\"$2:$3\"" "$BED_DIR/$1.log"
}

moves() { # START
	named_bed gw.test "$BED_OUTSIDE" gw.test 203.0.113.1
	world_gateway first "$BED_OUTSIDE"
	# Nobody's queries pass, if they are intercepted.
	"$1" --gateway gw.test:8080 --dns-enabled=false
	run bed_exec app "$PEER" dns gw.test A @1.1.1.1 --timeout 0.5
	[ "$status" != 0 ]
	through first 192.0.2.77 80
	bed_kill first
	world_gateway second 203.0.113.1
	connect 192.0.2.77 80 --send hello --half-close --read-all || true
	bed_wait_line sidecar "the gateway gw.test is 203.0.113.1:8080 now" 10
	bed_wait_line sidecar "preflight: the gateway 203.0.113.1:8080 can be reached"
	through second 192.0.2.78 80
	# The former address is one like any other.
	through second "$BED_OUTSIDE" 8080
	[ "$(grep -c "query $BED_APP gw.test" "$BED_DIR/resolver.log")" -ge 4 ]
}

# The application may answer in the resolver's place.
moves_no_farther() { # START
	named_bed gw.test "$BED_HOST"
	gateway
	"$1" --gateway gw.test:8080
	bed_wait_line sidecar "preflight: the gateway $BED_HOST:8080 can be reached"
	bed_kill gateway
	zone gw.test "$BED_OUTSIDE"
	world_gateway outside "$BED_OUTSIDE"
	connect 192.0.2.77 80 --send hello --half-close --read-all || true
	bed_wait_line sidecar "the gateway gw.test has a new address, $BED_OUTSIDE:8080, .* It is not taken" 10
	run connect 192.0.2.77 80 --send hello --read-all
	[[ $output == *result=reset* ]]
	run grep destination "$BED_DIR/outside.log"
	[ "$status" = 1 ]
	# The gateway is made anew on the application's network.
	zone gw.test "$BED_NEIGHBOUR"
	bed_spawn neighbour beside "$SIDESTEP" gateway --listen "$BED_NEIGHBOUR:8080" --server --log
	bed_wait_line sidecar "the gateway gw.test is $BED_NEIGHBOUR:8080 now" 10
	through beside 192.0.2.78 80
}

@test "n11: a name that moves outside the bypassed subnets is not followed (own programs)" {
	moves_no_farther own_named
}

@test "n11: a name that moves outside the bypassed subnets is not followed (agent)" {
	moves_no_farther agent_named
}

@test "n11: a name that moves outside the bypassed subnets is not followed (nftables)" {
	moves_no_farther nft_named
}

@test "n11: a gateway's name is looked up at the start, and anew when it fails (own programs)" {
	moves own_named
}

@test "n11: a gateway's name is looked up at the start, and anew when it fails (agent)" {
	moves agent_named
}

@test "n11: a gateway's name is looked up at the start, and anew when it fails (nftables)" {
	moves nft_named
}

unknown_first() { # START
	named_bed
	world_gateway first "$BED_OUTSIDE"
	"$1" --gateway gw.test:8080
	bed_wait_line sidecar "the gateway's name gw.test has no address.* nor a resolver of /etc/resolv.conf knows it"
	run connect 192.0.2.77 80 --send hello --read-all
	[[ $output == *result=reset* ]]
	bed_log sidecar | grep "cannot connect to the gateway unknown:8080 .* its name has no address"
	zone gw.test "$BED_OUTSIDE"
	bed_wait_line sidecar "the gateway gw.test is $BED_OUTSIDE:8080 now" 10
	through first 192.0.2.78 80
}

@test "n11: a name that nobody knows at the start is found later (own programs)" {
	unknown_first own_named
}

@test "n11: a name that nobody knows at the start is found later (agent)" {
	unknown_first agent_named
}

@test "n11: a name that nobody knows at the start is found later (nftables)" {
	unknown_first nft_named
}

@test "n11: of two families the one that works is taken, and the search list completes the name" {
	named_bed gw.corp.test 198.51.100.77 gw.corp.test "$BED_OUTSIDE6"
	echo "search other.test corp.test" >>"$BED_DIR/resolv.conf"
	world_gateway first "[$BED_OUTSIDE6]"
	own_named --gateway gw:8080
	bed_wait_line sidecar "the gateway gw is \[$BED_OUTSIDE6\]:8080 now" 10
	through first 192.0.2.77 80
}

@test "n11: without a route for IPv4 the name's IPv6 address is taken at once" {
	named_bed
	printf '%s\n' "$BED_OUTSIDE gw.test" "$BED_OUTSIDE6 other gw.test # a comment" >>"$BED_DIR/hosts"
	bed_exec app ip route delete default
	world_gateway first "[$BED_OUTSIDE6]"
	own_named --gateway gw.test:8080
	bed_wait_line sidecar "preflight: the gateway \[$BED_OUTSIDE6\]:8080 can be reached"
	through first "[2001:db8::77]" 80
}

@test "n11: host.docker.internal comes from the hosts file, in both families, and is followed" {
	named_bed
	gateway
	echo "$BED_HOST6 host.docker.internal" >>"$BED_DIR/hosts"
	own_named --http-egress-port 8080
	bed_wait_line sidecar "preflight: the gateway \[$BED_HOST6\]:8080 can be reached"
	bed_kill gateway
	bed_spawn host second "$SIDESTEP" gateway --listen "$BED_HOST:8080" --server --log
	printf '%s\n' "127.0.0.1 localhost" "$BED_HOST host.docker.internal" >"$BED_DIR/hosts"
	connect 192.0.2.77 80 --send hello --half-close --read-all || true
	bed_wait_line sidecar "the gateway host.docker.internal is $BED_HOST:8080 now" 10
	through second 192.0.2.78 80
	bed_log sidecar | { ! grep "the sandbox refuses"; }
}

@test "n11: what is no name is refused with a hint, and the doctor looks names up" {
	local wrong
	for wrong in gw 172.30.0.1.5:8080 a..b:80 gw:99999 "gw x:80" :80; do
		run "$SIDESTEP" sidecar --gateway "$wrong"
		echo "$output"
		[ "$status" = 2 ]
		[[ $output == *"give IP:PORT, [IPv6]:PORT, NAME:PORT or unix:/PATH"* ]]
	done
	gateway
	run bed_exec app "$SIDESTEP" doctor --gateway localhost:9
	echo "$output"
	[ "$status" = 4 ]
	[[ $output == *"127.0.0.1:9 cannot be reached"* ]]
}

# row 14: records that hide the name

# browse NAME ADDRESS - opens TLS as Chromium does. If the HTTPS record offers Encrypted Client Hello, the
# ClientHello bears only a public name.
browse() {
	local name=$1 record
	record=$(answer "$1" HTTPS)
	[[ $record == "noerror https:"* ]]
	[[ ${record#*:}/ != *5/* ]] || name=public.example
	run bed_exec app python3 "$BED_REPO/tests/tls_hello.py" "$2" 443 "$name"
}

# hellos NAME - prints how many CONNECTs bore this name.
hellos() {
	grep -c "\"sni\":\"$1\"" "$BED_DIR/gateway.log" || true
}

names_are_shown() { # START
	resolver
	gateway --delay 0
	"$1" --sni-hint
	[ "$(answer ech.test HTTPS)" = "noerror https:1/4/6/65280" ]
	[ "$(answer ech.test HTTPS @2001:db8::1)" = "noerror https:1/4/6/65280" ]
	[ "$(answer ech.test A)" = "noerror 192.0.2.7" ]
	[ "$(answer ech.test HTTPS --tcp)" = "noerror https:1/4/6/65280" ]
	browse ech.test 192.0.2.7
	shown() { [ "$(hellos ech.test)" = 1 ]; }
	bed_until 5 shown
	[ "$(hellos public.example)" = 0 ]
}

@test "row 14: without hints the record stays, and a browser hides the name" {
	resolver
	gateway
	[ "$(answer ech.test HTTPS)" = "noerror https:1/4/5/6" ]
	sidecar
	[ "$(answer ech.test HTTPS)" = "noerror https:1/4/5/6" ]
}

@test "row 14: CONNECT bears the real name although the record has ech (own programs)" {
	names_are_shown sidecar
}

@test "row 14: CONNECT bears the real name although the record has ech (agent)" {
	names_are_shown agent_sidecar
}

@test "row 14: CONNECT bears the real name although the record has ech (nftables)" {
	names_are_shown nft_sidecar
}

# row 26: one policy for UDP and TCP

CONTROL=(--http-ingress-address 0.0.0.0:39001)

queries() {
	bed_log resolver | grep -c '^query ' || true
}

tcp_like_udp() { # START
	local way
	resolver
	gateway --delay 0
	"$1" "${CONTROL[@]}"
	[ "$(put '{"dns": {"allowHostnames": ["*.mine.test"]}}')" = 204 ]
	for way in "" --tcp; do
		# shellcheck disable=SC2086 # no word, or one
		[ "$(answer good.test A $way)" = "noerror 192.0.2.7" ]
		[ "$(answer nx.mine.test AAAA $way)" = "noerror fd00::1" ]
		[ "$(answer nx.other.test A $way)" = "nxdomain -" ]
		[ "$(answer op.test SOA --opcode 4 $way)" = "noerror -" ]
		[ "$(answer good.test A $way @2001:db8::1)" = "noerror 192.0.2.7" ]
	done
	[ "$(queries)" = 10 ]
	[ "$(arrived 1.1.1.1:53)" = 4 ]
	[ "$(put '{"internet": {"enabled": false}}')" = 204 ]
	for way in "" --tcp; do
		[ "$(answer good.test A $way)" = "nxdomain -" ]
		[ "$(answer a.mine.test A $way)" = "noerror 11.0.0.1" ]
		[ "$(answer good.test AAAA $way @2001:db8::1)" = "nxdomain -" ]
	done
	[ "$(queries)" = 10 ]
	[ "$(arrived 1.1.1.1:53)" = 4 ]
	[ "$(put '{"internet": {"enabled": true}}')" = 204 ]
	[ "$(answer good.test A --tcp)" = "noerror 192.0.2.7" ]
}

@test "row 26: DNS over TCP gets the answers of UDP (own programs)" {
	tcp_like_udp sidecar
}

@test "row 26: DNS over TCP gets the answers of UDP (agent)" {
	tcp_like_udp agent_sidecar
}

@test "row 26: DNS over TCP gets the answers of UDP (nftables)" {
	tcp_like_udp nft_sidecar
}

# row 18: many cores, few descriptors

# threads - prints how many threads the sidecar says it runs.
threads() {
	sed -nE 's/.* is live after .* ([0-9]+) threads/\1/p' "$BED_DIR/sidecar.log"
}

# with_descriptors START - at a hard limit of 1024 files a sidecar runs with fewer threads than it is asked for.
with_descriptors() {
	gateway
	"$1" --threads 64
	[ "$(threads)" = 64 ]
	bed_kill sidecar
	[ "$1" != agent_sidecar ] || bed_kill agent
	ulimit -n 1024
	"$1" --threads 64
	bed_wait_line sidecar "warning: 20 proxy threads run, because 64 would take most of the 1024 files"
	[ "$(threads)" = 20 ]
	[ "$(find "/proc/$(bed_pid sidecar)/fd" -mindepth 1 | wc -l)" -lt 600 ]
	for target in 192.0.2.77 2001:db8:9::9; do
		connect $target 80 --send hello --half-close --read-all
	done
	[ "$(arrived 192.0.2.77:80)" = 1 ]
	[ "$(arrived '\[2001:db8:9::9\]:80')" = 1 ]
}

@test "row 18: with 1024 descriptors fewer threads run, and a line says so (own programs)" {
	with_descriptors own_sidecar
}

@test "row 18: with 1024 descriptors fewer threads run, and a line says so (agent)" {
	with_descriptors agent_sidecar
}

@test "row 18: with 1024 descriptors fewer threads run, and a line says so (nftables)" {
	with_descriptors nft_sidecar
}

@test "row 18: the number of processors sets that of threads, at most 8, and --threads more" {
	gateway
	own_sidecar
	cores=$(nproc)
	[ "$(threads)" = $((cores < 8 ? cores : 8)) ]
	bed_kill sidecar
	own_sidecar --threads 64
	[ "$(threads)" = 64 ]
}

@test "row 18: the affinity sets the number of threads" {
	[ "$(nproc)" -gt 1 ] || skip "needs two processors"
	gateway
	taskset -cp "$(taskset -cp $BASHPID | sed 's/.*: \([0-9]*\).*/\1/')" $BASHPID
	own_sidecar
	[ "$(threads)" = 1 ]
}

@test "row 18: the quota of a control group sets the number of threads" {
	[ "$(nproc)" -gt 1 ] || skip "needs two processors"
	group=/sys/fs/cgroup/cpu/$BED_ID
	[ -d /sys/fs/cgroup/cpu ] || group=/sys/fs/cgroup/$BED_ID
	mkdir "$group"
	if [ -e "$group/cpu.max" ]; then
		echo "50000 100000" >"$group/cpu.max"
	else
		[ -e "$group/cpu.cfs_quota_us" ] || skip "needs the controller \"cpu\""
		echo 50000 >"$group/cpu.cfs_quota_us"
	fi
	gateway
	# shellcheck disable=SC2016 # for the inner shell
	bed_spawn app sidecar sh -c 'echo 0 >"$0/cgroup.procs" && exec "$@"' "$group" \
		"$SIDESTEP" sidecar --gateway "$BED_HOST:8080"
	bed_wait_line sidecar "interception is live" 10
	[ "$(threads)" = 1 ]
}

# generation - prints how many nftables transactions the application's namespace has had (NFT_MSG_GETGEN).
generation() {
	bed_exec app python3 -c '
import socket, struct
netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) # NETLINK_NETFILTER
netlink.send(struct.pack("=IHHIIBBH", 20, 10 << 8 | 16, 1, 1, 0, 0, 0, 0))
print(struct.unpack_from(">I", netlink.recv(4096), 24)[0])'
}

# ports_of_sockets - prints the ports of the sidecar's UDP sockets. One of each family can have the same port.
ports_of_sockets() {
	bed_exec app ss -Hlnup | awk -v "owner=\"sidestep\",pid=$(bed_pid sidecar)," '
		index($0, owner) { sub(/.*:/, "", $4); print "udp . " $4 }'
}

@test "row 18: 64 threads take one transaction and each start succeeds (nftables)" {
	gateway
	for _ in 1 2 3 4 5; do
		before=$(generation)
		nft_sidecar --threads 64
		# The one before tries tproxy.
		[ "$(generation)" = $((before + 2)) ]
		ports_of_sockets >"$BED_DIR/sockets"
		[ "$(wc -l <"$BED_DIR/sockets")" -gt 1000 ]
		bed_exec app nft list set inet sidestep own | grep -o 'udp \. [0-9]*' | sort >"$BED_DIR/elements"
		sort -u "$BED_DIR/sockets" | diff - "$BED_DIR/elements"
		connect 192.0.2.77 80 --send hello --half-close --read-all
		bed_kill sidecar
	done
}

# row n14: lines in the host's kernel log

@test "row n14: start and end write nothing to the host's kernel log" {
	dmesg >/dev/null 2>&1 || skip "the kernel's log cannot be read (kernel.dmesg_restrict)"
	command -v python3 >/dev/null || skip "python3 is not installed"
	complaints() { # PROCESS - lines about requests of netlink that are too long
		dmesg | grep -c "leftover after parsing attributes in process .$1'" || true
	}
	# The kernel limits the rate of these lines, which others may cause as well.
	told() {
		python3 -c '
import socket, struct
open("/proc/self/comm", "w").write("n14-control")
link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
link.send(struct.pack("=IHHII12x", 28, 18, 0x301, 1, 0))
link.recv(65536)'
		[ "$(complaints n14-control)" -gt "$before" ]
	}
	cp "$SIDESTEP" "$BED_DIR/n14-sidestep"
	gateway
	ours=$(complaints n14-sidestep)
	before=$(complaints n14-control)
	bed_until 10 told
	SIDESTEP=$BED_DIR/n14-sidestep sidecar
	bed_kill sidecar
	before=$(complaints n14-control)
	bed_until 10 told
	[ "$(complaints n14-sidestep)" = "$ours" ]
}

# row 19: the internet is off for every resolver that the namespace reaches

# asked NAME - prints how many queries the resolver of this name has got.
asked() {
	bed_log "$1" | grep -c '^query ' || true
}

off_everywhere() { # START
	local address way
	resolver
	bed_spawn neighbour beside "$PEER" dns-serve 53
	bed_wait_line beside ready
	bed_spawn host bridge "$PEER" dns-serve 53 --address "$BED_HOST"
	bed_wait_line bridge ready
	bed_spawn app own "$PEER" dns-serve 53 --address 127.0.0.1
	bed_wait_line own ready
	gateway --delay 0
	"$1" "${CONTROL[@]}"
	[ "$(put '{"dns": {"allowHostnames": ["*.mine.test"]}}')" = 204 ]
	for address in $BED_NEIGHBOUR $BED_NEIGHBOUR6 $BED_HOST 127.0.0.1; do
		[ "$(answer good.test A "@$address")" = "noerror 192.0.2.7" ]
		[ "$(answer good.test A --tcp "@$address")" = "noerror 192.0.2.7" ]
	done
	[ "$(put '{"internet": {"enabled": false}}')" = 204 ]
	for address in $BED_NEIGHBOUR $BED_NEIGHBOUR6 $BED_HOST 1.1.1.1; do
		for way in "" --tcp "--bind-device eth0" "--tcp --bind-device eth0"; do
			# shellcheck disable=SC2086 # no word, or some
			[ "$(answer good.test A $way "@$address")" = "nxdomain -" ]
			# shellcheck disable=SC2086 # no word, or some
			[ "$(answer a.mine.test A $way "@$address")" = "noerror 11.0.0.1" ]
		done
	done
	[ "$(answer good.test A @127.0.0.1)" = "noerror 192.0.2.7" ]
	# Without a socket's route it does not get out either. nftables tells the sender.
	run bed_exec app "$PEER" raw-send "$BED_NEIGHBOUR" 53 --mode udp --send "idQ1 a raw query"
	[ "$(asked resolver) $(asked beside) $(asked bridge)" = "0 4 2" ]
	# Neighbours are reached as before.
	bed_spawn neighbour server "$PEER" serve 8000
	bed_wait_line server ready
	connect "$BED_NEIGHBOUR" 8000 --send hello --half-close --read-all
	[ "$(arrived "$BED_NEIGHBOUR:8000")" = 0 ]
	[ "$(put '{"internet": {"enabled": true}}')" = 204 ]
	[ "$(answer good.test A "@$BED_NEIGHBOUR")" = "noerror 192.0.2.7" ]
	[ "$(answer good.test A --tcp "@$BED_NEIGHBOUR6")" = "noerror 192.0.2.7" ]
	[ "$(arrived "[$BED_NEIGHBOUR6]:53")" = 0 ]
}

@test "row 19: off, neighbours' and the bridge's resolvers get no query (own programs)" {
	off_everywhere sidecar
}

@test "row 19: off, neighbours' and the bridge's resolvers get no query (agent)" {
	off_everywhere agent_sidecar
}

@test "row 19: off, neighbours' and the bridge's resolvers get no query (nftables)" {
	off_everywhere nft_sidecar
}

# engine_bed - has a Docker engine in place of the bed. The machine has its resolver at a loopback address.
engine_bed() {
	bed_stop
	engine_start
	engine_exec sh -c 'echo nameserver 127.0.0.53 >/etc/resolv.conf'
	engine_image test "$SIDESTEP:/bin/sidestep" "$PEER:/bin/peer"
	bed_spawn engine gateway "$SIDESTEP" gateway --server --log --listen 0.0.0.0:8080
	bed_spawn engine loopback "$PEER" dns-serve 53 --address 127.0.0.53
	bed_wait_line loopback ready
	resolver
}

# engine_side NETWORK [DOCKER-ARGUMENT...] - starts a sidecar on this network, and beside it the container `db`.
engine_side() {
	local network=$1
	shift
	dk run -d --name db --network "$network" test /bin/peer serve 5432 >/dev/null
	# shellcheck disable=SC2086 # no word, or two
	dk run -d --name side --network "$network" $RIGHTS "$@" test /bin/sidestep sidecar \
		--gateway "$(dk network inspect -f '{{(index .IPAM.Config 0).Gateway}}' "$network"):8080" \
		"${CONTROL[@]}" >/dev/null
	engine_wait_line side "interception is live" 10
}

engine_end() {
	dk rm -f side db >/dev/null
}

# engine_put JSON - PUT /egress of the machine; prints the status.
engine_put() {
	engine_exec curl -sS --max-time 5 -o "$BED_DIR/put" -w '%{http_code}' -X PUT -d "$1" \
		"http://$(engine_address side "$NETWORK"):39001/egress"
	cat "$BED_DIR/put" >&2
}

# engine_answer NAME [ARGUMENT...] - like answer, for the sidecar's namespace on the engine.
engine_answer() {
	local line
	line=$(dk exec side /bin/peer dns "$1" A "${@:2}" --timeout 8) || true
	echo "dns $*: $line" >&2
	echo "$(bed_value rcode "$line") $(bed_value data "$line")"
}

# decoy silent|lying - an application without capabilities beside the sidecar has 64 UDP sockets of the engine's
# resolver's address. They answer any query with 11.0.0.1, or not.
decoy() {
	[ ! -e "$BED_DIR/proc/decoy.pid" ] || bed_kill decoy
	bed_spawn engine decoy nsenter --net="/proc/$(engine_pid side)/ns/net" -- \
		setpriv --bounding-set=-all --inh-caps=-all --no-new-privs python3 -c '
import select, socket, sys
held = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for i in range(64)]
for each in held:
    each.bind(("127.0.0.11", 0))
print("all sockets", flush=True)
while True:
    for each in select.select(held, [], [])[0]:
        query, sender = each.recvfrom(512)
        if sys.argv[1] == "lying":
            each.sendto(query[:2] + bytes.fromhex("8180000100010000 0000") + query[12:] +
                        bytes.fromhex("c00c00010001000000000004 0b000001"), sender)' "$1"
	bed_wait_line decoy "all sockets"
}

# The resolvers of the machine and of the world get no query, and names of containers are known.
engine_off() { # RESOLVER
	local before
	decoy silent
	[ "$(engine_answer good.test "@$1")" = "noerror 192.0.2.7" ]
	[ "$(engine_put '{"internet": {"enabled": false}, "dns": {"allowHostnames": ["*.mine.test"]}}')" = 204 ]
	before="$(asked loopback) $(asked resolver)"
	for way in "" --tcp; do
		# shellcheck disable=SC2086 # no word, or one
		[ "$(engine_answer good.test $way "@$1")" = "nxdomain -" ]
		# shellcheck disable=SC2086 # no word, or one
		[ "$(engine_answer a.mine.test $way "@$1")" = "noerror 11.0.0.1" ]
	done
	[ "$NETWORK" = bridge ] ||
		[ "$(engine_answer db "@$1")" = "noerror $(engine_address db "$NETWORK")" ]
	[ "$(asked loopback) $(asked resolver)" = "$before" ]
}

engine_layouts() {
	local neighbour
	engine_bed
	# The engine replaces the resolver at a loopback address on its default network.
	NETWORK=bridge
	engine_side bridge
	engine_off 8.8.8.8
	engine_end
	dk network create inside >/dev/null
	NETWORK=inside
	engine_side inside --dns 1.1.1.1
	engine_off 127.0.0.11
	engine_end
	# A resolver in a neighbour.
	dk run -d --name names --network inside test /bin/peer dns-serve 53 >/dev/null
	engine_wait_line names ready
	neighbour=$(engine_address names inside)
	engine_side inside --dns "$neighbour"
	engine_off 127.0.0.11
	[ "$(engine_answer good.test "@$neighbour")" = "nxdomain -" ]
	[ "$(dk logs names | grep -c '^query ')" = 1 ]
	engine_end
	# The engine asks the machine's resolver itself, where nothing of ours is. It stays as it was.
	engine_side inside
	decoy lying
	[ "$(engine_put '{"internet": {"enabled": false}}')" = 409 ]
	grep -q "127.0.0.11" "$BED_DIR/put"
	[ "$(engine_answer good.test @127.0.0.11)" = "noerror 192.0.2.7" ]
	[ "$(engine_answer good.test "@$neighbour")" = "noerror 192.0.2.7" ]
}

@test "row 19: off, in four layouts of an engine (own programs)" {
	RIGHTS=--privileged engine_layouts
}

@test "row 19: off, in four layouts of an engine (nftables)" {
	RIGHTS="--cap-add NET_ADMIN" engine_layouts
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
	local i
	for i in 1 2 3; do
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

tunnel_is_steered() { # START
	local address device
	tunnel tun0
	tunnel_routes tun0
	gateway
	"$1"
	bed_spawn world sniff "$PEER" sniff --device tun0 --count-dst 203.0.113.0/24 --count-dst 2001:db8:1::/48 \
		--until-file "$BED_DIR/sniff-end"
	bed_wait_line sniff ready
	for address in 203.0.113.1 2001:db8:1::1; do
		connect "$address" 80 --send hello --half-close --read-all
		connect "$address" 80 --send hello --half-close --read-all --bind-device tun0
		for device in eth0 tun0; do
			run bed_exec app "$PEER" udp "$address" 9 --send secret --bind-device $device --timeout 5
			[ "$(bed_value us "$output")" -lt 100000 ]
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

@test "row 16: what goes out by a tunnel is steered or denied (own programs)" {
	tunnel_is_steered own_sidecar
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
	bed_wait_line sidecar "bypass: 10.9.0.0/24 connected" 5
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

# row 8: nftables without tproxy

# poor_sidecar [ARGUMENT...] - starts one that has no rights for BPF and may choose.
poor_sidecar() {
	weak_sidecar app sidecar --gateway "$BED_HOST:8080" "$@"
	bed_wait_line sidecar "interception is live" 10
	DATAPATH=nft-redirect
}

# doctor_says TEXT... - the doctor says each of these to somebody who has CAP_NET_ADMIN alone.
doctor_says() {
	local text
	run bed_exec app "${NET_ADMIN[@]}" "$SIDESTEP" doctor
	echo "$output"
	for text; do
		[[ $output == *"$text"* ]]
	done
}

@test "row 8: without tproxy connections are redirected, the live line says so, and nothing leaves" {
	doctor_says "ok      nftables: the kernel takes the sidecar's table"
	[[ $output != *"missing"* ]]
	lacks tproxy
	doctor_says "ok      nftables: the kernel takes the sidecar's table" "nft_tproxy, CONFIG_NFT_TPROXY" \
		"connections are redirected"
	resolver
	gateway
	poor_sidecar --made-up "*.mine.test"
	grep -q "this network namespace, nft-redirect, gateway" "$BED_DIR/sidecar.log"
	sniff_start
	for address in 192.0.2.77 203.0.113.9 2001:db8:9::9; do
		run connect "$address" 443 --send hello --half-close --read-all
		echo "$output"
		[[ $output == *"peer=$address:443"* || $output == *"peer=[$address]:443"* ]]
	done
	[ "$(arrived 192.0.2.77:443)$(arrived 203.0.113.9:443)$(arrived '\[2001:db8:9::9\]:443')" = 111 ]
	run bed_exec app "$PEER" udp 192.0.2.1 7000 --send hello
	[ "$status" -ne 0 ]
	[ "$(leaks)" = 0 ]
	[ "$(answer nx.mine.test A @8.8.8.8)" = "noerror 11.0.0.1" ]
	[ "$(answer nx.mine.test A @2001:db8::1 --bind-device eth0)" = "noerror 11.0.0.1" ]
	[ "$(answer good.test A)" = "noerror 192.0.2.7" ]
	answer good.test A --tcp
	[ "$(arrived 1.1.1.1:53)" = 1 ]
	bed_kill sidecar
	[ -z "$(bed_exec app nft list tables)" ]
}

@test "row 8: without tproxy and redirect the start is refused, and the modules are named" {
	lacks tproxy redir
	doctor_says "failed  nftables: the kernel refuses the expression" "nft_redir, nf_nat (CONFIG_NFT_REDIR"
	run bed_exec app "${NET_ADMIN[@]}" "$SIDESTEP" sidecar --gateway "$BED_HOST:8080"
	echo "$output"
	[ "$status" = 1 ]
	[[ $output == *"which needs nft_redir, nf_nat (CONFIG_NFT_REDIR, CONFIG_NF_NAT)"* ]]
}

# ports - prints the ports of the proxy that redirects: TCP of IPv4 and IPv6, and likewise those for queries.
ports() {
	bed_exec app nft list table inet sidestep | awk '
		/redirect to/ { sub(/.*redirect to :/, ""); tcp = tcp $1 " " }
		/udp dport set/ { sub(/.*udp dport set /, ""); udp = udp $1 " " }
		END { print tcp udp }'
}

# closing_early START - both ends of conntrack's patience with a closed end are a second.
closing_early() {
	local name
	for name in fin_wait close_wait; do
		bed_exec app sysctl -qw "net.netfilter.nf_conntrack_tcp_timeout_$name=1"
	done
	"$1"
}

# usurp - another process takes the ports of the killed sidecar, and prints what it gets.
usurp() {
	local tcp4 tcp6 udp4 udp6
	read -r tcp4 tcp6 udp4 udp6 <"$BED_DIR/ports"
	bed_spawn app usurper python3 -uc '
import select, socket, sys
sockets = [socket.create_server(("127.0.0.1", int(sys.argv[1]))),
           socket.create_server(("::1", int(sys.argv[2])), family=socket.AF_INET6),
           socket.socket(socket.AF_INET, socket.SOCK_DGRAM)]
sockets[2].bind(("", int(sys.argv[3])))
print("ready")
while True:
    for ready in select.select(sockets, [], [])[0]:
        print("got", ready.accept() if ready.type == socket.SOCK_STREAM else ready.recvfrom(512))' \
		"$tcp4" "$tcp6" "$udp4"
	bed_wait_line usurper ready
}

# kill_redirecting - kills the sidecar. Its ports are in the file "ports" then.
kill_redirecting() {
	ports >"$BED_DIR/ports"
	bed_kill sidecar KILL
}

# ask_all - connects by IPv4 and IPv6 and sends a query.
ask_all() {
	local address
	for address in 192.0.2.1 2001:db8::1; do
		run connect "$address" 7000 --send hello --read-all --timeout 2
		echo "$output"
		[ "$status" -ne 0 ]
	done
	run answer good.test A @1.1.1.1
}

@test "row 8: after a kill everything fails at once, nothing leaves, and nobody takes the sidecar's place" {
	resolver
	gateway
	bed_spawn world server "$PEER" serve 7000
	bed_wait_line server ready
	connect 192.0.2.1 7000 --send hello --expect hello
	redirect_sidecar
	sniff_start
	kill_redirecting
	for address in 192.0.2.1 2001:db8::1; do
		run connect "$address" 7000 --send hello --read-all --timeout 2
		echo "$output"
		[[ $output == *refused* ]]
	done
	usurp
	ask_all
	[ "$(bed_log usurper)" = ready ]
	[ "$(leaks)" = 0 ]
	bed_kill usurper
	# Where the kernel cannot tell sockets apart, somebody can. The log has said so.
	lacks socket
	redirect_sidecar
	grep -q "cannot tell the proxy's sockets from others" "$BED_DIR/sidecar.log"
	kill_redirecting
	usurp
	ask_all
	[ "$(bed_log usurper | grep -c got)" -ge 3 ]
}

@test "row 8: the proxy's ports answer nobody but redirected connections and queries" {
	resolver
	gateway
	redirect_sidecar --made-up "*"
	read -r tcp4 tcp6 udp4 udp6 < <(ports)
	query=$(printf 'ab\001\000\000\001\000\000\000\000\000\000\001x\004test\000\000\001\000\001' | base64)
	ask() { # WHERE ADDRESS PORT [SECONDS] - whether a query to it is answered
		bed_exec "$1" python3 -c '
import base64, socket, sys
socket_ = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
socket_.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
socket_.settimeout(float(sys.argv[4]))
socket_.sendto(base64.b64decode(sys.argv[3]), (sys.argv[1], int(sys.argv[2])))
socket_.recv(512)' "$2" "$3" "$query" "${4:-0.3}"
	}
	ask app 1.1.1.1 53 5
	ask app 2001:db8::1 53 5
	for address in "$BED_APP" 172.30.255.255; do
		run ask neighbour "$address" "$udp4"
		[ "$status" -ne 0 ]
	done
	run ask neighbour "$BED_APP6" "$udp6"
	[ "$status" -ne 0 ]
	for address in "$BED_APP" 127.0.0.1 127.9.9.9; do
		run ask app "$address" "$udp4"
		[ "$status" -ne 0 ]
	done
	run connect 127.0.0.1 "$tcp4" --send hello --read-all --timeout 2
	[[ $output == *reset* ]]
	run connect ::1 "$tcp6" --send hello --read-all --timeout 2
	[[ $output == *reset* ]]
	[ "$(arrived '.*')" = 0 ]
}

@test "row 8: redirected connections share a source port, and go on when conntrack has forgotten them" {
	gateway --map-all "$BED_NEIGHBOUR:7000"
	bed_spawn neighbour server "$PEER" serve 7000 --mode echo
	bed_wait_line server ready
	redirect_sidecar
	mkfifo "$BED_DIR/more"
	bed_spawn app pair python3 -uc '
import socket, sys
def opened(address, port):
    connection = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    connection.settimeout(5)
    connection.bind(("", port))
    connection.connect((address, 80))
    return connection
def echo(connections):
    for i, connection in enumerate(connections):
        connection.sendall(b"%d" % i)
    for i, connection in enumerate(connections):
        assert connection.recv(10) == b"%d" % i
echo([opened(address, 4002) for address in sys.argv[2:]])
connections = [opened(address, 0) for address in sys.argv[2:]]
echo(connections)
print("ready")
open(sys.argv[1]).read()
echo(connections)' "$BED_DIR/more" 192.0.2.77 203.0.113.9 2001:db8::77 2001:db8:9::9
	bed_wait_line pair ready
	for address in 192.0.2.77 203.0.113.9 '\[2001:db8::77\]' '\[2001:db8:9::9\]'; do
		[ "$(arrived "$address:80")" = 2 ]
	done
	forget
	: >"$BED_DIR/more"
	bed_wait_exit pair
}

# Its servers close first. The client closes after conntrack's timeouts, which are a second in this namespace.
@test "row 8: a redirected connection may stay half closed" {
	local name
	gateway --map-all "$BED_NEIGHBOUR:7000"
	bed_spawn neighbour server "$PEER" serve 7000 --mode echo --close-first
	bed_wait_line server ready
	for name in fin_wait close_wait; do
		bed_exec app sysctl -qw "net.netfilter.nf_conntrack_tcp_timeout_$name=1"
	done
	redirect_sidecar
	bed_exec app python3 -c '
import socket, time
connections = [socket.create_connection((address, 80), 5) for address in ("192.0.2.77", "2001:db8:9::9")]
for connection in connections:
    connection.sendall(b"hello")
    while connection.recv(4096):
        pass
time.sleep(3)'
	gone() { [ -z "$(bed_exec app ss -Htn state fin-wait-1 state fin-wait-2 state close-wait state last-ack)" ]; }
	bed_until 5 gone
}

@test "row 8: an agent takes over, redirected connections go on, and the end leaves nothing" {
	bed_needs_linux 6.6 "TCX links"
	resolver
	gateway --map-all "$BED_NEIGHBOUR:7000"
	bed_spawn neighbour server "$PEER" serve 7000 --mode echo
	bed_wait_line server ready
	lacks tproxy
	traces >"$BED_DIR/before"
	poor_sidecar
	mkfifo "$BED_DIR/more"
	bed_spawn app pair python3 -uc '
import socket, sys
connections = [socket.create_connection((address, 80), 5) for address in ("192.0.2.77", "2001:db8::77")]
def echo():
    for connection in connections:
        connection.sendall(b"hello")
    for connection in connections:
        assert connection.recv(10) == b"hello"
echo()
print("ready")
open(sys.argv[1]).read()
echo()' "$BED_DIR/more"
	bed_wait_line pair ready
	read -r _ _ udp4 _ < <(ports)
	bed_spawn host agent "$SIDESTEP" agent --pin "$(SIDE_PIN)" --pid "$(bed_pid sidecar)"
	bed_wait_line sidecar "the host's agent steers .* in place of the nftables table" 10
	DATAPATH=bpf
	connect 203.0.113.9 443 --send hello --half-close --read-all
	connect 2001:db8:9::9 443 --send hello --half-close --read-all
	[ "$(arrived 203.0.113.9:443)$(arrived '\[2001:db8:9::9\]:443')" = 11 ]
	[ "$(counter steer_tcp)" = 2 ]
	[ "$(answer good.test A @8.8.8.8)" = "noerror 192.0.2.7" ]
	run bed_exec neighbour "$PEER" dns good.test A "@$BED_APP:$udp4" --timeout 1
	echo "$output"
	[[ $output == *result=timeout* ]]
	: >"$BED_DIR/more"
	bed_wait_exit pair
	bed_kill sidecar
	bed_kill agent
	bed_exec host "$SIDESTEP" agent --clean --pin "$(SIDE_PIN)"
	diff "$BED_DIR/before" <(traces)
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
	local line
	line=$(bed_exec inner "$PEER" udp "$1" 7000 --timeout 3) || true
	echo "udp $1: $line"
	[[ $(bed_value result "$line") =~ ^(unreachable|EACCES)$ ]]
	[ "$(bed_value us "$line")" -lt 100000 ]
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
	bed_wait_line sidecar "bypass: $BED_SUBNET2 connected"
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
	run inner_connect "$BED_WORLD" 443 --timeout 1
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
	bed_exec app "$SIDESTEP" doctor --gateway "$BED_HOST:8080" | grep "^warning inner devices: inner0 inner2: .*--inner off"
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
	bed_exec app "$SIDESTEP" doctor --gateway "$BED_HOST:8080" | grep "^warning inner devices: inner0 inner2: .*nft_tproxy"
	connect 192.0.2.77 443 --send hello --half-close --read-all
	run inner_connect "$BED_WORLD" 443 --timeout 1
	[ "$status" -ne 0 ]
	[ "$(leaks)" = 0 ]
}

# inner_killed LIMIT START... - after SIGKILL nothing gets out from inside, and the sender hears it within LIMIT us.
inner_killed() {
	local limit=$1 line
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
		line=$(bed_exec inner "$PEER" connect "$address" 443 --timeout 3) || true
		echo "connect $address: $line"
		[[ $(bed_value result "$line") =~ ^(refused|unreachable|EACCES)$ ]]
		[ "$(bed_value total_us "$line")" -lt "$limit" ]
		run bed_exec inner "$PEER" udp "$address" 7000 --timeout 1
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
	bed_exec app "$PEER" udp "$BED_WORLD" 9 --timeout 1 || true
	bed_exec app "$PEER" udp "$BED_WORLD6" 9 --timeout 1 || true
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
