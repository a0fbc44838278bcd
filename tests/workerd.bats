#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# End to end without a network, with an unmodified workerd from npm or an unmodified `wrangler dev`. Our image is
# the former's containerEgressInterceptorImage and the latter's MINIFLARE_CONTAINER_EGRESS_IMAGE.
#
# The file runs under four names, of which three are links to it. workerd runs on the engine of the machine's own
# release, wrangler on Debian 13's. The sidecar has NET_ADMIN alone and steers with nftables. With the agent on
# the host (_agent) it steers with BPF.

# shellcheck source=tests/lib/testbed.bash
. "$BATS_TEST_DIRNAME/lib/testbed.bash"
# shellcheck source=tests/lib/workerd.bash
. "$BATS_TEST_DIRNAME/lib/workerd.bash"
# shellcheck source=tests/lib/wrangler.bash
. "$BATS_TEST_DIRNAME/lib/wrangler.bash"

# Nobody has the first addresses. The world answers at the second ones, so a leak would work.
NOWHERE=192.0.2.77 NOWHERE6=2001:db8:dead::77
WORLD=192.0.2.1 WORLD6=2001:db8::1
NAMED=192.0.2.7 # the world's resolver has it for each name that does not begin with nx

setup_file() {
	[ "$(id -u)" = 0 ] || skip "needs root (network namespaces)"
	export BATS_TEST_TIMEOUT=300
	case $BATS_TEST_FILENAME in
	*_agent.bats) export DATAPATH=agent ;;
	*) export DATAPATH=nft ;;
	esac
	case $BATS_TEST_FILENAME in
	*/wrangler*) export LAUNCHER=wrangler ENGINE=trixie ;;
	*) export LAUNCHER=workerd ;;
	esac
	engine_start
	workerd_hurry
	"${LAUNCHER}_images"
	bed_exec world ip address add $NAMED/32 dev lo
	bed_spawn world world-http "$PEER" serve 80 --mode http
	bed_spawn world world-dns "$PEER" dns-serve 53
	bed_wait_line world-http ready
	bed_wait_line world-dns ready
	[ $DATAPATH = nft ] || workerd_agent
	"${LAUNCHER}_start"
}

teardown_file() {
	bed_stop
}

setup() {
	export BOX=box$BATS_TEST_NUMBER
	leak_watch
}

teardown() {
	[ -n "${BED_DIR:-}" ] || return 0
	if [ -z "${BATS_TEST_COMPLETED:-}" ]; then
		workerd_state
	fi
	bed_kill sniffer
	bed_kill start
	bed_kill flood
	source_validation 0
	box destroy >/dev/null || true
	# shellcheck disable=SC2046 # a list of words
	[ -z "$(dk ps -aq)" ] || dk rm -f $(dk ps -aq) >/dev/null
}

@test "the container starts, becomes ready, and answers through getTcpPort" {
	is "running" "$(box running)" false
	is "answer" "$(box start)" app
	is "running" "$(box running)" true
	is "answer" "$(app "")" app
	no_leak
}

@test "a WebSocket passes through getTcpPort" {
	box start
	is "answer" "$(box ws path=/ws send=hello)" "app: hello"
	no_leak
}

@test "TCP through getTcpPort serves a server that speaks first and answers after a half-close" {
	box start
	is "answer" "$(box socket port=2525 send=hello)" $'220 app\nhello'
	no_leak
}

@test "a port on which nothing listens has its own error" {
	box start
	is "error" "$(box port port=81 2>/dev/null)" "error: Container is not listening to port 81"
	is "the others" "$(app "")" app
	no_leak
}

@test "HTTP is intercepted by host name" {
	box start
	box intercept kind=http address=host.test name=first
	box intercept kind=http address=nx.test name=second
	is "a name that exists" "$(app http url=http://host.test/path?q)" "200 first GET http://host.test/path?q"
	is "a name that does not" "$(app http url=http://nx.test/)" "200 second GET http://nx.test/"
	no_leak
}

@test "HTTP is intercepted by glob" {
	box start internet=off
	box intercept kind=http "address=*.glob.test" name=glob
	box intercept kind=http "address=v*.test" name=middle
	is "matches" "$(app http url=http://a.b.glob.test/)" "200 glob GET http://a.b.glob.test/"
	is "matches" "$(app http url=http://virtual.test/)" "200 middle GET http://virtual.test/"
	like "does not match" "$(app http url=http://other.test/)" "error: ENOTFOUND"
	no_leak
}

@test "HTTP is intercepted by IP address" {
	box start
	box intercept kind=http address=$NOWHERE name=address
	box intercept kind=http address=$NOWHERE:9999 name=port
	is "port 80" "$(app http url=http://$NOWHERE/)" "200 address GET http://$NOWHERE/"
	is "port 9999" "$(app http url=http://$NOWHERE:9999/)" "200 port GET http://$NOWHERE:9999/"
	no_leak
}

@test "HTTP is intercepted by CIDR and port, and beside them the world is reached" {
	box start
	box intercept kind=http address=203.0.113.0/24:8081 name=range
	is "in the range" "$(app http url=http://203.0.113.200:8081/)" "200 range GET http://203.0.113.200:8081/"
	like "another port" "$(app http url=http://203.0.113.1/)" "^200 .*$BED_UPLINK"
	like "outside the range" "$(app http url=http://$WORLD/)" "^200 .*$BED_UPLINK"
	no_leak
}

@test "all HTTP is intercepted" {
	box start internet=off
	box intercept kind=all name=all
	is "an address" "$(app http url=http://$WORLD/)" "200 all GET http://$WORLD/"
	is "a name" "$(app http url=http://any.test/)" "200 all GET http://any.test/"
	no_leak
}

@test "HTTP over IPv6 is intercepted by address and by CIDR" {
	box start
	box intercept kind=http "address=[$NOWHERE6]:8080" name=address
	box intercept kind=http "address=[2001:db8:dead::/48]:81" name=range
	is "address" "$(app http "url=http://[$NOWHERE6]:8080/")" "200 address GET http://[$NOWHERE6]:8080/"
	is "range" "$(app http "url=http://[2001:db8:dead:1::1]:81/")" "200 range GET http://[2001:db8:dead:1::1]:81/"
	like "the world" "$(app http "url=http://[$WORLD6]/")" "^200 .*$BED_UPLINK6"
	no_leak
}

@test "after a new mapping the next request of an open connection goes to the new handler" {
	local first second third
	box start
	box intercept kind=http address=$NOWHERE name=old
	first=$(app held id=1 url=http://$NOWHERE/1)
	second=$(app held id=1 url=http://$NOWHERE/2)
	box intercept kind=http address=$NOWHERE name=new
	third=$(app held id=1 url=http://$NOWHERE/3)
	is "first" "${first#* }" "200 old GET http://$NOWHERE/1"
	is "second" "${second#* }" "200 old GET http://$NOWHERE/2"
	is "third" "${third#* }" "200 new GET http://$NOWHERE/3"
	is "its connection" "${first%% *} ${second%% *}" "${second%% *} ${third%% *}"
	no_leak
}

@test "HTTPS is intercepted by host name and by glob, with workerd's CA in the container" {
	box start
	box intercept kind=https address=secure.test name=host
	box intercept kind=https "address=*.glob.test:8443" name=glob
	is "host" "$(app http url=https://secure.test/path)" "200 host GET https://secure.test/path"
	is "glob" "$(app http url=https://a.glob.test:8443/)" "200 glob GET https://a.glob.test:8443/"
	is "address of its own" "$(app http url=https://secure.test/ address=$NOWHERE)" "200 host GET https://secure.test/"
	no_leak
}

@test "HTTPS that was mapped before the container starts is intercepted" {
	box intercept kind=https address=secure.test name=early
	box start
	is "answer" "$(app http url=https://secure.test/)" "200 early GET https://secure.test/"
	no_leak
}

@test "HTTPS to a literal IP address is intercepted, v4 and v6" {
	box start
	box intercept kind=https address=$NOWHERE name=v4
	box intercept kind=https "address=[2001:db8:dead::/48]:443" name=v6
	is "v4" "$(app http url=https://$NOWHERE/)" "200 v4 GET https://$NOWHERE/"
	is "v6" "$(app http "url=https://[$NOWHERE6]/")" "200 v6 GET https://[$NOWHERE6]/"
	no_leak
}

@test "TCP is intercepted by address and by CIDR on any port, also where the server speaks first" {
	box start
	box intercept kind=tcp address=$NOWHERE:7777 name=echo
	box intercept kind=tcp address=203.0.113.0/24 name=any
	box intercept kind=tcp address=$NOWHERE:25 name=greet
	is "port" "$(app tcp host=$NOWHERE port=7777 send=hello)" "echo: hello"
	is "any port" "$(app tcp host=203.0.113.9 port=6379 send=PING)" "any: PING"
	is "server first" "$(app tcp host=$NOWHERE port=25 send=QUIT wait=1)" $'greet: 220 hello\ngreet: QUIT'
	no_leak
}

@test "a WebSocket to the outside is intercepted, also one behind another through getTcpPort" {
	box start
	box intercept kind=http address=$NOWHERE:9999 name=outside
	is "from the application" "$(app ws url=ws://$NOWHERE:9999/ send=hello)" "outside: hello"
	is "through both" "$(box ws "path=/ws?through=ws://$NOWHERE:9999/" send=hello)" "outside: hello"
	no_leak
}

@test "with internet on unmapped connections reach the world, from workerd" {
	box start internet=on
	like "v4" "$(app http url=http://$WORLD/)" "^200 .*$BED_UPLINK"
	like "v6" "$(app http "url=http://[$WORLD6]/")" "^200 .*$BED_UPLINK6"
	like "by name" "$(app http url=http://named.test/)" "^200 .*$BED_UPLINK"
	no_leak
}

@test "with internet off no connection reaches the world" {
	local before
	box start internet=off
	before=$(bed_log world-http | grep -c accept || true)
	box intercept kind=http address=$NOWHERE name=inside
	like "v4" "$(app http url=http://$WORLD/)" "^error: "
	like "v6" "$(app http "url=http://[$WORLD6]/")" "^error: "
	like "TCP" "$(app tcp host=$WORLD port=80 send=hello)" "^(error: .*)?$"
	is "intercepted" "$(app http url=http://$NOWHERE/)" "200 inside GET http://$NOWHERE/"
	is "connections in the world" "$(bed_log world-http | grep -c accept || true)" "$before"
	no_leak
}

@test "with internet on names get real answers, and mapped names that do not exist made-up ones" {
	box start internet=on
	box intercept kind=http "address=*.mapped.test" name=mapped
	is "exists" "$(app dns name=named.test)" $NAMED
	is "exists, AAAA" "$(app dns name=named.test type=AAAA)" 2001:db8::7
	is "mapped, exists" "$(app dns name=a.mapped.test)" $NAMED
	is "mapped, does not exist" "$(app dns name=nx.mapped.test)" 11.0.0.1
	is "mapped, does not exist, AAAA" "$(app dns name=NX.Mapped.Test type=AAAA)" fd00::1
	is "does not exist" "$(app dns name=nx.other.test)" "error: ENOTFOUND"
	is "another resolver" "$(app dns name=named.test server=8.8.8.8)" $NAMED
	no_leak
}

@test "with internet off only mapped names get answers, and no query leaves" {
	local before
	box start internet=off
	before=$(bed_log world-dns | grep -c query || true)
	is "nothing mapped" "$(app dns name=named.test)" "error: ENOTFOUND"
	box intercept kind=http address=mapped.test name=mapped
	is "mapped" "$(app dns name=mapped.test)" 11.0.0.1
	is "mapped, AAAA" "$(app dns name=mapped.test type=AAAA)" fd00::1
	is "not mapped" "$(app dns name=named.test)" "error: ENOTFOUND"
	box intercept kind=http address=$NOWHERE name=address
	is "an address is mapped: any name" "$(app dns name=named.test)" 11.0.0.1
	is "queries in the world" "$(bed_log world-dns | grep -c query || true)" "$before"
	no_leak
}

@test "a box is destroyed and started again" {
	local round
	box intercept kind=http address=$NOWHERE name=kept
	for round in 1 2 3; do
		is "start $round" "$(box start)" app
		is "mapping in round $round" "$(app http url=http://$NOWHERE/)" "200 kept GET http://$NOWHERE/"
		like "destroy $round" "$(box destroy)" "^exit "
		is "running" "$(box running)" false
	done
	no_leak
}

@test "the application ends and starts again with the same mappings" {
	box intercept kind=http address=$NOWHERE name=kept
	box start
	is "exit" "$(box signal number=15)" "exit 0"
	is "start" "$(box start)" app
	is "mapping" "$(app http url=http://$NOWHERE/)" "200 kept GET http://$NOWHERE/"
	no_leak
}

# ca_of SIDECAR - prints the CA certificate that the sidecar gives to the host.
ca_of() {
	engine_exec curl -fsS --max-time 5 "http://127.0.0.1:$(engine_port "$1" 39001/tcp)/ca"
}

@test "workerd is killed and started again under a running container" {
	local container sidecar ca
	box start
	box intercept kind=https address=secure.test name=before
	is "before" "$(app http url=https://secure.test/)" "200 before GET https://secure.test/"
	sidecar=$(box_sidecar)
	container=$(dk inspect -f '{{.Id}} {{.State.StartedAt}}' "$(box_container)" "$sidecar")
	ca=$(ca_of "$sidecar")
	"${LAUNCHER}_restart"
	is "running" "$(box running)" true
	is "containers" "$(dk inspect -f '{{.Id}} {{.State.StartedAt}}' "$(box_container)" "$sidecar")" "$container"
	is "the CA" "$(ca_of "$sidecar")" "$ca"
	is "the application" "$(app "")" app
	box intercept kind=http address=$NOWHERE name=after
	box intercept kind=https address=secure.test name=after
	is "HTTP" "$(app http url=http://$NOWHERE/)" "200 after GET http://$NOWHERE/"
	is "HTTPS" "$(app http url=https://secure.test/)" "200 after GET https://secure.test/"
	no_leak
}

@test "a directory's snapshot is restored by the sidecar's image" {
	box start
	app write path=/data/file text=kept
	box snapshot dir=/data
	box destroy
	box start restore=1
	is "the file" "$(app read path=/data/file)" kept
}

# control_from_inside ADDRESS - the sidecar's control port refuses the application at this address.
control_from_inside() {
	is "PUT to $1" "$(app control method=PUT host="$1" path=/egress 'body={"internet":{"enabled":true}}')" 403
	is "CONNECT to $1" "$(app control method=CONNECT host="$1" path=127.0.0.1:8080)" 403
}

@test "the control port refuses the application, logs that, and serves the host" {
	local sidecar address
	box start internet=off
	sidecar=$(box_sidecar)
	for address in 127.0.0.1 "$(engine_address "$sidecar")"; do
		control_from_inside "$address"
	done
	# workerd asks for IPv4 only, so nothing listens at ::1.
	like "::1" "$(app control method=PUT host=::1 path=/egress body={})" "^(403|error: ECONNREFUSED)$"
	engine_wait_line "$sidecar" "refused \(403\)"
	like "still off" "$(app http url=http://$WORLD/)" "^error: "
	ca_of "$sidecar" | grep -q "BEGIN CERTIFICATE"
	is "PUT from the host" "$(engine_exec curl -sS -o /dev/null -w '%{http_code}' -X PUT -d '{"internet":{"enabled":false}}' \
		"http://127.0.0.1:$(engine_port "$sidecar" 39001/tcp)/egress")" 204
	no_leak
}

# in_box COMMAND... - runs a program of the machine in the box's network namespace.
in_box() {
	nsenter --net="/proc/$(engine_pid "$(box_sidecar)")/ns/net" -- "$@"
}

steered_by_agent() {
	[ "$(bed_programs in_box)" = "$BED_PROGRAMS" ] && [ -z "$(in_box nft list ruleset)" ]
}

@test "the expected datapath steers, and no other" {
	box start
	box intercept kind=http address=$NOWHERE name=any
	is "intercepted" "$(app http url=http://$NOWHERE/)" "200 any GET http://$NOWHERE/"
	if [ "$DATAPATH" = agent ]; then
		# The nftables table steers first, and the agent takes over.
		bed_until 5 steered_by_agent || true
		is "BPF programs" "$(bed_programs in_box)" "$BED_PROGRAMS"
		is "rules of nftables" "$(in_box nft list ruleset)" ""
	else
		is "BPF programs" "$(bed_programs in_box)" ""
		like "rules of nftables" "$(in_box nft list ruleset)" tproxy
	fi
	is "rules of iptables" "$(in_box iptables-save -t mangle | grep -c ^-A || true)" 0
	no_leak
}

# without_tproxy COMMAND... - runs it while the sidecar's image has a sidestep that finds no tproxy in the kernel.
without_tproxy() {
	local container name names image
	lacks tproxy
	names=$(dk images --format '{{.Repository}}:{{.Tag}}' --filter label=dev.sidestep.role=sidecar)
	image=$(dk images --quiet --filter label=dev.sidestep.role=sidecar | sort -u)
	container=$(dk create "$image")
	dk cp "$SIDESTEP" "$container:/usr/bin/sidestep"
	dk commit "$container" poor >/dev/null
	dk rm "$container" >/dev/null
	for name in $names; do dk tag poor "$name"; done
	run "$@"
	for name in $names; do dk tag "$image" "$name"; done
}

@test "without tproxy the table redirects" {
	without_tproxy box start
	echo "$output"
	[ "$status" = 0 ]
	dk logs "$(box_sidecar)" 2>&1 | grep "interception is live .*, nft-redirect, "
	box intercept kind=http address=host.test name=host
	box intercept kind=http address=nx.test name=nowhere
	is "a name that exists" "$(app http url=http://host.test/path?q)" "200 host GET http://host.test/path?q"
	is "a name that does not" "$(app http url=http://nx.test/)" "200 nowhere GET http://nx.test/"
	is "inbound" "$(app "")" app
	no_leak
}

# source_validation 0|1 - sets src_valid_mark of the machine, which new containers get (runc.bash).
source_validation() {
	# shellcheck disable=SC2016 # for the inner shell
	engine_exec sh -c 'for name in all default docker0 uplink; do
		echo $0 >/proc/sys/net/ipv4/conf/$name/src_valid_mark; done' "$1"
}

sidecar_runs() {
	box_sidecar >/dev/null 2>&1
}

# cold_start - starts a box and connects to the outside from the moment that its sidecar is there. Nothing that
# begins after the launcher's answer fails: neither these connections nor polls of the application's and the
# sidecar's ports. (A lost SYN fails, because it is repeated after a second. starts.bats connects from the first
# moment on.)
cold_start() {
	local sidecar url polls=() i answered
	# shellcheck disable=SC2016 # for the inner shell
	bed_spawn engine start sh -c 'curl -fsS --max-time 30 "$0/intercept?kind=tcp&address=$1&name=mirror" &&
		curl -sS --fail-with-body --max-time 30 "$0/start"' "http://$WORKERD_ADDRESS/$BOX" $NOWHERE
	bed_until 20 sidecar_runs
	sidecar=$(box_sidecar)
	bed_spawn engine flood nsenter --net="/proc/$(engine_pid "$sidecar")/ns/net" -- "$PEER" flood $NOWHERE 80 \
		--attempt-ms 950 --pause-us 3000 --timeout 60 --until-file "$BED_DIR/flood.end" --log "$BED_DIR/flood.failed"
	bed_wait_exit start 60 || fail "no start: $(bed_log start)"
	is "answer" "$(bed_log start)" interceptedapp
	answered=$(python3 -c 'import time; print(time.monotonic_ns() // 1000)')
	url=http://$BED_UPLINK:$(engine_port "$sidecar" 39001/tcp)
	for ((i = 0; i < 100; i++)); do
		polls+=(-o /dev/null "$url/ca")
	done
	is "polls from the world" "$(bed_exec world curl -sS --max-time 10 -w '%{http_code}\n' "${polls[@]}" | sort | uniq -c | xargs)" "100 200"
	for ((i = 0; i < 10; i++)); do
		is "poll through getTcpPort" "$(app "")" app
	done
	touch "$BED_DIR/flood.end"
	bed_wait_exit flood || true
	is "outbound connections that failed: $(bed_log flood)" "$(sed -n 's/.* at_us=\([0-9]*\) .*/\1/p' \
		"$BED_DIR/flood.failed" | awk -v "from=$answered" '$1 >= from { n++ } END { print n + 0 }')" 0
	[ "$(bed_value ok "$(bed_log flood | tail -n 1)")" -gt 20 ] || fail "outbound: $(bed_log flood)"
}

@test "cold starts with src_valid_mark=1 lose no poll from outside and no outbound connection" {
	local round name=$BOX
	source_validation 1
	for round in 1 2 3 4 5; do
		BOX=$name-$round
		rm -f "$BED_DIR"/flood.{end,failed}
		cold_start
		is "src_valid_mark" "$(in_box cat /proc/sys/net/ipv4/conf/all/src_valid_mark)" 1
		box destroy
		dk rm -f "$(box_sidecar)"
	done
}

no_containers() {
	[ -z "$(dk ps -aq)" ]
}

example_workerd() {
	local output
	output=$(engine_exec env "PATH=$ENGINE_PATH:$PATH" "DOCKER_CONFIG=$BED_DIR/engine/config" BASE=app \
		"WORKERD=$("$BED_REPO/tests/deps.sh" e2e)" "$BED_REPO/examples/workerd/run" 2>&1) || fail "$output"
	like "HTTP" "$output" "http://api.test/hello +the HTTP handler: GET http://api.test/hello"
	like "HTTPS" "$output" "https://secure.test/hello +the HTTPS handler: GET https://secure.test/hello"
	like "TCP" "$output" "tcp://192.0.2.1:6379/PING +\\+PONG from the TCP handler"
}

example_wrangler() {
	local output
	output=$(engine_exec env -u MAKEFLAGS "PATH=$ENGINE_PATH:$REGISTRY_PATH:$PATH" DOCKER_HOST=unix:///run/docker.sock \
		"DOCKER_CONFIG=$BED_DIR/engine/config" "$BED_REPO/examples/wrangler/run" 2>&1) ||
		fail "$output" "$(tail -n 40 "$BED_REPO/build/examples/wrangler/wrangler.log")"
	like "HTTP" "$output" "http://virtual.test/hello +200 the Worker answers GET http://virtual.test/hello"
	like "HTTPS" "$output" "https://virtual.test/hello +200 the Worker answers GET https://virtual.test/hello"
}

@test "the example's command shows the answers of its Worker" {
	# It writes below build/examples.
	bed_locked "$LAUNCHER" "example_$LAUNCHER"
	bed_until 10 no_containers
	no_leak
}
