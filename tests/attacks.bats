#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Ways past the interception, tried by the means that a container has. Each test has a control, which shows that
# the way is open without Sidestep, or that the bed would see the escape. (docs/THREAT-MODEL.md)

# shellcheck disable=SC2034 # DATAPATH is for scenarios.bash

load lib/testbed.bash
load lib/scenarios.bash
load lib/ways.bash

setup() {
	DATAPATH=bpf
	bed_start
	mkdir -p "$BED_BPFFS/sidestep"
}

teardown() {
	bed_stop
}

# 1. Addresses that the application chose

VICTIM=192.0.2.1 VICTIM6=2001:db8::1

# The text is a query with an unknown opcode, which the proxy answers at once.
QUERY="idP SECRET in a query"

# plain PEER-ARGUMENT... - runs the peer in the application's namespace without any capability.
plain() {
	bed_exec app setpriv --bounding-set=-all --inh-caps=-all --no-new-privs "$PEER" "$@"
}

# The application asks a resolver from a far host's address and port.
ask_from_victim() {
	run plain udp 2001:db8:1::1 53 --source $VICTIM6 --source-port 7777 --freebind --send "$QUERY" --timeout 0.3
	echo "$output"
	[ "$status" -ne 0 ]
	# IPv4 takes CAP_NET_RAW.
	bed_exec app "$PEER" raw-send 1.1.1.1 53 --mode udp --source $VICTIM --source-port 7777 --send "$QUERY"
}

# The host finds the world's MAC addresses before packets are counted.
warm() {
	run plain udp $VICTIM 9 --timeout 1
	run plain udp $VICTIM6 9 --timeout 1
}

answers_stay() { # START
	warm
	watch control $VICTIM $VICTIM6
	run plain udp $VICTIM 7777 --send direct --timeout 0.3
	run plain udp $VICTIM6 7777 --send direct --timeout 0.3
	[ "$(seen control)" -ge 2 ]
	gateway
	"$1"
	watch attack $VICTIM $VICTIM6
	ask_from_victim
	answered() { [ "$(counter deny_answer)" -ge 2 ]; }
	bed_until 5 answered
	[ "$(seen attack)" = 0 ]
	# The application's own queries are answered.
	run plain udp 2001:db8:1::1 53 --send "$QUERY" --timeout 2
	echo "$output"
	[ "$status" -eq 0 ]
	run plain udp 1.1.1.1 53 --send "$QUERY" --timeout 2
	[ "$status" -eq 0 ]
}

@test "1: answers of the proxy to a foreign source stay in the namespace (own programs)" {
	answers_stay sidecar
}

@test "1: answers of the proxy to a foreign source stay in the namespace (agent)" {
	answers_stay agent_sidecar
}

@test "1: answers of the proxy to a foreign source stay in the namespace (nftables)" {
	answers_stay nft_sidecar
}

@test "1: answers of the proxy to a foreign source stay on the bridge (bridge mode)" {
	answers_stay bridge_sidecar
}

connections_stay() { # START
	gateway
	"$1"
	watch attack $VICTIM6
	# With nftables it fails, because tproxy takes transparent sockets only.
	run plain connect 2001:db8:9::9 80 --source $VICTIM6 --source-port 7778 --freebind --send hello \
		--half-close --read-all --timeout 2
	echo "$output"
	[ "$(counter steer_tcp)" -ge 1 ]
	[ "$(seen attack)" = 0 ]
}

@test "1: a connection from a foreign source is steered, and its answers stay (own programs)" {
	connections_stay sidecar
}

@test "1: a connection from a foreign source is steered, and its answers stay (nftables)" {
	connections_stay nft_sidecar
}

@test "1: the host answers no datagram from a source that the container forged (bridge mode)" {
	bed_spawn host server "$PEER" udp-serve 7000
	bed_wait_line server ready
	# The server answers one datagram after the other, so both answers have left.
	forge() {
		bed_exec app "$PEER" raw-send "$BED_HOST" 7000 --mode udp --source $VICTIM --source-port 7777 --send SECRET
		plain udp "$BED_HOST" 7000 --send hello --expect hello --timeout 2
	}
	warm
	watch control $VICTIM
	forge
	[ "$(seen control)" = 1 ]
	gateway
	bridge_sidecar
	watch attack $VICTIM
	forge
	[ "$(counter deny_udp)" -ge 1 ]
	[ "$(seen attack)" = 0 ]
}

# 2. The control API

# ask NAMESPACE METHOD PATH ADDRESS [ARGUMENT...] - asks the application's control API and prints the status.
ask() {
	local name=$1 method=$2 path=$3 address=$4
	shift 4
	bed_exec "$name" curl -gsS --max-time 5 -o /dev/null -w '%{http_code}' -X "$method" "$@" \
		"http://$address:39001$path"
}

# tunnel NAMESPACE ADDRESS TARGET - asks it for a tunnel and for a page of the target. Prints the answer's status,
# and "page" if the page came.
tunnel() {
	bed_exec "$1" curl -gsS --max-time 5 -o "$BED_DIR/page" -w '%{http_connect}' --proxytunnel \
		-x "http://$2:39001" --proxy-header "X-Dst-Addr: $3" "http://$3/" 2>/dev/null || true
	[ ! -s "$BED_DIR/page" ] || echo " page"
	rm -f "$BED_DIR/page"
}

world_serves() {
	bed_spawn world world "$PEER" serve 80 --mode http
	bed_wait_line world ready
}

# The host itself asks, so that only the target can be the reason for a refusal.
tunnels_lead_inside() {
	local target
	world_serves
	gateway
	sidecar --http-ingress-address "[::]:39001"
	bed_spawn app server "$PEER" serve 80 --mode http
	bed_wait_line server ready
	# Controls: the world answers the host, and the application's server answers through a tunnel.
	for target in "$BED_WORLD" "[$BED_WORLD6]"; do
		bed_exec host curl -gfsS --max-time 5 -o /dev/null "http://$target/"
	done
	for target in 127.0.0.1:80 "$BED_APP:80" "[::1]:80" "[$BED_APP6]:80"; do
		[ "$(tunnel host "$BED_APP" "$target")" = "200 page" ]
	done
	sniff_start
	for target in "$BED_WORLD:80" "[$BED_WORLD6]:80" "$BED_HOST:8080" "[$BED_HOST6]:8080" "$BED_NEIGHBOUR:80" \
		224.0.0.1:80 172.30.0.255:80; do
		[ "$(tunnel host "$BED_APP" "$target")" = 400 ]
		[ "$(tunnel host "[$BED_APP6]" "$target")" = 400 ]
	done
	[ "$(leaks)" = 0 ]
	[ "$(grep -c destination "$BED_DIR/gateway.log")" = 0 ]
	grep -q "is no address of this network namespace" "$BED_DIR/sidecar.log"
}

@test "2: the control API's CONNECT leads into the container and nowhere else (own programs)" {
	tunnels_lead_inside
}

@test "2: the control API's CONNECT leads into the container and nowhere else (nftables)" {
	DATAPATH=nft
	tunnels_lead_inside
}

# asks_get NAMESPACE PUT CA CONNECT - the answers to the three requests, over both families.
asks_get() {
	local address
	for address in "$BED_APP" "[$BED_APP6]"; do
		[ "$(ask "$1" PUT /egress "$address" -d '{"port":8080}')" = "$2" ]
		[ "$(ask "$1" GET /ca "$address")" = "$3" ]
		[[ $(tunnel "$1" "$address" 127.0.0.1:80) = "$4"* ]]
	done
}

neighbours_are_refused() {
	gateway
	sidecar --http-ingress-address "[::]:39001"
	bed_spawn app server "$PEER" serve 80 --mode http
	bed_wait_line server ready
	# Controls: the host, and a client that comes through it.
	asks_get host 204 404 200
	asks_get outside 204 404 200
	asks_get neighbour 403 403 403
	asks_get app 403 403 403
	grep -qE "request of ($BED_NEIGHBOUR|\[$BED_NEIGHBOUR6\]):[0-9]+ refused \(403\): .* --control-allow" \
		"$BED_DIR/sidecar.log"
	# A neighbour on a second network of the application is none the less one.
	bed_join_second_network
	[ "$(bed_exec neighbour2 curl -sS --max-time 5 -o /dev/null -w '%{http_code}' \
		"http://$BED_APP2:39001/ca")" = 403 ]
}

@test "2: the control API refuses neighbours, and answers the host and those who come through it (own programs)" {
	neighbours_are_refused
}

@test "2: the control API refuses neighbours, and answers the host and those who come through it (nftables)" {
	DATAPATH=nft
	neighbours_are_refused
}

# from_second_network CURL-ARGUMENT... - a neighbour asks from its address on another network.
from_second_network() {
	bed_exec neighbour curl -gsS --max-time 5 -o /dev/null -w '%{http_code}' "$@"
}

# The reply finds its way through the host, so the neighbour looks like a machine that the host forwards.
@test "2: a neighbour's address on a second network does not pass for one behind the host" {
	gateway
	_bed_bridge br1 172.31.0.1 fd31::1
	_bed_plug neighbour eth1 br1 172.31.0.3 fd31::3
	sidecar --http-ingress-address "[::]:39001"
	bed_spawn app server "$PEER" serve 80
	bed_wait_line server ready
	# Controls: such connections work, and a machine behind the host may ask.
	bed_exec neighbour "$PEER" connect "$BED_APP" 80 --source 172.31.0.3
	bed_exec neighbour "$PEER" connect "$BED_APP6" 80 --source fd31::3
	[ "$(ask outside GET /ca "$BED_APP")" = 404 ]
	[ "$(from_second_network --interface 172.31.0.3 "http://$BED_APP:39001/ca")" = 403 ]
	[ "$(from_second_network --interface fd31::3 "http://[$BED_APP6]:39001/ca")" = 403 ]
	# The host may change its MAC address. A refused client need only try again.
	bed_exec host ip link set br0 address 02:00:00:00:00:99
	host_is_heard() { [ "$(ask host GET /ca "$1")" = 404 ]; }
	bed_until 5 host_is_heard "$BED_APP"
	bed_until 5 host_is_heard "[$BED_APP6]"
}

@test "2: without a default route the control API answers only addresses of --control-allow" {
	gateway
	bed_exec app ip route delete default
	bed_exec app ip -6 route delete default
	sidecar --http-ingress-address "[::]:39001" --control-allow "$BED_NEIGHBOUR" --control-allow "$BED_NEIGHBOUR6/128"
	bed_spawn app server "$PEER" serve 80 --mode http
	bed_wait_line server ready
	asks_get neighbour 204 404 200
	asks_get host 403 403 403
	bed_exec app ip route add default via "$BED_HOST"
	bed_exec app ip -6 route add default via "$BED_HOST6"
	asks_get host 204 404 200
}

# 3. Identity before the agent

# agent_needs - skips where the agent does not run; makes the folder of its pins.
agent_needs() {
	bed_needs_linux 6.6 "TCX links"
	AGENT_PIN=$BED_BPFFS/agent
}

# agent_serve NAME... - starts an agent for these processes. AGENT has its further arguments.
agent_serve() {
	local name arguments=()
	for name; do
		arguments+=(--pid "$(bed_pid "$name")")
	done
	bed_spawn host agent "$SIDESTEP" agent --pin "$AGENT_PIN" --log-level debug "${arguments[@]}" \
		${AGENT[@]+"${AGENT[@]}"}
	bed_wait_line agent "programs loaded" 10
}

# imposter WHERE NAME CAPABILITIES [ARGUMENT...] - a process with these capabilities greets like a sidecar.
# ARGUMENTs are further options of setpriv, and a command that starts it. IMPOSTER has its own options.
imposter() {
	local where=$1 name=$2 capabilities=$3
	shift 3
	# A user other than root may not reach the project's folder.
	install -m 755 "$PEER" "$BED_DIR/peer"
	bed_spawn "$where" "$name" setpriv --bounding-set="$capabilities" --inh-caps=-all --no-new-privs \
		"$@" "$BED_DIR/peer" imposter ${IMPOSTER[@]+"${IMPOSTER[@]}"}
	bed_wait_line "$name" ready
}

# side_spawn - starts a sidecar that needs the agent.
side_spawn() {
	gateway
	weak_sidecar app sidecar --gateway "$BED_HOST:8080"
	bed_wait_line sidecar "interception is live" 10
}

agent_files() {
	find "/proc/$(bed_pid agent)/fd" -mindepth 1 | wc -l
}

# steered_still - the application's connections reach the gateway, and no packet leaves.
steered_still() {
	sniff_start
	connect 192.0.2.77 80 --send hello --half-close --read-all
	[ "$(arrived 192.0.2.77:80)" = 1 ]
	[ "$(leaks)" = 0 ]
}

@test "3: the agent serves no process without CAP_NET_ADMIN in its namespace's owner" {
	agent_needs
	imposter app bare -all
	# A user namespace of its own gives it all capabilities, and the agent must not count these.
	imposter app nested -all --reuid=65534 --clear-groups unshare --user --map-root-user
	grep -q "^CapEff:.*ffff$" "/proc/$(bed_pid nested)/status"
	# Control: with the capability an imposter is served, so the bed would see it.
	imposter neighbour capable -all,+net_admin
	side_spawn
	agent_serve bare nested capable sidecar
	bed_wait_line agent "process $(bed_pid bare) is not served: it has no CAP_NET_ADMIN"
	bed_wait_line agent "process $(bed_pid nested) is not served: it has no CAP_NET_ADMIN"
	bed_wait_line capable "asked described=ok bypassed=ok attached=ok"
	bed_wait_line sidecar "the host's agent steers"
	[ "$(bed_log bare)" = ready ]
	[ "$(bed_log nested)" = ready ]
	steered_still
}

@test "3: a process that has lost its right makes way for the sidecar" {
	agent_needs
	IMPOSTER=(--mode drop)
	imposter app imposter -all,+net_admin
	side_spawn
	agent_serve imposter sidecar
	bed_wait_line imposter "dropped result=ok"
	bed_wait_line agent "process $(bed_pid imposter) has no CAP_NET_ADMIN any more"
	bed_wait_line sidecar "the host's agent steers"
	bed_alive imposter
	# Nothing is left of the bypass that it asked for.
	[[ $("$SIDESTEP" status --pin "$AGENT_PIN") != *" 0.0.0.0/0 "* ]]
	steered_still
}

# The text is the control: without escapes it would be an object of the event.
@test "3: an event that a sidecar reports names no other container, and spoils neither terminal nor stream" {
	local event
	agent_needs
	IMPOSTER=(--mode forge)
	AGENT=(--event-socket "$BED_DIR/agent.events")
	imposter neighbour forger -all,+net_admin
	agent_serve forger
	bed_wait_line forger "forged result=ok"
	reported() {
		event=$(python3 "$BED_REPO/tests/events.py" follow "$BED_DIR/agent.events" '{}' | grep victim)
	}
	bed_until 5 reported
	echo "$event" >"$BED_DIR/forged.json"
	[ "$(python3 "$BED_REPO/tests/events.py" select "$BED_DIR/forged.json" container=null | wc -l)" = 1 ]
	run bed_exec host "$SIDESTEP" observe --socket "$BED_DIR/agent.events"
	[ "$status" = 0 ]
	[[ $output == *victim* && $output != *$'\033'* ]]
}

@test "3: descriptors in a message are closed, and the session ends" {
	agent_needs
	imposter app plain -all,+net_admin
	agent_serve plain
	bed_wait_line plain "asked described=ok"
	before=$(agent_files)
	bed_kill agent
	bed_kill plain
	IMPOSTER=(--count 500)
	imposter app imposter -all,+net_admin
	agent_serve imposter
	bed_wait_line imposter "flooded sent=[1-9]"
	bed_wait_line agent "ended the session with its sidecar: Message too long"
	[ "$(agent_files)" -le "$before" ]
}

@test "3: the work that a namespace may cause in the agent is limited" {
	agent_needs
	IMPOSTER=(--mode noise --count 500)
	imposter world noise -all,+net_admin
	IMPOSTER=(--mode attach --count 1000)
	imposter neighbour busy -all,+net_admin
	side_spawn
	agent_serve noise busy sidecar
	bed_wait_line agent "process-$(bed_pid busy): its sidecar asks for too much and has to wait"
	bed_wait_line sidecar "the host's agent steers"
	# Control: the agent got all 500 requests. It logs a line each second.
	bed_wait_line noise "flooded sent=500"
	bed_wait_line agent "refused a socket that is not of its network namespace"
	[ "$(bed_log agent | grep -c "refused a socket")" -le 5 ]
	[ "$(bed_log busy | grep -c flooded)" = 0 ]
	steered_still
}

@test "3: an agent without a free descriptor takes no namespace for gone" {
	agent_needs
	side_spawn
	agent_serve sidecar
	bed_wait_line sidecar "the host's agent steers"
	prlimit --pid "$(bed_pid agent)" --nofile=3:
	bed_kill sidecar KILL
	bed_wait_line agent "cannot tell whether it is gone.*Too many open files"
	sniff_start
	run connect 192.0.2.1 80 --send hello --read-all --timeout 2
	[ "$status" -ne 0 ]
	[ "$(leaks)" = 0 ]
	[ -n "$(find "$AGENT_PIN/links" -name steer)" ]
	# Control: with descriptors it learns that the namespace is gone.
	prlimit --pid "$(bed_pid agent)" --nofile=1024:
	_bed_unmake_namespace app || true
	no_links() { [ -z "$(find "$AGENT_PIN/links" -mindepth 1 2>/dev/null)" ]; }
	bed_until 10 no_links
}

@test "3: the strings of a sidecar are printed escaped" {
	agent_needs
	imposter app imposter -all,+net_admin
	agent_serve imposter
	bed_wait_line imposter "asked described=ok"
	bed_wait_line agent 'is served \(sidestep \\x1b\[31mred\)'
	run "$SIDESTEP" status --pin "$AGENT_PIN"
	echo "$output" | cat -v
	[[ $output == *'gateway \x1b[31mred'* ]]
	[ "$(cat "$BED_DIR/agent.log" <(echo "$output") | grep -c $'\033')" = 0 ]
}

# 4. Starts and stops that leave the application without a sidecar

# squat [ARGUMENT...] - starts a program in the application's namespace that takes all of the lock that its rights
# allow, and says what. The arguments are setpriv's.
squat() {
	bed_spawn app squat setpriv "$@" python3 -c '
import signal, socket
name = socket.socket(socket.AF_UNIX)
name.bind("\0sidestep.instance")
name.listen()
groups = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 2)
try:
    groups.bind((0, 0x51DE57E9))
    print("squat: name and groups", flush=True)
except PermissionError:
    print("squat: name alone", flush=True)
signal.pause()'
	bed_wait_line squat "squat: "
}

@test "4: an application without capabilities does not keep the sidecar from starting" {
	gateway
	# The control: with CAP_NET_ADMIN the same program holds the lock.
	squat --bounding-set=-all,+net_admin --inh-caps=-all
	bed_log squat | grep "name and groups"
	run bed_exec app "$SIDESTEP" sidecar --gateway "$BED_HOST:8080"
	echo "$output"
	[ "$status" = 3 ]
	bed_kill squat KILL
	squat --bounding-set=-all --inh-caps=-all
	bed_log squat | grep "name alone"
	sidecar
	connect 192.0.2.77 80 --send hello --half-close --read-all
	[ "$(arrived 192.0.2.77:80)" = 1 ]
	# It starts again, too.
	bed_kill sidecar TERM
	sidecar
	connect 192.0.2.77 80 --send hello --half-close --read-all
	[ "$(arrived 192.0.2.77:80)" = 2 ]
}

@test "4: instances exclude each other across PID namespaces" {
	gateway
	bed_spawn app sidecar unshare --pid --fork --kill-child --mount-proc "$SIDESTEP" sidecar \
		--gateway "$BED_HOST:8080"
	bed_wait_line sidecar "interception is live" 10
	run bed_exec app "$SIDESTEP" sidecar --gateway "$BED_HOST:8080"
	echo "$output"
	[ "$status" = 3 ]
	[[ $output == *"another sidestep is running in this network namespace (process 0)"* ]]
	run bed_exec app unshare --pid --fork --kill-child --mount-proc "$SIDESTEP" sidecar --gateway "$BED_HOST:8080"
	echo "$output"
	[ "$status" = 3 ]
	[[ $output == *"another sidestep is running in this network namespace (process 0)"* ]]
}

# start_as HOW [ARGUMENT...] - starts a sidecar with own programs (bpf), a table (nft) or the agent's programs
# (agent), and does not wait.
start_as() {
	local how=$1
	shift
	if [ "$how" = agent ]; then
		bed_kill agent
		weak_sidecar app sidecar --datapath bpf --agent-wait 10000 --gateway "$BED_HOST:8080" "$@"
		bed_spawn host agent "$SIDESTEP" agent --pin "$(SIDE_PIN)" --pid "$(bed_pid sidecar)"
		return
	fi
	# shellcheck disable=SC2034
	DATAPATH=$how
	sidecar_spawn --gateway "$BED_HOST:8080" "$@"
}

live_as() { # HOW [ARGUMENT...]
	start_as "$@"
	bed_wait_line sidecar "interception is live .* $1" 15
}

# fails_as HOW MESSAGE [ARGUMENT...] - the start fails with this message, and says that the namespace stays closed.
fails_as() {
	local how=$1 message=$2
	shift 2
	start_as "$how" "$@"
	run bed_wait_exit sidecar
	bed_log sidecar
	[ "$status" = 1 ]
	bed_log sidecar | grep -q "$message"
	bed_log sidecar | grep -q "the start failed: this network namespace stays closed"
}

# attempts - the application tries to get out, without a capability and with NET_RAW.
attempts() {
	local mode
	run plain connect $VICTIM 80 --send hello --timeout 0.3
	run plain connect $VICTIM 80 --send hello --bind-device eth0 --timeout 0.3
	run plain connect $VICTIM6 80 --send hello --timeout 0.3
	run plain udp $VICTIM 7777 --send direct --timeout 0.3
	run plain udp $VICTIM6 7777 --send direct --timeout 0.3
	run plain dns example.com A @1.1.1.1 --timeout 0.3
	for mode in syn udp; do
		run bed_exec app "$PEER" raw-send $VICTIM 80 --mode $mode
		run bed_exec app "$PEER" packet-send $VICTIM 80 --mode $mode --device eth0
	done
}

# nothing_gets_out - no attempt shows on the host's line to the world.
nothing_gets_out() {
	watch closed $VICTIM $VICTIM6 1.1.1.1/32
	attempts
	[ "$(seen closed)" = 0 ]
}

# all_gets_out - the control: each attempt shows, so the bed sees them.
all_gets_out() {
	watch open $VICTIM $VICTIM6 1.1.1.1/32
	attempts
	[ "$(seen open)" -ge 10 ]
}

# hold_port - the application takes the control API's port.
hold_port() {
	port_is_free() { ! bed_listening app 39001; }
	bed_until 5 port_is_free
	bed_spawn app holder setpriv --bounding-set=-all --inh-caps=-all --no-new-privs "$PEER" serve 39001
	bed_wait_line holder ready
}

CONTROL="--http-ingress-address 0.0.0.0:39001"

guarded_start_fails() { # HOW
	gateway
	hold_port
	warm
	# shellcheck disable=SC2086 # words
	fails_as "$1" "another program has the port" --guard-first $CONTROL
	nothing_gets_out
	# The bridge's hosts are reached as ever.
	bed_spawn neighbour server "$PEER" serve 7000
	bed_wait_line server ready
	bed_kill holder
	# The next start steers, and its end opens the namespace.
	# shellcheck disable=SC2086
	live_as "$1" $CONTROL
	connect 192.0.2.77 80 --send hello --half-close --read-all
	connect "$BED_NEIGHBOUR" 7000 --send hello --half-close --read-all
	[ "$(arrived 192.0.2.77:80)" = 1 ]
	bed_kill sidecar TERM
	all_gets_out
}

@test "4: with --guard-first a start that fails leaves nothing out (own programs)" {
	guarded_start_fails bpf
}

@test "4: with --guard-first a start that fails leaves nothing out (nftables)" {
	guarded_start_fails nft
}

@test "4: the agent's programs stay where a sidecar failed to start" {
	agent_needs
	guarded_start_fails agent
}

@test "4: without --guard-first a first start that fails leaves the namespace as it was" {
	hold_port
	# shellcheck disable=SC2086
	run bed_exec app "$SIDESTEP" sidecar --gateway "$BED_HOST:8080" $CONTROL
	echo "$output"
	[ "$status" = 1 ]
	warm
	all_gets_out
}

# The application takes all ports from which the proxy's sockets could get theirs.
ports_are_gone() { # HOW
	bed_exec app sh -c 'echo 65532 65535 >/proc/sys/net/ipv4/ip_local_port_range'
	bed_spawn app holder setpriv --bounding-set=-all --inh-caps=-all --no-new-privs python3 -c '
import signal, socket
held = []
for port in range(65532, 65536):
    for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM:
        held.append(socket.socket(socket.AF_INET6, kind))
        held[-1].bind(("::", port))
        if kind == socket.SOCK_STREAM:
            held[-1].listen()
print("all ports", flush=True)
signal.pause()'
	bed_wait_line holder "all ports"
	warm
	fails_as "$1" "another process takes each port" --guard-first
	nothing_gets_out
}

@test "4: with --guard-first an application that holds all ports leaves nothing out (own programs)" {
	ports_are_gone bpf
}

@test "4: with --guard-first an application that holds all ports leaves nothing out (nftables)" {
	ports_are_gone nft
}

# Where the application shares /etc/hosts with the sidecar, it can remove the gateway's name.
lost_gateway() { # HOW
	warm
	# shellcheck disable=SC2034
	DATAPATH=$1
	sidecar_spawn_lost() {
		sidecar_spawn --http-egress-port 8080 "$@"
		run bed_wait_exit sidecar
		[ "$status" = 2 ]
		bed_log sidecar | grep "no gateway address"
	}
	sidecar_spawn_lost
	all_gets_out
	sidecar_spawn_lost --guard-first
	bed_log sidecar | grep "this network namespace stays closed"
	nothing_gets_out
}

@test "4: with --guard-first a gateway that cannot be found leaves nothing out" {
	! grep -q host.docker.internal /etc/hosts || skip "/etc/hosts of this machine names host.docker.internal"
	lost_gateway bpf
}

@test "4: with --guard-first a gateway that cannot be found leaves nothing out (nftables)" {
	! grep -q host.docker.internal /etc/hosts || skip "/etc/hosts of this machine names host.docker.internal"
	lost_gateway nft
}

squatted_after_kill() { # HOW
	gateway
	warm
	# shellcheck disable=SC2086
	live_as "$1" $CONTROL
	bed_kill sidecar KILL
	hold_port
	# shellcheck disable=SC2086
	fails_as "$1" "another program has the port" $CONTROL
	nothing_gets_out
	# Again, because the traces are now those of a start that failed.
	# shellcheck disable=SC2086
	fails_as "$1" "another program has the port" $CONTROL
	nothing_gets_out
	bed_kill holder
	# shellcheck disable=SC2086
	live_as "$1" $CONTROL
	connect 192.0.2.77 80 --send hello --half-close --read-all
	bed_kill sidecar TERM
	all_gets_out
}

@test "4: after SIGKILL a squatted control port leaves nothing out (own programs)" {
	squatted_after_kill bpf
}

@test "4: after SIGKILL a squatted control port leaves nothing out (nftables)" {
	squatted_after_kill nft
}

@test "4: after SIGKILL a squatted control port leaves nothing out (agent)" {
	agent_needs
	squatted_after_kill agent
}

@test "4: a start that can add no route says that a killed sidecar's routes keep the namespace closed" {
	local number
	command -v strace >/dev/null || skip "strace is not installed"
	traced() { # [ARGUMENT...] - starts a sidecar that lacks a route of a killed one
		bed_exec app ip route flush table 9302
		# shellcheck disable=SC2086
		bed_exec app strace -qq -o "$BED_DIR/trace" -e trace=sendto "$@" \
			"$SIDESTEP" sidecar --gateway "$BED_HOST:8080" $CONTROL
	}
	gateway
	warm
	# shellcheck disable=SC2086
	live_as bpf $CONTROL
	bed_kill sidecar KILL
	hold_port
	run traced
	[[ $output == *"another program has the port"* ]]
	number=$(grep -n -m 1 RTM_NEWROUTE "$BED_DIR/trace" | cut -d : -f 1)
	run traced -e "inject=sendto:error=ENOBUFS:when=$number+"
	echo "$output"
	[ "$status" = 1 ]
	[[ $output == *"cannot add the route"*"the start failed: this network namespace stays closed"* ]]
	nothing_gets_out
}

stop_closes() { # HOW [ARGUMENT...]
	local how=$1
	shift
	gateway
	warm
	live_as "$how" --on-exit closed "$@"
	bed_kill sidecar TERM
	bed_log sidecar | grep -q "stopped: this network namespace stays closed"
	nothing_gets_out
	live_as "$how" --on-exit closed "$@"
	connect 192.0.2.77 80 --send hello --half-close --read-all
	[ "$(arrived 192.0.2.77:80)" = 1 ]
	bed_kill sidecar TERM
	nothing_gets_out
	live_as "$how"
	bed_kill sidecar TERM
	all_gets_out
}

@test "4: after SIGTERM with --on-exit closed nothing leaves, and the next start takes over (own programs)" {
	stop_closes bpf
}

@test "4: after SIGTERM with --on-exit closed nothing leaves, and the next start takes over (nftables)" {
	stop_closes nft
}

@test "4: after SIGTERM with --on-exit closed nothing leaves, and the next start takes over (agent)" {
	agent_needs
	stop_closes agent
}

# The datapath alone keeps packets in, and lets out a published port's replies.
# One connection is older than the sidecar.
stop_closes_after_pass() { # HOW [SIGNAL]
	local rights=()
	[ "$1" = bpf ] || rights=("${NET_ADMIN[@]}")
	gateway
	warm
	bed_spawn app server "$PEER" serve 7000
	bed_wait_line server ready
	bed_spawn app echo "$PEER" serve 7001 --mode echo
	bed_wait_line echo ready
	mkfifo "$BED_DIR/say"
	# shellcheck disable=SC2016 # for the inner shell
	bed_spawn outside older bash -c 'exec 3<>"/dev/tcp/$1/7001" 4<>"$2"
		while read -r word <&4 && echo "$word" >&3 && read -r -t 10 word <&3; do echo "heard $word"; done' \
		older "$BED_APP" "$BED_DIR/say"
	echo one >"$BED_DIR/say"
	bed_wait_line older "heard one"
	bed_spawn app sidecar "${rights[@]}" "$SIDESTEP" sidecar --datapath "${1/agent/bpf}" --agent-wait 10000 \
		--gateway "$BED_HOST:8080" --udp pass --on-exit closed
	[ "$1" != agent ] ||
		bed_spawn host agent "$SIDESTEP" agent --pin "$(SIDE_PIN)" --pid "$(bed_pid sidecar)"
	bed_wait_line sidecar "interception is live" 15
	watch open $VICTIM
	run plain udp $VICTIM 7777 --send direct --timeout 0.3
	[ "$(seen open)" = 1 ]
	bed_kill sidecar "${2:-TERM}"
	nothing_gets_out
	bed_exec outside "$PEER" connect "$BED_APP" 7000 --send hello --half-close --read-all
	echo two >"$BED_DIR/say"
	bed_wait_line older "heard two"
}

@test "4: after SIGKILL and --udp pass, which ends, nothing leaves (own programs)" {
	stop_closes_after_pass bpf KILL
}

@test "4: after SIGKILL and --udp pass, which ends, nothing leaves (agent)" {
	agent_needs
	stop_closes_after_pass agent KILL
}

@test "4: --on-exit closed after --udp pass, which ends (own programs)" {
	stop_closes_after_pass bpf
}

@test "4: --on-exit closed after --udp pass, which ends (nftables)" {
	stop_closes_after_pass nft
}

@test "4: --on-exit closed after --udp pass, which ends (agent)" {
	agent_needs
	stop_closes_after_pass agent
}

@test "4: --on-exit closed says where it could not close (own programs)" {
	bed_needs_linux 6.6 "TCX links"
	gateway
	live_as bpf --on-exit closed --attach tcx
	# An operator's filter is in the place of the one that is to stay.
	bed_exec app tc qdisc replace dev eth0 clsact
	bed_exec app tc filter add dev eth0 egress protocol ip prio 9300 bpf bytecode '1,6 0 0 0'
	bed_kill sidecar TERM
	bed_log sidecar | grep "cannot leave the BPF program dev_egress attached"
	bed_log sidecar | grep "stopped: packets may get out of this network namespace"
	! bed_log sidecar | grep "stays closed" || false
}

@test "4: --on-exit closed says where it could not close (agent)" {
	agent_needs
	gateway
	live_as agent --on-exit closed --udp pass
	bed_kill agent KILL
	bed_kill sidecar TERM
	bed_log sidecar | grep "cannot tell the host's agent that --udp pass ends"
	bed_log sidecar | grep "stopped: packets may get out of this network namespace"
	! bed_log sidecar | grep "stays closed" || false
}

# unprivileged [ARGUMENT...] - starts a sidecar that steers by nftables until the agent comes, and does not wait.
unprivileged() {
	weak_sidecar app sidecar --gateway "$BED_HOST:8080" "$@"
}

@test "4: where the agent comes, a start that fails leaves nothing out" {
	agent_needs
	gateway
	hold_port
	warm
	# The control: no agent comes.
	# shellcheck disable=SC2086
	unprivileged --agent-wait 0 $CONTROL
	run bed_wait_exit sidecar
	[ "$status" = 1 ]
	all_gets_out
	# shellcheck disable=SC2086
	unprivileged --agent-wait 10000 $CONTROL
	agent_serve sidecar
	run bed_wait_exit sidecar
	[ "$status" = 1 ]
	bed_log sidecar | grep "this network namespace stays closed"
	nothing_gets_out
	bed_kill holder
	bed_kill agent
	# shellcheck disable=SC2086
	unprivileged $CONTROL
	bed_wait_line sidecar "interception is live" 10
	agent_serve sidecar
	bed_wait_line sidecar "the host's agent steers" 10
	connect 192.0.2.77 80 --send hello --half-close --read-all
	[ "$(arrived 192.0.2.77:80)" = 1 ]
	bed_kill sidecar TERM
	all_gets_out
}

@test "4: the agent closes a namespace whose sidecar ended in the middle of its start" {
	agent_needs
	gateway
	warm
	# It waits for an agent, and cannot answer.
	imposter app starting -all,+net_admin
	bed_signal starting STOP
	agent_serve starting
	bed_wait_line agent "process $(bed_pid starting) is served"
	all_gets_out
	bed_kill starting KILL
	bed_wait_line agent "its sidecar ended before it steered"
	nothing_gets_out
	# The agent's end changes nothing, and the next sidecar takes over.
	bed_kill agent
	nothing_gets_out
	unprivileged
	bed_wait_line sidecar "interception is live" 10
	agent_serve sidecar
	bed_wait_line sidecar "the host's agent steers" 10
	connect 192.0.2.77 80 --send hello --half-close --read-all
	[ "$(arrived 192.0.2.77:80)" = 1 ]
	bed_kill sidecar TERM
	all_gets_out
}

@test "4: a sidecar that ends before the agent was needed leaves the namespace open" {
	agent_needs
	gateway
	unprivileged
	bed_wait_line sidecar "interception is live" 10
	bed_signal sidecar STOP
	agent_serve sidecar
	bed_wait_line agent "process $(bed_pid sidecar) is served"
	bed_signal sidecar TERM
	bed_signal sidecar CONT
	bed_wait_exit sidecar
	bed_wait_line agent "nothing is attached any more"
	warm
	all_gets_out
}

# The rights of a sidecar may change between two starts, and so its datapath.
closed_by_another() { # FIRST NEXT
	warm
	bed_spawn world gateway "$SIDESTEP" gateway --listen "$BED_OUTSIDE:8080" --log --server
	bed_until 5 bed_listening world 8080
	bed_spawn app server "$PEER" serve 7000
	bed_wait_line server ready
	live_as "$1" --on-exit closed
	bed_kill sidecar TERM
	nothing_gets_out
	# Only the proxy itself reaches this gateway.
	live_as "$2" --gateway "$BED_OUTSIDE:8080"
	connect 192.0.2.77 80 --send hello --half-close --read-all
	connect 2001:db8:9::9 80 --send hello --half-close --read-all
	[ "$(arrived 192.0.2.77:80)" = 1 ]
	bed_exec outside "$PEER" connect "$BED_APP" 7000 --send hello --half-close --read-all
	bed_kill sidecar TERM
	all_gets_out
}

@test "4: a namespace that own programs closed is taken over by nftables" {
	closed_by_another bpf nft
}

@test "4: a namespace that nftables closed is taken over by own programs" {
	closed_by_another nft bpf
}

@test "4: a namespace that nftables closed is taken over by the agent" {
	agent_needs
	closed_by_another nft agent
}

@test "4: after SIGKILL nothing gets out, packet sockets included (own programs)" {
	gateway
	warm
	all_gets_out
	live_as bpf
	bed_kill sidecar KILL
	nothing_gets_out
}

@test "4: bridge mode refuses --guard-first and --on-exit closed" {
	local option
	for option in --guard-first "--on-exit closed"; do
		# shellcheck disable=SC2086
		run bed_exec host "$SIDESTEP" sidecar --bridge br0 --gateway "$BED_HOST:8080" $option
		echo "$output"
		[ "$status" = 2 ]
		[[ $output == *"do not go with --bridge"* ]]
	done
}

# 5. Packets that pass for those of another flow

# icmp_error DESTINATION SOURCE - quotes the outside client's datagram.
icmp_error() {
	run bed_exec app "$PEER" raw-send "$1" 4000 --mode unreachable --source "$2" --source-port 7000 \
		--quoted "$BED_OUTSIDE" --send SECRET
	echo "$output"
}

errors_go_back() { # START
	warm
	watch control $VICTIM
	icmp_error $VICTIM "$BED_APP"
	[ "$(seen control)" = 1 ]
	gateway
	"$1"
	bed_spawn app server "$PEER" udp-serve 7000
	bed_wait_line server ready
	bed_exec outside "$PEER" udp "$BED_APP" 7000 --source-port 4000 --send hello --expect hello
	# To the client, from an address of the container's.
	watch back "$BED_OUTSIDE"
	icmp_error "$BED_OUTSIDE" "$BED_APP"
	[ "$(seen back)" = 1 ]
	watch attack $VICTIM "$BED_OUTSIDE"
	icmp_error $VICTIM "$BED_APP"
	icmp_error "$BED_OUTSIDE" 203.0.113.9
	[ "$(counter deny_protocol)" -ge 1 ]
	[ "$(seen attack)" = 0 ]
}

@test "5: an ICMP error goes to the sender of the packet that it quotes (own programs)" {
	errors_go_back sidecar
}

@test "5: an ICMP error goes to the sender of the packet that it quotes (agent)" {
	errors_go_back agent_sidecar
}

@test "5: an ICMP error goes to the sender of the packet that it quotes (nftables)" {
	errors_go_back nft_sidecar
}

@test "5: an ICMP error goes to the sender of the packet that it quotes (bridge mode)" {
	errors_go_back bridge_sidecar
}

@test "5: IPv6 frames with IPv4-mapped addresses do not cut IPv4 traffic (bridge mode)" {
	bed_spawn app server "$PEER" udp-serve 7000
	bed_wait_line server ready
	gateway
	bridge_sidecar
	# The programs keep what they know about a pair of addresses for each processor.
	for processor in $(seq 0 $(($(nproc) - 1))); do
		bed_exec neighbour taskset -c "$processor" "$PEER" packet-send "$BED_HOST" 9 --mode mapped \
			--source "$BED_APP" --source-port 9 --device eth0 --gateway "$BED_HOST" --count 4
	done
	[ "$(counter deny_malformed)" -ge 4 ]
	for _ in 1 2 3 4 5 6; do
		bed_exec host "$PEER" udp "$BED_APP" 7000 --send hello --expect hello --timeout 1
	done
}

# 6. Router advertisements

# advertiser NAME [ROUTER] - begins to advertise half of the IPv6 internet there, until it is killed. The kernel's
# routes for the prefixes are the same as those for the subnets of its addresses. With a second argument it is a
# router of high preference (RFC 4191) instead.
advertiser() {
	command -v python3 >/dev/null || skip "python3 is not installed"
	cat >"$BED_DIR/advertiser.py" <<-'SCRIPT'
		import socket, struct, sys, time

		def prefix(text, length, flags):  # RFC 4861 section 4.6.2
		    return struct.pack("!BBBBIII", 3, 4, length, flags, 7200, 7200, 0) + \
		        socket.inet_pton(socket.AF_INET6, text)

		ON_LINK, AUTONOMOUS = 0x80, 0x40
		if sys.argv[1:]:
		    message = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0x08, 1800, 0, 0)
		else:
		    message = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 0, 0, 0) + \
		        prefix("2000::", 3, ON_LINK) + prefix("2001:db8::", 64, ON_LINK | AUTONOMOUS)
		raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
		raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
		while True:
		    raw.sendto(message, ("ff02::1", 0, 0, socket.if_nametoindex("eth0")))
		    time.sleep(0.02)
	SCRIPT
	bed_spawn "$1" advertiser python3 "$BED_DIR/advertiser.py" "${@:2}"
}

# on_link NAME DEVICE - succeeds when the advertised routes are in force there.
on_link() {
	bed_exec "$1" ip -6 route show dev "$2" proto kernel | grep -q '^2000::/3 ' &&
		bed_exec "$1" ip -6 route show dev "$2" proto kernel | grep -q '^2001:db8::/64 '
}

# The neighbour answers for the victim, and sends on what it gets.
neighbour_forwards() {
	bed_exec neighbour sh -c '
		echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
		echo 1 >/proc/sys/net/ipv6/conf/eth0/proxy_ndp
		echo 0 >/proc/sys/net/ipv6/neigh/eth0/proxy_delay'
	bed_exec neighbour ip -6 neighbour add proxy $VICTIM6 dev eth0
}

# heeds_routers VALUE - whether the application's namespace accepts advertisements (1) or not (0).
heeds_routers() {
	[ "$(bed_exec app cat /proc/sys/net/ipv6/conf/eth0/accept_ra)" = "$1" ]
}

# has_router - succeeds while there is a default route that an advertisement made.
has_router() {
	bed_exec app ip -6 route show default proto ra | grep -q via
}

advertised_is_steered() { # START
	neighbour_forwards
	bed_exec app sh -c 'echo 1 >/proc/sys/net/ipv6/conf/eth0/accept_ra'
	# It advertises before the start, during it and afterwards.
	advertiser neighbour
	bed_until 5 on_link app eth0
	watch control $VICTIM6
	run plain connect $VICTIM6 80 --timeout 3
	echo "$output"
	[ "$(seen control)" -ge 1 ]
	gateway
	"$1"
	heeds_routers 0
	run on_link app eth0
	[ "$status" -ne 0 ]
	watch attack $VICTIM6
	for round in 1 2 3; do
		plain connect $VICTIM6 80 --send hello --half-close --read-all --timeout 5
		[ "$(arrived "\[$VICTIM6\]:80")" = "$round" ]
		# The first connection is made without the routes, and the others with them.
		bed_exec app sh -c 'echo 1 >/proc/sys/net/ipv6/conf/eth0/accept_ra'
	done
	[ "$(seen attack)" = 0 ]
	run bed_log sidecar
	[[ $output == *"bypass: $BED_SUBNET6 interface"* ]]
	[[ $output != *"bypass: 2"* ]]
}

@test "6: a prefix that a neighbour advertises is steered (own programs)" {
	advertised_is_steered sidecar
}

@test "6: a prefix that a neighbour advertises is steered (agent)" {
	advertised_is_steered agent_sidecar
}

@test "6: a prefix that a neighbour advertises is steered (nftables)" {
	advertised_is_steered nft_sidecar
}

@test "6: a prefix that a container advertises to its bridge is steered (bridge mode)" {
	bed_exec host sh -c 'echo 2 >/proc/sys/net/ipv6/conf/br0/accept_ra'
	bed_exec host ip -6 route add $VICTIM6 via $BED_OUTSIDE6
	advertiser app
	bed_until 5 on_link host br0
	watch control $VICTIM6
	run plain connect $VICTIM6 80 --timeout 3
	echo "$output"
	[ "$(seen control)" -ge 1 ]
	gateway
	bridge_sidecar
	watch attack $VICTIM6
	plain connect $VICTIM6 80 --send hello --half-close --read-all --timeout 5
	[ "$(arrived "\[$VICTIM6\]:80")" = 1 ]
	[ "$(seen attack)" = 0 ]
	# The host's devices are the operator's.
	[ "$(bed_exec host cat /proc/sys/net/ipv6/conf/br0/accept_ra)" = 2 ]
}

not_diverted() { # START
	local gateway="[2001:db8:1::1]:8080"
	divert() { # NAME COMMAND... - counts the packets to the gateway that go to the neighbour meanwhile
		watch_at neighbour eth0 "$1" 2001:db8:1::1 >&2
		run "${@:2}"
		echo "$output" >&2
		seen "$1"
	}
	neighbour_forwards
	bed_exec app sh -c 'echo 1 >/proc/sys/net/ipv6/conf/eth0/accept_ra'
	advertiser neighbour router
	bed_until 5 has_router
	bed_kill advertiser
	bed_spawn world gateway "$SIDESTEP" gateway --listen "$gateway" --log --server
	bed_until 5 bed_listening world 8080
	[ "$(divert control plain connect 2001:db8:1::1 8080 --timeout 3)" -ge 1 ]
	"$1" --gateway "$gateway"
	[ "$(divert attack plain connect $VICTIM6 80 --send hello --half-close --read-all --timeout 5)" = 0 ]
	[ "$(arrived "\[$VICTIM6\]:80")" = 1 ]
	run has_router
	[ "$status" -ne 0 ]
}

# read_only COMMAND... - runs it where /proc/sys is read-only, as in a container that is not privileged.
read_only() {
	unshare --mount sh -c 'mount --bind /proc/sys /proc/sys && mount -o remount,ro,bind /proc/sys && exec "$@"' - "$@"
}

@test "6: the proxy's packets avoid a neighbour that advertises itself as the router (own programs)" {
	not_diverted sidecar
	heeds_routers 0
}

@test "6: the proxy's packets avoid a neighbour that advertises itself as the router (agent)" {
	not_diverted agent_sidecar
	heeds_routers 0
}

@test "6: the proxy's packets avoid a neighbour that advertises itself as the router (nftables, /proc/sys read-only)" {
	read_only_nft() {
		export -f read_only
		bed_spawn app sidecar bash -c 'read_only "$@"' - \
			"${NET_ADMIN[@]}" "$SIDESTEP" sidecar --datapath nft "$@"
		bed_wait_line sidecar "interception is live" 10
	}
	not_diverted read_only_nft
	heeds_routers 1
	# The route that the next advertisement adds does not stay.
	bed_spawn app monitor ip -6 monitor route
	advertiser neighbour router
	bed_wait_line monitor "^default via fe80"
	bed_kill advertiser
	bed_wait_line monitor "^Deleted default via fe80"
	without_router() { ! has_router; }
	bed_until 5 without_router
}

@test "6: a router's advertisement stays in force where it is the only way out by IPv6" {
	neighbour_forwards
	bed_exec app ip -6 route delete default
	bed_exec app sh -c 'echo 1 >/proc/sys/net/ipv6/conf/eth0/accept_ra'
	advertiser neighbour router
	bed_until 5 has_router
	gateway
	sidecar
	heeds_routers 1
	has_router
	watch attack $VICTIM6
	plain connect $VICTIM6 80 --send hello --half-close --read-all --timeout 5
	[ "$(arrived "\[$VICTIM6\]:80")" = 1 ]
	[ "$(seen attack)" = 0 ]
}

# own_address_stays START - the neighbour chooses the first half of an address of the application's, which somebody
# in the world has as well. The application's frame for it goes to the host.
own_address_stays() {
	local address
	advertised() { address=$(bed_exec app ip -o -6 address show dev eth0 to 2001:db8::/64 | grep -oE '2001:db8:[0-9a-f:]+'); }
	bed_exec app sh -c 'echo 1 >/proc/sys/net/ipv6/conf/eth0/accept_ra'
	advertiser neighbour
	bed_until 5 advertised
	warm
	watch control "$address"
	raw "$address" 9
	[ "$(seen control)" = 1 ]
	gateway
	"$1"
	watch attack "$address"
	raw "$address" 9
	[ "$(seen attack)" = 0 ]
	# The agent has another counter of this name, outside.
	counter guard_drops | grep -qx 1
}

@test "6: a frame for an own address does not leave (own programs)" {
	own_address_stays sidecar
}

@test "6: a frame for an own address does not leave (agent)" {
	own_address_stays agent_sidecar
}

@test "6: a frame for an own address does not leave (nftables)" {
	own_address_stays nft_sidecar
}

# 7. Frames that are not what they seem

# raw HOST PORT ARGUMENT... - the application sends a frame by eth0, with CAP_NET_RAW alone. The status is 0 even if
# the frame was dropped.
raw() {
	bed_exec app setpriv --bounding-set=-all,+net_raw --inh-caps=-all "$PEER" raw "$@" --device eth0 || true
}

# lies - sends frames to the world which the host takes for IP, whatever was said of them.
lies() {
	local host protocol type kind mode
	bed_exec app sh -c 'echo 0 2147483647 >/proc/sys/net/ipv4/ping_group_range'
	for host in $VICTIM $VICTIM6; do
		for protocol in 0 0x0004 0x0800 0x0806 0x8100 0x86dd 0x88cc; do
			raw $host 9 --protocol $protocol
		done
		# The tag 0 is no network (IEEE 802.1Q), so the host removes it.
		for type in 0x8100 0x88a8; do
			raw $host 9 --vlan 0 --vlan-type $type
			raw $host 9 --vlan 0 --vlan-type $type --protocol 0x0806
		done
		for kind in datagram ring inet ping; do
			raw $host 9 --socket $kind --mode "$([ $kind = ping ] && echo echo || echo udp)"
		done
		raw $host 9 --socket ring --protocol 0x0806
		for mode in syn echo later; do
			raw $host 9 --mode $mode
		done
	done
	for mode in hopopts dstopts fragments; do
		raw $VICTIM6 9 --mode $mode
	done
}

# past_the_queue - the same frame by sockets that avoid the queueing discipline. AF_XDP is one with the word xdp.
past_the_queue() {
	local host
	for host in $VICTIM $VICTIM6; do
		raw $host 9 --qdisc-bypass
		raw $host 9 --qdisc-bypass --socket datagram
		raw $host 9 --qdisc-bypass --socket ring
		raw $host 9 --qdisc-bypass --protocol 0x0806
		raw $host 9 --qdisc-bypass --vlan 0 --protocol 0x0806
		if [ "${1:-}" = xdp ]; then
			raw $host 9 --socket xdp
			raw $host 9 --socket xdp --vlan 0
		fi
	done
}

lies_stay() { # START [xdp|no-queue]
	warm
	watch control $VICTIM $VICTIM6
	lies
	[ "$(seen control)" -ge 41 ]
	watch queue-control $VICTIM $VICTIM6
	past_the_queue xdp
	[ "$(seen queue-control)" -ge 14 ]
	gateway
	"$1"
	watch attack $VICTIM $VICTIM6
	lies
	[ "${2:-}" = no-queue ] || past_the_queue "${2:-}"
	[ "$(seen attack)" = 0 ]
	# Packet sockets reach the neighbour as before.
	for host in "$BED_NEIGHBOUR" "$BED_NEIGHBOUR6"; do
		[[ $(raw "$host" 9 --gateway "$BED_NEIGHBOUR") == "result=ok "* ]]
	done
}

@test "7: a frame is judged by what it is, not by what its socket says (own programs)" {
	lies_stay sidecar no-queue
}

@test "7: no frame gets past, whatever socket sent it (agent)" {
	lies_stay agent_sidecar xdp
}

@test "7: a frame is judged by what it is, and PACKET_QDISC_BYPASS is no way past (nftables)" {
	bed_needs_linux 5.17 "the egress hook of devices, for such sockets too"
	lies_stay nft_sidecar
}

@test "7: no frame gets past, whatever socket sent it (bridge mode)" {
	lies_stay bridge_sidecar xdp
}

# The qdisc `ingress` takes filters for egress, and runs them on ingress. It is there by now.
ingress_is_guarded() { # START
	"$1"
	watch attack $VICTIM
	raw $VICTIM 9
	[ "$(seen attack)" = 0 ]
	connect 192.0.2.77 80 --send hello --half-close --read-all
}

@test "7: a frame stays where a device has the qdisc ingress (own programs)" {
	bed_exec app tc qdisc add dev eth0 ingress
	warm
	watch control $VICTIM
	raw $VICTIM 9
	[ "$(seen control)" = 1 ]
	gateway
	# shellcheck disable=SC2034
	DATAPATH=bpf
	sidecar_spawn --gateway "$BED_HOST:8080" --attach clsact
	run bed_wait_exit sidecar
	[ "$status" = 1 ]
	bed_log sidecar | grep "cannot attach .* eth0, whose qdisc ingress is in the place of clsact"
	bed_needs_linux 6.6 "TCX links"
	ingress_is_guarded own_sidecar
}

@test "7: a frame stays where a device has the qdisc ingress (agent)" {
	bed_exec app tc qdisc add dev eth0 ingress
	gateway
	ingress_is_guarded agent_sidecar
}

# source_routes - sends packets to the host that ask it to send them on to the world.
source_routes() {
	raw $VICTIM 9 --mode lsrr --via "$BED_HOST"
	raw $VICTIM6 9 --mode rh4 --via "$BED_HOST6"
	raw $VICTIM 9 --mode lsrr --via "$BED_HOST" --socket inet
	raw $VICTIM6 9 --mode rh4 --via "$BED_HOST6" --socket inet
	# The same from an ordinary socket, which takes no capability over IPv6.
	bed_exec app setpriv --bounding-set=-all --inh-caps=-all python3 - $VICTIM6 "$BED_HOST6" <<-'ROUTES'
		import socket, sys
		segments = bytes([0, 4, 4, 1, 1, 0, 0, 0]) + bytes(16) + socket.inet_pton(socket.AF_INET6, sys.argv[2])
		sender = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
		sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RTHDR, segments)
		try:
		    sender.sendto(b"SECRET", (sys.argv[1], 9))
		except PermissionError:
		    print("refused")
	ROUTES
}

source_routes_stay() { # START
	command -v python3 >/dev/null || skip "python3 is not installed"
	bed_exec host test -e /proc/sys/net/ipv6/conf/br0/seg6_enabled || skip "the kernel has no SRv6"
	# An operator may have allowed both, which Linux does not do by itself.
	bed_exec host sh -c 'for name in all br0; do
		echo 1 >/proc/sys/net/ipv4/conf/$name/accept_source_route
		echo 1 >/proc/sys/net/ipv6/conf/$name/seg6_enabled
	done'
	warm
	watch control $VICTIM $VICTIM6
	source_routes
	[ "$(seen control)" -ge 5 ]
	gateway
	"$1"
	watch attack $VICTIM $VICTIM6
	source_routes
	[ "$(seen attack)" = 0 ]
}

@test "7: the host gets no packet with a source route (own programs)" {
	source_routes_stay sidecar
}

@test "7: the host gets no packet with a source route (agent)" {
	source_routes_stay agent_sidecar
}

@test "7: the host gets no packet with a source route (nftables)" {
	bed_needs_linux 5.16 "the egress hook of devices"
	source_routes_stay nft_sidecar
}

@test "7: the host takes no packet with a source route (bridge mode)" {
	source_routes_stay bridge_sidecar
}

# The sender shares the frame with the kernel, and changes it from the host's address to the world's and back.
changed_frames_stay() { # START
	flipping() { # FRAMES - succeeds when some of the frames were let out and others were not
		local sent
		sent=$(raw "$BED_HOST6" 9 --socket ring --flip $VICTIM6 --count "$1" | grep -oE '[0-9]+$')
		[ "$sent" -gt 0 ] && [ "$sent" -lt "$1" ]
	}
	[ "$(nproc)" -gt 1 ] || skip "two processors are needed"
	warm
	watch control $VICTIM6
	raw "$BED_HOST6" 9 --socket ring --flip $VICTIM6 --count 20000
	[ "$(seen control)" -gt 0 ]
	gateway
	"$1"
	watch attack $VICTIM6
	bed_until 20 flipping 20000
	[ "$(seen attack)" = 0 ]
}

@test "7: a frame that changes while it is sent does not get past (own programs)" {
	changed_frames_stay sidecar
}

@test "7: a frame that changes while it is sent does not get past (agent)" {
	changed_frames_stay agent_sidecar
}

@test "7: a frame that changes while it is sent does not get past (nftables)" {
	bed_needs_linux 5.16 "the egress hook of devices"
	changed_frames_stay nft_sidecar
}

# The sender changes a query to a neighbour's resolver into ICMP and back. The internet is off.
changed_queries_stay() { # START
	queries() { # NAME - prints how many packets of UDP the neighbour got
		touch "$BED_DIR/$1-end"
		bed_wait_exit "$1"
		bed_log "$1" | grep -oE 'to_udp=[0-9]+' | grep -oE '[0-9]+'
	}
	listen() { # NAME
		bed_spawn neighbour "$1" "$PEER" sniff --device eth0 --count-dst "$BED_NEIGHBOUR6" \
			--until-file "$BED_DIR/$1-end"
		bed_wait_line "$1" ready
	}
	flipping() { # FRAMES - succeeds when some of the frames were let out and others were not
		local sent
		sent=$(raw "$BED_NEIGHBOUR6" 53 --gateway "$BED_NEIGHBOUR" --socket ring --flip 58 --count "$1" |
			grep -oE '[0-9]+$')
		[ "$sent" -gt 0 ] && [ "$sent" -lt "$1" ]
	}
	[ "$(nproc)" -gt 1 ] || skip "two processors are needed"
	gateway
	# shellcheck disable=SC2086 # words
	"$1" $CONTROL
	listen control
	raw "$BED_NEIGHBOUR6" 53 --gateway "$BED_NEIGHBOUR" --socket ring --flip 58 --count 20000
	[ "$(queries control)" -gt 0 ]
	[ "$(ask host PUT /egress "$BED_APP" -d '{"internet": {"enabled": false}}')" = 204 ]
	listen attack
	bed_until 20 flipping 20000
	[ "$(queries attack)" = 0 ]
}

@test "7: a query that changes while it is sent does not get past (own programs)" {
	changed_queries_stay own_sidecar
}

@test "7: a query that changes while it is sent does not get past (agent)" {
	changed_queries_stay agent_sidecar
}

@test "7: a query that changes while it is sent does not get past (nftables)" {
	bed_needs_linux 5.16 "the egress hook of devices"
	changed_queries_stay nft_sidecar
}

# offload_off DEVICE - the host's device computes no checksums, so the kernel does before it sends.
offload_off() {
	bed_exec host python3 - "$1" <<-'OFFLOAD'
		import ctypes, fcntl, socket, struct, sys
		value = ctypes.create_string_buffer(struct.pack("II", 0x17, 0))  # ETHTOOL_STXCSUM
		request = struct.pack("16sP16x", sys.argv[1].encode(), ctypes.addressof(value))
		fcntl.ioctl(socket.socket(), 0x8946, request)  # SIOCETHTOOL
	OFFLOAD
}

# The application leaves a checksum to the host's network card, which writes it to a bypassed destination.
checksums_stay() { # START
	local other=2001:db8:1::1
	command -v python3 >/dev/null || skip "python3 is not installed"
	offload_off uplink
	warm
	watch_at outside eth0 control $other
	raw 2001:db9:1::1 9 --socket checksum --flip $other
	[ "$(seen control)" = 1 ]
	gateway
	"$1" --bypass 2001:db9::/32
	watch_at outside eth0 attack $other
	raw 2001:db9:1::1 9 --socket checksum --flip $other
	[ "$(seen attack)" = 0 ]
}

@test "7: no checksum changes a destination behind the guard (agent)" {
	checksums_stay agent_sidecar
	# Other frames of packet sockets reach the neighbour, with and without a checksum that is left to the device.
	watch_at neighbour eth0 near "$BED_NEIGHBOUR6"
	raw "$BED_NEIGHBOUR6" 9 --gateway "$BED_NEIGHBOUR"
	raw "$BED_NEIGHBOUR6" 9 --gateway "$BED_NEIGHBOUR" --socket checksum
	seen near
	bed_log near | grep "to_udp=2 "
}

@test "7: no checksum changes a destination behind the bridge (bridge mode)" {
	checksums_stay bridge_sidecar
	[ "$(counter deny_malformed)" = 1 ]
}

# 8. The outer guard, at the host's end of the veth

# The application is root with all capabilities in its network namespace.
way_out_is_closed() { # WAY
	warm
	gateway
	agent_sidecar
	run world_hears "$1" steered
	echo "$output"
	[ "$status" -eq 0 ]
	[ "${lines[-1]}" = 0 ]
}

way_is_open() { # WAY
	warm
	run world_hears "$1" ""
	echo "$output"
	[ "$status" -eq 0 ]
	[ "${lines[-1]}" -ge 1 ]
}

@test "8: an application with all capabilities has its ways without Sidestep (a subnet)" {
	way_is_open way_address
}

@test "8: an application with all capabilities has its ways without Sidestep (no rules)" {
	way_is_open way_remove
}

@test "8: an application with all capabilities has its ways without Sidestep (a device)" {
	way_is_open way_device
}

@test "8: a subnet that the application gives itself leads nowhere (agent)" {
	way_out_is_closed way_address
}

@test "8: without rules and filters in its namespace the application gets nothing out (agent)" {
	way_out_is_closed way_remove
}

@test "8: a connection that came in by a device of the application's own is none (agent)" {
	way_out_is_closed way_device
}

@test "8: packets of the proxy whose destination the application rewrote are dropped (agent)" {
	way_out_is_closed way_rewrite
	[ "$(outer_counter deny_udp)" -ge 1 ]
}

@test "8: a socket that has replied to the outside has no other peer (agent)" {
	command -v python3 >/dev/null || skip "python3 is not installed"
	warm
	gateway
	agent_sidecar
	cat >"$BED_DIR/repair.py" <<-'SCRIPT'
		import ctypes, socket, struct, sys

		TCP_REPAIR = 19
		listener = socket.create_server(("0.0.0.0", 7000))
		print("listens", flush=True)
		accepted, _ = listener.accept()
		accepted.sendall(accepted.recv(100))
		listener.close()
		accepted.recv(100)  # the client has closed
		# Disconnect, and connect elsewhere without a SYN.
		nobody = struct.pack("=H14x", socket.AF_UNSPEC)
		assert ctypes.CDLL(None).connect(accepted.fileno(), nobody, 16) == 0
		accepted.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
		accepted.connect((sys.argv[1], 80))
		accepted.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 0)  # sends a probe
		try:
		    accepted.sendall(b"secret")
		except ConnectionError:
		    pass  # the world has reset it
		print("sent", flush=True)
	SCRIPT
	bed_spawn app repair python3 "$BED_DIR/repair.py" "$BED_WORLD"
	bed_wait_line repair listens
	watch attack "$BED_WORLD"
	bed_exec outside "$PEER" connect "$BED_APP" 7000 --send hello --expect hello --timeout 5
	bed_wait_line repair sent
	[ "$(seen attack)" = 0 ]
	[ "$(outer_counter steer_tcp)" -ge 1 ]
}

# guarded COUNT - succeeds when so many devices of the application's have an outer guard.
guarded() {
	[ "$(bed_exec host "$SIDESTEP" status --pin "$(SIDE_PIN)" | grep -o "by the host" | wc -l)" = "$1" ]
}

# restarted_agent COMMAND... - kills the agent, runs the command, and starts an agent that adopts what is there.
restarted_agent() {
	bed_kill agent KILL
	"$@"
	bed_spawn host agent "$SIDESTEP" agent --pin "$(SIDE_PIN)" --pid "$(bed_pid sidecar)"
}

@test "8: the outer guard of an earlier agent forgets a subnet that is gone (agent)" {
	gateway
	bed_join_second_network
	agent_sidecar
	bed_until 5 guarded 2
	subnet() { # COUNT - of instances that bypass it: the sidecar and its outer guard
		[ "$(bed_exec host "$SIDESTEP" status --pin "$(SIDE_PIN)" | grep -c '172.31.0.0/24 ')" = "$1" ]
	}
	bed_until 5 subnet 2
	restarted_agent bed_leave_second_network
	bed_wait_line sidecar "in place of an earlier agent" 10
	bed_until 5 subnet 0
	bed_until 5 guarded 1
}

@test "8: a network that the container joins behind an agent's restart, without a sidecar, is guarded (agent)" {
	warm
	gateway
	agent_sidecar
	bed_until 5 guarded 1
	bed_kill sidecar KILL
	bed_wait_line agent "its sidecar is gone"
	bed_kill agent KILL
	bed_spawn host agent "$SIDESTEP" agent --pin "$(SIDE_PIN)" --pid "$(bed_pid gateway)"
	bed_wait_line agent "of an earlier agent go on"
	bed_join_second_network
	bed_until 5 guarded 2
}

@test "8: a network that the container joins while no sidecar runs is guarded (agent)" {
	warm
	gateway
	agent_sidecar
	bed_until 5 guarded 1
	bed_kill sidecar KILL
	bed_wait_line agent "its sidecar is gone"
	bed_join_second_network
	bed_until 5 guarded 2
	hands ip route add $BED_WORLD via $BED_HOST2
	run world_hears way_remove
	echo "$output"
	[ "$status" -eq 0 ]
	[ "${lines[-1]}" = 0 ]
	bed_exec host ip link delete app-eth1
	bed_until 5 guarded 1
}

# pose_as_host - the application tells the neighbour that it has the host's addresses, by ARP and by neighbour
# discovery.
pose_as_host() {
	command -v python3 >/dev/null || skip "python3 is not installed"
	bed_exec neighbour "$PEER" udp "$BED_HOST" 9 --timeout 0.3 >/dev/null || true
	bed_exec neighbour "$PEER" udp "$BED_HOST6" 9 --timeout 0.3 >/dev/null || true
	bed_exec app python3 - "$BED_HOST" "$BED_HOST6" "$BED_NEIGHBOUR6" <<-'SCRIPT'
		import fcntl, socket, struct, sys

		host4, host6, neighbour6 = sys.argv[1:]
		device = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		mac = fcntl.ioctl(device, 0x8927, struct.pack("256s", b"eth0"))[18:24]
		packet = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
		packet.bind(("eth0", 0))
		arp = struct.pack("!HHBBH", 1, 0x800, 6, 4, 2) + mac + socket.inet_aton(host4) + \
		    b"\xff" * 6 + socket.inet_aton(host4)
		for _ in range(3):
		    packet.send(b"\xff" * 6 + mac + b"\x08\x06" + arp)
		raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
		raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 255)
		advertisement = struct.pack("!BBHI", 136, 0, 0, 0x60000000) + \
		    socket.inet_pton(socket.AF_INET6, host6) + b"\x02\x01" + mac
		for _ in range(3):
		    raw.sendto(advertisement, (neighbour6, 0))
	SCRIPT
}

# host_is_host - the neighbour has the right MAC address of the host for both families.
host_is_host() {
	local mac
	mac=$(host_mac)
	bed_exec neighbour ip neigh show "$BED_HOST" | grep -q "lladdr $mac" &&
		bed_exec neighbour ip neigh show "$BED_HOST6" | grep -q "lladdr $mac"
}

@test "8: a container cannot pose as the host to its neighbours (agent)" {
	# The kernel ignores a second answer for a second after the first one.
	bed_exec neighbour sh -c 'echo 0 >/proc/sys/net/ipv4/neigh/eth0/locktime'
	bed_exec neighbour sh -c 'echo 1 >/proc/sys/net/ipv4/conf/eth0/arp_accept'
	pose_as_host
	host_is_gone() { ! bed_exec neighbour ip neigh show "$1" | grep -q "lladdr $(host_mac)"; }
	bed_until 5 host_is_gone "$BED_HOST"
	bed_until 5 host_is_gone "$BED_HOST6"
	bed_exec neighbour ip neigh flush dev eth0
	gateway
	agent_sidecar
	pose_as_host
	posed() { [ "$(outer_counter spoofed)" -ge 6 ]; }
	bed_until 5 posed
	host_is_host
}

@test "8: a device without an end on the host is named (agent)" {
	gateway
	bed_exec app ip tuntap add tap7 mode tap
	bed_exec app ip link set tap7 up
	agent_sidecar
	bed_wait_line agent "its device [0-9]* is no veth from this host, so no guard stands outside" 5
	[ "$(bed_log agent | grep -c "no guard stands outside")" = 1 ]
}

# outer_counter NAME - a counter of the outer guard.
outer_counter() {
	bed_exec host "$SIDESTEP" status --pin "$(SIDE_PIN)" --json |
		python3 -c 'import json, sys
for item in json.load(sys.stdin):
	if item["mode"] == "outer guard":
		print(item["counters"][sys.argv[1]])' "$1"
}

# 9. Plaintext for an ordinary proxy

# proxy_start [HEADER] - starts a CONNECT proxy that forwards every tunnel to its destination and knows nothing of
# Sidestep. Its answer has the header. The origin in the world keeps the first bytes that it gets.
proxy_start() {
	cat >"$BED_DIR/proxy.py" <<-'PROXY'
		import socket, sys, threading
		address, header = sys.argv[1], sys.argv[2]
		def head(client):
		    data = b""
		    while b"\r\n\r\n" not in data:
		        data += client.recv(1)
		    return data.split()[1].decode()
		def pump(source, target):
		    try:
		        while data := source.recv(65536):
		            target.sendall(data)
		        target.shutdown(socket.SHUT_WR)
		    except OSError:
		        target.close()
		def serve(client):
		    try:
		        host, port = head(client).rsplit(":", 1)
		        origin = socket.create_connection((host, int(port)))
		        client.sendall(b"HTTP/1.1 200 Connection established\r\n" + header.encode() + b"\r\n")
		        threading.Thread(target=pump, args=(origin, client), daemon=True).start()
		        pump(client, origin)
		    except (OSError, IndexError):
		        client.close()
		listener = socket.create_server((address, 8080))
		print("ready")
		while True:
		    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
	PROXY
	cat >"$BED_DIR/origin.py" <<-'ORIGIN'
		import socket, sys
		listener = socket.create_server(("0.0.0.0", 443))
		print("ready")
		while True:
		    client = listener.accept()[0]
		    client.settimeout(2)
		    try:
		        data = client.recv(4096)
		    except OSError:
		        data = b""
		    print("first bytes:", data)
		    client.close()
	ORIGIN
	bed_spawn world origin python3 -u "$BED_DIR/origin.py"
	bed_wait_line origin ready
	bed_spawn host gateway python3 -u "$BED_DIR/proxy.py" "$BED_HOST" "${1:+$1$'\r\n'}"
	bed_wait_line gateway ready
}

# credentials - the application sends some over TLS. It trusts the sidecar's CA.
credentials() {
	bed_exec app curl -sS -m 5 --cacert "$BED_DIR/ca/ca.crt" --resolve "origin.example:443:$BED_WORLD" \
		-H "Authorization: credentials" https://origin.example/ || true
}

# intercepting ARGUMENT... - a sidecar that may terminate TLS.
intercepting() {
	sidecar --tls-intercept --ca-dir "$BED_DIR/ca" "$@"
}

@test "9: an ordinary proxy gets TLS as it is, and no credentials in plaintext" {
	command -v curl >/dev/null || skip "curl is not installed"
	command -v python3 >/dev/null || skip "python3 is not installed"
	proxy_start
	intercepting
	credentials
	bed_wait_line origin 'first bytes: .*\\x16\\x03\\x01'
	bed_wait_line sidecar "info: TLS is not terminated: .* X-Tls-Plaintext: accept"
	[ "$(grep -c credentials "$BED_DIR/origin.log")" = 0 ]
	bed_kill sidecar
	# The control: workerd's protocol trusts a 200 alone, and the proxy forwards the plaintext.
	intercepting --gateway-protocol workerd
	credentials
	bed_wait_line origin "first bytes: .*Authorization: credentials"
}

@test "9: with workerd's protocol an ordinary proxy that shows itself gets nothing" {
	command -v curl >/dev/null || skip "curl is not installed"
	command -v python3 >/dev/null || skip "python3 is not installed"
	for header in "Via: 1.1 proxy" "Proxy-Agent: proxy/1.0"; do
		proxy_start "$header"
		intercepting --gateway-protocol workerd
		credentials
		bed_wait_line sidecar "no plaintext for the gateway .* give --gateway-protocol connect"
		bed_wait_line origin "first bytes: b''"
		bed_kill sidecar
		# The control: the same proxy, and an answer that declares.
		bed_kill gateway
		bed_kill origin
		proxy_start "$header"$'\r\n'"X-Tls-Plaintext: accept"
		intercepting --gateway-protocol workerd
		credentials
		bed_wait_line origin "first bytes: .*Authorization: credentials"
		bed_kill sidecar
		bed_kill gateway
		bed_kill origin
	done
}

# 10. The relay

# tunnel_start - starts a gateway that answers each CONNECT. Then it waits for $BED_DIR/go, sends the last words,
# and resets.
tunnel_start() {
	cat >"$BED_DIR/gateway.py" <<-'GATEWAY'
		import os, socket, struct, sys, time
		listener = socket.create_server((sys.argv[1], 8080))
		print("ready")
		while True:
		    client = listener.accept()[0]
		    data = b""
		    while part := b"\r\n\r\n" not in data and client.recv(1):
		        data += part
		    if not data:
		        continue
		    client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
		    print("tunnel")
		    while not os.path.exists(sys.argv[2]):
		        time.sleep(0.02)
		    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
		    client.sendall(b"last words")
		    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
		    client.close()
		    print("reset")
	GATEWAY
	cat >"$BED_DIR/client.py" <<-'CLIENT'
		import socket, sys
		client = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=10)
		client.sendall(b"CONNECT control\r\n\r\n")
		data = b""
		try:
		    while part := client.recv(4096):
		        data += part
		    print("received", data, "and an end")
		except ConnectionResetError:
		    print("received", data, "and a reset")
	CLIENT
	bed_spawn host gateway python3 -u "$BED_DIR/gateway.py" "$BED_HOST" "$BED_DIR/go"
	bed_wait_line gateway ready
}

@test "10: data and the RST behind it in one event: the data arrives" {
	command -v python3 >/dev/null || skip "python3 is not installed"
	tunnel_start
	sidecar
	bed_spawn app client python3 -u "$BED_DIR/client.py" 192.0.2.77 9999
	bed_wait_line gateway tunnel
	bed_until 5 bed_exec app sh -c 'ss -Htn state established "dport = :8080" | grep -q .'
	bed_signal sidecar STOP
	touch "$BED_DIR/go"
	bed_wait_line gateway reset
	bed_signal sidecar CONT
	bed_wait_line client "received b'last words' and a reset"
	# The control: without a relay in between, both arrive as well.
	run bed_exec app timeout 10 python3 "$BED_DIR/client.py" "$BED_HOST" 8080
	echo "$output"
	[[ $output == *"last words' and a reset" ]]
}

@test "10: an urgent byte in bulk neither stalls nor truncates the stream" {
	command -v python3 >/dev/null || skip "python3 is not installed"
	cat >"$BED_DIR/gateway.py" <<-'GATEWAY'
		import socket, sys
		listener = socket.create_server((sys.argv[1], 8080))
		listener.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
		print("ready")
		while True:
		    client = listener.accept()[0]
		    data = b""
		    while part := b"\r\n\r\n" not in data and client.recv(1):
		        data += part
		    if not data:
		        continue
		    client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
		    count, urgent = 0, []
		    while part := client.recv(1 << 18):
		        if b"!" in part:
		            urgent.append(count + part.index(b"!"))
		        count += len(part)
		    print("received", count, "bytes, urgent at", *urgent)
		    client.sendall(b"done")
		    client.close()
	GATEWAY
	cat >"$BED_DIR/client.py" <<-'CLIENT'
		import socket, sys
		client = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=20)
		if len(sys.argv) > 3:
		    client.sendall(b"CONNECT control\r\n\r\n")
		for _ in range(3):
		    client.sendall(bytes(16 << 20))
		    client.send(b"!", socket.MSG_OOB)
		client.shutdown(socket.SHUT_WR)
		while client.recv(4096):
		    pass
	CLIENT
	bed_spawn host gateway python3 -u "$BED_DIR/gateway.py" "$BED_HOST"
	bed_wait_line gateway ready
	sidecar
	# The control comes first: without a relay in between.
	bed_exec app timeout 30 python3 "$BED_DIR/client.py" "$BED_HOST" 8080 control
	bed_exec app timeout 30 python3 "$BED_DIR/client.py" 192.0.2.77 9999
	run bed_log gateway
	echo "$output"
	[ "$(grep -c "received 50331651 bytes, urgent at 16777216 33554433 50331650" <<<"$output")" = 2 ]
}

# addresses add|delete - twenty addresses of the application, more changes than the queue to the agent takes.
addresses() {
	local i
	for i in {201..220}; do
		echo "address $1 172.30.0.$i/32 dev eth0"
	done | bed_exec app ip -batch -
}

status_has() {
	"$SIDESTEP" status --pin "$(SIDE_PIN)" | grep -qE " $1(/32)? "
}

status_lacks() {
	! status_has "$1"
}

# all_works - connections, DNS queries and tunnels of the control API work, and it answers before the wait for an agent
# that hangs would be over.
all_works() {
	connect 192.0.2.77 80 --send hello --half-close --read-all
	bed_exec app "$PEER" dns example.test A @1.1.1.1
	[ "$(ask host PUT /egress "$BED_APP" --max-time 3 -d '{"port":8080}')" = 204 ]
	[ "$(tunnel host "$BED_APP" 127.0.0.1:80)" = "200 page" ]
}

@test "10: an agent that hangs stalls nothing, and learns of all changes when it continues" {
	gateway
	resolver
	bed_spawn app server "$PEER" serve 80 --mode http
	bed_wait_line server ready
	agent_sidecar --http-ingress-address 0.0.0.0:39001
	all_works
	bed_signal agent STOP
	addresses add
	bed_wait_line sidecar "the host's agent has not answered for 5000 ms" 10
	all_works
	# Nothing waits any more. These changes come too late for the agent, and are made up for.
	addresses delete
	bed_exec app ip address add 172.30.0.221/32 dev eth0
	all_works
	bed_signal agent CONT
	bed_wait_line sidecar "the host's agent answers again"
	bed_until 5 status_has 172.30.0.221
	bed_until 5 status_lacks 172.30.0.201
	all_works
	# The control: an agent that answers is not taken for one that hangs.
	addresses add
	bed_until 5 status_has 172.30.0.220
	[ "$(bed_log sidecar | grep -c "has not answered")" = 1 ]
}

@test "10: SIGTERM ends a sidecar whose agent hangs, within its limits" {
	gateway
	agent_sidecar
	bed_signal agent STOP
	bed_signal sidecar TERM
	bed_wait_exit sidecar 5
	bed_log sidecar | grep "detaches its programs when it continues"
	bed_signal agent CONT
	bed_wait_line agent "its sidecar is gone; nothing is attached any more"
	bed_kill agent
	# Now a sync waits.
	agent_sidecar
	bed_signal agent STOP
	bed_exec app ip address add 10.9.0.1/16 dev eth0
	addresses add
	bed_wait_line sidecar "bypass: 10.9.0.0/16"
	bed_signal sidecar TERM
	bed_wait_exit sidecar 9
	bed_log sidecar | grep -E "detaches? its programs"
}

# unread WHERE NAME LINE COMMAND... - starts it with a small pipe as its output, of which nobody reads more than up
# to the LINE, until $BED_DIR/NAME-read exists. NAME's log has what was read.
unread() {
	local where=$1 name=$2
	cat >"$BED_DIR/unread.py" <<-'UNREAD'
		import fcntl, os, sys, time
		reader, writer = os.pipe()
		fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
		if os.fork():
		    os.dup2(writer, 1)
		    os.dup2(writer, 2)
		    os.closerange(3, 100)
		    os.execvp(sys.argv[3], sys.argv[3:])
		os.close(writer)
		data = b""
		while sys.argv[2].encode() not in data and (part := os.read(reader, 4096)):
		    data += part
		    os.write(1, part)
		while not os.path.exists(sys.argv[1]):
		    time.sleep(0.02)
		while part := os.read(reader, 4096):
		    os.write(1, part)
	UNREAD
	bed_spawn "$where" "$name" python3 "$BED_DIR/unread.py" "$BED_DIR/$name-read" "${@:3}"
}

# networks add|delete - more networks than the pipe of unread() has room for lines about.
networks() {
	local i
	for i in {1..120}; do
		echo "address $1 10.9.$i.1/24 dev eth0"
	done | bed_exec app ip -batch -
}

status_counts() { # NUMBER - so many of the networks are bypassed
	[ "$("$SIDESTEP" status --pin "$(SIDE_PIN)" | grep -cE " 10\.9\.[0-9]+\.0/24 ")" = "$1" ]
}

@test "10: a log that nobody reads stalls neither sidecar nor gateway, and tells how much was lost" {
	command -v python3 >/dev/null || skip "python3 is not installed"
	local options=(--gateway "$BED_HOST:8080" --pin "$(SIDE_PIN)" --connect-timeout 300)
	unread app sidecar "interception is live" "$SIDESTEP" sidecar "${options[@]}"
	bed_wait_line sidecar "interception is live" 10
	networks add
	bed_until 5 status_counts 120
	# Each thread has something to say.
	for _ in {1..8}; do
		run connect 192.0.2.77 80 --send hello --read-all --timeout 2
		[[ $output == *result=reset* ]]
	done
	unread host gateway "" "$SIDESTEP" gateway --listen "$BED_HOST:8080" --server --log
	bed_until 5 bed_listening host 8080
	# The gateway's lines are longer than 100 bytes, so these do not fit into its pipe.
	for _ in {1..60}; do
		# The gateway's log, which `connect` would look at, loses lines as well.
		bed_exec app "$PEER" connect 192.0.2.77 80 --send hello --half-close --read-all >/dev/null
	done
	# The control: nobody has read more, and the lines are there.
	[ "$(bed_log sidecar | grep -c "bypass: 10.9")" = 0 ]
	touch "$BED_DIR/sidecar-read"
	bed_wait_line sidecar "bypass: 10.9.1.0/24 interface"
	bed_exec app ip address delete 10.9.1.1/24 dev eth0
	bed_wait_line sidecar "warning: [0-9]+ messages were lost, because nobody read them"
	bed_wait_line sidecar "bypass: 10.9.1.0/24 removed"
}

@test "10: SIGTERM ends a sidecar whose log nobody reads" {
	command -v python3 >/dev/null || skip "python3 is not installed"
	gateway
	unread app sidecar "interception is live" "$SIDESTEP" sidecar --gateway "$BED_HOST:8080" --pin "$(SIDE_PIN)"
	bed_wait_line sidecar "interception is live" 10
	networks add
	bed_until 5 status_counts 120
	bed_signal sidecar TERM
	bed_wait_exit sidecar 5
	[ -z "$(bed_exec app ip rule show | grep "proto 93\|suppress")" ]
	# The control: these lines filled the pipe.
	touch "$BED_DIR/sidecar-read"
	bed_until 5 grep -q "bypass: 10.9.1.0/24 interface" "$BED_DIR/sidecar.log"
}

# A router is behind a port of the bridge. Frames from port to port do not pass the bridge's programs.
@test "10: a port of the bridge that leads out of the host is named, with the remedy" {
	local line="bridge br0: its port tunnel leads out of the host, and frames that leave by it are not intercepted"
	gateway
	world_serves
	bridge_sidecar
	# The control: the veth ports of containers are none.
	connect 192.0.2.77 80 --send hello --half-close --read-all
	[ "$(arrived 192.0.2.77:80)" = 1 ]
	[ "$(bed_log sidecar | grep -c "leads out of the host")" = 0 ]
	bed_exec world ip link add tunnel type vxlan id 7 local "$BED_OUTSIDE" remote "$BED_UPLINK" dstport 4789
	bed_exec world ip address add 172.30.0.9/24 dev tunnel
	bed_exec world ip link set tunnel up
	bed_exec host ip link add tunnel type vxlan id 7 local "$BED_UPLINK" remote "$BED_OUTSIDE" dstport 4789
	bed_exec host ip link set tunnel master br0 up
	bed_wait_line sidecar "warning: $line. Take it out of the bridge"
	bed_exec app ip route replace default via 172.30.0.9
	connect "$BED_WORLD" 80 --send $'GET / HTTP/1.0\r\n\r\n' --expect HTTP
	[ "$(arrived "$BED_WORLD:80")" = 0 ]
	# The remedy. It is said anew of a port that comes back.
	bed_exec host ip link set tunnel nomaster
	bed_exec app ip route replace default via "$BED_HOST"
	connect 192.0.2.77 80 --send hello --half-close --read-all
	[ "$(bed_log sidecar | grep -c "$line")" = 1 ]
	bed_exec host ip link set tunnel master br0
	said_twice() { [ "$(bed_log sidecar | grep -c "$line")" = 2 ]; }
	bed_until 5 said_twice
	bed_kill sidecar
	bridge_sidecar
	bed_wait_line sidecar "$line"
}

# leftover PORT - a process of the application listens on a port and connects from the same one to the world. It
# sends a word whenever $BED_DIR/word appears.
leftover() {
	cat >"$BED_DIR/leftover.py" <<-'LEFTOVER'
		import os, socket, sys, time
		def bound():
		    s = socket.socket()
		    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
		    s.bind(("0.0.0.0", int(sys.argv[1])))
		    return s
		client, listener = bound(), bound()
		client.connect((sys.argv[2], 80))
		listener.listen()
		print("connected")
		while True:
		    while not os.path.exists(sys.argv[3]):
		        time.sleep(0.02)
		    os.unlink(sys.argv[3])
		    try:
		        client.send(b"word")
		        print("sent")
		    except OSError as error:
		        print("failed:", error)
	LEFTOVER
	bed_spawn app leftover python3 -u "$BED_DIR/leftover.py" "$1" "$BED_WORLD" "$BED_DIR/word"
	bed_wait_line leftover connected
}

# words NUMBER - has the next word sent, and waits until so many were tried.
words() {
	tried() { [ "$(bed_log leftover | grep -cE "sent|failed")" = "$1" ]; }
	touch "$BED_DIR/word"
	bed_until 5 tried "$1"
}

# The world's server keeps the connection open and prints what it gets.
listens_quietly() {
	bed_spawn world quiet python3 -uc 'import socket
s = socket.create_server(("", 80))
while True:
    c, _ = s.accept()
    while part := c.recv(100):
        print("got", part)'
	bed_until 5 bed_listening world 80
}

opened_before() {
	command -v python3 >/dev/null || skip "python3 is not installed"
	listens_quietly
	gateway
	leftover 7001
	# The control: without Sidestep it reaches the world.
	words 1
	bed_wait_line quiet "got b'word'"
	# A true connection from outside stays.
	bed_spawn app server "$PEER" serve 7000 --mode echo
	bed_wait_line server ready
	mkfifo "$BED_DIR/go"
	# shellcheck disable=SC2016 # for the inner shell
	bed_spawn outside held bash -c '
		exec 3<>"/dev/tcp/$1/7000"
		printf before >&3 && head -c 6 <&3 && echo " echoed"
		read -r _ <"$0"
		printf after >&3 && head -c 5 <&3 && echo " echoed"' "$BED_DIR/go" "$BED_APP"
	bed_wait_line held "before echoed"
	"$1"
	sniff_start
	words 2
	words 3
	[ "$(leaks)" = 0 ]
	[ "$(bed_log quiet | grep -c got)" = 1 ]
	echo >"$BED_DIR/go"
	bed_wait_line held "after echoed"
	bed_log sidecar | grep "1 connections from outside were open already"
}

@test "10: a connection that the application opened before the start does not go on (own programs)" {
	opened_before sidecar
}

@test "10: a connection that the application opened before the start does not go on (nftables)" {
	DATAPATH=nft
	opened_before sidecar
}

@test "10: a connection that the application opened before the start does not go on (agent)" {
	opened_before agent_sidecar
}

@test "10: a steered connection whose proxy was killed does not go on as an inbound one" {
	command -v python3 >/dev/null || skip "python3 is not installed"
	gateway
	sidecar
	bed_exec app sysctl -qw net.ipv4.tcp_fin_timeout=1 net.ipv4.tcp_orphan_retries=1
	leftover 7001
	bed_kill sidecar KILL
	ended() { bed_exec app ss -Htn state close-wait "( sport = :7001 )" | grep -q .; }
	forgotten() { [ -z "$(bed_exec app ss -Htan "( dport = :7001 )")" ]; }
	bed_until 5 ended
	# Once the kernel has forgotten the proxy's end, which would answer, sending spoils the socket's numbers.
	bed_until 20 forgotten
	words 1
	ended
	sidecar
	sniff_start
	words 2
	words 3
	[ "$(leaks)" = 0 ]
}

# thief_start - a process of root without capabilities joins every socket of a loopback address, or of all
# addresses, that shares its port. It also tries an address of its choice. It says which it joined, and what comes to
# it. Before it, a decoy listens whose sockets share theirs.
thief_start() {
	cat >"$BED_DIR/thief.py" <<-'THIEF'
		import os, select, socket, sys
		PLACES = {"0100007F": ["127.0.0.1"], "00000000000000000000000001000000": ["::1"],
		          "00000000": ["0.0.0.0", "1.1.1.1"], 32 * "0": ["::", "2001:db8::1"]}
		def sharing(kind, address, port, device=None):
		    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
		    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
		    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, kind == socket.SOCK_DGRAM)
		    s.setsockopt(socket.IPPROTO_IP, 15, 1) # IP_FREEBIND, of both families
		    if ":" in address:
		        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
		    if device:
		        s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device)
		    s.bind((address, port))
		    if kind == socket.SOCK_STREAM:
		        s.listen()
		    return s
		def sockets():
		    for name, kind, state in (("tcp", socket.SOCK_STREAM, "0A"), ("udp", socket.SOCK_DGRAM, "07")):
		        for file in name, name + "6":
		            for line in open("/proc/net/" + file).readlines()[1:]:
		                address, port = line.split()[1].split(":")
		                if line.split()[3] == state:
		                    for place in PLACES.get(address, []):
		                        yield name, kind, place, int(port, 16)
		decoy = [sharing(kind, "127.0.0.1", 5555) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)]
		if os.fork() == 0:
		    mine = {}
		    for name, kind, address, port in sorted(set(sockets())):
		        for device in None, b"lo":
		            try:
		                s = sharing(kind, address, port, device)
		                mine[s] = f"{name} {address} {port}"
		                print("joined", mine[s])
		            except OSError as error:
		                print("refused", name, address, port, error)
		    print("ready")
		    while True:
		        for s in select.select(list(mine), [], [])[0]:
		            s.accept() if s.type == socket.SOCK_STREAM else s.recv(1000)
		            print("stole", mine[s])
		os.wait()
	THIEF
	bed_spawn app thief setpriv --bounding-set=-all --inh-caps=-all python3 -u "$BED_DIR/thief.py"
	bed_wait_line thief ready
}

nothing_is_stolen() {
	command -v python3 >/dev/null || skip "python3 is not installed"
	gateway
	resolver
	"$@" --threads 3
	thief_start
	# The control: it joins a socket that lets it. The proxy has some that it sees and does not join.
	bed_log thief
	bed_log thief | grep -qx "joined tcp 127.0.0.1 5555"
	bed_log thief | grep -qx "joined udp 127.0.0.1 5555"
	[ "$(bed_log thief | grep joined | grep -cv " 5555$")" = 0 ]
	[ "$(bed_log thief | grep -c "^refused tcp")" -ge 4 ]
	[ "$(bed_log thief | grep -c "^refused udp")" -ge 2 ]
	for i in {1..30}; do
		connect 192.0.2.77 80 --send hello --half-close --read-all >/dev/null
		connect 2001:db8:9::9 80 --send hello --half-close --read-all >/dev/null
		bed_exec app "$PEER" dns "name$i.test" A @1.1.1.1 >/dev/null
	done
	[ "$(arrived 192.0.2.77:80)" = 30 ]
	[ "$(bed_log thief | grep -c stole)" = 0 ]
}

@test "10: a process of the sidecar's user does not join the proxy's listeners (own programs)" {
	nothing_is_stolen sidecar
}

@test "10: a process of the sidecar's user does not join the proxy's listeners (nftables)" {
	DATAPATH=nft
	nothing_is_stolen sidecar
}

@test "10: a process of the sidecar's user does not join the proxy's listeners (nftables without tproxy)" {
	DATAPATH=nft-redirect
	nothing_is_stolen sidecar
}

@test "10: a process of the sidecar's user does not join the proxy's listeners (agent)" {
	nothing_is_stolen agent_sidecar
}

# 11. Hardening

@test "11: a process with the sidecar's user and rights reads nothing of its memory and descriptors" {
	gateway
	# shellcheck disable=SC2034
	DATAPATH=nft
	sidecar
	# The control: it reads another process of this kind.
	bed_spawn app control "${NET_ADMIN[@]}" sleep infinity
	readable() { # NAME - prints how many of these files the weak process opens
		local file count=0
		for file in maps mem environ "fd/1"; do
			# shellcheck disable=SC2016 # for the inner shell
			if "${NET_ADMIN[@]}" sh -c 'exec 3<"$0"' "/proc/$(bed_pid "$1")/$file" 2>/dev/null; then
				count=$((count + 1))
			fi
		done
		echo "$count"
	}
	control_runs_sleep() { [ "$(cat "/proc/$(bed_pid control)/comm")" = sleep ]; }
	bed_until 5 control_runs_sleep
	[ "$(readable control)" = 4 ]
	[ "$(readable sidecar)" = 0 ]
	[ "$(readable gateway)" = 0 ]
}

@test "11: sidecar, agent and gateway leave no core file" {
	local name
	[ "$(cat /proc/sys/kernel/core_pattern)" = core ] || skip "core files go elsewhere (kernel.core_pattern)"
	in_folder() { # WHERE NAME COMMAND... - starts it in a folder of its own, with core files allowed
		mkdir "$BED_DIR/$2.core"
		# shellcheck disable=SC2016 # for the inner shell
		bed_spawn "$1" "$2" sh -c 'cd "$0" && ulimit -c unlimited && exec "$@"' "$BED_DIR/$2.core" "${@:3}"
	}
	in_folder app control sleep infinity
	in_folder host gateway "$SIDESTEP" gateway --listen "$BED_HOST:8080"
	bed_until 5 bed_listening host 8080
	in_folder app sidecar "${NET_ADMIN[@]}" "$SIDESTEP" sidecar --datapath nft --gateway "$BED_HOST:8080" \
		--tls-intercept --ca-dir "$BED_DIR/ca"
	bed_wait_line sidecar "interception is live" 10
	in_folder host agent "$SIDESTEP" agent --pin "$BED_BPFFS/sidestep/agent" --pid "$(bed_pid control)"
	bed_wait_line agent "programs loaded" 10
	for name in sidecar agent gateway control; do
		bed_kill "$name" ABRT
		run bed_wait_exit "$name"
		[ "$status" = 134 ]
	done
	[ "$(cd "$BED_DIR" && find ./*.core -type f -name 'core*' | cut -d/ -f2)" = control.core ]
}

@test "11: with --ca-dir - no file has the CA's key, and GET /ca gives the certificate" {
	files() { # prints the files that have a private key
		grep -rl 'PRIVATE KEY' "$BED_DIR/work"
	}
	intercepting() { # DIRECTORY
		# shellcheck disable=SC2016 # for the inner shell
		bed_spawn app sidecar sh -c 'cd "$0" && exec "$@"' "$BED_DIR/work" "$SIDESTEP" sidecar \
			--gateway "$BED_HOST:8080" --http-ingress-address 0.0.0.0:39001 --tls-intercept --ca-dir "$1"
		bed_wait_line sidecar "interception is live" 10
	}
	gateway
	mkdir "$BED_DIR/work"
	# The control: the search finds the file that the contract wants.
	intercepting "$BED_DIR/work/ca"
	[ "$(files)" = "$BED_DIR/work/ca/ca.key" ]
	bed_kill sidecar TERM
	rm -r "$BED_DIR/work/ca"
	intercepting -
	[ -z "$(ls -A "$BED_DIR/work")" ]
	bed_exec host curl -fsS --max-time 5 "http://$BED_APP:39001/ca" >"$BED_DIR/ca.crt"
	bed_exec app openssl s_client -connect 192.0.2.7:443 -servername www.example.com -CAfile "$BED_DIR/ca.crt" \
		-verify_return_error </dev/null
}

# watching_agent NAME - starts an agent that watches Docker, and returns when its watcher has begun. (There is no
# engine, and the watcher tries again.)
watching_agent() {
	bed_needs_linux 6.6 "TCX links"
	bed_spawn host "$1" "$SIDESTEP" agent --pin "$(SIDE_PIN)" --docker-socket "$BED_DIR/docker.sock"
	bed_wait_line "$1" "no connection to Docker: cannot connect to $BED_DIR/docker.sock" 10
}

@test "11: the process that parses Docker's answers has no rights, files or network" {
	watching_agent agent
	agent=$(bed_pid agent)
	watcher=$(pgrep -P "$agent")
	fact() { awk -v "name=$2:" '$1 == name { print $2 }' "/proc/$1/status"; }
	# Control: the agent has all of it.
	[ "$(fact "$agent" Uid)" = 0 ]
	[ "$((0x$(fact "$agent" CapEff)))" != 0 ]
	[ -n "$(find "/proc/$agent/fd" -lname "*bpf*")" ]
	[ -n "$(find "/proc/$agent/fd" -lname "*pidfd*")" ]
	[ -e "/proc/$agent/root/etc/passwd" ]

	for name in Uid Gid; do
		[ "$(awk -v "name=$name:" '$1 == name { print $2, $3, $4, $5 }' "/proc/$watcher/status")" = \
			"65534 65534 65534 65534" ]
	done
	[ -z "$(fact "$watcher" Groups)" ]
	for name in CapInh CapPrm CapEff CapBnd CapAmb; do
		[ "$((0x$(fact "$watcher" $name)))" = 0 ]
	done
	[ "$(fact "$watcher" NoNewPrivs)" = 1 ]
	[ "$(cat "/proc/$watcher/task"/*/status | awk '$1 == "Seccomp:" { print $2 }' | sort -u)" = 2 ]
	[ "$(find "/proc/$watcher/fd" -type l -printf '%l\n' | grep -vE '^(/dev/null|(socket|pipe):.*|.*eventfd.*)$')" = "" ]
	[ -z "$(find "/proc/$watcher/root/" -mindepth 1)" ]
	[ "$(nsenter "--net=/proc/$watcher/ns/net" ip -o link | wc -l)" = 1 ]
	[ "$(readlink "/proc/$watcher/ns/pid")" != "$(readlink "/proc/$agent/ns/pid")" ]
	# No user of the machine reads its memory: the files of a process that is not dumpable are root's.
	[ "$(stat -c %u "/proc/$watcher/mem")" = 0 ]
	# It was executed anew, so it has none of the agent's memory and another layout.
	start() { head -n 1 "/proc/$1/maps" | cut -d- -f1; }
	[ "$(start "$watcher")" != "$(start "$agent")" ]
	[ "$(grep -c bpf "/proc/$watcher/maps")" = 0 ]
}

@test "11: agent and watcher end together, and a killed watcher leaves no zombie" {
	others() { # PID - the agent's child is another one, and runs
		local pid
		pid=$(pgrep -P "$(bed_pid agent)") && [ "$pid" != "$1" ] && [ "$(cut -d' ' -f3 "/proc/$pid/stat")" != Z ]
	}
	none() { [ ! -e "/proc/$1" ]; }
	for signal in TERM KILL; do
		watching_agent agent
		watcher=$(pgrep -P "$(bed_pid agent)")
		kill -KILL "$watcher"
		bed_wait_line agent "the watcher ended .signal 9. and is started again"
		none "$watcher"
		bed_until 10 others "$watcher"
		watcher=$(pgrep -P "$(bed_pid agent)")
		bed_kill agent $signal
		bed_until 5 none "$watcher"
	done
}

# fields NAME FIELD - prints the different values of this field in the status of all threads of the process.
fields() {
	sed -n "s/^$2:[[:space:]]*//p" "/proc/$(bed_pid "$1")/task"/*/status | sort -u
}

# sandboxed NAME - each thread of the process has the filter.
sandboxed() {
	settled "$1"
	echo "$1: Seccomp $(fields "$1" Seccomp), NoNewPrivs $(fields "$1" NoNewPrivs)" >&2
	[ "$(fields "$1" Seccomp)" = 2 ] && [ "$(fields "$1" NoNewPrivs)" = 1 ]
}

# takes_device COMMAND... - the sidecar guards a new device in the application's namespace, and bypasses its subnet.
# The command prints the bypassed subnets.
takes_device() {
	bypassed() { "$@" | grep -F 198.51.100.0/24; }
	bed_exec app ip link add d0 type veth peer name d1
	bed_exec app ip address add 198.51.100.1/24 dev d0
	bed_exec app ip link set d0 up
	bed_exec app ip link set d1 up
	bed_until 5 bypassed "$@"
}

# ends_well NAME... - the processes end on SIGTERM, and the sandbox has refused them nothing.
ends_well() {
	local name
	for name; do
		bed_kill "$name" TERM
		bed_wait_exit "$name" || return
		! bed_log "$name" | grep -F sandbox || return
	done
}

@test "11: all threads of a live sidecar and of the gateway have a seccomp filter (own programs)" {
	# The control: a process that has not asked for it.
	bed_spawn host control sleep infinity
	control_runs_sleep() { [ "$(cat "/proc/$(bed_pid control)/comm")" = sleep ]; }
	bed_until 5 control_runs_sleep
	[ "$(fields control Seccomp)" = 0 ]
	gateway
	sidecar --tls-intercept --ca-dir - --http-ingress-address 0.0.0.0:39001
	sandboxed sidecar
	sandboxed gateway
	bed_exec app curl -fsS --max-time 5 http://192.0.2.7/
	takes_device "$SIDESTEP" status --pin "$(SIDE_PIN)"
	ends_well sidecar gateway
	[ ! -e "$(SIDE_PIN)" ]
}

@test "11: all threads of a live sidecar have a seccomp filter (nftables)" {
	gateway
	nft_sidecar
	sandboxed sidecar
	bed_exec app curl -fsS --max-time 5 http://192.0.2.7/
	takes_device bed_exec app nft list ruleset
	ends_well sidecar
}

@test "11: all threads of a live sidecar have a seccomp filter (agent)" {
	gateway
	agent_sidecar
	sandboxed sidecar
	bed_exec app curl -fsS --max-time 5 http://192.0.2.7/
	takes_device "$SIDESTEP" status --pin "$(SIDE_PIN)"
	ends_well sidecar
}

@test "11: all threads of a live sidecar have a seccomp filter (bridge mode)" {
	gateway
	bridge_sidecar
	sandboxed sidecar
	bed_exec app curl -fsS --max-time 5 http://192.0.2.7/
	ends_well sidecar
	[ ! -e "$(SIDE_PIN)" ]
}
