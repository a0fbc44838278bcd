#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Faults that were reported of the incumbent, one test for each report. They run on a Docker engine. The sidecar
# is started as workerd does, with NET_ADMIN and nothing else, unless the test says otherwise.

# shellcheck source=tests/lib/testbed.bash
. "$BATS_TEST_DIRNAME/lib/testbed.bash"
# shellcheck source=tests/lib/workerd.bash
. "$BATS_TEST_DIRNAME/lib/workerd.bash"

NOWHERE=192.0.2.77 # nobody has it
ANSWERS=192.0.2.1  # the world answers: a leak would work

setup_file() {
	[ "$(id -u)" = 0 ] || skip "needs root (network namespaces)"
	export BATS_TEST_TIMEOUT=300
	engine_start
	mkdir -m 777 "$BED_DIR/shared"
	"$BED_REPO/tests/deps.sh" e2e >/dev/null
	workerd_sidecar_image
	engine_image test "$PEER:/bin/peer"
	bed_spawn world world-server "$PEER" serve 7000
	bed_spawn world world-udp "$PEER" udp-serve 7777
	bed_wait_line world-server ready
	bed_wait_line world-udp ready
}

teardown_file() {
	bed_stop
}

setup() {
	rm -f "$BED_DIR"/shared/*
	leak_watch
}

teardown() {
	[ -n "${BED_DIR:-}" ] || return 0
	if [ -z "${BATS_TEST_COMPLETED:-}" ]; then
		dk logs --tail 20 side 2>&1
		[ ! -f "$BED_DIR/gateway.log" ] || tail -n 5 "$BED_DIR/gateway.log"
	fi
	touch "$BED_DIR/shared/stop"
	# shellcheck disable=SC2046 # a list of words
	[ -z "$(dk ps -aq)" ] || dk rm -f $(dk ps -aq) >/dev/null
	[ ! -f "$BED_DIR/proc/traced.pid" ] || untrace || true
	for name in sniffer gateway out greet; do
		bed_kill $name || bed_kill $name KILL
	done
}

# gateway [ARGUMENT...] - starts the reference gateway on the machine at port 8080, with --server by default.
gateway() {
	[ $# -gt 0 ] || set -- --server
	bed_spawn engine gateway "$SIDESTEP" gateway --log --listen 0.0.0.0:8080 "$@"
	bed_until 5 gateway_listens
}

gateway_listens() {
	engine_exec ss -Hltn | grep -q ":8080 "
}

# gateway_has DESTINATION - a CONNECT for it was logged.
gateway_has() {
	grep -qF "\"destination\":\"$1\"" "$BED_DIR/gateway.log"
}

# side [DOCKER-ARGUMENT...] [-- ARGUMENT...] - starts the sidecar `side` with workerd's arguments in a network
# namespace of its own. Starts the application `app` in that namespace, which serves port 8080.
side() {
	local docker=()
	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		docker+=("$1")
		shift
	done
	[ $# = 0 ] || shift
	dk run -d --name side --cap-add NET_ADMIN -p 8081:8080 -P --expose 39001 \
		--dns 1.1.1.1 --dns 8.8.8.8 --add-host host.docker.internal:host-gateway "${docker[@]}" \
		sidestep --http-egress-port 8080 --http-ingress-address 0.0.0.0:39001 \
		--docker-gateway-cidr 172.17.0.0/16 --dns-enabled --tls-intercept "$@" >/dev/null
	engine_wait_line side "interception is live" 10
	dk run -d --name app --network container:side -v "$BED_DIR/shared:/shared" test /bin/peer serve 8080 >/dev/null
	engine_wait_line app ready >/dev/null
}

app_peer() {
	dk exec app /bin/peer "$@" 2>&1
}

# in_app COMMAND... - runs a program of the machine in the application's network namespace.
in_app() {
	nsenter --net="/proc/$(engine_pid app)/ns/net" -- "$@"
}

intercepted() {
	app_peer connect "$1" "$2" --send ping --expect ping --timeout 5
	bed_until 2 gateway_has "$1:$2"
}

control() {
	engine_exec curl -sS --max-time 5 -o /dev/null -w '%{http_code}' "$@" \
		"http://127.0.0.1:$(engine_port side 39001/tcp)/egress"
}

# flood_out - opens numbered connections to the outside until flood_end.
flood_out() {
	bed_spawn engine out nsenter --net="/proc/$(engine_pid app)/ns/net" -- "$PEER" flood $NOWHERE 80 \
		--until-file "$BED_DIR/shared/stop" --pause-us 3000 --attempt-ms 1000 --timeout 90
	bed_wait_line out ready >/dev/null
}

flood_end() {
	touch "$BED_DIR/shared/stop"
	bed_wait_exit out || is "end of the flood" $? 1
	is "failures of the flood" "$(bed_log out | tail -n 1 | bed_value failed)" 0
}

@test "workerd 6793, 6792, 6790: bridge and control traffic and replies are never captured" {
	local polls=() number url
	gateway
	side
	dk run -d --name neighbour test /bin/peer serve 8080
	engine_wait_line neighbour ready
	url=http://$BED_UPLINK:$(engine_port side 39001/tcp)/ca
	for ((number = 0; number < 100; number++)); do
		polls+=(-o /dev/null "$url")
	done
	flood_out
	# Transfers come from the world through the published port, and pass between the bridge's containers.
	bed_exec world "$PEER" transfer "$BED_UPLINK" 8081 --connections 4 --bytes 2621440 --timeout 20
	dk exec neighbour /bin/peer transfer "$(engine_address side)" 8080 --connections 4 --bytes 2621440 --timeout 20
	app_peer transfer "$(engine_address neighbour)" 8080 --connections 4 --bytes 2621440 --timeout 20
	is "polls answered" "$(bed_exec world curl -sS --max-time 2 -w '%{http_code}\n' "${polls[@]}" | grep -c 200)" 100
	flood_end
	is "bridge traffic at the gateway" \
		"$(grep -E '"destination":"172\.17|"source":"[^"]*:(8080|39001)"' "$BED_DIR/gateway.log")" ""
	is "addresses that the neighbour saw" \
		"$(dk logs neighbour | grep -oE 'accept peer=[0-9.]+' | sort -u)" "accept peer=$(engine_address side)"
	is "connections that the application saw from the world" \
		"$(dk logs app | grep -c "accept peer=$BED_OUTSIDE:")" 4
	no_leak
}

@test "workerd 6860: the sidecar works with src_valid_mark 0 and 1, rp_filter 0, 1 and 2" {
	local mark filter
	gateway
	for mark in 0 1; do
		for filter in 0 1 2; do
			echo "src_valid_mark=$mark rp_filter=$filter"
			side --sysctl net.ipv4.conf.all.src_valid_mark=$mark --sysctl net.ipv4.conf.default.src_valid_mark=$mark \
				--sysctl net.ipv4.conf.all.rp_filter=$filter --sysctl net.ipv4.conf.default.rp_filter=$filter
			is "set" "$(in_app cat /proc/sys/net/ipv4/conf/all/src_valid_mark)" $mark
			intercepted $NOWHERE 443
			bed_exec world "$PEER" transfer "$BED_UPLINK" 8081 --bytes 1000000 --timeout 10
			is "PUT" "$(control -X PUT -d '{"port": 8080}')" 204
			dk rm -f app side >/dev/null
		done
	done
	no_leak
}

# traced DATAPATH - starts a sidecar under strace in the network namespace of a plain container `app`.
traced() {
	dk run -d --name app -v "$BED_DIR/shared:/shared" test /bin/peer serve 8080 >/dev/null
	engine_wait_line app ready >/dev/null
	bed_spawn engine traced nsenter --net="/proc/$(engine_pid app)/ns/net" -- \
		strace -f -qq -o "$BED_DIR/trace" -e trace=execve,execveat,fork,vfork,clone,clone3,socket,init_module,finit_module \
		"$SIDESTEP" sidecar --datapath "$1" --gateway "$ENGINE_GATEWAY:8080"
	bed_wait_line traced "interception is live" 10
}

# untrace - ends that sidecar itself, because strace takes no signals while it writes into a file.
untrace() {
	pkill -TERM -P "$(bed_pid traced)" -x sidestep
	bed_wait_exit traced
}

# no_helper - the sidecar started threads at most, no process.
no_helper() {
	is "programs executed" "$(grep -c 'execve' "$BED_DIR/trace")" 1
	is "processes made" "$(grep -E 'fork\(|clone3?\(' "$BED_DIR/trace" | grep -v CLONE_THREAD)" ""
}

@test "workers-sdk 14056, sandbox-sdk 808: BPF needs no netfilter" {
	gateway
	traced bpf
	intercepted $NOWHERE 443
	is "netfilter sockets" "$(grep NETLINK_NETFILTER "$BED_DIR/trace")" ""
	is "modules loaded" "$(grep init_module "$BED_DIR/trace")" ""
	is "rules of nftables" "$(in_app nft list ruleset)" ""
	no_leak
}

@test "workerd 6670: BPF and nftables start no helper process" {
	local datapath
	gateway
	for datapath in bpf nft; do
		traced $datapath
		intercepted $NOWHERE 443
		untrace
		no_helper
		dk rm -f app >/dev/null
	done
	no_leak
}

# bats test_tags=alone
@test "workerd 6670: interception is live within 50 ms" {
	local best=1000 round took
	gateway
	for round in 1 2 3 4 5; do
		took=$(side | grep -oE 'live after [0-9]+' | grep -oE '[0-9]+')
		[ "$took" -ge "$best" ] || best=$took
		dk rm -f app side >/dev/null
	done
	[ "$best" -le 50 ] || fail "the quickest of $round starts took $best ms"
	no_leak
}

@test "workers-sdk 13082, 15257, 15394: a gateway that cannot be reached is named, with the remedy" {
	side
	# The application has not tried to connect yet.
	engine_wait_line side "preflight: the gateway 172.17.0.1:8080 cannot be reached.*: nothing listens there; start the gateway on an address that containers reach"
	run dk exec side sidestep doctor --http-egress-port 8080
	is "exit status of doctor" "$status" 4
	like "doctor" "$output" "failed  gateway: 172.17.0.1:8080 cannot be reached: nothing listens there"
	# From the host, by the engine's name for the container.
	run engine_exec "$SIDESTEP" doctor --container side --gateway 172.17.0.1:8080
	is "exit status of doctor on the host" "$status" 4
	like "doctor on the host" "$output" "ok +engine: Docker [0-9.]+"
	like "doctor on the host" "$output" "ok +container in container side: process [0-9]+, runtime bed"
	like "doctor on the host" "$output" "failed +gateway in container side: 172.17.0.1:8080 cannot be reached: nothing listens there"
	engine_exec "$SIDESTEP" report --container side "$BED_DIR/report.tar"
	log=$(tar -xOf "$BED_DIR/report.tar" sidestep-report/log.txt)
	like "the log in the report" "$log" "interception is live after "
	like "the log in the report" "$log" "preflight: the gateway 172.17.0.1:8080 cannot be reached"
	like "the application" "$(app_peer connect $NOWHERE 443 --send ping --expect ping --timeout 5)" "result=reset"
	engine_wait_line side "gateway 172.17.0.1:8080.*Connection refused; is the gateway listening there, and on an address that containers reach"
	no_leak
}

@test "server-first protocols (SSH, SMTP, MySQL) do not hang" {
	local port
	bed_spawn world greet "$PEER" serve 7001 --mode greet
	bed_wait_line greet ready
	gateway --map-all "$BED_OUTSIDE:7001"
	side
	for port in 22 25 3306 80 443; do
		at_once 1000000 ok app_peer connect $NOWHERE $port --wait-first-byte --send ping --expect ping --timeout 5
	done
	no_leak
}

@test "the server name is read from a ClientHello above 4096 bytes in several records and segments" {
	local size
	gateway
	side
	for size in 5000 16000 48000; do
		is "answer to $size bytes" "$(in_app node "$BED_REPO/tests/e2e/hello.mjs" $NOWHERE 8443 "size$size.test" $size)" "answered 22"
		bed_until 2 grep -q "\"destination\":\"$NOWHERE:8443\".*\"sni\":\"size$size.test\"" "$BED_DIR/gateway.log"
	done
	no_leak
}

@test "HTTPS to a literal IP address is intercepted with a certificate for that address" {
	local answer
	gateway
	side
	engine_exec curl -fsS "http://127.0.0.1:$(engine_port side 39001/tcp)/ca" >"$BED_DIR/shared/ca.crt"
	answer=$(in_app sh -c "printf 'GET / HTTP/1.0\r\n\r\n' | timeout 10 openssl s_client -quiet -noservername \
		-verify_return_error -verify_ip $NOWHERE -CAfile $BED_DIR/shared/ca.crt -connect $NOWHERE:443" 2>&1)
	like "answer" "$answer" "destination $NOWHERE:443"
	no_leak
}

@test "offline with internet on, mapped names get the made-up answer and others SERVFAIL in time" {
	local resolver line
	gateway
	side
	is "PUT" "$(control -X PUT -d '{"dns": {"allowHostnames": ["*.mapped.test"]}}')" 204
	# The first address refuses at once, because no resolver runs in the world. The second is silent.
	bed_exec world iptables -A INPUT -p udp -d 8.8.8.8 --dport 53 -j DROP
	for resolver in 1.1.1.1 8.8.8.8; do
		like "mapped, $resolver" "$(app_peer dns a.mapped.test A @$resolver --timeout 7)" "11\.0\.0\.1"
		line=$(app_peer dns other.test A @$resolver --timeout 7 || true)
		like "not mapped, $resolver" "$line" rcode=servfail
	done
	bed_exec world iptables -F INPUT
	no_leak
}

@test "the application cannot rewrite its own policy over the control port" {
	local address
	gateway
	side
	for address in 127.0.0.1 "$(engine_address side)"; do
		is "PUT to $address" "$(in_app curl -sS --max-time 5 -o /dev/null -w '%{http_code}' -X PUT \
			-d '{"internet": {"enabled": true}}' "http://$address:39001/egress")" 403
	done
	# The log has this line once a second at most.
	engine_wait_line side "request of 127.0.0.1:[0-9]+ refused \\(403\\)"
	no_leak
}

@test "a neighbour cannot rewrite the application's policy; the host and published ports can, over both families" {
	local address port6
	gateway
	side -- --http-ingress-address "[::]:39001"
	dk run -d --name neighbour test /bin/peer serve 8080 >/dev/null
	for address in "$(engine_address side)" "[$(engine_address6 side)]"; do
		is "PUT of a neighbour to $address" "$(nsenter --net="/proc/$(engine_pid neighbour)/ns/net" -- \
			curl -gsS --max-time 5 -o /dev/null -w '%{http_code}' -X PUT -d '{"port": 1}' \
			"http://$address:39001/egress")" 403
		is "PUT of the host to $address" "$(engine_exec curl -gsS --max-time 5 -o /dev/null \
			-w '%{http_code}' -X PUT -d '{"port": 8080}' "http://$address:39001/egress")" 204
	done
	is "published, IPv4" "$(control -X PUT -d '{"port": 8080}')" 204
	port6=$(dk port side 39001/tcp | awk -F: '/::/ { print $NF }')
	is "published, IPv6" "$(engine_exec curl -gsS --max-time 5 -o /dev/null -w '%{http_code}' \
		"http://[::1]:$port6/ca")" 200
	is "published, IPv6, from the world" "$(bed_exec world curl -gsS --max-time 5 -o /dev/null \
		-w '%{http_code}' "http://[$BED_UPLINK6]:$port6/ca")" 200
	engine_wait_line side "a neighbour on the network, .* --control-allow"
	no_leak
}

@test "mark 100 lets no connection bypass the proxy" {
	local mark
	gateway
	side
	# The client has the rights of root on the machine. The marks are the incumbent's, ours, and all bits.
	for mark in 100 1 4294967295; do
		in_app "$PEER" connect $ANSWERS 7000 --mark $mark --send ping --expect ping --timeout 5
	done
	is "connections in the world" "$(bed_log world-server | grep -c accept || true)" 0
	is "at the gateway" "$(grep -cF "\"destination\":\"$ANSWERS:7000\"" "$BED_DIR/gateway.log")" 3
	no_leak
}

@test "after SIGKILL the machine is unchanged, the application fails at once, and the sidecar takes over again" {
	local before address
	gateway
	dk run -d --name app -v "$BED_DIR/shared:/shared" test /bin/peer serve 8080
	engine_wait_line app ready
	dk run -d --name side --network container:app --cap-add NET_ADMIN sidestep --gateway "$ENGINE_GATEWAY:8080"
	engine_wait_line side "interception is live" 10
	before=$(engine_state)
	intercepted $ANSWERS 7000
	dk kill --signal KILL side
	for address in $ANSWERS "[2001:db8::1]"; do
		at_once 500000 "refused|unreachable|reset|E[A-Z]+" \
			app_peer connect "${address//[][]/}" 7000 --send ping --expect ping --timeout 3
	done
	diff <(echo "$before") <(engine_state)
	dk start side
	bed_until 10 live_again
	intercepted $ANSWERS 7000
	no_leak
}

live_again() {
	[ "$(dk logs side 2>&1 | grep -c "interception is live")" -ge 2 ]
}

@test "UDP other than DNS does not leave, and the gateway may be a unix socket" {
	gateway --server --listen "unix:$BED_DIR/shared/gateway.sock"
	bed_until 5 test -S "$BED_DIR/shared/gateway.sock"
	chmod 666 "$BED_DIR/shared/gateway.sock"
	side -v "$BED_DIR/shared:/shared" -- --gateway unix:/shared/gateway.sock
	if app_peer udp $ANSWERS 7777 --send hello --timeout 1; then
		fail "UDP reached the world"
	fi
	is "datagrams in the world" "$(bed_log world-udp | grep -vc ready || true)" 0
	intercepted $NOWHERE 443
	no_leak
}
