#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The pages say what the program does: options, messages, walks, links, and README's commands, which run
# here as they stand there, on the current stable Debian's Docker engine.
#
# `sudo make demo` and `sudo make check` are run by tests/distros/check.sh, which reads them from README.
# tests/workerd.bats runs the two examples.

# shellcheck source=tests/lib/testbed.bash
. "$BATS_TEST_DIRNAME/lib/testbed.bash"

NOWHERE=192.0.2.77 # nobody has this address
ANSWERS=192.0.2.1  # the world answers here

setup_file() {
	[ "$(id -u)" = 0 ] || skip "needs root (network namespaces)"
	export BATS_TEST_TIMEOUT=400 ENGINE=trixie
	engine_start
	mkdir "$BED_DIR/bin" "$BED_DIR/engine/config/cli-plugins"
	# The bed's user is root.
	printf '#!/bin/sh\nexec "$@"\n' >"$BED_DIR/bin/sudo"
	chmod 755 "$BED_DIR/bin/sudo"
	ln -s "$SIDESTEP" "$BED_DIR/bin/sidestep"
	ln -s "$("$BED_REPO/tests/deps.sh" compose)" "$BED_DIR/engine/config/cli-plugins/docker-compose"
	engine_image my-app --change 'CMD ["/bin/peer", "serve", "8000"]' "$PEER:/bin/peer"
	cd "$BED_REPO" || return
	bed_locked image readme "Try it" 1
	readme_spawn gateway "Run it" 1
	bed_spawn world server "$PEER" serve 7000
	bed_wait_line server ready
}

teardown_file() {
	bed_stop
}

setup() {
	cd "$BED_REPO" || return
}

teardown() {
	local containers name
	[ -n "${BED_DIR:-}" ] || return 0
	containers=$(dk ps -aq)
	if [ -z "${BATS_TEST_COMPLETED:-}" ]; then
		for name in $containers; do
			echo "--- log of $name"
			dk logs --tail 15 "$name" 2>&1
		done
	fi
	# shellcheck disable=SC2086 # a list of words
	[ -z "$containers" ] || dk rm -f $containers >/dev/null
	dk network prune -f >/dev/null
	! bed_alive bridge || bed_kill bridge
	engine_exec rm -rf /sys/fs/bpf/sidestep
}

# readme HEADING NUMBER - runs that block of README's commands on the engine's machine, as a user would.
readme() {
	engine_exec env -u MAKEFLAGS -u BUILD "PATH=$BED_DIR/bin:$ENGINE_PATH:$PATH" \
		"DOCKER_HOST=unix://$ENGINE_SOCKET" "DOCKER_CONFIG=$BED_DIR/engine/config" \
		bash -euc "$(tests/docs.py block "$@")"
}

# readme_spawn NAME HEADING NUMBER - the same for a block of one command that runs until it is stopped.
readme_spawn() {
	local name=$1
	shift
	bed_spawn engine "$name" env "PATH=$BED_DIR/bin:$PATH" bash -euc "exec $(tests/docs.py block "$@")"
}

# page PAGE PATTERN - runs that page's lines of commands that match, one after the other in one shell. The names in
# capitals become those of README's containers.
page() {
	local lines
	lines=$(tests/docs.py lines "$1" | grep -E "$2" |
		sed 's/SIDECAR/app-net/g; s/APPLICATION\|APP\b/app/g; s/IP:PORT/172.17.0.1:8080/g')
	[ -n "$lines" ] || fail "$1 has no such command"
	printf '%s\n' "$lines"
	engine_exec env "PATH=$BED_DIR/bin:$ENGINE_PATH:$PATH" "DOCKER_HOST=unix://$ENGINE_SOCKET" \
		"DOCKER_CONFIG=$BED_DIR/engine/config" bash -euc "$lines"
}

# intercepted CONTAINER - a connection of it to nobody's address arrives at the gateway.
intercepted() {
	dk exec "$1" /bin/peer connect $NOWHERE 443 --send hello --expect hello
}

# breaks_out CONTAINER ROUTER - makes the world's address a neighbour at the router's MAC, by the means of a
# process with NET_ADMIN. The steering leaves neighbours alone.
breaks_out() {
	local device mac
	device=$(engine_exec ip -o -4 address show to "$2" | awk '{ print $2 }')
	mac=$(engine_exec ip -o link show dev "$device" | sed 's/.*link.ether \([^ ]*\).*/\1/')
	[ -n "$mac" ] || fail "no MAC address of $2"
	in_namespace "$1" ip address replace 192.0.2.200/24 dev eth0
	in_namespace "$1" ip neigh replace $ANSWERS lladdr "$mac" dev eth0 nud permanent
	engine_wait_line "$1" "bypass: 192.0.2.0/24 interface"
}

# reaches CONTAINER - an attempt to reach the world directly, which succeeds.
reaches() {
	in_namespace "$1" "$PEER" connect $ANSWERS 7000 --source "$(own_address "$1")" --send hello --expect hello \
		--timeout 1
}

# stays_in CONTAINER - breaks out of the steering, and reaches nothing from the internal network.
stays_in() {
	breaks_out "$1" 172.28.0.1
	run reaches "$1"
	echo "$output"
	like "attempt from the internal network" "$output" "result=(timeout|unreachable)"
}

in_namespace() {
	local container=$1
	shift
	nsenter --net="/proc/$(engine_pid "$container")/ns/net" -- "$@"
}

own_address() {
	dk inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$1"
}

arrived() {
	bed_log gateway | grep -cF "\"destination\":\"$NOWHERE:443\""
}

@test "docs/OPTIONS.md has the options, values and defaults of each command" {
	tests/docs.py options "$SIDESTEP"
}

@test "docs/TROUBLESHOOTING.md quotes the program's messages, and leaves out none that gives advice" {
	tests/docs.py messages
}

@test "the walks in docs/DEVELOPING.md name functions where they are, and change the file 12 times at most" {
	tests/docs.py walks
}

@test "docs/DEVELOPING.md has the rooms of user/LAYERS" {
	tests/docs.py rooms
}

@test "docs/DOCTOR.md has each finding of the doctor, with its subject and severity" {
	tests/docs.py findings
}

@test "docs/EVENTS.md has each reason of an event with the remedy that observe shows, and a test gives each" {
	tests/docs.py reasons
}

@test "docs/DOCTOR.md has 20 faults or more, and each names what finds it and the tests that plant it" {
	tests/docs.py faults
}

@test "each option of a command in the pages, in deploy/ and in examples/ exists" {
	tests/docs.py commands "$SIDESTEP"
}

@test "links between pages lead somewhere, and paths of the source exist" {
	tests/docs.py links
}

@test "README has fewer than 150 lines" {
	[ "$(wc -l <README.md)" -lt 150 ]
}

@test "each block of README's commands is run by a test" {
	local heading number
	while IFS=$'\t' read -r heading number; do
		[[ $heading != *workerd* ]] || continue
		grep -qE "readme(_spawn [a-z]+)? \"$heading\" $number" tests/docs.bats || fail "$heading $number"
	done < <(tests/docs.py blocks)
	[ "$(tests/docs.py block "Under workerd and wrangler" 1)" = "examples/workerd/run
examples/wrangler/run" ]
	grep -q '/examples/workerd/run"' tests/workerd.bats
	grep -q '/examples/wrangler/run"' tests/workerd.bats
	# tests/distros/check.sh takes these from README and runs them.
	grep -q 'make (demo|check)' tests/distros/check.sh
	[ "$(sed -nE 's/^    sudo (apt-get|make (demo|check))( .*)?$/\1/p' README.md)" = "apt-get
make demo
make check" ]
}

@test "a sidecar, then the application in its namespace, with a published port" {
	readme "With a sidecar" 1
	engine_wait_line app ready
	intercepted app
	[ "$(arrived)" -ge 1 ]
	bed_exec world "$PEER" connect "$BED_UPLINK" 8000 --send hello --expect hello
}

@test "an application on an internal network has no way out, even if it breaks out of the steering" {
	readme "Without a way out" 1
	engine_wait_line app-net "interception is live"
	engine_wait_line app ready
	intercepted app
	watch_at world eth0 leaks 192.0.2.0/24
	stays_in app-net
	[ "$(seen leaks)" = 0 ]
	# The same on an ordinary network gets out.
	dk rm -f app app-net >/dev/null
	readme "With a sidecar" 1
	breaks_out app-net "$ENGINE_GATEWAY"
	reaches app-net
}

@test "Compose: the gateway is a container on the internal network" {
	readme "Without a way out" 2
	engine_wait_line compose-sidecar-1 "interception is live"
	engine_wait_line compose-app-1 ready
	intercepted compose-app-1
	engine_wait_line compose-gateway-1 "\"destination\":\"$NOWHERE:443\""
	stays_in compose-sidecar-1
	# A name that only the gateway can know leads there, too.
	dk exec compose-app-1 /bin/peer dns name.test A @127.0.0.11 | grep -q "data=11.0.0.1"
}

@test "a sidecar without rights, and the agent" {
	readme "With a sidecar without rights" 1
	engine_wait_line app-net "the host's agent steers with its BPF programs"
	engine_wait_line app ready
	intercepted app
}

@test "on the host, for a bridge; the systemd unit has the same command" {
	local command
	readme_spawn bridge "On the host, for a bridge" 1
	bed_wait_line bridge "interception is live" 10
	dk run -d --name app my-app >/dev/null
	engine_wait_line app ready
	intercepted app
	command=$(tests/docs.py block "On the host, for a bridge" 1)
	[ "$(sed -n 's/^ExecStart=//p' examples/bridge/sidestep-bridge.service)" = \
		"${command/#sudo build/\/usr\/local\/bin}" ]
}

@test "other pages' commands: the first look by doctor and explain, and the metrics" {
	readme "With a sidecar" 1
	run page docs/TROUBLESHOOTING.md 'sidestep doctor'
	echo "$output"
	[ "$status" = 0 ]
	[ "$(grep -c "gateway.*172.17.0.1:8080 accepts" <<<"$output")" = 3 ]
	[[ $output == *"a process of another container intercepts in this"* && $output != *"process 0"* ]]
	run page docs/TROUBLESHOOTING.md 'sidestep explain'
	echo "$output"
	[ "$status" = 0 ]
	[[ $output == *"intercepted (steer_tcp)"* ]]
	dk rm -f app app-net >/dev/null
	page docs/METRICS.md docker
	dk exec app-net sidestep ready --wait 10
	page docs/METRICS.md curl | grep '^sidestep_build_info{'
}
