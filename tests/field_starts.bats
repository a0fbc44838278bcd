#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Ordinary days of people who intercept containers: who may start where, what follows on what, and what the command
# line says. Each test has a control, as in field.bats.

load lib/testbed.bash
load lib/scenarios.bash
load lib/field.bash

# row n2: another way follows a killed one

# traces - prints what sidecars leave in the application's namespace.
traces() {
	bed_exec app sh -c '
		nft list tables
		ip rule; ip -6 rule
		ip route show table all proto 93; ip -6 route show table all proto 93
		grep -H . /proc/sys/net/ipv4/conf/*/accept_local /proc/sys/net/ipv4/conf/*/rp_filter'
	bed_programs bed_exec app
}

# killed WAY - a sidecar of this way (own, agent, nft, redirect) steered, and was killed. So was its agent.
killed() {
	"$1_sidecar"
	connect 192.0.2.1 7000 --send hello --half-close --read-all
	bed_kill sidecar KILL
	run connect 192.0.2.1 7000 --send hello --read-all --timeout 2
	echo "$output"
	[[ $output != *result=ok* ]]
	bed_kill agent KILL
	# The maps of own programs are not the agent's, which pins its own here.
	[ "$1" = agent ] || rm -rf "$(SIDE_PIN)"
}

# steers WAY - another one steers everything, and ends.
steers() {
	"$1_sidecar"
	connect 192.0.2.77 7000 --send hello --half-close --read-all
	connect 2001:db8::77 7000 --send hello --half-close --read-all
	[ "$(arrived 192.0.2.77:7000)$(arrived '\[2001:db8::77\]:7000')" = 11 ]
	bed_exec outside "$PEER" connect "$BED_APP" 7001 --send hello --expect hello
	bed_kill sidecar
}

# Links of an agent are the host's. A sidecar of another way removes filters only, so something of them stays.
cleaned() {
	run connect 192.0.2.1 7000 --send hello --read-all --timeout 2
	echo "$output"
	[[ $output != *result=ok* ]]
	bed_exec host "$SIDESTEP" agent --clean --pin "$(SIDE_PIN)"
}

traces_gone() { traces | diff "$BED_DIR/before" -; }

# servers - a gateway, and a server on either side. Nothing is left of any sidecar yet.
servers() {
	gateway
	bed_spawn world server "$PEER" serve 7000
	bed_spawn app inner "$PEER" serve 7001
	bed_wait_line server ready
	bed_wait_line inner ready
	traces >"$BED_DIR/before"
}

follows() { # FIRST SECOND
	servers
	killed "$1"
	steers "$2"
	[ "$1" != agent ] || [ "$2" = agent ] || cleaned
	bed_until 5 traces_gone
	connect 192.0.2.1 7000 --send hello --expect hello
	connect 2001:db8::1 7000 --send hello --expect hello
}

# follows_links WAY - an agent's links let nothing out until the host removes them, whatever sidecar follows.
follows_links() {
	servers
	ATTACH=tcx killed agent
	"$1_sidecar"
	run connect 192.0.2.77 7000 --send hello --read-all --timeout 2
	echo "$output"
	[[ $output == *result=refused* ]]
	[ "$(arrived 192.0.2.77:7000)" = 0 ]
	bed_exec host "$SIDESTEP" agent --clean --pin "$(SIDE_PIN)"
	connect 192.0.2.77 7000 --send hello --half-close --read-all
	connect 2001:db8::77 7000 --send hello --half-close --read-all
	[ "$(arrived 192.0.2.77:7000)$(arrived '\[2001:db8::77\]:7000')" = 11 ]
	bed_kill sidecar
	bed_until 5 traces_gone
	connect 192.0.2.1 7000 --send hello --expect hello
}

@test "row n2: own programs after own programs: it steers, and leaves nothing" {
	follows own own
}

@test "row n2: the agent after own programs: it steers, and leaves nothing" {
	follows own agent
}

@test "row n2: nftables after own programs: it steers, and leaves nothing" {
	follows own nft
}

@test "row n2: own programs after the agent's filters: it steers, and leaves nothing" {
	ATTACH=clsact follows agent own
}

@test "row n2: the agent after the agent: it steers, and leaves nothing" {
	follows agent agent
}

@test "row n2: nftables after the agent's filters: it steers, and leaves nothing" {
	ATTACH=clsact follows agent nft
}

@test "row n2: own programs after the agent's links: it steers once the host has removed them" {
	follows_links own
}

@test "row n2: nftables after the agent's links: it steers once the host has removed them" {
	follows_links nft
}

@test "row n2: own programs after nftables: it steers, and leaves nothing" {
	follows nft own
}

@test "row n2: the agent after nftables: it steers, and leaves nothing" {
	follows nft agent
}

@test "row n2: nftables after nftables: it steers, and leaves nothing" {
	follows nft nft
}

@test "row n2: the agent takes over from nftables, and its sidecar leaves nothing" {
	gateway
	traces >"$BED_DIR/before"
	agent_sidecar
	bed_kill sidecar
	traces_gone() { traces | diff "$BED_DIR/before" -; }
	bed_until 5 traces_gone
}

@test "row n2: nftables without tproxy after own programs: it steers, and leaves nothing" {
	follows own redirect
}

@test "row n2: own programs after nftables without tproxy: it steers, and leaves nothing" {
	follows redirect own
}

# row n4: the machine's own network namespace

# without_rights WHERE ARGUMENT... - starts a sidecar that could change nothing, in the application's namespace
# or (machine) where the tests run. It prints the log.
without_rights() {
	local where=$1 enter=()
	shift
	[ "$where" = machine ] || enter=(bed_exec "$where")
	run "${enter[@]}" setpriv --bounding-set=-all --inh-caps=-all --no-new-privs \
		"$SIDESTEP" sidecar --gateway "$BED_HOST:8080" "$@"
	echo "$output"
}

@test "row n4: the machine's own namespace is refused without --host, and a container's is not" {
	[ -e /proc/sys/net/core/netdev_max_backlog ] || skip "the tests run in a container's network namespace"
	without_rights machine
	[ "$status" = 2 ]
	[[ $output == *"error: this is the machine's own network namespace"*"--bridge NAME"*"--host"* ]]
	without_rights machine --guard-first
	[ "$status" = 2 ]
	# These get as far as the rights that they lack.
	without_rights machine --host
	[ "$status" = 1 ]
	[[ $output == *"--cap-add NET_ADMIN"* ]]
	without_rights machine --bridge nosuch
	[ "$status" = 1 ]
	without_rights app
	[ "$status" = 1 ]
	[[ $output == *"--cap-add NET_ADMIN"* ]]
	# Here it shares the machine's processes.
	gateway
	own_sidecar
}

@test "row n4: a container's namespace is none of the machine's in any process or user namespace" {
	gateway
	bed_spawn app sidecar unshare --pid --fork --kill-child --mount-proc \
		"$SIDESTEP" sidecar --gateway "$BED_HOST:8080"
	bed_wait_line sidecar "interception is live" 10
}

# row n1: ready (tests/order.bats has the application's side)

ready_follows() { # START
	gateway
	run bed_exec app "$SIDESTEP" ready
	[ "$status" = 1 ]
	[ "$output" = "sidestep: error: not ready: no sidecar runs in this network namespace" ]
	bed_spawn app ready "$SIDESTEP" ready --wait 30
	"$1"
	bed_wait_exit ready
	# It takes no rights and no common processes.
	bed_exec app unshare --pid --fork --mount-proc setpriv --bounding-set=-all --inh-caps=-all \
		--reuid 65534 --regid 65534 --clear-groups "$SIDESTEP" ready
	run bed_exec neighbour "$SIDESTEP" ready
	[ "$status" = 1 ]
	bed_kill sidecar KILL
	# The kernel closes its sockets when the last of its threads has ended.
	is_unready() { ! bed_exec app "$SIDESTEP" ready; }
	bed_until 5 is_unready
	run bed_exec app "$SIDESTEP" ready --wait 1
	[ "$status" = 1 ]
}

@test "row n1: ready tells whether interception is live (own programs)" {
	ready_follows own_sidecar
}

@test "row n1: ready tells whether interception is live (agent)" {
	ready_follows agent_sidecar
}

@test "row n1: ready tells whether interception is live (nftables)" {
	ready_follows nft_sidecar
}

@test "row n1: a sidecar that is starting or stopping is not ready" {
	gateway --map-all "$BED_NEIGHBOUR:7000"
	bed_spawn neighbour server "$PEER" serve 7000 --mode hold
	bed_wait_line server ready
	# Without an agent this start waits.
	weak_sidecar app sidecar --datapath bpf --agent-wait 60000 --gateway "$BED_HOST:8080"
	not_live() { [[ $(bed_exec app "$SIDESTEP" ready 2>&1) == *"is starting or stopping" ]]; }
	bed_until 5 not_live
	bed_kill sidecar KILL
	own_sidecar --drain 60000
	bed_spawn app holder "$PEER" connect 192.0.2.77 9000 --send hello --read-all --timeout 60
	held() { [ "$(arrived 192.0.2.77:9000)" = 1 ]; }
	bed_until 5 held
	bed_exec app "$SIDESTEP" ready
	bed_signal sidecar TERM
	bed_until 5 not_live
}

# row n13: what the command line says

@test "row n13: version and help are found under their usual names, and a misspelled command is guessed" {
	local word
	for word in version --version -version -V -v; do
		[[ $("$SIDESTEP" "$word") == "sidestep $(<"$BED_REPO/VERSION")"* ]]
	done
	[ "$("$SIDESTEP" help status)" = "$("$SIDESTEP" status --help)" ]
	[[ $("$SIDESTEP" help) == "Usage: sidestep COMMAND"* ]]
	run "$SIDESTEP" statsu
	[ "$status" = 2 ]
	[[ $output == *'unknown command "statsu"; did you mean "status"?'* ]]
	run "$SIDESTEP" help nonsense
	[ "$status" = 2 ]
	[[ $output == *'unknown command "nonsense"; "sidestep --help"'* ]]
	# Each command that the help lists explains itself, and knows its version.
	for word in $("$SIDESTEP" help | sed -n 's/^  \([a-z]*\)  .*/\1/p'); do
		[[ $("$SIDESTEP" help "$word") == "sidestep $word - "* ]] || fail "help $word"
		[ "$("$SIDESTEP" help "$word")" = "$("$SIDESTEP" "$word" -h)" ] || fail "$word -h"
		[ "$("$SIDESTEP" "$word" -V)" = "$("$SIDESTEP" --version)" ] || fail "$word -V"
	done
	[ "$word" = help ]
	[ -z "$(git -C "$BED_REPO" status --porcelain -uno)" ] || return 0
	[[ $("$SIDESTEP" version) == *"($(git -C "$BED_REPO" rev-parse --short=12 HEAD))"$'\n'* ]]
}

@test "row n13: the gateway says where it listens, by default for this machine alone" {
	bed_spawn host gateway "$SIDESTEP" gateway
	bed_wait_line gateway "gateway: listens on 127.0.0.1:8080, and dials nothing"
	bed_kill gateway
	bed_spawn host gateway "$SIDESTEP" gateway --listen "unix:$BED_DIR/gateway.sock" --listen "[::1]:8080"
	bed_wait_line gateway "gateway: listens on $BED_DIR/gateway.sock, and connects clients to any destination"
	bed_wait_line gateway "gateway: listens on \\[::1\\]:8080, and connects"
	bed_kill gateway
	bed_spawn host gateway env SERVER=1 "$SIDESTEP"
	bed_wait_line gateway "gateway: listens on 0.0.0.0:8080, and dials nothing"
}

@test "row n13: status says that a killed process is gone (own programs)" {
	own_sidecar
	[[ $("$SIDESTEP" status --pin "$(SIDE_PIN)") == *", process $(bed_pid sidecar), gateway"* ]]
	bed_kill sidecar KILL
	shown_gone() { [[ $("$SIDESTEP" status --pin "$(SIDE_PIN)") == *", process gone, gateway"* ]]; }
	bed_until 5 shown_gone
	"$SIDESTEP" status --json --pin "$(SIDE_PIN)" | grep -q '"running": false'
}

@test "row n13: status says that a killed process is gone (bridge mode)" {
	bridge_sidecar
	[[ $("$SIDESTEP" status --pin "$(SIDE_PIN)") == *", process $(bed_pid sidecar), gateway"* ]]
	bed_kill sidecar KILL
	shown_gone() { [[ $("$SIDESTEP" status --pin "$(SIDE_PIN)") == *", process gone, gateway"* ]]; }
	bed_until 5 shown_gone
}

# row n6: a CA of the user's own

# own_ca ARGUMENT... - makes ca.crt and ca.key with a key of this kind.
own_ca() {
	mkdir -p "$BED_DIR/ca"
	openssl req -x509 -newkey "$@" -nodes -subj "/CN=Mine" -days 30 \
		-keyout "$BED_DIR/ca/ca.key" -out "$BED_DIR/ca/ca.crt" 2>/dev/null
}

@test "row n6: a CA of the user's own in --ca-dir signs, and stays as it is" {
	local kind before
	command -v openssl >/dev/null || skip "openssl is not installed"
	gateway
	for kind in "ec -pkeyopt ec_paramgen_curve:P-384" rsa:2048 ed25519; do
		# shellcheck disable=SC2086 # a list of words
		own_ca $kind
		before=$(sha256sum "$BED_DIR"/ca/*)
		own_sidecar --tls-intercept --ca-dir "$BED_DIR/ca" --http-ingress-address 0.0.0.0:39001
		bed_exec app openssl s_client -connect 192.0.2.7:443 -servername www.example.com \
			-CAfile "$BED_DIR/ca/ca.crt" -verify_return_error </dev/null
		bed_exec host curl -fsS "http://$BED_APP:39001/ca" | diff "$BED_DIR/ca/ca.crt" -
		bed_kill sidecar
		[ "$(sha256sum "$BED_DIR"/ca/*)" = "$before" ]
	done
}

@test "row n6: a CA that cannot sign is refused, and stays as it is" {
	local before
	command -v openssl >/dev/null || skip "openssl is not installed"
	own_ca rsa:2048
	openssl genrsa -out "$BED_DIR/ca/ca.key" 2048 2>/dev/null
	before=$(sha256sum "$BED_DIR"/ca/*)
	run bed_exec app timeout 10 "$SIDESTEP" sidecar --gateway "$BED_HOST:8080" --tls-intercept --ca-dir "$BED_DIR/ca"
	[ "$status" = 1 ]
	[[ $output == *"the CA in $BED_DIR/ca is left alone, and cannot be used: ca.key is not the key of ca.crt"* ]]
	[ "$(sha256sum "$BED_DIR"/ca/*)" = "$before" ]
}

# row n10: gVisor beside a sidecar

# runsc takes the addresses of the devices into its own network stack.
as_gvisor() {
	bed_exec app ip address flush dev eth0
	bed_exec app ip -6 address flush dev eth0 scope global
}

bare_is_named() { # START
	gateway
	"$1"
	bed_wait_line sidecar "preflight: the gateway $BED_HOST:8080 can be reached"
	bed_kill sidecar
	as_gvisor
	"$1"
	bed_wait_line sidecar "preflight: .* as in a container of gVisor .* --bridge" 10
	bed_kill sidecar
	run bed_exec app "$SIDESTEP" doctor --gateway "$BED_HOST:8080"
	[ "$status" = 4 ]
	[[ $output == *"failed  gateway: "*"gVisor"*"--bridge"* ]]
	! bed_log sidecar | grep "sandbox refuses" || return
}

@test "row n10: devices without addresses are named (own programs)" {
	bare_is_named own_sidecar
}

@test "row n10: devices without addresses are named (nftables)" {
	bare_is_named nft_sidecar
}

# row n12: the doctor

@test "row n12: the doctor takes a container's network namespace for one" {
	run bed_exec app "$SIDESTEP" doctor
	[[ $output == *"ok      network namespace: a container's"* ]]
}

@test "row n12: the doctor names the machine's own network namespace, where a sidecar would be refused" {
	[ -e /proc/sys/net/core/netdev_max_backlog ] || skip "the tests run in a container's network namespace"
	run "$SIDESTEP" doctor
	[[ $output == *"warning network namespace: the machine's own [netns-host]"*"give --bridge"* ]]
}

# row n15: what an example lacks

@test "row n15: without a registry the example of wrangler says so at once" {
	local tool
	mkdir "$BED_DIR/tools"
	ln -s /usr/bin/* /bin/* "$BED_DIR/tools" 2>/dev/null || true
	for tool in docker npm node; do
		ln -sf /bin/true "$BED_DIR/tools/$tool"
	done
	rm -f "$BED_DIR/tools/docker-registry"
	run bed_exec app env "PATH=$BED_DIR/tools" timeout 10 "$BED_REPO/examples/wrangler/run"
	echo "$output"
	[ "$status" = 1 ]
	[[ $output == "run: no registry listens at 127.0.0.1:5001, and docker-registry is not installed;"* ]]
}

# row n8: NET_ADMIN forgotten

@test "row n8: without NET_ADMIN one line of the log names the option of docker run" {
	local with
	for with in "" --guard-first "--datapath nft" "--datapath bpf"; do
		# shellcheck disable=SC2086 # two words
		without_rights app $with
		[ "$status" = 1 ]
		[ "${#lines[@]}" = 1 ]
		[[ $output == *"CAP_NET_ADMIN"*"docker run --cap-add NET_ADMIN"* ]]
	done
}

# row 17: loops

# inner_gateway WHERE ADDRESS [ARGUMENT...] - starts a gateway among those who are intercepted. It dials.
inner_gateway() {
	local where=$1 address=$2
	shift 2
	bed_spawn "$where" gateway "$@" "$SIDESTEP" gateway --listen "$address:8080" --log
	bed_until 5 bed_listening "$where" 8080
}

loop_is_refused() { # WHERE ADDRESS START [ARGUMENT...]
	local where=$1 address=$2
	shift 2
	# The world is there, and the gateway reaches it as long as nobody steers.
	bed_spawn world server "$PEER" serve 80 --mode http
	bed_wait_line server ready
	bed_exec app "$PEER" connect 192.0.2.1 80 --send $'GET / HTTP/1.0\r\n\r\n' --read-all
	inner_gateway "$where" "$address"
	"$@" --gateway "$address:8080"
	bed_wait_line sidecar "the gateway $address:8080 is itself intercepted"
	run connect 192.0.2.1 80 --send $'GET / HTTP/1.0\r\n\r\n' --read-all
	echo "$output"
	[[ $output == *result=reset* ]]
	[ "$(arrived 192.0.2.1:80)" = 0 ]
	# A gateway that dials nobody here takes its place.
	bed_kill gateway
	bed_spawn "$where" gateway "$SIDESTEP" gateway --listen "$address:8080" --server --log
	bed_wait_line sidecar "the gateway $address:8080 can be reached"
	connect 192.0.2.1 80 --send hello --half-close --read-all
	# And then the other one again, which is noticed by the failures.
	bed_kill gateway
	run connect 192.0.2.1 80 --send hello --read-all
	inner_gateway "$where" "$address"
	refusals() { [ "$(grep -c "is itself intercepted" "$BED_DIR/sidecar.log")" = 2 ]; }
	bed_until 6 refusals
}

@test "row 17: a gateway on the application's loopback whose connections come back is refused (own programs)" {
	loop_is_refused app 127.0.0.1 own_sidecar
}

@test "row 17: a gateway on the application's address whose connections come back is refused (agent)" {
	loop_is_refused app "$BED_APP" agent_sidecar
}

@test "row 17: a gateway on the application's address whose connections come back is refused (nftables)" {
	loop_is_refused app "$BED_APP" nft_sidecar
}

@test "row 17: a gateway on a unix socket in the namespace whose connections come back is refused" {
	bed_spawn app gateway "$SIDESTEP" gateway --listen "unix:$BED_DIR/gateway.sock" --log
	bed_until 5 test -S "$BED_DIR/gateway.sock"
	own_sidecar --gateway "unix:$BED_DIR/gateway.sock"
	bed_wait_line sidecar "the gateway unix:$BED_DIR/gateway.sock is itself intercepted"
	run connect 192.0.2.1 80 --send hello --read-all
	echo "$output"
	[[ $output == *result=reset* ]]
	[ "$(arrived 192.0.2.1:80)" = 0 ]
}

@test "row 17: a gateway in a container of a steered bridge is refused (bridge mode)" {
	loop_is_refused neighbour "$BED_NEIGHBOUR" bridge_sidecar
}

gateway_is_exempt() { # START [ARGUMENT...]
	bed_spawn world server "$PEER" serve 80 --mode http
	bed_wait_line server ready
	"$@" --gateway 127.0.0.1:8080
	bed_wait_line sidecar "the gateway 127.0.0.1:8080 can be reached"
	# The application's connection goes to the gateway, and the gateway's goes to the world.
	run connect 192.0.2.1 80 --send $'GET / HTTP/1.0\r\n\r\n' --read-all
	echo "$output"
	[[ $output == *'first="HTTP/1.1 200'* ]]
	run connect 2001:db8::1 80 --send $'GET / HTTP/1.0\r\n\r\n' --read-all
	[[ $output == *'first="HTTP/1.1 200'* ]]
	[ "$(arrived 192.0.2.1:80)" = 1 ]
	[ "$(arrived '\[2001:db8::1\]:80')" = 1 ]
	# A destination that refuses is a refusal for the application.
	run connect 192.0.2.1 81 --send hello --read-all
	echo "$output"
	[[ $output == *result=reset* ]]
	# The check's destination does not leave.
	! grep -q 203.0.113 "$BED_DIR/server.log" || false
}

@test "row 17: --exempt-uid lets a gateway of this user out, and nobody else (own programs)" {
	inner_gateway app 127.0.0.1 setpriv --reuid 4711 --clear-groups
	gateway_is_exempt own_sidecar --exempt-uid 4711
	# Another user's connection is asked of the gateway.
	bed_exec app setpriv --reuid 4712 --clear-groups "$PEER" connect 192.0.2.1 80 \
		--send $'GET / HTTP/1.0\r\n\r\n' --read-all
	[ "$(arrived 192.0.2.1:80)" = 2 ]
}

@test "row 17: with --exempt-uid no agent takes over, because its outer guard would let nobody out" {
	inner_gateway app 127.0.0.1 setpriv --reuid 4711 --clear-groups
	without_rights() {
		weak_sidecar app sidecar "$@"
		bed_wait_line sidecar "interception is live" 10
		bed_spawn host agent "$SIDESTEP" agent --pin "$(SIDE_PIN)" --pid "$(bed_pid sidecar)"
	}
	gateway_is_exempt without_rights --exempt-uid 4711
	bed_log sidecar | grep "an nftables table steers, without the host's agent"
	bed_kill sidecar
	run bed_exec app "${NET_ADMIN[@]}" \
		"$SIDESTEP" sidecar --gateway 127.0.0.1:8080 --exempt-uid 4711 --datapath bpf
	echo "$output"
	[ "$status" -eq 1 ]
	[[ $output == *"do not go with the host's agent"* ]]
}

@test "row 17: --exempt-uid lets a gateway of this user out (nftables)" {
	inner_gateway app 127.0.0.1 setpriv --reuid 4711 --clear-groups
	gateway_is_exempt nft_sidecar --exempt-uid 4711
}

@test "row 17: --exempt-cgroup lets a gateway of this control group out" {
	mkdir "$BED_DIR/cgroup"
	mount -t cgroup2 none "$BED_DIR/cgroup"
	group=$BED_DIR/cgroup/$BED_ID
	mkdir "$group"
	# shellcheck disable=SC2016 # for the inner shell
	inner_gateway app 127.0.0.1 sh -c 'echo 0 >"$0/cgroup.procs" && exec "$@"' "$group"
	gateway_is_exempt own_sidecar --exempt-cgroup "$group"
}

@test "row 17: an exemption that anybody could have is refused" {
	run bed_exec app "$SIDESTEP" sidecar --gateway 127.0.0.1:8080 --exempt-uid 0
	echo "$output"
	[ "$status" -ne 0 ]
	[[ $output == *"the application may be root as well"* ]]
	run bed_exec app "$SIDESTEP" sidecar --gateway 127.0.0.1:8080 --exempt-cgroup /tmp
	echo "$output"
	[ "$status" -ne 0 ]
	[[ $output == *"give a folder of a cgroup v2 file system"* ]]
	run bed_exec app "$SIDESTEP" sidecar --gateway 127.0.0.1:8080 --bridge br0 --exempt-uid 4711
	[ "$status" -eq 2 ]
}

@test "row 17: a gateway elsewhere is asked for nothing but the application's destinations" {
	gateway
	own_sidecar
	connect 192.0.2.77 80 --send hello --half-close --read-all
	bed_wait_line sidecar "preflight: the gateway $BED_HOST:8080 can be reached"
	[ "$(arrived '.*')" = 1 ]
}

# row 18: many cores, few descriptors

# threads - prints how many threads the sidecar says it runs.
threads() {
	sed -nE 's/.* is live after .* ([0-9]+) threads/\1/p' "$BED_DIR/sidecar.log"
}

# with_descriptors START - at a hard limit of 1024 files a sidecar runs with fewer threads than it is asked for.
with_descriptors() {
	gateway
	"$1" --threads 64
	[ "$(threads)" = 64 ]
	bed_kill sidecar
	[ "$1" != agent_sidecar ] || bed_kill agent
	ulimit -n 1024
	"$1" --threads 64
	bed_wait_line sidecar "warning: 20 proxy threads run, because 64 would take most of the 1024 files"
	[ "$(threads)" = 20 ]
	[ "$(find "/proc/$(bed_pid sidecar)/fd" -mindepth 1 | wc -l)" -lt 600 ]
	for target in 192.0.2.77 2001:db8:9::9; do
		connect $target 80 --send hello --half-close --read-all
	done
	[ "$(arrived 192.0.2.77:80)" = 1 ]
	[ "$(arrived '\[2001:db8:9::9\]:80')" = 1 ]
}

@test "row 18: with 1024 descriptors fewer threads run, and a line says so (own programs)" {
	with_descriptors own_sidecar
}

@test "row 18: with 1024 descriptors fewer threads run, and a line says so (agent)" {
	with_descriptors agent_sidecar
}

@test "row 18: with 1024 descriptors fewer threads run, and a line says so (nftables)" {
	with_descriptors nft_sidecar
}

@test "row 18: the number of processors sets that of threads, at most 8, and --threads more" {
	gateway
	own_sidecar
	cores=$(nproc)
	[ "$(threads)" = $((cores < 8 ? cores : 8)) ]
	bed_kill sidecar
	own_sidecar --threads 64
	[ "$(threads)" = 64 ]
}

@test "row 18: the affinity sets the number of threads" {
	[ "$(nproc)" -gt 1 ] || skip "needs two processors"
	gateway
	taskset -cp "$(taskset -cp $BASHPID | sed 's/.*: \([0-9]*\).*/\1/')" $BASHPID
	own_sidecar
	[ "$(threads)" = 1 ]
}

@test "row 18: the quota of a control group sets the number of threads" {
	[ "$(nproc)" -gt 1 ] || skip "needs two processors"
	group=/sys/fs/cgroup/cpu/$BED_ID
	[ -d /sys/fs/cgroup/cpu ] || group=/sys/fs/cgroup/$BED_ID
	mkdir "$group"
	if [ -e "$group/cpu.max" ]; then
		echo "50000 100000" >"$group/cpu.max"
	else
		[ -e "$group/cpu.cfs_quota_us" ] || skip "needs the controller \"cpu\""
		echo 50000 >"$group/cpu.cfs_quota_us"
	fi
	gateway
	# shellcheck disable=SC2016 # for the inner shell
	bed_spawn app sidecar sh -c 'echo 0 >"$0/cgroup.procs" && exec "$@"' "$group" \
		"$SIDESTEP" sidecar --gateway "$BED_HOST:8080"
	bed_wait_line sidecar "interception is live" 10
	[ "$(threads)" = 1 ]
}

# generation - prints how many nftables transactions the application's namespace has had (NFT_MSG_GETGEN).
generation() {
	bed_exec app python3 -c '
import socket, struct
netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) # NETLINK_NETFILTER
netlink.send(struct.pack("=IHHIIBBH", 20, 10 << 8 | 16, 1, 1, 0, 0, 0, 0))
print(struct.unpack_from(">I", netlink.recv(4096), 24)[0])'
}

# ports_of_sockets - prints the ports of the sidecar's UDP sockets. One of each family can have the same port.
ports_of_sockets() {
	bed_exec app ss -Hlnup | awk -v "owner=\"sidestep\",pid=$(bed_pid sidecar)," '
		index($0, owner) { sub(/.*:/, "", $4); print "udp . " $4 }'
}

@test "row 18: 64 threads take one transaction and each start succeeds (nftables)" {
	gateway
	for _ in 1 2 3 4 5; do
		before=$(generation)
		nft_sidecar --threads 64
		# The one before tries tproxy.
		[ "$(generation)" = $((before + 2)) ]
		ports_of_sockets >"$BED_DIR/sockets"
		[ "$(wc -l <"$BED_DIR/sockets")" -gt 1000 ]
		bed_exec app nft list set inet sidestep own | grep -o 'udp \. [0-9]*' | sort >"$BED_DIR/elements"
		sort -u "$BED_DIR/sockets" | diff - "$BED_DIR/elements"
		connect 192.0.2.77 80 --send hello --half-close --read-all
		bed_kill sidecar
	done
}

# row n14: lines in the host's kernel log

@test "row n14: start and end write nothing to the host's kernel log" {
	dmesg >/dev/null 2>&1 || skip "the kernel's log cannot be read (kernel.dmesg_restrict)"
	command -v python3 >/dev/null || skip "python3 is not installed"
	complaints() { # PROCESS - lines about requests of netlink that are too long
		dmesg | grep -c "leftover after parsing attributes in process .$1'" || true
	}
	# The kernel limits the rate of these lines, which others may cause as well.
	told() {
		python3 -c '
import socket, struct
open("/proc/self/comm", "w").write("n14-control")
link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
link.send(struct.pack("=IHHII12x", 28, 18, 0x301, 1, 0))
link.recv(65536)'
		[ "$(complaints n14-control)" -gt "$before" ]
	}
	cp "$SIDESTEP" "$BED_DIR/n14-sidestep"
	gateway
	ours=$(complaints n14-sidestep)
	before=$(complaints n14-control)
	bed_until 10 told
	SIDESTEP=$BED_DIR/n14-sidestep sidecar
	bed_kill sidecar
	before=$(complaints n14-control)
	bed_until 10 told
	[ "$(complaints n14-sidestep)" = "$ours" ]
}

# row 8: nftables without tproxy

# poor_sidecar [ARGUMENT...] - starts one that has no rights for BPF and may choose.
poor_sidecar() {
	weak_sidecar app sidecar --gateway "$BED_HOST:8080" "$@"
	bed_wait_line sidecar "interception is live" 10
	DATAPATH=nft-redirect
}

# doctor_says TEXT... - the doctor says each of these to somebody who has CAP_NET_ADMIN alone.
doctor_says() {
	local text
	run bed_exec app "${NET_ADMIN[@]}" "$SIDESTEP" doctor
	echo "$output"
	for text; do
		[[ $output == *"$text"* ]]
	done
}

@test "row 8: without tproxy connections are redirected, the live line says so, and nothing leaves" {
	doctor_says "ok      nftables: the kernel takes the sidecar's table"
	[[ $output != *"missing ("* ]]
	lacks tproxy
	doctor_says "ok      nftables: the kernel takes the sidecar's table" "nft_tproxy, CONFIG_NFT_TPROXY" \
		"connections are redirected"
	resolver
	gateway
	poor_sidecar --made-up "*.mine.test"
	grep -q "this network namespace, nft-redirect, gateway" "$BED_DIR/sidecar.log"
	sniff_start
	for address in 192.0.2.77 203.0.113.9 2001:db8:9::9; do
		run connect "$address" 443 --send hello --half-close --read-all
		echo "$output"
		[[ $output == *"peer=$address:443"* || $output == *"peer=[$address]:443"* ]]
	done
	[ "$(arrived 192.0.2.77:443)$(arrived 203.0.113.9:443)$(arrived '\[2001:db8:9::9\]:443')" = 111 ]
	run bed_exec app "$PEER" udp 192.0.2.1 7000 --send hello
	[ "$status" -ne 0 ]
	[ "$(leaks)" = 0 ]
	[ "$(answer nx.mine.test A @8.8.8.8)" = "noerror 11.0.0.1" ]
	[ "$(answer nx.mine.test A @2001:db8::1 --bind-device eth0)" = "noerror 11.0.0.1" ]
	[ "$(answer good.test A)" = "noerror 192.0.2.7" ]
	answer good.test A --tcp
	[ "$(arrived 1.1.1.1:53)" = 1 ]
	bed_kill sidecar
	[ -z "$(bed_exec app nft list tables)" ]
}

@test "row 8: without tproxy and redirect the start is refused, and the modules are named" {
	lacks tproxy redir
	doctor_says "failed  nftables: the kernel refuses the expression" "nft_redir, nf_nat (CONFIG_NFT_REDIR"
	run bed_exec app "${NET_ADMIN[@]}" "$SIDESTEP" sidecar --gateway "$BED_HOST:8080"
	echo "$output"
	[ "$status" = 1 ]
	[[ $output == *"which needs nft_redir, nf_nat (CONFIG_NFT_REDIR, CONFIG_NF_NAT)"* ]]
}

# ports - prints the ports of the proxy that redirects: TCP of IPv4 and IPv6, and likewise those for queries.
ports() {
	bed_exec app nft list table inet sidestep | awk '
		/redirect to/ { sub(/.*redirect to :/, ""); tcp = tcp $1 " " }
		/udp dport set/ { sub(/.*udp dport set /, ""); udp = udp $1 " " }
		END { print tcp udp }'
}

# closing_early START - both ends of conntrack's patience with a closed end are a second.
closing_early() {
	local name
	for name in fin_wait close_wait; do
		bed_exec app sysctl -qw "net.netfilter.nf_conntrack_tcp_timeout_$name=1"
	done
	"$1"
}

# usurp - another process takes the ports of the killed sidecar, and prints what it gets.
usurp() {
	local tcp4 tcp6 udp4 udp6
	read -r tcp4 tcp6 udp4 udp6 <"$BED_DIR/ports"
	bed_spawn app usurper python3 -uc '
import select, socket, sys
sockets = [socket.create_server(("127.0.0.1", int(sys.argv[1]))),
           socket.create_server(("::1", int(sys.argv[2])), family=socket.AF_INET6),
           socket.socket(socket.AF_INET, socket.SOCK_DGRAM)]
sockets[2].bind(("", int(sys.argv[3])))
print("ready")
while True:
    for ready in select.select(sockets, [], [])[0]:
        print("got", ready.accept() if ready.type == socket.SOCK_STREAM else ready.recvfrom(512))' \
		"$tcp4" "$tcp6" "$udp4"
	bed_wait_line usurper ready
}

# kill_redirecting - kills the sidecar. Its ports are in the file "ports" then.
kill_redirecting() {
	ports >"$BED_DIR/ports"
	bed_kill sidecar KILL
}

# ask_all - connects by IPv4 and IPv6 and sends a query.
ask_all() {
	local address
	for address in 192.0.2.1 2001:db8::1; do
		run connect "$address" 7000 --send hello --read-all --timeout 2
		echo "$output"
		[ "$status" -ne 0 ]
	done
	run answer good.test A @1.1.1.1
}

@test "row 8: after a kill everything fails at once, nothing leaves, and nobody takes the sidecar's place" {
	resolver
	gateway
	bed_spawn world server "$PEER" serve 7000
	bed_wait_line server ready
	connect 192.0.2.1 7000 --send hello --expect hello
	redirect_sidecar
	sniff_start
	kill_redirecting
	for address in 192.0.2.1 2001:db8::1; do
		run connect "$address" 7000 --send hello --read-all --timeout 2
		echo "$output"
		[[ $output == *refused* ]]
	done
	usurp
	ask_all
	[ "$(bed_log usurper)" = ready ]
	[ "$(leaks)" = 0 ]
	bed_kill usurper
	# Where the kernel cannot tell sockets apart, somebody can. The log has said so.
	lacks socket
	redirect_sidecar
	grep -q "cannot tell the proxy's sockets from others" "$BED_DIR/sidecar.log"
	kill_redirecting
	usurp
	ask_all
	[ "$(bed_log usurper | grep -c got)" -ge 3 ]
}

@test "row 8: the proxy's ports answer nobody but redirected connections and queries" {
	resolver
	gateway
	redirect_sidecar --made-up "*"
	read -r tcp4 tcp6 udp4 udp6 < <(ports)
	query=$(printf 'ab\001\000\000\001\000\000\000\000\000\000\001x\004test\000\000\001\000\001' | base64)
	ask() { # WHERE ADDRESS PORT [SECONDS] - whether a query to it is answered
		bed_exec "$1" python3 -c '
import base64, socket, sys
socket_ = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
socket_.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
socket_.settimeout(float(sys.argv[4]))
socket_.sendto(base64.b64decode(sys.argv[3]), (sys.argv[1], int(sys.argv[2])))
socket_.recv(512)' "$2" "$3" "$query" "${4:-0.3}"
	}
	ask app 1.1.1.1 53 5
	ask app 2001:db8::1 53 5
	for address in "$BED_APP" 172.30.255.255; do
		run ask neighbour "$address" "$udp4"
		[ "$status" -ne 0 ]
	done
	run ask neighbour "$BED_APP6" "$udp6"
	[ "$status" -ne 0 ]
	for address in "$BED_APP" 127.0.0.1 127.9.9.9; do
		run ask app "$address" "$udp4"
		[ "$status" -ne 0 ]
	done
	run connect 127.0.0.1 "$tcp4" --send hello --read-all --timeout 2
	[[ $output == *reset* ]]
	run connect ::1 "$tcp6" --send hello --read-all --timeout 2
	[[ $output == *reset* ]]
	[ "$(arrived '.*')" = 0 ]
}

@test "row 8: redirected connections share a source port, and go on when conntrack has forgotten them" {
	gateway --map-all "$BED_NEIGHBOUR:7000"
	bed_spawn neighbour server "$PEER" serve 7000 --mode echo
	bed_wait_line server ready
	redirect_sidecar
	mkfifo "$BED_DIR/more"
	bed_spawn app pair python3 -uc '
import socket, sys
def opened(address, port):
    connection = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    connection.settimeout(5)
    connection.bind(("", port))
    connection.connect((address, 80))
    return connection
def echo(connections):
    for i, connection in enumerate(connections):
        connection.sendall(b"%d" % i)
    for i, connection in enumerate(connections):
        assert connection.recv(10) == b"%d" % i
echo([opened(address, 4002) for address in sys.argv[2:]])
connections = [opened(address, 0) for address in sys.argv[2:]]
echo(connections)
print("ready")
open(sys.argv[1]).read()
echo(connections)' "$BED_DIR/more" 192.0.2.77 203.0.113.9 2001:db8::77 2001:db8:9::9
	bed_wait_line pair ready
	for address in 192.0.2.77 203.0.113.9 '\[2001:db8::77\]' '\[2001:db8:9::9\]'; do
		[ "$(arrived "$address:80")" = 2 ]
	done
	forget
	: >"$BED_DIR/more"
	bed_wait_exit pair
}

# Its servers close first. The client closes after conntrack's timeouts, which are a second in this namespace.
@test "row 8: a redirected connection may stay half closed" {
	local name
	gateway --map-all "$BED_NEIGHBOUR:7000"
	bed_spawn neighbour server "$PEER" serve 7000 --mode echo --close-first
	bed_wait_line server ready
	for name in fin_wait close_wait; do
		bed_exec app sysctl -qw "net.netfilter.nf_conntrack_tcp_timeout_$name=1"
	done
	redirect_sidecar
	bed_exec app python3 -c '
import socket, time
connections = [socket.create_connection((address, 80), 5) for address in ("192.0.2.77", "2001:db8:9::9")]
for connection in connections:
    connection.sendall(b"hello")
    while connection.recv(4096):
        pass
time.sleep(3)'
	gone() { [ -z "$(bed_exec app ss -Htn state fin-wait-1 state fin-wait-2 state close-wait state last-ack)" ]; }
	bed_until 5 gone
}

@test "row 8: an agent takes over, redirected connections go on, and the end leaves nothing" {
	bed_needs_linux 6.6 "TCX links"
	resolver
	gateway --map-all "$BED_NEIGHBOUR:7000"
	bed_spawn neighbour server "$PEER" serve 7000 --mode echo
	bed_wait_line server ready
	lacks tproxy
	traces >"$BED_DIR/before"
	poor_sidecar
	mkfifo "$BED_DIR/more"
	bed_spawn app pair python3 -uc '
import socket, sys
connections = [socket.create_connection((address, 80), 5) for address in ("192.0.2.77", "2001:db8::77")]
def echo():
    for connection in connections:
        connection.sendall(b"hello")
    for connection in connections:
        assert connection.recv(10) == b"hello"
echo()
print("ready")
open(sys.argv[1]).read()
echo()' "$BED_DIR/more"
	bed_wait_line pair ready
	read -r _ _ udp4 _ < <(ports)
	bed_spawn host agent "$SIDESTEP" agent --pin "$(SIDE_PIN)" --pid "$(bed_pid sidecar)"
	bed_wait_line sidecar "the host's agent steers .* in place of the nftables table" 10
	# shellcheck disable=SC2034 # for scenarios.bash
	DATAPATH=bpf
	connect 203.0.113.9 443 --send hello --half-close --read-all
	connect 2001:db8:9::9 443 --send hello --half-close --read-all
	[ "$(arrived 203.0.113.9:443)$(arrived '\[2001:db8:9::9\]:443')" = 11 ]
	[ "$(counter steer_tcp)" = 2 ]
	[ "$(answer good.test A @8.8.8.8)" = "noerror 192.0.2.7" ]
	run bed_exec neighbour "$PEER" dns good.test A "@$BED_APP:$udp4" --timeout 0.3
	echo "$output"
	[[ $output == *result=timeout* ]]
	: >"$BED_DIR/more"
	bed_wait_exit pair
	bed_kill sidecar
	bed_kill agent
	bed_exec host "$SIDESTEP" agent --clean --pin "$(SIDE_PIN)"
	diff "$BED_DIR/before" <(traces)
}
