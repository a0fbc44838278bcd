#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Who opened a flow, and which packets were denied, as the kernel tells it.

# shellcheck disable=SC2034 # DATAPATH is for scenarios.bash

load lib/testbed.bash
load lib/scenarios.bash

setup() {
	DATAPATH=bpf
	export BATS_TEST_TIMEOUT=200
	bed_start
	mkdir -p "$BED_BPFFS/sidestep"
	BPFTOOL=$("$BED_REPO/tests/deps.sh" bpftool)
}

teardown() {
	bed_stop
}

# opener PORT - prints "COMM PID UID CGROUP-ID" of the live connection from that port of the application.
opener() {
	"$SIDESTEP" status --json --pin "$(SIDE_PIN)" | python3 -c '
import json, sys
for instance in json.load(sys.stdin):
    for flow in instance["flows"]:
        if flow["local_port"] == int(sys.argv[1]):
            process = flow["process"] or {}
            print(*[process.get(key) for key in ("comm", "pid", "uid", "cgroup_id")])' "$1"
}

# hold NAME PORT [COMMAND...] - opens a connection from that port and holds it.
hold() {
	local name=$1 port=$2
	shift 2
	bed_spawn app "$name" "$@" "$PEER" stall 192.0.2.77 80 --bytes 10 --source-port "$port"
	listed() { [ -n "$(opener "$port")" ]; }
	bed_until 5 listed
}

# A connection has the process, the user and the control group of its socket.
openers_are_right() {
	local group
	group=$(stat -c %i /sys/fs/cgroup"$(sed -n 's/^0:://p' /proc/self/cgroup)")
	hold first 4001
	hold second 4002 setpriv --reuid 65534 --clear-groups
	opener 4001 && opener 4002
	[ "$(opener 4001)" = "peer $(bed_pid first) 0 $group" ]
	[ "$(opener 4002)" = "peer $(bed_pid second) 65534 $group" ]
}

EVENTS() { echo "$BED_DIR/events.json"; }

# event FILTER - prints the events for which the Python expression about `event` holds, or what PRINT gives.
event() {
	[ ! -S "$(EVENTS)" ] || python3 "$BED_REPO/tests/events.py" follow "$(EVENTS)" '{"last":100,"follow":false}' >"$(EVENTS).got"
	python3 -c '
import json, os, sys
path = sys.argv[1] if os.path.isfile(sys.argv[1]) else sys.argv[1] + ".got"
for line in open(path):
    event = json.loads(line)
    process = event["process"] or {}
    if eval(sys.argv[2]):
        print(eval(sys.argv[3]))' "$(EVENTS)" "$1" "${2:-event}"
}

# told COUNT FILTER - waits until so many events have come.
told() {
	come() { [ "$(event "$2" | wc -l)" -ge "$1" ]; }
	bed_until 5 come "$@" || { event True && return 1; }
}

noted() { # PORT - `openers` has the connection from that port
	"$BPFTOOL" map dump pinned "$(SIDE_PIN)/openers" | grep -q "\"local_port\": $1,"
}

# Denied: a datagram, a raw protocol, and a frame of a packet socket that walks around the routes.
denials_are_told() {
	bed_exec app "$PEER" udp 192.0.2.77 443 --source-port 4005 --send x --timeout 1 || true
	bed_exec app "$PEER" raw 192.0.2.77 7 --mode echo --device eth0 --socket inet || true
	bed_exec app "$PEER" packet-send 192.0.2.77 80 --mode syn --device eth0 || true
	told 1 'event["reason"] == "udp_denied" and event["verdict"] == "deny_udp" and event["dst"] == "192.0.2.77:443"'
	told 1 'event["reason"] == "protocol_denied" and event["verdict"] == "deny_protocol" and event["protocol"] == "icmp" and event["dst"] == "192.0.2.77"'
	told 1 'event["reason"] == "walked_around" and event["verdict"] == "guard_drops" and event["dst"] == "192.0.2.77:80"'
	event 'event["type"] == "denied"'
	[ "$(event 'event["verdict"] == "deny_udp"' 'event["rule"]["origin"]' | head -n 1)" = "option --udp" ]
}

# A later fragment, unreadable headers, and a query from a foreign source, whose answer would leave. Its opcode is
# unknown, so that the proxy answers by itself.
odd_denials_are_told() {
	bed_exec app "$PEER" raw 192.0.2.77 7 --mode later --device eth0 --socket inet || true
	bed_exec app "$PEER" packet-send "$BED_HOST" 9 --mode mapped --source "$BED_APP" --source-port 9 --device eth0 \
		--gateway "$BED_HOST" || true
	bed_exec app "$PEER" raw-send 192.0.2.77 53 --mode udp --source 203.0.113.9 --source-port 7777 \
		--send "idP no query"
	told 1 'event["type"] == "denied" and event["reason"] == "fragment_denied"'
	told 1 'event["type"] == "denied" and event["reason"] == "malformed"'
	told 1 'event["type"] == "denied" and event["reason"] == "answer_denied" and event["verdict"] == "deny_answer"'
}

# browse - runs four programs at the same time, each to an address and with a name of its own.
browse() {
	local node='require("http").get({host: "192.0.2.13", headers: {host: "node.example"}}, r => r.resume())'
	local python='import urllib.request as r; r.urlopen(r.Request("http://192.0.2.12/", headers={"Host": "python.example"}))'
	bed_exec app curl -s -o /dev/null --resolve curl.example:80:192.0.2.11 http://curl.example/ &
	bed_exec app /usr/bin/python3 -c "$python" &
	bed_exec app node -e "$node" &
	bed_exec app git -c http.curloptResolve=git.example:80:192.0.2.14 ls-remote http://git.example/x 2>/dev/null || true &
	wait
}

# opened_by ADDRESS NAME COMM EXE - the connection has this process and this name. A process that has ended may have
# no program.
opened_by() {
	told 1 "event['type'] == 'connection' and event['dst'] == '$1:80'"
	[ "$(event "event['dst'] == '$1:80'" \
		"[event['name'], event['gateway_status'], process['comm'], process['exe'] in (None, $4)]" |
		sort -u)" = "['$2', 200, '$3', True]" ] || { event "event['dst'] == '$1:80'" && return 1; }
}

# A flood of denied datagrams leaves a record each second, with their number, and one that says how many are missing.
# Together they are all of the flood. Everything else goes on.
flood_is_bounded() {
	local began seconds flood
	began=$(date +%s)
	bed_exec app python3 -c '
import socket
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(20000):
    try:
        udp.sendto(b"x", ("192.0.2.77", 9))
    except OSError:
        pass'
	connect 192.0.2.77 80 --send hello --half-close --read-all
	# One more after the flood tells of those that were left out at its end.
	sleep_over() { bed_exec app "$PEER" udp 192.0.2.78 443 --send x --timeout 1; told_all "$1"; }
	told_all() { [ "$(event "$1" 'event["lost"] or event["packets"]' | awk '{ sum += $1 } END { print sum + 0 }')" -ge 20000 ]; }
	bed_until 10 sleep_over 'event["type"] == "lost" or event["dst"] == "192.0.2.77:9"'
	seconds=$(($(date +%s) - began))
	flood=$(event 'event["dst"] == "192.0.2.77:9"' 'event["packets"]')
	echo "$flood" "in $seconds s"
	[ "$(wc -l <<<"$flood")" -le $((seconds + 2)) ]
	[ "$(sort -n <<<"$flood" | tail -n 1)" -gt 10 ]
	[ "$(counter deny_udp)" -ge 20000 ]
}

# An event has the process by the same rules, so a forged SYN names nobody.
forged_syn_names_nobody() {
	bed_exec app "$PEER" raw-send 192.0.2.77 80 --mode syn --source "$BED_APP" --source-port 4003
	hold third 4006
	noted 4006
	! noted 4003
}

@test "own programs tell who connected and what was denied" {
	gateway
	own_sidecar --event-log "$(EVENTS)"
	openers_are_right
	forged_syn_names_nobody
	browse
	opened_by 192.0.2.11 curl.example curl None
	opened_by 192.0.2.12 python.example python3 None
	opened_by 192.0.2.13 node.example node None
	opened_by 192.0.2.14 git.example git-remote-http None
	denials_are_told
	odd_denials_are_told
	[ "$(event 'event["verdict"] == "deny_udp"' 'process["comm"]' | head -n 1)" = peer ]
	flood_is_bounded
}

@test "the agent tells who connected, with which program, and what was denied" {
	gateway
	EVENTS() { echo "$BED_DIR/agent.events"; }
	AGENT=(--event-socket "$(EVENTS)")
	agent_sidecar --event-log "$BED_DIR/sidecar.json"
	openers_are_right
	bed_kill first TERM
	told 1 "event['dst'] == '192.0.2.77:80' and process['exe'] == '$PEER'"
	# The sidecar's own log leaves that to the agent.
	own_log() { grep '"dst":"192.0.2.77:80"' "$BED_DIR/sidecar.json" | grep -F '"container":null,"process":null'; }
	bed_until 5 own_log
	# On the host, observe reads the agent's socket by itself.
	# shellcheck disable=SC2016 # for the inner shell
	unshare --mount sh -ec 'mount -t tmpfs none /run; mkdir /run/sidestep; : >/run/sidestep/agent.events
		mount --bind "$1" /run/sidestep/agent.events; exec "$2" observe' sh "$(EVENTS)" "$SIDESTEP" | grep "192.0.2.77"
	browse
	opened_by 192.0.2.11 curl.example curl "'/usr/bin/curl'"
	opened_by 192.0.2.12 python.example python3 "'$(readlink -f /usr/bin/python3)'"
	opened_by 192.0.2.13 node.example node "'$(readlink -f /usr/bin/node)'"
	opened_by 192.0.2.14 git.example git-remote-http "'$(readlink -f "$(git --exec-path)/git-remote-http")'"
	[ "$(event 'event["type"] == "connection"' 'process["cgroup"]' | sort -u)" = "$(sed -n 's/^0:://p' /proc/self/cgroup)" ]
	denials_are_told
	odd_denials_are_told
}

@test "nftables tells what was denied" {
	gateway
	nft_sidecar --event-log "$(EVENTS)"
	denials_are_told
	flood_is_bounded
}

@test "packets that are too large, spoofed or without a listener are told" {
	gateway
	own_sidecar --event-log "$(EVENTS)" --dns-enabled=false --udp pass
	bed_exec app "$PEER" udp 192.0.2.77 53 --send x --timeout 1 || true
	# IP_MTU_DISCOVER (10) with IP_PMTUDISC_PROBE (3): the kernel does not look at the route's MTU.
	bed_exec app python3 -c '
import socket
udp = socket.socket(type=socket.SOCK_DGRAM)
udp.setsockopt(socket.IPPROTO_IP, 10, 3)
udp.sendto(bytes(3000), ("192.0.2.77", 9))' || true
	bed_exec neighbour "$PEER" packet-send "$BED_APP" 9 --mode udp --source "$BED_APP" --source-port 9 --device eth0 \
		--gateway "$BED_APP"
	told 1 'event["type"] == "denied" and event["reason"] == "nobody_listens" and event["dst"] == "192.0.2.77:53"'
	told 1 'event["type"] == "denied" and event["reason"] == "too_big" and event["dst"] == "192.0.2.77:9"'
	told 1 'event["type"] == "denied" and event["reason"] == "spoofed"'
}

@test "without events own programs note no process" {
	gateway
	own_sidecar --event-memory 0
	hold first 4001
	[ "$(opener 4001)" = "None None None None" ]
	! noted 4001
}

# A timer sends it, in the context of whichever process runs.
@test "a SYN that is sent again names no process" {
	retransmitted() { bed_exec app nstat -asz TcpRetransSegs | grep -qE 'TcpRetransSegs +[1-9]'; }
	gateway
	own_sidecar
	bed_exec app nft -f - <<-'RULES'
		table ip deaf {
			chain input { type filter hook input priority 0; iif lo tcp dport 80 drop; }
		}
	RULES
	bed_spawn app client "$PEER" connect 192.0.2.77 80 --source-port 4004 --send hello
	bed_until 5 noted 4004
	# The port's slot, in the host's byte order (sidestep_opener_slot()).
	# shellcheck disable=SC2046 # a list of bytes
	"$BPFTOOL" map update pinned "$(SIDE_PIN)/openers" key hex d2 07 00 00 value hex $(printf '00 %.0s' {1..104})
	! noted 4004
	bed_until 5 retransmitted
	! noted 4004
}

@test "nftables that cannot limit a rate denies the same, and tells nothing" {
	lacks limit
	gateway
	nft_sidecar --event-log "$(EVENTS)"
	bed_exec app "$PEER" udp 192.0.2.77 443 --send x --timeout 1 || true
	[ "$(counter deny_udp)" -ge 1 ]
	run bed_exec app nft list ruleset
	[[ $output != *"log prefix"* ]]
	connect 192.0.2.77 80 --send hello --half-close --read-all
}
