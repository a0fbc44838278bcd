#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Faults of the table in docs/DOCTOR.md that only a connection shows. Each leaves one event with cause and remedy.
# tests/events.bats has those of an ordinary gateway. All tests share one bed.

load lib/testbed.bash
load lib/scenarios.bash
load lib/events.bash

# shellcheck disable=SC2034 # for scenarios.bash
DATAPATH=bpf

setup_file() {
	export BATS_TEST_TIMEOUT=200
	bed_start
}

teardown_file() {
	bed_stop
}

setup() {
	mkdir -p "$BED_DIR/events"
	LOG=$BED_DIR/events/$BATS_TEST_NUMBER.json
}

teardown() {
	local name
	for name in tracer sidecar gateway app; do
		bed_kill "$name" >/dev/null 2>&1 || true
	done
	bed_exec host nft flush ruleset
}

@test "a firewall that drops what comes from containers" {
	gateway
	sidecar --event-log "$LOG" --connect-timeout 300
	bed_exec host nft "table inet mine { chain input { type filter hook input priority 0; tcp dport 8080 drop; }; }"
	fails 1 gateway_connect_timeout timeout "cannot connect to the gateway" gateway_status=null
	[ "$(events check "$LOG")" = 1 ]
}

@test "a firewall of iptables of the old kind" {
	bed_exec host iptables-legacy -S >/dev/null || skip "the kernel has no iptables of the old kind"
	gateway
	bed_spawn app app sleep infinity
	look() {
		run bed_exec host "$SIDESTEP" doctor --docker-socket "$BED_DIR/none" --pid "$(bed_pid app)" --gateway "$BED_HOST:8080"
		echo "$output"
	}
	firewalled() { # REMEDY [MENDS] - the doctor names it. If it can be executed here, it mends the fault.
		look
		[ "$status" = 4 ]
		[[ $output == *"[gateway-firewall]"*"do:  $1"* ]]
		if [ $# = 2 ]; then
			bed_exec host sh -c "$1"
			look
		fi
		bed_exec host iptables-legacy -P INPUT ACCEPT
		bed_exec host iptables-legacy -F
		bed_exec host iptables-legacy -X
		[ $# = 1 ] || [ "$status" = 0 ]
	}
	bed_exec host iptables-legacy -P INPUT DROP
	firewalled "iptables-legacy -I INPUT -p tcp --dport 8080 -j ACCEPT" mends
	bed_exec host iptables-legacy -N mine
	bed_exec host iptables-legacy -A mine -p tcp --dport 8080 -j REJECT
	bed_exec host iptables-legacy -A INPUT -j mine
	firewalled "iptables-legacy -I INPUT -p tcp --dport 8080 -j ACCEPT" mends
	bed_exec host iptables-legacy -N ufw-user-input
	bed_exec host iptables-legacy -A INPUT -p tcp --dport 8080 -j DROP
	firewalled "ufw allow 8080/tcp"
	bed_kill app
}

@test "a gateway whose own connections are intercepted" {
	bed_spawn app gateway "$SIDESTEP" gateway --listen 127.0.0.1:8080
	bed_until 5 bed_listening app 8080
	sidecar --event-log "$LOG" --gateway 127.0.0.1:8080
	bed_wait_line sidecar "the gateway 127.0.0.1:8080 is itself intercepted"
	run dial 192.0.2.77 1 --send x --read-all
	[[ $output == *result=reset* ]]
	one_event gateway_loop dst=192.0.2.77:1 end=refused
}

@test "a gateway that does not say that it takes plaintext" {
	bed_spawn host gateway python3 "$BED_REPO/tests/events.py" gateway "$BED_HOST" 8080
	bed_wait_line gateway ready
	sidecar --event-log "$LOG" --tls-intercept --ca-dir "$BED_DIR/ca" --gateway-protocol workerd
	run bed_exec app curl -sS -m 30 https://192.0.2.77:5/
	one_event gateway_undeclared dst=192.0.2.77:5 end=refused gateway_status=200
	[ "$(events check "$LOG")" = 1 ]
}

# hello PORT [BYTES] - begins TLS there, as tests/events.py says.
hello() {
	bed_exec app python3 "$BED_REPO/tests/events.py" hello 192.0.2.77 "$@"
}

@test "a client of TLS that takes no certificate of the sidecar, or knows too little" {
	gateway
	sidecar --event-log "$LOG" --tls-intercept --ca-dir "$BED_DIR/ca"
	refuses() { # PORT REASON
		one_event "$2" "dst=192.0.2.77:$1" end=refused intercepted=true gateway_status=200
	}
	s_client() { # PORT ARGUMENT...
		run bed_exec app openssl s_client -connect "192.0.2.77:$1" "${@:2}" </dev/null
	}
	# The limit of a handshake passes meanwhile.
	bed_spawn app stopped python3 "$BED_REPO/tests/events.py" hello 192.0.2.77 9
	# Alerts: bad_certificate, unsupported_certificate, certificate_expired. Then no alert, and no TLS.
	hello 1 1503030002022a
	refuses 1 tls_ca_distrusted
	hello 2 1503030002022b
	refuses 2 tls_certificate_kind
	hello 3 1503030002022d
	refuses 3 tls_clock
	hello 4 ""
	refuses 4 tls_client_closed
	hello 5 474554202f0d0a
	refuses 5 tls_handshake_failed
	s_client 6 -alpn h2
	refuses 6 tls_no_common_alpn
	s_client 7 -tls1_1 -cipher ALL:@SECLEVEL=0
	refuses 7 tls_client_too_old
	s_client 8 -tls1_2 -cipher AES128-GCM-SHA256
	refuses 8 tls_client_too_old
	bed_until 10 has 1 dst=192.0.2.77:9
	one_event tls_client_stopped dst=192.0.2.77:9 end=timeout intercepted=true gateway_status=200
	[ "$(events check "$LOG")" = 9 ]
}

@test "a destination of an exempt process that refuses, or resets" {
	gateway
	sidecar --event-log "$LOG" --exempt-uid 4711
	exempt() { # PORT
		run bed_exec app setpriv --reuid 4711 --clear-groups "$PEER" connect 192.0.2.1 "$1" --send x --read-all --timeout 30
		[[ $output == *result=reset* ]]
	}
	bed_spawn world server python3 -uc '
import socket, struct
server = socket.create_server(("192.0.2.1", 2))
print("ready")
client = server.accept()[0]
client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))'
	bed_wait_line server ready
	exempt 1
	one_event destination_unreachable dst=192.0.2.1:1 end=refused gateway=null \
		'rule={"entry": "exempt process", "origin": "option --exempt-uid"}'
	exempt 2
	one_event destination_reset dst=192.0.2.1:2 end=reset_by_gateway gateway=null
}

# traced CALL ERROR - strace(1) answers this system call of the sidecar's with the error, from here on.
traced() {
	local task
	bed_spawn host tracer strace -f -qq -p "$(bed_pid sidecar)" -o "$BED_DIR/trace" -e "trace=$1" -e "inject=$1:error=$2"
	all() {
		for task in /proc/"$(bed_pid sidecar)"/task/*/status; do
			! grep -q "^TracerPid:[[:space:]]*0$" "$task" || return
		done
	}
	bed_until 5 all
}

@test "a kernel that gives no socket, or tells no destination" {
	gateway
	sidecar --event-log "$LOG"
	traced socket EACCES
	fails 1 gateway_socket_failed refused "cannot make a socket for the gateway"
	bed_kill tracer
	traced getsockname ENOBUFS
	run dial 192.0.2.77 2 --send x --read-all
	[[ $output == *result=reset* ]]
	one_event no_destination reason=no_destination end=refused
	bed_kill tracer
	[ "$(events check "$LOG")" = 2 ]
}

@test "a sidecar that gets no more memory" {
	local port
	# No connection gets an answer, so each keeps its memory.
	gateway --server --delay 600000
	sidecar --event-log "$LOG" --threads 1
	prlimit --pid "$(bed_pid sidecar)" --data="$(($(awk '/^VmData:/ { print $2 }' "/proc/$(bed_pid sidecar)/status") * 1024)):"
	port=$(bed_exec app python3 "$BED_REPO/tests/events.py" many 192.0.2.77)
	prlimit --pid "$(bed_pid sidecar)" --data=unlimited:
	one_event out_of_memory "dst=192.0.2.77:$port" end=limit gateway_status=null
	run grep -F "sandbox refuses" "$BED_DIR/sidecar.log"
	[ -z "$output" ]
}

@test "a connection to the sidecar's own listener" {
	local port
	gateway
	sidecar --event-log "$LOG"
	port=$(bed_exec app ss -Hltnp src 127.0.0.1 | grep -m1 sidestep | grep -oE '127.0.0.1[^ ]*:[0-9]+')
	port=${port##*:}
	run dial 127.0.0.1 "$port" --send x --read-all
	[[ $output == *result=reset* ]]
	one_event listener_address "dst=127.0.0.1:$port" end=refused
}

# ask HEX - sends this DNS message to the world's resolver, and prints the response code of the answer.
ask() {
	bed_exec app python3 -c '
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
    client.settimeout(30)
    client.sendto(bytes.fromhex(sys.argv[1]), ("192.0.2.1", 53))
    print(client.recv(512)[3] & 15)' "$1"
}

@test "DNS that is refused" {
	local name=0161047465737400
	gateway
	sidecar --event-log "$LOG" --http-ingress-address 0.0.0.0:39001
	bed_exec host curl -fsS --max-time 30 -X PUT -d '{"port": 8080, "internet": {"enabled": false}, "dns": {"allowHostnames": ["mine.test"]}}' \
		"http://$BED_APP:39001/egress"
	# A query; a message without its question; NOTIFY; and a query with an OPT record of version 1.
	[ "$(ask "000101000001000000000000${name}00010001")" = 3 ]
	one_event dns_name_denied name=a.test verdict=steer_dns protocol=udp
	[ "$(ask 000201000001000000000000)" = 1 ]
	one_event dns_malformed reason=dns_malformed
	[ "$(ask "000320000001000000000000${name}00060001")" = 4 ]
	one_event dns_opcode_denied reason=dns_opcode_denied
	[ "$(ask "000401000001000000000001${name}000100010000290200000100000000")" = 0 ]
	one_event dns_edns_version reason=dns_edns_version
	# Over TCP the refusal needs no gateway, and the connection leaves an event of its own.
	run bed_exec app "$PEER" dns b.test A @192.0.2.1 --tcp
	echo "$output"
	[ "$(bed_value rcode "$output")" = nxdomain ]
	bed_until 5 has 1 type=connection dst=192.0.2.1:53 reason=answered_here gateway=null end=fin \
		'rule={"entry": "internet off", "origin": "PUT /egress"}'
	[ "$(events check "$LOG")" = 6 ]
}
