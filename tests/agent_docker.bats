#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The agent as a privileged container of our image, beside sidecars of the same image, on a real engine.

# shellcheck source=tests/lib/testbed.bash
. "$BATS_TEST_DIRNAME/lib/testbed.bash"
# shellcheck source=tests/lib/workerd.bash
. "$BATS_TEST_DIRNAME/lib/workerd.bash"

setup_file() {
	[ "$(id -u)" = 0 ] || skip "needs root (network namespaces)"
	export BATS_TEST_TIMEOUT=120
	engine_start
	workerd_sidecar_image
	bed_spawn engine gateway "$SIDESTEP" gateway --server --listen 0.0.0.0:8080
}

teardown_file() {
	bed_stop
}

teardown() {
	[ -n "${BED_DIR:-}" ] || return 0
	# shellcheck disable=SC2046 # a list of words
	dk rm -f $(dk ps -aq) >/dev/null || true
	engine_exec rm -rf /sys/fs/bpf/sidestep
}

# agent [ARGUMENT...] - starts the agent and returns when it watches.
agent() {
	dk run -d --name agent --privileged --pid=host --network=host -v /sys/fs/bpf:/sys/fs/bpf \
		-v "$ENGINE_SOCKET:/var/run/docker.sock" sidestep agent "$@" >/dev/null
	engine_wait_line agent "watching for sidecars"
}

# side NAME - starts a sidecar as workerd does.
side() {
	dk run -d --name "$1" --cap-add NET_ADMIN --add-host host.docker.internal:host-gateway sidestep \
		--http-egress-port 8080 --http-ingress-address 0.0.0.0:39001 >/dev/null
}

# watcher - prints the number of the process that talks to Docker for the agent. Status 1: there is none.
watcher() {
	pgrep -P "$(engine_pid agent)"
}

# another_watcher PID - a watcher runs that is not PID, and has connected to Docker.
another_watcher() {
	[ "$(watcher)" != "$1" ] && [ "$(dk logs agent 2>&1 | grep -c "watching for sidecars")" = 2 ]
}

# engine_peers - prints the inodes of the sockets that are connected to Docker's.
engine_peers() {
	nsenter --net="$BED_DIR/ns/engine" ss -xH state established | awk '$4 ~ /docker.sock$/ { print $NF }'
}

# sockets PID - prints the inodes of the process's sockets.
sockets() {
	find "/proc/$1/fd" -lname "socket:*" -printf "%l\n" | tr -dc "0-9\n"
}

gone() {
	[ -z "$(dk ps -aq --filter "name=$1")" ]
}

@test "the agent in a container serves a sidecar with NET_ADMIN alone, before and after its restart" {
	agent
	side app-proxy
	engine_wait_line app-proxy "the host's agent steers with its BPF programs, in place of the nftables table"
	# The table is removed right after.
	no_rules() { [ -z "$(nsenter --net="/proc/$(engine_pid app-proxy)/ns/net" nft list ruleset)" ]; }
	bed_until 5 no_rules
	nsenter --net="/proc/$(engine_pid app-proxy)/ns/net" "$PEER" connect 192.0.2.77 80 --send hello --half-close --read-all
	dk rm -f agent >/dev/null
	engine_wait_line app-proxy "the host's agent is gone"
	nsenter --net="/proc/$(engine_pid app-proxy)/ns/net" "$PEER" connect 192.0.2.77 80 --send hello --half-close --read-all
	agent
	engine_wait_line app-proxy "in place of an earlier agent"
	nsenter --net="/proc/$(engine_pid app-proxy)/ns/net" "$PEER" connect 192.0.2.77 80 --send hello --half-close --read-all
	# Without --reap-after the agent removes no container.
	[ -n "$(dk ps -q --filter name=app-proxy)" ]
}

@test "the agent's events name the container and the program that connected" {
	agent
	side app-proxy
	engine_wait_line app-proxy "the host's agent steers with its BPF programs, in place of the nftables table"
	engine_image browser --change 'ENTRYPOINT ["/bin/peer"]' "$PEER"
	# The agent looks at the process while it lives, which is soon after its SYN.
	dk run -d --name browser --network container:app-proxy browser stall 192.0.2.77 80 --bytes 5 --timeout 2 >/dev/null
	id=$(dk inspect -f '{{.Id}}' browser)
	told() {
		python3 "$BED_REPO/tests/events.py" follow "/proc/$(engine_pid agent)/root/run/sidestep/agent.events" \
			'{"last":100,"follow":false}' >"$BED_DIR/told"
		grep '"dst":"192.0.2.77:80"' "$BED_DIR/told" | grep -F "\"container\":{\"id\":\"$id\",\"name\":\"browser\""
	}
	bed_until 10 told || { cat "$BED_DIR/told" && return 1; }
	grep -F '"comm":"peer","exe":"/bin/peer"' "$BED_DIR/told"
}

@test "with --reap-after the agent removes orphans and no other containers" {
	side orphan-proxy
	side used-proxy
	side keeper
	dk run -d --name used --network container:used-proxy --entrypoint /usr/bin/sidestep sidestep \
		gateway --server --listen 127.0.0.1:9 >/dev/null
	agent --reap-after 2
	bed_until 30 gone orphan-proxy
	for name in used-proxy keeper used agent; do
		[ -n "$(dk ps -q --filter "name=^$name\$")" ]
	done
}

@test "the label is not enough: a container without NET_ADMIN is no sidecar" {
	agent --log-level debug
	engine_image poser --change "LABEL dev.sidestep.role=sidecar" --change 'ENTRYPOINT ["/bin/peer"]' "$PEER"
	dk run -d --name poser poser imposter >/dev/null
	dk run -d --name poser-own --label dev.sidestep.role=sidecar poser imposter >/dev/null
	engine_wait_line agent "docker: poser is no sidecar: it was started without --cap-add NET_ADMIN"
	engine_wait_line agent "docker: poser-own is no sidecar"
	# Control: with the capability it is served.
	dk run -d --name capable --cap-add NET_ADMIN poser imposter >/dev/null
	engine_wait_line capable "asked described=ok"
	[ "$(dk logs poser)" = ready ]
	[ "$(dk logs poser-own)" = ready ]
}

@test "the watcher learns of sidecars without a connection to Docker" {
	agent
	side app-proxy
	engine_wait_line app-proxy "the host's agent steers"
	agent=$(engine_pid agent) watcher=$(watcher)
	[ "$(readlink "/proc/$agent/exe")" = "$(readlink "/proc/$watcher/exe")" ]
	# Control: the agent has the connection, and its events arrive in the watcher's pipe.
	[ -n "$(comm -12 <(engine_peers | sort) <(sockets "$agent" | sort))" ]
	[ -n "$(find "/proc/$watcher/fd" -lname "pipe:*")" ]
	[ -z "$(comm -12 <(engine_peers | sort) <(sockets "$watcher" | sort))" ]
	# The log, the news and the requests.
	[ "$(sockets "$watcher" | wc -l)" = 3 ]
}

@test "a killed watcher is started again, and finds the sidecars that have come meanwhile" {
	agent
	side app-proxy
	engine_wait_line app-proxy "the host's agent steers"
	before=$(watcher)
	kill -KILL "$before"
	side late-proxy
	engine_wait_line agent "the watcher ended .signal 9."
	bed_until 15 another_watcher "$before"
	engine_wait_line late-proxy "the host's agent steers"
	[ "$(dk logs agent 2>&1 | grep -c "app-proxy: process .* is served")" = 1 ]
	nsenter --net="/proc/$(engine_pid app-proxy)/ns/net" "$PEER" connect 192.0.2.77 80 --send hello --half-close --read-all
}

@test "a watcher that is taken over gets no other request to Docker, and is ended" {
	remove_by() { # CODE - removes the container `victim` by Python code that sets `send`
		python3 -c "
import ctypes, os, socket, struct, sys
$1
send('DELETE', '/containers/' + sys.argv[1], 'force=1')" "$victim" "${@:2}"
	}
	agent
	engine_image poser --change 'ENTRYPOINT ["/bin/peer"]' "$PEER"
	victim=$(dk run -d --name victim poser imposter)
	before=$(watcher)
	# This takes the place of code in the watcher. Descriptor 4 has its requests.
	remove_by "
asks = socket.socket(fileno=ctypes.CDLL(None).syscall(438, os.pidfd_open(int(sys.argv[2])), 4, 0))
send = lambda *ask: asks.send(struct.pack('8s96s512s', *(text.encode() for text in ask)))" "$before"
	engine_wait_line agent "the watcher asked for what it may not have: it is ended"
	bed_until 15 another_watcher "$before"
	[ -n "$(dk ps -q --filter name=victim)" ]
	# Control: whoever may connect to Docker's socket can remove it.
	remove_by "
docker = socket.socket(socket.AF_UNIX)
docker.connect(sys.argv[2])
def send(method, path, query):
    docker.send(f'{method} {path}?{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'.encode())
    while docker.recv(4096): pass" "$ENGINE_SOCKET"
	gone victim
}
