#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# `sidestep agent`: sidecars with CAP_NET_ADMIN and nothing else begin with nftables. The agent attaches its
# programs to their namespaces.

load lib/testbed.bash
load lib/scenarios.bash

setup() {
	bed_needs_linux 6.6 "TCX links"
	export BATS_TEST_TIMEOUT=200
	bed_start
	PIN=$BED_BPFFS/agent
	mkfifo "$BED_DIR/go"
}

teardown() {
	[ -z "${BED_DIR:-}" ] || bed_stop
}

# live_sidecar WHERE NAME [ARGUMENT...] - starts a sidecar in namespace WHERE and returns when it steers.
live_sidecar() {
	weak_sidecar "$@"
	bed_wait_line "$2" "interception is live" 10
}

# agent NAME PID... - starts an agent and returns when its programs are loaded. ATTACH is its --attach.
agent() {
	local name=$1 pid arguments=(${ATTACH:+--attach "$ATTACH"})
	shift
	for pid; do
		arguments+=(--pid "$pid")
	done
	bed_spawn host "$name" "$SIDESTEP" agent --pin "$PIN" --log-level debug "${arguments[@]}"
	bed_wait_line "$name" "programs loaded" 10
}

# served - starts a gateway, a sidecar in the application's namespace, and an agent that steers for it.
served() {
	gateway
	live_sidecar app sidecar --gateway "$BED_HOST:8080" "$@"
	agent agent "$(bed_pid sidecar)"
	bed_wait_line sidecar "the host's agent steers .* in place of the nftables table"
}

# hold - opens a connection to the gateway and sends a word. held_goes_on sends another.
hold() {
	# shellcheck disable=SC2016 # for the inner shell
	bed_spawn app held bash -c '
		exec 3<>/dev/tcp/192.0.2.77/7777
		printf before >&3 && head -c 6 <&3 && echo " echoed"
		read -r _ <"$0"
		printf after >&3 && head -c 5 <&3 && echo " echoed"' "$BED_DIR/go"
	bed_wait_line held "before echoed"
}

held_goes_on() {
	bed_alive held
	echo >"$BED_DIR/go"
	bed_wait_line held "after echoed"
	bed_wait_exit held
}

# flood_start - opens new connections until flood_good, which fails unless each one worked.
flood_start() {
	rm -f "$BED_DIR/flood-end"
	bed_spawn app flood "$PEER" flood 192.0.2.77 80 --connections 2 --pause-us 1000 \
		--until-file "$BED_DIR/flood-end" --timeout 50
	bed_until 5 arrived_over 192.0.2.77:80 20
}

flood_good() {
	touch "$BED_DIR/flood-end"
	bed_wait_exit flood || { bed_log flood && return 1; }
	bed_log flood
	[ "$(bed_value failed <"$BED_DIR/flood.log")" = 0 ]
}

arrived_over() {
	[ "$(arrived "$1")" -gt "$2" ]
}

# flood_more - waits for new connections from now on.
flood_more() {
	bed_until 5 arrived_over 192.0.2.77:80 $(($(arrived 192.0.2.77:80) + 20))
}

reaches_gateway() {
	connect 192.0.2.77 80 --send hello --half-close --read-all
	connect 2001:db8:9::9 443 --send hello --half-close --read-all
}

# fails_at_once - the application's TCP connections fail with an error, not with a time-out.
fails_at_once() {
	for target in 192.0.2.77 192.0.2.1 2001:db8:9::9 2001:db8::1; do
		run connect $target 80 --send hello --read-all --timeout 3
		echo "$output"
		[ "$status" -ne 0 ]
		[[ $output =~ result=(unreachable|refused|reset) ]]
	done
}

# The links of a namespace with one device: five inside, and two at the host's end of its veth.
LINKS=7

# links - prints each link and its program: "PATH LINK-NUMBER PROGRAM-NUMBER".
links() {
	local path
	for path in "$PIN"/links/*/*; do
		[ -e "$path" ] || continue
		bpftool link show pinned "$path" | awk -v "path=${path#"$PIN"/links/}" '
			/^[0-9]+:/ { sub(":", "", $1); for (i = 2; i < NF; i++) if ($i == "prog") print path, $1, $(i + 1) }'
	done
}

# filters - prints our clsact filters in the application's namespace, and at the host's end of its veth.
filters() {
	local place point
	for place in "app lo" "app eth0" "host app-eth0"; do
		for point in ingress egress; do
			bed_exec "${place% *}" tc filter show dev "${place#* }" "$point" pref 9300 2>/dev/null |
				grep "handle 0x5d"
		done
	done
}

# settled NUMBER - waits for so many links, and until the filters that they replace are gone.
settled() {
	bed_until 10 has_links "$1"
	bed_until 10 no_notes
	[ -z "$(filters)" ]
}

has_links() {
	[ "$(links | wc -l)" = "$1" ]
}

no_notes() {
	[ -z "$(find "$PIN/links" -name "*-clsact")" ]
}

no_links() {
	[ -z "$(find "$PIN/links" -mindepth 1 2>/dev/null)" ]
}

# no_entries - the maps have no entry of any namespace.
no_entries() {
	run "$SIDESTEP" status --pin "$PIN"
	echo "$output"
	[[ $output != *"sidecar process-"* && $output != *connected* ]]
}

@test "an agent that comes late takes over, and no connection is lost" {
	resolver
	bed_spawn app server "$PEER" serve 7000 --mode echo
	bed_wait_line server ready
	gateway
	live_sidecar app sidecar --gateway "$BED_HOST:8080"
	[[ $(bed_exec app nft list ruleset) == *"table inet sidestep"* ]]
	hold
	bed_spawn outside inbound "$PEER" stall "$BED_APP" 7000 --bytes 10
	bed_wait_line inbound ready
	flood_start

	agent agent "$(bed_pid sidecar)"
	bed_wait_line sidecar "the host's agent steers .* in place of the nftables table"
	flood_more
	flood_good
	held_goes_on
	reaches_gateway
	[ "$(arrived '\[2001:db8:9::9\]:443')" = 1 ]
	bed_wait_line sidecar "[1-9][0-9]* connections from outside were open already"

	# The table is gone, and the programs are attached.
	[ -z "$(bed_exec app nft list ruleset)" ]
	[ "$(bed_exec app sh -c 'ip rule; ip -6 rule' | grep -c "^9[89]:")" = 0 ]
	settled $LINKS
	[ "$(bed_programs bed_exec app)" = "$BED_PROGRAMS" ]
	status=$("$SIDESTEP" status --pin "$PIN")
	[[ $status == *"attached by links: dev_egress-"*" dev_ingress-"*" lo_egress lo_ingress steer"* ]]
	[[ $status == *"sidecar process-$(bed_pid sidecar),"*"gateway $BED_HOST:8080"* ]]

	for resolver in 1.1.1.1 2001:db8::1; do
		run bed_exec app "$PEER" dns example.test A "@$resolver"
		echo "$output"
		[ "$status" -eq 0 ]
		[[ $output == *"$resolver"* ]]
	done
	# Replies on connections from outside are not steered.
	bed_exec outside "$PEER" transfer "$BED_APP" 7000 --bytes 1000000 --timeout 10
	bed_exec outside "$PEER" transfer "$BED_APP6" 7000 --bytes 1000000 --timeout 10
}

# agent_killed - kills the agent. Open connections go on, and new ones work.
agent_killed() {
	hold
	flood_start
	bed_kill agent KILL
	bed_wait_line sidecar "the host's agent is gone"
	flood_more
	reaches_gateway
}

@test "replies to sockets not bound to a device are routed over lo" {
	served
	scenario_answers_by_lo
}

@test "a socket accepted from outside is steered when it connects anew" {
	served
	scenario_turned_socket
}

@test "a SYN from outside with a steered connection's endpoints does not free that connection" {
	served
	scenario_same_endpoints
}

@test "the kernel's answer to a packet of an unknown connection stays inside" {
	served
	[ "$(stray)" = 0 ]
}

@test "after a clean stop nothing leaves of connections with unsent bytes" {
	served --drain 0
	scenario_clean_stop
}

@test "after the agent is killed connections go on, and the next agent adopts the same links" {
	served
	settled $LINKS
	before=$(links)
	agent_killed
	[ "$(links)" = "$before" ]

	agent agent2 "$(bed_pid sidecar)"
	bed_wait_line agent2 "1 network namespaces of an earlier agent go on"
	bed_wait_line sidecar "in place of an earlier agent"
	flood_more
	flood_good
	held_goes_on
	reaches_gateway
	after=$(links)
	diff <(cut -d' ' -f1,2 <<<"$before") <(cut -d' ' -f1,2 <<<"$after")
	# The links run the new agent's programs.
	[ -z "$(comm -12 <(cut -d' ' -f3 <<<"$before" | sort) <(cut -d' ' -f3 <<<"$after" | sort))" ]
	# The new session works like the first one: a new bypass arrives in the maps.
	bed_exec app ip address add 10.9.0.1/24 dev eth0
	bed_wait_line sidecar "bypass: 10.9.0.0/24 interface"
	bed_until 5 sh -c '"$0" status --pin "$1" | grep -q "10.9.0.0/24"' "$SIDESTEP" "$PIN"
}

@test "an agent that takes over does not mistake steered connections for inbound ones" {
	in_proxy() { # COUNT - connections to port 4001 that the proxy has
		[ "$(bed_exec app ss -Htn state established '( sport = :4001 )' | wc -l)" = "$1" ]
	}
	served
	bed_spawn app holder "$PEER" stall 192.0.2.77 4001 --bytes 10 --source-port 7000
	bed_wait_line holder "ready result=ok"
	# This server listens at the port that the connection comes from.
	bed_spawn app server "$PEER" serve 7000 --mode echo
	bed_wait_line server ready
	bed_spawn outside inbound "$PEER" stall "$BED_APP" 7000 --bytes 10
	bed_wait_line inbound ready
	bed_until 5 in_proxy 1
	sniff_start
	bed_kill agent KILL
	bed_wait_line sidecar "the host's agent is gone"
	agent agent2 "$(bed_pid sidecar)"
	bed_wait_line sidecar "in place of an earlier agent"
	[ "$(bed_log sidecar | grep "from outside were open already" | tail -1 | grep -oE '[0-9]+ connections')" = "1 connections" ]
	bed_kill holder TERM
	bed_until 5 in_proxy 0
	[ "$(leaks)" = 0 ]
}

@test "after a sidecar is killed connections fail at once, and nothing leaks" {
	served
	settled $LINKS
	reaches_gateway
	sniff_start
	bed_kill sidecar KILL
	fails_at_once
	bed_wait_line agent "its sidecar is gone; the attached programs let nothing out"
	fails_at_once
	[ "$(leaks)" = 0 ]
	[ "$(links | wc -l)" = $LINKS ]
}

@test "a sidecar that ends detaches everything" {
	state() {
		bed_exec app sh -c 'ip rule; ip -6 rule; ip -o link | cut -d: -f2
			ip route show table all; ip -6 route show table all | sort; nft list ruleset'
	}
	before=$(state)
	served
	settled $LINKS
	bed_kill sidecar
	bed_wait_line agent "its sidecar is gone; nothing is attached any more"
	no_links
	no_entries
	diff <(echo "$before") <(state)
	bed_alive agent
}

@test "the agent removes everything of a network namespace that is gone" {
	gateway
	live_sidecar neighbour sidecar --gateway "$BED_HOST:8080"
	agent agent "$(bed_pid sidecar)"
	bed_wait_line sidecar "the host's agent steers"
	settled $LINKS
	bed_kill sidecar KILL
	bed_wait_line agent "its sidecar is gone"
	[ "$(links | wc -l)" = $LINKS ]
	# It fails when no process was left to kill.
	_bed_unmake_namespace neighbour || true
	[ ! -e "$(bed_netns neighbour)" ]
	bed_until 10 no_links
	bed_until 10 no_entries
	bed_alive agent
}

@test "an agent sweeps a network namespace that went while no agent ran" {
	# The bridge would change its address when the port with the lowest address goes.
	bed_exec host ip link set br0 address 02:00:00:00:00:01
	gateway
	live_sidecar neighbour sidecar --gateway "$BED_HOST:8080"
	live_sidecar app sidecar2 --gateway "$BED_HOST:8080"
	agent agent "$(bed_pid sidecar)" "$(bed_pid sidecar2)"
	bed_wait_line sidecar "the host's agent steers"
	bed_wait_line sidecar2 "the host's agent steers"
	bed_kill agent KILL
	# It fails when no process was left to kill.
	_bed_unmake_namespace neighbour || true
	[ ! -e "$(bed_netns neighbour)" ]
	agent agent2 "$(bed_pid sidecar2)"
	one_namespace() { [ "$(find "$PIN/links" -mindepth 1 -maxdepth 1 | wc -l)" = 1 ]; }
	bed_until 10 one_namespace
	bed_wait_line sidecar2 "in place of an earlier agent"
	reaches_gateway
}

@test "devices of an engine inside raise no alarm about the outer guard" {
	local inner
	served
	_bed_namespace inner
	inner=$BED_DIR/ns/inner
	# An engine makes a veth between two names of its own namespace, and gives the ends their places afterwards.
	_bed_ip app <<-COMMANDS
		link add docker0 type bridge
		address add 172.17.0.1/16 dev docker0
		link set docker0 up
		link add port type veth peer name end
		link set port up
		link set end up
	COMMANDS
	# Without delay, because the agent names the ends after a second.
	bed_wait_line agent "dev_egress attached to end"
	_bed_ip app <<-COMMANDS
		link set port master docker0
		link set end netns $inner
	COMMANDS
	bed_wait_line sidecar "inner device docker0"
	# A device that stays without a guard is named later than the others would have been.
	bed_exec app ip tuntap add tap7 mode tap
	bed_exec app ip link set tap7 up
	bed_wait_line agent "no guard stands outside" 5
	[ "$(bed_log agent | grep -c "no guard stands outside")" = 1 ]
}

@test "two namespaces share the programs and have a gateway each" {
	programs() { grep -h ^prog_id: "/proc/$(bed_pid agent)"/fdinfo/* | sort -u; }
	gateway
	bed_spawn host gateway2 "$SIDESTEP" gateway --listen "$BED_HOST:8081" --log --server
	bed_until 5 bed_listening host 8081
	live_sidecar app sidecar --gateway "$BED_HOST:8080"
	# This process becomes a sidecar later, and the agent waits for it.
	# shellcheck disable=SC2016 # for the inner shell
	bed_spawn neighbour sidecar2 sh -c 'read -r _ <"$0"; exec "$@"' \
		"$BED_DIR/go" "${NET_ADMIN[@]}" "$SIDESTEP" sidecar --gateway "$BED_HOST:8081"
	agent agent "$(bed_pid sidecar)" "$(bed_pid sidecar2)"
	bed_wait_line sidecar "the host's agent steers"
	one=$(programs)
	settled $LINKS
	echo >"$BED_DIR/go"
	bed_wait_line sidecar2 "the host's agent steers" 10
	settled $((2 * LINKS))
	[ "$(programs)" = "$one" ]
	# Both namespaces have the same five programs.
	[ "$(links | cut -d' ' -f3 | sort -u | wc -l)" = $LINKS ]

	connect 192.0.2.10 80 --send hello --half-close --read-all
	bed_exec neighbour "$PEER" connect 192.0.2.20 80 --send hello --half-close --read-all
	connect 2001:db8:9::10 80 --send hello --half-close --read-all
	bed_exec neighbour "$PEER" connect 2001:db8:9::20 80 --send hello --half-close --read-all
	destinations() { grep -oE '"destination":"[^"]*"' "$BED_DIR/$1.log" | cut -d'"' -f4 | sort | xargs; }
	[ "$(destinations gateway)" = "192.0.2.10:80 [2001:db8:9::10]:80" ]
	[ "$(destinations gateway2)" = "192.0.2.20:80 [2001:db8:9::20]:80" ]
	# The end of one does not disturb the other.
	bed_kill sidecar2
	bed_until 10 has_links $LINKS
	reaches_gateway
	[ "$(grep -c '"destination"' "$BED_DIR/gateway2.log")" = 2 ]
}

@test "--clean removes everything below --pin, and nothing leaks" {
	served
	settled $LINKS
	# An agent that runs prevents it.
	run bed_exec host timeout 10 "$SIDESTEP" agent --clean --pin "$PIN"
	[ "$status" -eq 3 ]
	[ "$(links | wc -l)" = $LINKS ]
	bed_kill agent
	sniff_start
	run bed_exec host timeout 10 "$SIDESTEP" agent --clean --pin "$PIN"
	echo "$output"
	[ "$status" -eq 0 ]
	[ -z "$(find "$PIN" -mindepth 1 2>/dev/null)" ]
	# No program judges packets any more, but the routes lead nowhere.
	for target in 192.0.2.1 2001:db8::1; do
		run connect $target 7000 --send hello --read-all --timeout 0.3
		[ "$status" -ne 0 ]
	done
	[ "$(leaks)" = 0 ]
	# The next agent serves the sidecar, which still runs.
	agent agent2 "$(bed_pid sidecar)"
	bed_wait_line sidecar "in place of an earlier agent"
	reaches_gateway
}

@test "a second agent with the same --pin ends with status 3, and the first goes on" {
	served
	settled $LINKS
	before=$(links)
	run bed_exec host timeout 10 "$SIDESTEP" agent --pin "$PIN" --pid "$(bed_pid sidecar)"
	echo "$output"
	[ "$status" -eq 3 ]
	[[ $output == *"another agent uses $PIN"* ]]
	[ "$(links)" = "$before" ]
	[ "$(grep -c "is gone" "$BED_DIR/sidecar.log")" = 0 ]
	reaches_gateway
}

@test "after an agent with filters is killed connections go on, and the next agent replaces the filters by links" {
	ATTACH=clsact served
	[ "$(filters | wc -l)" = 6 ]
	[ "$(links | wc -l)" = 1 ]
	[[ $("$SIDESTEP" status --pin "$PIN") == *"attached by clsact filters: dev_egress-"*" lo_ingress"* ]]
	for program in lo_ingress lo_egress dev_ingress dev_egress; do
		bed_exec app bpftool net show | grep -q "$program"
	done
	agent_killed

	agent agent2 "$(bed_pid sidecar)"
	bed_wait_line sidecar "in place of an earlier agent"
	settled $LINKS
	bed_wait_line agent2 "links have taken the place of all filters"
	[[ $("$SIDESTEP" status --pin "$PIN") != *"clsact"* ]]
	flood_more
	flood_good
	held_goes_on
	reaches_gateway
}

@test "the filters of a sidecar that ends are removed" {
	ATTACH=clsact served
	[ "$(filters | wc -l)" = 6 ]
	bed_kill sidecar
	bed_wait_line agent "its sidecar is gone; nothing is attached any more"
	no_links
	no_entries
	[ -z "$(filters)" ]
}

@test "the filters of a killed sidecar let nothing out, and --clean removes them" {
	ATTACH=clsact served
	sniff_start
	bed_kill sidecar KILL
	fails_at_once
	bed_wait_line agent "its sidecar is gone"
	[ "$(filters | wc -l)" = 6 ]
	bed_kill agent KILL
	fails_at_once
	[ "$(leaks)" = 0 ]
	# A process in the namespace leads into it.
	bed_spawn app server "$PEER" serve 7000 --mode echo
	bed_wait_line server ready
	run bed_exec host timeout 10 "$SIDESTEP" agent --clean --pin "$PIN"
	echo "$output"
	[ "$status" -eq 0 ]
	[ -z "$(find "$PIN" -mindepth 1 2>/dev/null)" ]
	[ -z "$(filters)" ]
}

@test "--clean finds the filters of a namespace that only a mount keeps, in any mount namespace" {
	left() { # - a namespace with filters and without a process
		ATTACH=clsact served
		bed_kill sidecar KILL
		bed_kill agent KILL
		bed_kill gateway
		[ "$(filters | wc -l)" = 6 ]
	}
	clean() {
		run bed_exec host timeout 10 "$@" "$SIDESTEP" agent --clean --pin "$PIN"
		echo "$output"
	}
	left
	clean
	[ "$status" -eq 0 ]
	[[ $output == *"nothing is attached any more"* ]]
	[ -z "$(filters)" ]
	# This one does not see the mount, as an agent does not see those of an engine with a mount namespace of its own.
	left
	# shellcheck disable=SC2016 # for the inner shell
	clean unshare --mount sh -c 'umount "$0" && exec "$@"' "$(bed_netns app)"
	[ "$status" -eq 0 ]
	[ -z "$(filters)" ]
	# Nobody has more than a descriptor.
	left
	exec 8<"$(bed_netns app)"
	umount -l "$(bed_netns app)"
	clean
	[ "$status" -eq 1 ]
	[[ $output == *"its filters stay until it ends"* && $output != *"nothing is attached any more"* ]]
	nsenter --net=/proc/self/fd/8 tc filter show dev lo ingress | grep "handle 0x5d"
	exec 8<&-
}

@test "the rights of sidestep-agent.service are enough, and the service manager hears of the agent's state" {
	local unit=$BED_REPO/deploy/sidestep-agent.service rights
	rights=$(sed -n 's/^CapabilityBoundingSet=//p' "$unit" | tr 'A-Z \n' 'a-z,,' | sed 's/,$//; s/cap_/+/g')
	bed_spawn host manager python3 -c '
import socket, sys
manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
manager.bind(sys.argv[1])
print("listens", flush=True)
while True:
	print(manager.recv(4096).decode(), flush=True)' "$BED_DIR/notify"
	bed_wait_line manager listens
	gateway
	live_sidecar app sidecar --gateway "$BED_HOST:8080"
	confined_agent() {
		bed_spawn host "$1" env "NOTIFY_SOCKET=$BED_DIR/notify" WATCHDOG_USEC=100000 \
			setpriv "--bounding-set=-all,$rights" --no-new-privs \
			python3 "$BED_REPO/tests/namespaces.py" "$(sed -n 's/^RestrictNamespaces=//p' "$unit")" \
			"$SIDESTEP" agent --pin "$PIN" "${@:2}"
	}
	confined_agent agent --pid "$(bed_pid sidecar)" --metrics-listen "unix:$BED_DIR/metrics.sock"
	bed_wait_line manager READY=1
	bed_wait_line sidecar "the host's agent steers .* in place of the nftables table"
	# The process that serves metrics gives up its rights as well.
	run bed_exec host curl -sS --max-time 10 --unix-socket "$BED_DIR/metrics.sock" http://any/metrics
	like metrics "$output" 'sidestep_build_info.*mode="agent"'
	signs() { [ "$(bed_log manager | grep -c WATCHDOG=1)" -ge 3 ]; }
	bed_until 5 signs
	bed_signal agent TERM
	bed_wait_line manager STOPPING=1
	bed_wait_exit agent
	# The watcher of Docker gives up its rights before it asks, which needs some.
	confined_agent watching --docker-socket "$BED_DIR/none"
	bed_wait_line watching "no connection to Docker"
	[ "$(bed_log watching | grep -cE "cannot (make|give up|set|end)|the sandbox")" = 0 ]
}
