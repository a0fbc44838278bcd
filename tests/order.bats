#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Sidecar and application of a real Docker engine start, crash, restart and are made anew, in the order of README:
# the application joins the network of a sidecar that is ready. (Row n1 of the field reports.) In the other order
# the sidecar joins the application's network, and must notice that the application has left it. (Row 3.)

# shellcheck source=tests/lib/testbed.bash
. "$BATS_TEST_DIRNAME/lib/testbed.bash"

ANSWERS=192.0.2.1 # the world answers, so a leak would work

# An application that gets out asks another address. The world goes on to send to it for a while, also when
# another container has its address. That container's kernel resets what it does not know, before any sidecar.
OPEN=203.0.113.1

# The lines that tell which datapath steers.
OWN="interception is live .* bpf," NFT="interception is live .* nft," AGENT="the host's agent steers"

setup_file() {
	[ "$(id -u)" = 0 ] || skip "needs root (network namespaces)"
	export BATS_TEST_TIMEOUT=300
	engine_start
	engine_image test "$SIDESTEP:/bin/sidestep" "$PEER:/bin/peer"
	bed_spawn engine gateway "$SIDESTEP" gateway --server --log --listen 0.0.0.0:8080
	bed_spawn world server "$PEER" serve 7000
	bed_wait_line server ready
}

teardown_file() {
	bed_stop
}

setup() {
	watch_at world eth0 sniffer $ANSWERS/32
}

teardown() {
	local containers
	[ -n "${BED_DIR:-}" ] || return 0
	containers=$(dk ps -aq)
	if [ -z "${BATS_TEST_COMPLETED:-}" ]; then
		dk ps -a
		dk logs sidecar 2>&1 | tail -n 20
	fi
	# shellcheck disable=SC2086 # a list of words
	[ -z "$containers" ] || dk rm -f $containers >/dev/null
	bed_kill sniffer
	bed_kill agent
	engine_exec rm -rf /sys/fs/bpf/sidestep
}

# sidecar ARGUMENT... - starts it with these arguments of docker run.
sidecar() {
	dk run -d --name sidecar --label dev.sidestep.role=sidecar "$@" test \
		/bin/sidestep sidecar --gateway "$ENGINE_GATEWAY:8080" >/dev/null
}

ready() {
	dk exec sidecar /bin/sidestep ready --wait 10
}

# application NETWORK - starts it. It connects to the world from its first moment on.
application() {
	dk run -d --name app --network "$1" test /bin/peer flood $ANSWERS 7000 --until-file /stop \
		--pause-us 2000 --attempt-ms 500 --timeout 90 >/dev/null
}

arrived() {
	bed_log gateway | grep -cF "\"destination\":\"$ANSWERS:7000\"" || true
}

# intercepted - the application's connections arrive at the gateway.
intercepted() {
	local before
	before=$(arrived)
	more() { [ "$(arrived)" -gt $((before + 20)) ]; }
	bed_until 10 more
}

# steers LINE COUNT - the log of the sidecar's container has the line of its datapath for each of its starts.
steers() {
	steers_now() { [ "$(dk logs sidecar 2>&1 | grep -cE "$1")" = "$2" ]; }
	bed_until 10 steers_now "$@"
}

nothing_leaks() { # LINE ARGUMENT...
	local line=$1
	shift
	sidecar "$@"
	ready
	steers "$line" 1
	application container:sidecar
	intercepted
	# A crash: the application runs on in a namespace that is closed.
	dk kill -s KILL sidecar >/dev/null
	run dk exec app /bin/peer connect $ANSWERS 7000 --send hello --expect hello --timeout 2
	echo "$output"
	[ "$status" -ne 0 ]
	dk start sidecar >/dev/null
	ready
	steers "$line" 2
	dk restart -t 0 app >/dev/null
	intercepted
	# Restart and new containers.
	dk stop -t 5 app >/dev/null
	dk restart -t 5 sidecar >/dev/null
	ready
	steers "$line" 3
	dk start app >/dev/null
	intercepted
	dk rm -f app sidecar >/dev/null
	sidecar "$@"
	ready
	steers "$line" 1
	application container:sidecar
	intercepted
	dk rm -f app >/dev/null
	[ "$(seen sniffer)" = 0 ]
}

# watch_open - has this test's applications ask OPEN, and counts what arrives there.
watch_open() {
	ANSWERS=$OPEN
	bed_kill sniffer
	watch_at world eth0 sniffer $ANSWERS/32
}

@test "control: an application that starts before its sidecar reaches the world" {
	watch_open
	application bridge
	sidecar --network container:app --privileged
	ready
	intercepted
	dk rm -f app >/dev/null
	[ "$(seen sniffer)" -gt 0 ]
}

@test "nothing leaks over start, crash, restart and new containers (own programs)" {
	nothing_leaks "$OWN" --privileged
}

@test "nothing leaks over start, crash, restart and new containers (nftables)" {
	nothing_leaks "$NFT" --cap-add NET_ADMIN
}

@test "nothing leaks over start, crash, restart and new containers (agent)" {
	bed_needs_linux 6.6 "TCX links"
	bed_spawn engine agent "$SIDESTEP" agent --docker-socket /run/docker.sock
	bed_wait_line agent "watching for sidecars"
	nothing_leaks "$AGENT" --cap-add NET_ADMIN
}

follows() { # LINE ARGUMENT...
	local line=$1
	shift
	watch_open
	application bridge
	sidecar --network container:app --restart on-failure "$@"
	ready
	steers "$line" 1
	intercepted
	dk restart -t 0 app >/dev/null
	engine_wait_line sidecar "error: the last network device .eth0. that leads outside is gone"
	steers "$line" 2
	[ "$(dk inspect -f '{{.RestartCount}}' sidecar)" = 1 ]
	intercepted
}

@test "row 3: beside a restarted application a sidecar ends and is restarted in the new namespace (own programs)" {
	follows "$OWN" --privileged
}

@test "row 3: beside a restarted application a sidecar ends and is restarted in the new namespace (nftables)" {
	follows "$NFT" --cap-add NET_ADMIN
}

@test "row 3: beside a restarted application a sidecar ends and is restarted in the new namespace (agent)" {
	bed_needs_linux 6.6 "TCX links"
	bed_spawn engine agent "$SIDESTEP" agent --docker-socket /run/docker.sock
	bed_wait_line agent "watching for sidecars"
	follows "$AGENT" --cap-add NET_ADMIN
	bed_wait_line agent "warning: sidecar: its network namespace has lost its last device that leads outside"
	served_again() { [ "$(bed_log agent | grep -c "sidecar: process .* is served")" = 2 ]; }
	bed_until 10 served_again
}

@test "row 3: beside an application that was stopped a sidecar ends with status 5" {
	watch_open
	application bridge
	sidecar --network container:app --privileged
	ready
	dk stop -t 0 app >/dev/null
	ended() { [ "$(dk inspect -f '{{.State.Running}} {{.State.ExitCode}}' sidecar)" = "false 5" ]; }
	bed_until 5 ended
}

# Starts an agent that keeps the container `app` closed.
guarding_agent() {
	bed_needs_linux 6.6 "TCX links"
	bed_spawn engine agent "$SIDESTEP" agent --docker-socket /run/docker.sock --guard app
	bed_wait_line agent "watching for sidecars"
}

# lines REGEX COUNT - the agent's log has so many such lines.
lines() {
	[ "$(bed_log agent | grep -c "$1")" = "$2" ]
}

CLOSED="warning: app: no sidecar is served in its network namespace .* nothing gets out until one is"
SERVED="info: sidecar: process .* is served"

@test "row 3: --guard keeps an application closed from its first instruction on, whichever restarts (agent)" {
	guarding_agent
	application bridge
	bed_until 10 lines "$CLOSED" 1
	sidecar --network container:app --restart on-failure --cap-add NET_ADMIN
	ready
	bed_until 10 lines "$SERVED" 1
	intercepted
	# The sidecar ends with the application's old namespace, and comes back in the new one.
	dk restart -t 0 app >/dev/null
	bed_until 10 lines "$CLOSED" 2
	bed_until 10 lines "$SERVED" 2
	intercepted
	# The sidecar ends by itself, cleanly and not.
	for signal in TERM KILL; do
		dk kill -s $signal sidecar >/dev/null
		dk wait sidecar >/dev/null
		run dk exec app /bin/peer connect $ANSWERS 7000 --send hello --expect hello --timeout 2
		echo "$output"
		[ "$status" -ne 0 ]
		dk start sidecar >/dev/null
		intercepted
	done
	# It goes by its id: a new name does not open it, and another container gets the old name.
	dk rename app other
	dk rm -f sidecar >/dev/null
	dk restart -t 0 other >/dev/null
	bed_until 10 lines "other: no sidecar is served in its network namespace" 1
	application bridge
	bed_until 10 lines "$CLOSED" 3
	dk rm -f other app >/dev/null
	[ "$(seen sniffer)" = 0 ]
}

# held - the device `strange` lets nothing out.
held() {
	engine_exec tc filter show dev strange ingress | grep -q host_ingress
}

free() {
	! held
}

@test "row 3: --guard delays no container that is not guarded, and holds what Docker has not named (agent)" {
	watch_open
	guarding_agent
	dk create --name free test /bin/peer connect $ANSWERS 7000 --send hello --expect hello --timeout 5 >/dev/null
	run dk start -a free
	echo "$output"
	[ "$status" = 0 ]
	# A SYN that is lost is repeated after a second.
	[ "$(bed_value connect_us "$output")" -lt 900000 ]
	# No process is there that could tell whose it is. A new agent goes on with what is held.
	engine_exec ip netns add strange
	engine_exec ip link add strange type veth peer name eth0 netns strange
	engine_exec ip link set strange master docker0 up
	bed_until 5 held
	bed_kill agent
	held
	guarding_agent
	held
	# Its process is of no container.
	bed_spawn engine stranger ip netns exec strange "$PEER" serve 7000
	bed_until 5 free
	bed_kill stranger
	engine_exec ip link del strange
	# An agent that guards nothing holds nothing.
	engine_exec ip link add strange type veth peer name eth1 netns strange
	engine_exec ip link set strange master docker0 up
	bed_kill agent
	bed_spawn engine agent "$SIDESTEP" agent --docker-socket /run/docker.sock
	bed_wait_line agent "docker"
	bed_until 5 free
	engine_exec ip link del strange
	[ "$(seen sniffer)" -gt 0 ]
}
