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
	firewalled() { # REMEDY
		run bed_exec host "$SIDESTEP" doctor --docker-socket "$BED_DIR/none" --pid "$(bed_pid app)" --gateway "$BED_HOST:8080"
		echo "$output"
		bed_exec host iptables-legacy -P INPUT ACCEPT
		bed_exec host iptables-legacy -F
		bed_exec host iptables-legacy -X
		[ "$status" = 4 ]
		[[ $output == *"[gateway-firewall]"*"do:  $1"* ]]
	}
	bed_exec host iptables-legacy -P INPUT DROP
	firewalled "iptables -I INPUT -p tcp --dport 8080 -j ACCEPT"
	bed_exec host iptables-legacy -N ufw-user-input
	bed_exec host iptables-legacy -A INPUT -p tcp --dport 8080 -j DROP
	firewalled "ufw allow 8080/tcp"
	bed_exec host iptables-legacy -N DOCKER-USER
	bed_exec host iptables-legacy -A DOCKER-USER -j DROP
	bed_exec host iptables-legacy -A INPUT -p tcp --dport 8080 -j DOCKER-USER
	firewalled "iptables -I DOCKER-USER -p tcp --dport 8080 -j ACCEPT"
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

# hello PORT BYTES - begins TLS 1.2 there, waits for the server's certificate, sends these bytes and closes.
hello() {
	bed_exec app python3 -c '
import socket, ssl, sys
context = ssl.create_default_context()
context.maximum_version = ssl.TLSVersion.TLSv1_2
out = ssl.MemoryBIO()
tls = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="a.example")
try:
    tls.do_handshake()
except ssl.SSLWantReadError:
    pass
with socket.create_connection(("192.0.2.77", int(sys.argv[1]))) as client:
    client.sendall(out.read())
    client.recv(1)
    client.sendall(bytes.fromhex(sys.argv[2]))
    client.shutdown(socket.SHUT_WR)
    while client.recv(4096):
        pass' "$@" || true
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
	[ "$(events check "$LOG")" = 8 ]
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
	[ "$(events check "$LOG")" = 4 ]
}

@test "each reason that has a remedy is given in a test" {
	# Two take a lack of memory, or 10 s. The others take frames that only an opponent builds: tests/attacks.bats
	# counts them.
	local reason elsewhere=" out_of_memory tls_client_stopped fragment_denied malformed answer_denied "
	for reason in $(sed -n 's/^| `\([a-z0-9_]*\)` |.*| [^ ].* |$/\1/p' "$BED_REPO/docs/EVENTS.md"); do
		[[ $elsewhere == *" $reason "* ]] || grep -qw "$reason" "$BED_REPO"/tests/*.bats || fail "no test gives $reason"
	done
}
