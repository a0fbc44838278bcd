#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The agent as a privileged container of our image, beside sidecars of the same image, on a real engine.

# shellcheck source=tests/lib/testbed.bash
. "$BATS_TEST_DIRNAME/lib/testbed.bash"
# shellcheck source=tests/lib/workerd.bash
. "$BATS_TEST_DIRNAME/lib/workerd.bash"

setup_file() {
	[ "$(id -u)" = 0 ] || skip "needs root (network namespaces)"
	export BATS_TEST_TIMEOUT=300
	engine_start
	workerd_sidecar_image
	bed_spawn engine gateway "$SIDESTEP" gateway --server --listen 0.0.0.0:8080
	programs
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

# programs - makes an image that runs the machine's own programs.
programs() {
	local root=$BED_DIR/programs
	mkdir -p "$root"/{usr,etc,tmp,proc,sys,dev}
	ln -s usr/bin usr/lib usr/lib64 "$root"
	tar -C "$root" -c . | dk import - programs >/dev/null
}

# browse NAMESPACE SOCKET - four programs connect at the same time in a container, each to an address and with a name
# of its own. One sends a datagram, too. Prints the container's id. Each of the four may have ended before anybody has
# looked. So another one connects first, and stays.
browse() {
	local id
	local node='require("http").get({host: "192.0.2.13", headers: {host: "node.example"}}, r => r.resume())'
	local python='import urllib.request as r; r.urlopen(r.Request("http://192.0.2.12/", headers={"Host": "python.example"}))
import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.16", 9))'
	local first='import socket, time; socket.create_connection(("192.0.2.10", 80)).close(); time.sleep(600)'
	id=$(dk run -d --name browser --label shop=books --network "container:$1" -v /usr:/usr:ro programs \
		/usr/bin/python3 -c "$first")
	seen() {
		python3 "$BED_REPO/tests/events.py" follow "$2" '{"last":1000,"follow":false}' |
			grep -F '"dst":"192.0.2.10:80"' | grep -qF "\"container\":{\"id\":\"$1\""
	}
	bed_until 30 seen "$id" "$2"
	# shellcheck disable=SC2016 # for the inner shell
	dk exec browser /bin/sh -c '
		curl -s -o /dev/null --resolve curl.example:80:192.0.2.11 http://curl.example/ &
		/usr/bin/python3 -c "$1" &
		node -e "$2" &
		git -c http.curloptResolve=git.example:80:192.0.2.14 ls-remote http://git.example/x &
		wait' sh "$python" "$node" >&2
	echo "$id"
}

# opened_by SOCKET ADDRESS NAME COMM EXE ID - the one connection to that address has all of this. A process that has
# ended may have no program.
opened_by() {
	python3 "$BED_REPO/tests/events.py" follow "$1" '{"last":1000,"follow":false}' >"$BED_DIR/told"
	python3 - "$BED_DIR/told" "${@:2}" <<-'EOF'
		import json, sys
		path, address, name, comm, exe, ident = sys.argv[1:]
		told = [e for e in map(json.loads, open(path)) if e["type"] == "connection" and e["dst"] == address + ":80"]
		assert len(told) == 1, told
		process, container = told[0]["process"] or {}, told[0]["container"] or {}
		got = (told[0]["name"], told[0]["gateway_status"], process.get("comm"), container)
		assert got == (name, 200, comm, {"id": ident, "name": "browser", "labels": {"shop": "books"}}), told
		assert process["exe"] in ((None, exe) if exe else (None,)), told
	EOF
}

# denied_of ID - the denied datagram has the same container, and its process.
denied_of() {
	grep -F '"dst":"192.0.2.16:9"' "$BED_DIR/told" | grep -F '"type":"denied"' | grep -F '"comm":"python3"' |
		grep -F "\"container\":{\"id\":\"$1\",\"name\":\"browser\",\"labels\":{\"shop\":\"books\"}}"
}

# all_opened SOCKET ID [EXE] - each of browse()'s connections has the right process, container, name and answer.
all_opened() {
	opened_by "$1" 192.0.2.11 curl.example curl "${3:+/usr/bin/curl}" "$2" &&
		opened_by "$1" 192.0.2.12 python.example python3 "${3:+$(readlink -f /usr/bin/python3)}" "$2" &&
		opened_by "$1" 192.0.2.13 node.example node "${3:+$(readlink -f /usr/bin/node)}" "$2" &&
		opened_by "$1" 192.0.2.14 git.example git-remote-http \
			"${3:+$(readlink -f "$(git --exec-path)/git-remote-http")}" "$2" &&
		denied_of "$2"
}

# nobody_opened SOCKET ADDRESS COMM - the connection to that address has a process and no container.
nobody_opened() {
	python3 "$BED_REPO/tests/events.py" follow "$1" '{"last":1000,"follow":false}' |
		grep -F "\"container\":null,\"process\":{" | grep -F "\"comm\":\"$3\"" | grep -F "\"dst\":\"$2:80\""
}

@test "four programs in a container: the agent's events name container, process, name and answer of each" {
	local id socket
	bed_spawn engine collector "$BED_REPO/tests/collector.py" 127.0.0.1 4318
	bed_wait_line collector listening 10
	agent --otlp http://127.0.0.1:4318
	side app-proxy
	engine_wait_line app-proxy "the host's agent steers with its BPF programs, in place of the nftables table"
	socket=/proc/$(engine_pid agent)/root/run/sidestep/agent.events
	id=$(browse app-proxy "$socket")
	bed_until 30 all_opened "$socket" "$id" exe
	# So do those that a collector gets.
	bed_wait_line collector "event connection relayed curl.example \{'shop': 'books'\}" 10
	bed_signal collector TERM
	bed_wait_exit collector || true
}

@test "four programs in a container: own programs' events name container, process, name and answer of each" {
	bed_needs_linux 6.16 "the name of a process in TC programs"
	local id socket
	dk run -d --name app-net --privileged --add-host host.docker.internal:host-gateway \
		-v "$ENGINE_SOCKET:/run/engine.sock" sidestep sidecar --gateway host.docker.internal:8080 \
		--docker-socket /run/engine.sock >/dev/null
	engine_wait_line app-net "connected to Docker"
	socket=$(echo "/proc/$(engine_pid app-net)/root/run/sidestep/"*.events)
	id=$(browse app-net "$socket")
	bed_until 30 all_opened "$socket" "$id"
	# With two containers beside the sidecar, the kernel tells no name.
	dk run -d --name waiting --network container:app-net -v /usr:/usr:ro programs sleep 60 >/dev/null
	dk run --name second --network container:app-net -v /usr:/usr:ro programs curl -s -o /dev/null http://192.0.2.15/
	bed_until 10 nobody_opened "$socket" 192.0.2.15 curl
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
