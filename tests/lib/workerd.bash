# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The real workerd on the test bed's engine: sourced after testbed.bash.
#
# workerd runs on the "machine" of the engine, as on a developer's, with tests/e2e/config.capnp: a Worker whose
# Durable Object has a container. The image of its sidecar is ours. A Durable Object, its container and its
# sidecar together are a box. Each test has its own, named $BOX.
#
# wrangler.bash starts the same Worker with `wrangler dev`. LAUNCHER is workerd or wrangler.

# The worker's address on the machine.
WORKERD_ADDRESS=127.0.0.1:8700

# workerd_images - makes the images `app` (node and tests/e2e/app.mjs) and `sidestep`.
workerd_images() {
	local node builtin files=()
	"$BED_REPO/tests/deps.sh" e2e >/dev/null || return
	node=$(readlink -f "$(command -v node)") || bed_fail "no node; run: tests/deps.sh e2e" || return
	# Debian's node reads some of its own modules from files, whose paths are in the program or its library.
	# shellcheck disable=SC2046 # a list of words
	while read -r builtin; do
		[ ! -f "$builtin" ] || files+=("$builtin:$builtin")
	done < <(grep -aohE '/usr/share/nodejs/[A-Za-z0-9_./-]+[.](js|wasm)' "$node" \
		$(ldd "$node" | grep -oE '/[^ ]*/libnode[^ ]*') | sort -u)
	engine_image app --change 'CMD ["/bin/node", "/app/app.mjs"]' --change 'EXPOSE 8080' \
		"$node:/bin/node" "$BED_REPO/tests/e2e/app.mjs:/app/app.mjs" \
		"$BED_REPO/tests/e2e/websocket.mjs:/app/websocket.mjs" \
		"$PEER:/bin/peer" "${files[@]}" || return
	workerd_sidecar_image
}

# workerd_sidecar_image - makes our image and loads it as sidestep:latest.
workerd_sidecar_image() {
	bed_locked image _workerd_sidecar_image
}

_workerd_sidecar_image() {
	env -u MAKEFLAGS -u BUILD make -s -C "$BED_REPO" image-tree >/dev/null || bed_fail "make image failed" || return
	dk load -qi "$BED_REPO/build/image/sidestep.tar" >/dev/null
}

# workerd_start - starts workerd, the first time or again, and waits until the worker answers.
workerd_start() {
	local program
	program=$("$BED_REPO/tests/deps.sh" e2e) || return
	mkdir -p "$BED_DIR/storage"
	bed_spawn engine workerd "$program" serve --experimental --verbose \
		--socket-addr "http=$WORKERD_ADDRESS" --directory-path "storage=$BED_DIR/storage" \
		"$BED_REPO/tests/e2e/config.capnp" || return
	bed_until 20 _workerd_answers
}

# workerd_restart - kills workerd and starts it again.
workerd_restart() {
	bed_kill workerd KILL
	workerd_start
}

_workerd_answers() {
	engine_exec curl -fs --max-time 2 "http://$WORKERD_ADDRESS/" >/dev/null
}

# workerd_hurry - from here on what runs in containers goes before all else on this machine. By workerd's contract a
# client that is silent for 50 ms is asked for without hints, and workerd then finds no mapping of a name. A machine
# that runs other tests as well may be that slow.
workerd_hurry() {
	local group
	# Version 1 of control groups, and 2 where they share out the processors.
	for group in /sys/fs/cgroup/cpu /sys/fs/cgroup; do
		[ -f "$group/cgroup.procs" ] || continue
		mkdir -p "$group/$BED_ID" || return
		[ ! -f "$group/$BED_ID/cpu.shares" ] || echo 262144 >"$group/$BED_ID/cpu.shares" || return
		[ ! -f "$group/$BED_ID/cpu.weight" ] || echo 10000 >"$group/$BED_ID/cpu.weight" || return
	done
}

# workerd_agent - starts the agent on the machine, as its service does.
workerd_agent() {
	bed_spawn engine agent "$SIDESTEP" agent --docker-socket /run/docker.sock || return
	bed_wait_line agent "watching" 10
}

# box VERB [KEY=VALUE...] - asks the Worker to do something with $BOX and prints its answer. Status 22 when that
# is an error.
box() {
	local verb=$1 argument arguments=()
	shift
	for argument; do
		arguments+=(--data-urlencode "$argument")
	done
	engine_exec curl -sS --fail-with-body --max-time 40 --get "${arguments[@]}" \
		"http://$WORKERD_ADDRESS/$BOX/$verb"
}

# app VERB [KEY=VALUE...] - asks the application in $BOX to do something (tests/e2e/app.mjs).
app() {
	local verb=$1
	shift
	box "app/$verb" "$@"
}

# box_container, box_sidecar - print the names of the box's containers in the engine.
box_container() {
	local name
	name=$(box_sidecar) && printf '%s\n' "${name%-proxy}"
}

box_sidecar() {
	local name
	name=$(dk ps --format '{{.Names}}' --filter name=-proxy --filter label=dev.sidestep.role=sidecar) || return
	[ "$(wc -w <<<"$name")" = 1 ] || bed_fail "not one sidecar but: ${name:-none}" || return
	printf '%s\n' "$name"
}

# leak_watch - begins to count packets that containers send to the outside by themselves, except DNS.
leak_watch() {
	bed_spawn engine sniffer "$PEER" sniff --device docker0 --timeout 600 --count-dst 192.0.2.0/24 \
		--count-dst 203.0.113.0/24 --count-dst 11.0.0.0/8 --count-dst 2001:db8::/32 --count-dst fd00::/64
	bed_wait_line sniffer ready >/dev/null
}

# no_leak - no application or sidecar has sent a packet to the outside since leak_watch.
no_leak() {
	local line
	bed_kill sniffer
	line=$(bed_log sniffer | tail -n 1)
	is "packets lost by the sniffer" "$(bed_value drops "$line")" 0
	is "packets to the outside on docker0: $line" \
		"$(grep -oE '(to|from)_[a-z]+=[0-9]+' <<<"$line" | awk -F= '{ n += $2 } END { print n }')" 0
}

# workerd_state - prints logs and events, which bats shows with a failed test. Their times tell in which order the
# sidecar saw its policy and the queries.
workerd_state() {
	local name
	dk ps -a
	for name in $(dk ps -a --format '{{.Names}}'); do
		echo "--- log of $name"
		dk logs --timestamps --tail 20 "$name" 2>&1
		[[ $name != *-proxy ]] || dk exec "$name" sidestep observe --json --last 20
	done
	echo "--- $LAUNCHER"
	tail -n 20 "$BED_DIR/$LAUNCHER.log"
}
