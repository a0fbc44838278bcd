#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The sidecar in the application's network namespace, on a container network without Docker: tests of BPF, and
# those of the proxy for which the datapath does not matter. (See also datapath_bpf.bats.)

load lib/testbed.bash
load lib/scenarios.bash

# shellcheck disable=SC2034 # for scenarios.bash
DATAPATH=bpf

setup() {
	bed_start
	mkdir -p "$BED_BPFFS/sidestep"
}

teardown() {
	bed_stop
}

@test "the sidecar works with /proc/sys read-only" {
	gateway
	bed_spawn app sidecar unshare --mount sh -c \
		'mount -o bind,ro /proc/sys /proc/sys && ! touch /proc/sys/net/ipv4/ip_forward 2>/dev/null &&
		exec "$0" "$@"' "$SIDESTEP" sidecar --gateway "$BED_HOST:8080"
	bed_wait_line sidecar "interception is live" 10
	connect 192.0.2.77 80 --send hello --half-close --read-all
	bed_spawn app server "$PEER" serve 7000 --mode echo
	bed_wait_line server ready
	bed_exec outside "$PEER" transfer "$BED_APP" 7000 --bytes 100000
}

@test "the sidecar works without a default route" {
	gateway
	bed_exec app ip route delete default
	bed_exec app ip -6 route delete default
	sidecar
	connect 192.0.2.77 80 --send hello --half-close --read-all
	connect 2001:db8:9::9 80 --send hello --half-close --read-all
	[ "$(arrived 192.0.2.77:80)" = 1 ]
}

@test "a route of the main table that leads off the link is intercepted as well" {
	gateway
	bed_exec app ip route add 203.0.113.0/24 via "$BED_NEIGHBOUR"
	sidecar
	connect 203.0.113.9 80 --send hello --half-close --read-all
	[ "$(arrived 203.0.113.9:80)" = 1 ]
	# So is a route that is added while the sidecar runs.
	bed_exec app ip route add 192.0.2.0/24 via "$BED_NEIGHBOUR"
	bed_until 5 bed_exec app sh -c "ip rule | grep -q 9300 && ip route show table 9300 | grep -q 192.0.2.0/24"
	connect 192.0.2.77 80 --send hello --half-close --read-all
	[ "$(arrived 192.0.2.77:80)" = 1 ]
	# After a kill the main table does not route these packets.
	watch_at neighbour eth0 passed 203.0.113.0/24
	bed_kill sidecar KILL
	run connect 203.0.113.9 80
	echo "$output"
	[[ $output == *result=refused* ]]
	[ "$(seen passed)" = 0 ]
}

@test "replies to sockets not bound to a device are routed over lo" {
	gateway
	sidecar
	scenario_answers_by_lo
}

# bats test_tags=heavy
@test "2000 concurrent connections transfer every byte" {
	gateway --map-all "$BED_NEIGHBOUR:7000"
	bed_spawn neighbour server "$PEER" serve 7000 --mode echo
	bed_wait_line server ready
	sidecar
	run bed_exec app "$PEER" transfer 192.0.2.77 9000 --bytes 20000 --connections 2000 --timeout 60
	echo "$output"
	[ "$status" -eq 0 ]
	[ "$(arrived 192.0.2.77:9000)" = 2000 ]
}

# bats test_tags=heavy
@test "1 GiB arrives with the same hash" {
	gateway --map-all "$BED_NEIGHBOUR:7000"
	bed_spawn neighbour server "$PEER" serve 7000 --mode sink
	bed_wait_line server ready
	sidecar
	run bed_exec app "$PEER" transfer 192.0.2.77 9000 --bytes 1073741824 --direction up --timeout 100
	echo "$output"
	[ "$status" -eq 0 ]
}

@test "a half-close passes in each direction" {
	gateway --map-all "$BED_NEIGHBOUR:7000"
	bed_spawn neighbour server "$PEER" serve 7000 --mode sink
	bed_wait_line server ready
	sidecar
	# The client sends its FIN first, and the server answers only after it.
	run connect 192.0.2.77 9000 --send-bytes 100000 --half-close --read-all
	echo "$output"
	[ "$status" -eq 0 ]
	bed_kill server
	# The server sends its FIN first.
	bed_spawn neighbour server "$PEER" serve 7000 --mode source --bytes 100000
	bed_wait_line server ready
	run connect 192.0.2.77 9000 --read-all
	echo "$output"
	[[ $output == *"bytes=100000"* ]]
}

@test "server-first protocols do not wait for the client" {
	gateway --map-all "$BED_NEIGHBOUR:7000"
	bed_spawn neighbour server "$PEER" serve 7000 --mode greet
	bed_wait_line server ready
	sidecar --sni-hint
	run connect 192.0.2.77 22 --wait-first-byte --send hello --half-close --read-all
	echo "$output"
	[ "$status" -eq 0 ]
}

rss() {
	awk '/^VmRSS:/ { print $2 }' "/proc/$(bed_pid sidecar)/status"
}

@test "a client that stops reading does not cost memory" {
	gateway --map-all "$BED_NEIGHBOUR:7000"
	bed_spawn neighbour server "$PEER" serve 7000 --mode source --bytes 200000000
	bed_wait_line server ready
	sidecar
	before=$(rss)
	for i in 1 2 3 4 5 6 7 8; do
		bed_spawn app "stall$i" "$PEER" stall 192.0.2.77 9000 --bytes 1
	done
	bed_until 5 stalled 8
	after=$(rss)
	echo "$before KiB before, $after KiB after"
	[ $((after - before)) -lt 8192 ]
}

stalled() {
	[ "$("$SIDESTEP" status --json --pin "$(SIDE_PIN)" | grep -c '"verdict": "steer_tcp"')" = "$1" ]
}

@test "without a gateway connections are reset at once, and the log says what to do" {
	sidecar
	run connect 192.0.2.77 80 --send hello --read-all
	echo "$output"
	[[ $output == *"reset"* ]]
	bed_wait_line sidecar "cannot connect to the gateway $BED_HOST:8080"
}

@test "a gateway that answers 400, 500 or garbage causes a reset, not a FIN" {
	for answer in "--status 400" "--status 500" "--garbage"; do
		# shellcheck disable=SC2086
		gateway $answer
		sidecar
		run connect 192.0.2.77 80 --send hello --read-all
		echo "$answer: $output"
		[[ $output == *"reset"* ]]
		bed_kill sidecar
		bed_kill gateway
	done
}

@test "a connection waits for a slow gateway and works" {
	gateway --server --delay 700
	sidecar
	connect 192.0.2.77 80 --send hello --half-close --read-all --timeout 5
}

@test "the gateway may listen on a unix socket" {
	bed_spawn host gateway "$SIDESTEP" gateway --listen "unix:$BED_DIR/gateway.sock" --server --log
	bed_until 5 test -S "$BED_DIR/gateway.sock"
	sidecar --gateway "unix:$BED_DIR/gateway.sock"
	connect 192.0.2.77 80 --send hello --half-close --read-all
	[ "$(arrived 192.0.2.77:80)" = 1 ]
}

@test "--bypass lets another subnet pass" {
	gateway
	bed_spawn world server "$PEER" serve 7000 --mode http
	bed_wait_line server ready
	sidecar --bypass 203.0.113.0/24 --bypass 2001:db8:1::/48
	connect 203.0.113.1 7000 --send $'GET / HTTP/1.0\r\n\r\n' --expect "$BED_APP"
	connect 2001:db8:1::1 7000 --send $'GET / HTTP/1.0\r\n\r\n' --expect "$BED_APP6"
	connect 192.0.2.1 7000 --send hello --half-close --read-all
	[ "$(arrived 192.0.2.1:7000)" = 1 ]
	[ "$(arrived 203.0.113.1:7000)" = 0 ]
}

# steered COUNT - so many connections were given to the proxy. (The list of connections omits young ones.)
steered() {
	[ "$(counter steer_tcp)" = "$1" ]
}

@test "SIGTERM drains the proxy and leaves nothing" {
	gateway --map-all "$BED_NEIGHBOUR:7000"
	bed_spawn neighbour server "$PEER" serve 7000 --mode echo
	bed_wait_line server ready
	before=$(bed_exec app sh -c 'ip rule; ip -6 rule; ip -o link | cut -d: -f2; ip route show table all; ip -6 route show table all | sort')
	sidecar --drain 30000
	programs=$(programs)
	[ "$(wc -w <<<"$programs")" = 9 ]
	bed_spawn app client "$PEER" transfer 192.0.2.77 9000 --bytes 200000000 --timeout 60
	bed_until 5 steered 1
	bed_signal sidecar TERM
	bed_wait_line sidecar "stopping"
	# New connections are reset, and the open one completes.
	run connect 192.0.2.78 80 --send hello --read-all
	[[ $output == *reset* || $output == *refused* ]]
	bed_wait_exit client 60
	bed_wait_exit sidecar
	after=$(bed_exec app sh -c 'ip rule; ip -6 rule; ip -o link | cut -d: -f2; ip route show table all; ip -6 route show table all | sort')
	diff <(echo "$before") <(echo "$after")
	[ ! -e "$(SIDE_PIN)" ]
	for program in $programs; do
		bed_until 5 program_gone "$program"
	done
}

program_gone() {
	! "$("$BED_REPO/tests/deps.sh" bpftool)" prog show id "$1" 2>/dev/null
}

# programs - prints the numbers of the sidecar's BPF programs.
programs() {
	grep -h ^prog_id: /proc/"$(bed_pid sidecar)"/fdinfo/* | awk '{ print $2 }' | sort -u
}

@test "a start that fails undoes its changes" {
	state() {
		bed_exec app sh -c 'ip rule; ip -6 rule; ip route show table all; ip neigh | cut -d" " -f1-3
			cat /proc/sys/net/ipv4/conf/eth0/accept_local /proc/sys/net/ipv4/conf/eth0/rp_filter'
	}
	before=$(state)
	run bed_exec app "$SIDESTEP" sidecar --gateway "$BED_HOST:8080" --docker-socket tcp://192.0.2.1:2375
	echo "$output"
	[ "$status" -eq 1 ]
	diff <(echo "$before") <(state)
}

# learns VALUE - whether the device accepts advertisements (1) or not (0), and redirects of both families.
learns() {
	local values
	values=$(bed_exec app sh -c 'cd /proc/sys/net && cat ipv6/conf/eth0/accept_ra ipv6/conf/eth0/accept_redirects \
		ipv4/conf/eth0/accept_redirects ipv4/conf/all/accept_redirects')
	[ "$(xargs <<<"$values")" = "$1 $1 $1 $1" ]
}

@test "devices accept neither advertisements nor redirects until the end, after SIGKILL as well" {
	bed_exec app sh -c 'cd /proc/sys/net && for name in all default eth0; do
		echo 1 >ipv6/conf/$name/accept_ra
		echo 1 | tee ipv6/conf/$name/accept_redirects ipv4/conf/$name/accept_redirects >/dev/null
	done'
	gateway
	sidecar
	learns 0
	bed_kill sidecar
	learns 1
	sidecar
	bed_kill sidecar KILL
	sidecar
	learns 0
	bed_kill sidecar
	learns 1
}

@test "a second instance ends with status 3 and names the first" {
	gateway
	sidecar
	run bed_exec app "$SIDESTEP" sidecar --gateway "$BED_HOST:8080"
	echo "$output"
	[ "$status" -eq 3 ]
	[[ $output == *"another sidestep is running in this network namespace (process $(bed_pid sidecar))"* ]]
	connect 192.0.2.77 80 --send hello --half-close --read-all
}

@test "clsact replaces TCX, and SIGKILL does not hinder the next sidecar" {
	gateway
	bed_spawn app server "$PEER" serve 7000 --mode echo
	bed_wait_line server ready
	for _ in 1 2; do
		sidecar --attach clsact
		connect 192.0.2.77 80 --send hello --half-close --read-all
		bed_exec outside "$PEER" transfer "$BED_APP" 7000 --bytes 100000
		bed_kill sidecar KILL
	done
	sidecar --attach clsact
	bed_kill sidecar
	run bed_exec app tc filter show dev eth0 egress
	[ "$output" = "" ]
}

@test "the sidecar loads with CAP_BPF and CAP_NET_ADMIN, and keeps only CAP_NET_ADMIN" {
	local rights=-all,+net_admin,+bpf kept=0000000000001000 lock=()
	gateway
	if ! bed_linux 5.11; then
		run bed_exec app setpriv --bounding-set=$rights --inh-caps=-all \
			"$SIDESTEP" sidecar --gateway "$BED_HOST:8080" --datapath bpf --agent-wait 0
		echo "$output"
		[ "$status" -ne 0 ]
		[[ $output == *"--ulimit memlock=-1"* ]]
		lock=(prlimit --memlock=unlimited)
	fi
	if ! bed_linux 6.1; then
		run bed_exec app "${lock[@]}" setpriv --bounding-set=$rights --inh-caps=-all \
			"$SIDESTEP" sidecar --gateway "$BED_HOST:8080" --datapath bpf --agent-wait 0
		echo "$output"
		[ "$status" -ne 0 ]
		[[ $output == *"--cap-add PERFMON"* ]]
		rights+=,+perfmon
	fi
	# Map access by descriptor took CAP_BPF until then.
	bed_linux 5.19 || kept=0000008000001000
	bed_spawn app sidecar "${lock[@]}" setpriv --bounding-set=$rights --inh-caps=-all \
		"$SIDESTEP" sidecar --gateway "$BED_HOST:8080" --datapath bpf
	bed_wait_line sidecar "interception is live .* bpf" 10
	connect 192.0.2.77 80 --send hello --half-close --read-all
	settled sidecar
	for task in /proc/"$(bed_pid sidecar)"/task/*; do
		grep -qE "^CapEff:\\s+$kept\$" "$task/status"
		grep -qE "^CapPrm:\\s+$kept\$" "$task/status"
	done
}

@test "with --disable-ipv6 connections over IPv6 fail and do not leak" {
	gateway
	sidecar --disable-ipv6
	run connect 2001:db8::1 80 --send hello --timeout 3
	echo "$output"
	[ "$status" -ne 0 ]
	[[ $output != *timeout* ]]
	run connect 2001:db8::1 80 --send hello --read-all --bind-device eth0 --timeout 3
	echo "$output"
	[ "$status" -ne 0 ]
	[[ $output != *timeout* ]]
	connect 192.0.2.77 80 --send hello --half-close --read-all
}

@test "the sidecar works where IPv6 is switched off, as Docker does" {
	gateway
	bed_exec app sh -c 'for name in all default lo; do
		echo 1 >/proc/sys/net/ipv6/conf/$name/disable_ipv6; done'
	sidecar
	connect 192.0.2.77 80 --send hello --half-close --read-all
	run connect 2001:db8::1 80 --send hello --timeout 3
	[ "$status" -ne 0 ]
	[[ $output != *timeout* ]]
}

@test "sidestep demo shows interception without Docker" {
	run bed_exec host "$SIDESTEP" demo
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output == *"5 of 5 rows as expected"* ]]
}

@test "at the connection limit new connections are reset and open ones go on" {
	gateway --map-all "$BED_NEIGHBOUR:7000"
	bed_spawn neighbour server "$PEER" serve 7000 --mode hold
	bed_wait_line server ready
	sidecar --max-connections 4
	for i in 1 2 3 4; do
		bed_spawn app "stall$i" "$PEER" stall 192.0.2.77 9000 --bytes 1
	done
	bed_until 5 stalled 4
	run connect 192.0.2.77 9000 --send x --read-all
	echo "$output"
	[[ $output == *reset* ]]
	stalled 4
}

# hold NAME COUNT - one process opens so many connections more, $held in all, and keeps them.
hold() {
	held=$((held + $2))
	bed_spawn app "$1" python3 -c '
import signal, socket, sys
held = [socket.create_connection(("192.0.2.77", 9000)) for _ in range(int(sys.argv[1]))]
for client in held:
    client.send(b"x")
signal.pause()' "$2"
	bed_until 5 stalled "$held"
}

# descriptors_end NAME - leaves the running sidecar no free descriptor but those below others, which its start gave
# back. Connections that are held take them: each takes two, and the kernel gives the lowest ones first.
descriptors_end() {
	local pid last
	pid=$(bed_pid sidecar)
	last=$(ls "/proc/$pid/fd" | sort -n | tail -n 1)
	hold "$1" $(((last + 2 - $(ls "/proc/$pid/fd" | wc -l)) / 2))
	[ "$(ls "/proc/$pid/fd" | wc -l)" -gt "$last" ]
	prlimit --pid "$pid" --nofile="$((last + 1)):"
}

@test "without a free descriptor connections are reset, each time, and afterwards they work" {
	gateway --map-all "$BED_NEIGHBOUR:7000"
	bed_spawn neighbour server "$PEER" serve 7000 --mode hold
	bed_wait_line server ready
	sidecar --threads 1
	held=0
	for round in 1 2; do
		descriptors_end "ends$round"
		for i in 1 2 3; do
			run connect 192.0.2.77 9000 --send x --read-all --timeout 5
			echo "$round $i: $output"
			[[ $output == *result=reset* ]]
		done
		prlimit --pid "$(bed_pid sidecar)" --nofile=1024:
		hold "works$round" 1
	done
	bed_log sidecar | grep -F "no file descriptors left"
	[ "$(bed_exec app "$SIDESTEP" observe --json --reason descriptor_limit | grep -c '"end":"limit"')" = 6 ]
	! bed_log sidecar | grep -F "sandbox refuses" || return
}

@test "bpftool dumps the maps with named fields, and status says the same" {
	gateway
	sidecar
	run "$("$BED_REPO/tests/deps.sh" bpftool)" map dump pinned "$(SIDE_PIN)/bypass4"
	echo "$output"
	[[ $output == *'"prefix_length": 56'* ]]
	[[ $output == *'"sources": 2'* ]]
	run "$SIDESTEP" status --pin "$(SIDE_PIN)"
	echo "$output"
	[[ $output == *"$BED_SUBNET"*"interface eth0"* ]]
	run "$SIDESTEP" status --json --pin "$(SIDE_PIN)"
	[[ $output == *"\"prefix\": \"$BED_SUBNET\""* ]]
}

@test "a wrong command line is refused with the reason" {
	run "$SIDESTEP" sidecar --gateway nonsense
	[ "$status" -eq 2 ]
	[[ $output == *"--gateway nonsense: give IP:PORT"* ]]
	run "$SIDESTEP" sidecar --gateway 1.2.3.4:80 --bypass 0.0.0.0/0
	[ "$status" -eq 2 ]
	run "$SIDESTEP" sidecar --gatewy 1.2.3.4:80
	[ "$status" -eq 2 ]
	[[ $output == *"gateway"* ]]
	run "$SIDESTEP" sidecar --gateway 1.2.3.4:80 --docker-gateway-cidr 0.0.0.0/0
	[ "$status" -eq 2 ]
	run "$SIDESTEP" sidecar --help
	[ "$status" -eq 0 ]
	[[ $output == *"--docker-gateway-cidr"* ]]
}
