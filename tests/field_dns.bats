#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Ordinary days of people who intercept containers: names, resolvers and policies. Each test has a control, as in
# field.bats.

load lib/testbed.bash
load lib/scenarios.bash
load lib/field.bash

# put JSON - PUT /egress of the host, as workerd does; prints the status.
put() {
	bed_exec host curl -sS --max-time 5 -o "$BED_DIR/put" -w '%{http_code}' -X PUT -d "$1" \
		"http://$BED_APP:39001/egress"
	cat "$BED_DIR/put" >&2
}

# row 7: names that nobody made up

# The resolver's word is the same with and without Sidestep.
names_stay() { # START
	resolver
	names_are_true
	"$1"
	names_are_true
}

names_are_true() {
	local type
	for type in A AAAA ANY HTTPS MX TXT SRV; do
		[ "$(answer nx.example.test "$type")" = "nxdomain -" ]
	done
	[ "$(answer nx A)" = "nxdomain -" ]
	[ "$(answer good.test A)" = "noerror 192.0.2.7" ]
}

@test "row 7: without the control API no answer is made up (own programs)" {
	names_stay sidecar
}

@test "row 7: without the control API no answer is made up (agent)" {
	names_stay agent_sidecar
}

@test "row 7: without the control API no answer is made up (nftables)" {
	names_stay nft_sidecar
}

@test "row 7: --made-up names what is made up, and only addresses are" {
	local type
	resolver
	[ "$(answer nx.mine.test A)" = "nxdomain -" ]
	sidecar --made-up "*.mine.test" --made-up nxhost
	[ "$(answer nx.mine.test A)" = "noerror 11.0.0.1" ]
	[ "$(answer nx.mine.test AAAA)" = "noerror fd00::1" ]
	[ "$(answer nx.mine.test HTTPS)" = "noerror -" ]
	[ "$(answer nxhost A)" = "noerror 11.0.0.1" ]
	for type in MX TXT SRV; do
		[ "$(answer nx.mine.test "$type")" = "nxdomain -" ]
	done
	[ "$(answer nx.other.test A)" = "nxdomain -" ]
	[ "$(answer a.mine.test A)" = "noerror 192.0.2.7" ]
}

@test "row 7: with the control API the search list and single labels stay unknown" {
	resolver
	echo "search corp.test svc.test" >"$BED_DIR/resolv.conf"
	bed_spawn app sidecar unshare --mount --propagation slave sh -c \
		'mount --bind "$0" /etc/resolv.conf && exec "$@"' "$BED_DIR/resolv.conf" \
		"$SIDESTEP" sidecar --gateway "$BED_HOST:8080" --http-ingress-address 0.0.0.0:39001
	bed_wait_line sidecar "interception is live" 10
	# The client of a resolver tries "nx.good.test" so, until a name exists.
	[ "$(answer nx.good.test.corp.test A)" = "nxdomain -" ]
	[ "$(answer nx.good.test.svc.test AAAA)" = "nxdomain -" ]
	[ "$(answer nxhost A)" = "nxdomain -" ]
	# The contract holds for the others, whatever their type.
	[ "$(answer nx.good.test A)" = "noerror 11.0.0.1" ]
	[ "$(answer nx.good.test MX)" = "noerror -" ]
	# A mapped name is meant.
	[ "$(put '{"dns": {"allowHostnames": ["nxhost", "nx.db.corp.test"]}}')" = 204 ]
	[ "$(answer nxhost A)" = "noerror 11.0.0.1" ]
	[ "$(answer nx.db.corp.test A)" = "noerror 11.0.0.1" ]
	[ "$(answer nx.good.test A)" = "nxdomain -" ]
}

# Any opcode is relayed where the internet is on

opcodes_pass() { # START
	local opcode
	resolver
	"$1"
	for opcode in 4 5 6 15; do
		[ "$(answer "op$opcode.test" SOA --opcode "$opcode")" = "noerror -" ]
		bed_log resolver | grep -q "name=op$opcode.test. type=6 opcode=$opcode"
	done
}

@test "row 7: NOTIFY, UPDATE, DSO and unknown opcodes reach the resolver (own programs)" {
	opcodes_pass sidecar
}

@test "row 7: NOTIFY, UPDATE, DSO and unknown opcodes reach the resolver (agent)" {
	opcodes_pass agent_sidecar
}

@test "row 7: NOTIFY, UPDATE, DSO and unknown opcodes reach the resolver (nftables)" {
	opcodes_pass nft_sidecar
}

# n11: gateways by name

# zone [NAME ADDRESS]... - what the resolver 1.1.1.1 knows from now on.
zone() {
	printf '%s %s\n' "$@" >"$BED_DIR/zone"
}

# named_bed [NAME ADDRESS]... - starts a resolver with these names. The sidecar has files of its own in /etc.
named_bed() {
	zone "$@"
	echo "127.0.0.1 localhost" >"$BED_DIR/hosts"
	echo "nameserver 1.1.1.1" >"$BED_DIR/resolv.conf"
	bed_spawn world resolver python3 -uc '
import ipaddress, socket, struct, sys
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("1.1.1.1", 53))
print("ready")
while True:
    query, peer = server.recvfrom(512)
    end = query.index(b"\0", 12)
    kind = struct.unpack(">H", query[end + 1:end + 3])[0]
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode())
        at += 1 + query[at]
    known = [line.split() for line in open(sys.argv[1]) if line.split()]
    found = [ipaddress.ip_address(address) for name, address in known if name == ".".join(labels)]
    print("query", peer[0], ".".join(labels), kind)
    chosen = [address.packed for address in found if {4: 1, 6: 28}[address.version] == kind]
    answer = query[:2] + struct.pack(">HHHHH", 0x8180 if found else 0x8183, 1, len(chosen), 0, 0)
    answer += query[12:end + 5]
    for data in chosen:
        answer += b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 0, len(data)) + data
    server.sendto(answer, peer)' "$BED_DIR/zone"
	bed_wait_line resolver ready
}

# own_named, nft_named, agent_named [ARGUMENT...] - start a sidecar of that datapath in the bed of named_bed.
named_spawn() {
	# shellcheck disable=SC2016 # for the inner shell
	bed_spawn app sidecar unshare --mount sh -c '
		mount --bind "$0/hosts" /etc/hosts && mount --bind "$0/resolv.conf" /etc/resolv.conf && exec "$@"' \
		"$BED_DIR" "$@"
	bed_wait_line sidecar "interception is live" 10
}

own_named() {
	named_spawn "$SIDESTEP" sidecar --pin "$(SIDE_PIN)" "$@"
}

nft_named() {
	named_spawn setpriv --bounding-set=-all,+net_admin --inh-caps=-all "$SIDESTEP" sidecar --datapath nft "$@"
}

agent_named() {
	bed_needs_linux 6.6 "TCX links"
	named_spawn setpriv --bounding-set=-all,+net_admin --inh-caps=-all "$SIDESTEP" sidecar "$@"
	bed_spawn host agent "$SIDESTEP" agent --pin "$(SIDE_PIN)" --pid "$(bed_pid sidecar)"
	bed_wait_line sidecar "the host's agent steers .* in place of the nftables table" 10
}

# world_gateway NAME ADDRESS - starts a gateway in the world.
world_gateway() {
	bed_spawn world "$1" "$SIDESTEP" gateway --listen "$2:8080" --server --log
	bed_until 5 bed_listening world 8080
}

# through NAME DESTINATION PORT - a connection of the application's arrives at that gateway.
through() {
	local host=${2#[}
	connect "${host%]}" "$3" --send hello --half-close --read-all
	grep -F "\"destination\":\"$2:$3\"" "$BED_DIR/$1.log"
}

moves() { # START
	named_bed gw.test "$BED_OUTSIDE" gw.test 203.0.113.1
	world_gateway first "$BED_OUTSIDE"
	# Nobody's queries pass, if they are intercepted.
	"$1" --gateway gw.test:8080 --dns-enabled=false
	run bed_exec app "$PEER" dns gw.test A @1.1.1.1 --timeout 0.5
	[ "$status" != 0 ]
	through first 192.0.2.77 80
	bed_kill first
	world_gateway second 203.0.113.1
	connect 192.0.2.77 80 --send hello --half-close --read-all || true
	bed_wait_line sidecar "the gateway gw.test is 203.0.113.1:8080 now" 10
	bed_wait_line sidecar "preflight: the gateway 203.0.113.1:8080 can be reached"
	through second 192.0.2.78 80
	# The former address is one like any other.
	through second "$BED_OUTSIDE" 8080
	[ "$(grep -c "query $BED_APP gw.test" "$BED_DIR/resolver.log")" -ge 4 ]
}

# The application may answer in the resolver's place.
moves_no_farther() { # START
	named_bed gw.test "$BED_HOST"
	gateway
	"$1" --gateway gw.test:8080
	bed_wait_line sidecar "preflight: the gateway $BED_HOST:8080 can be reached"
	bed_kill gateway
	zone gw.test "$BED_OUTSIDE"
	world_gateway outside "$BED_OUTSIDE"
	connect 192.0.2.77 80 --send hello --half-close --read-all || true
	bed_wait_line sidecar "the gateway gw.test has a new address, $BED_OUTSIDE:8080, .* It is not taken" 10
	run connect 192.0.2.77 80 --send hello --read-all
	[[ $output == *result=reset* ]]
	run grep destination "$BED_DIR/outside.log"
	[ "$status" = 1 ]
	# The gateway is made anew on the application's network.
	zone gw.test "$BED_NEIGHBOUR"
	bed_spawn neighbour beside "$SIDESTEP" gateway --listen "$BED_NEIGHBOUR:8080" --server --log
	bed_wait_line sidecar "the gateway gw.test is $BED_NEIGHBOUR:8080 now" 10
	through beside 192.0.2.78 80
}

@test "n11: a name that moves outside the bypassed subnets is not followed (own programs)" {
	moves_no_farther own_named
}

@test "n11: a name that moves outside the bypassed subnets is not followed (agent)" {
	moves_no_farther agent_named
}

@test "n11: a name that moves outside the bypassed subnets is not followed (nftables)" {
	moves_no_farther nft_named
}

@test "n11: a gateway's name is looked up at the start, and anew when it fails (own programs)" {
	moves own_named
}

@test "n11: a gateway's name is looked up at the start, and anew when it fails (agent)" {
	moves agent_named
}

@test "n11: a gateway's name is looked up at the start, and anew when it fails (nftables)" {
	moves nft_named
}

unknown_first() { # START
	named_bed
	world_gateway first "$BED_OUTSIDE"
	"$1" --gateway gw.test:8080
	bed_wait_line sidecar "the gateway's name gw.test has no address.* nor a resolver of /etc/resolv.conf knows it"
	run connect 192.0.2.77 80 --send hello --read-all
	[[ $output == *result=reset* ]]
	bed_log sidecar | grep "cannot connect to the gateway unknown:8080 .* its name has no address"
	zone gw.test "$BED_OUTSIDE"
	bed_wait_line sidecar "the gateway gw.test is $BED_OUTSIDE:8080 now" 10
	through first 192.0.2.78 80
}

@test "n11: a name that nobody knows at the start is found later (own programs)" {
	unknown_first own_named
}

@test "n11: a name that nobody knows at the start is found later (agent)" {
	unknown_first agent_named
}

@test "n11: a name that nobody knows at the start is found later (nftables)" {
	unknown_first nft_named
}

@test "n11: of two families the one that works is taken, and the search list completes the name" {
	named_bed gw.corp.test 198.51.100.77 gw.corp.test "$BED_OUTSIDE6"
	echo "search other.test corp.test" >>"$BED_DIR/resolv.conf"
	world_gateway first "[$BED_OUTSIDE6]"
	own_named --gateway gw:8080
	bed_wait_line sidecar "the gateway gw is \[$BED_OUTSIDE6\]:8080 now" 10
	through first 192.0.2.77 80
}

@test "n11: without a route for IPv4 the name's IPv6 address is taken at once" {
	named_bed
	printf '%s\n' "$BED_OUTSIDE gw.test" "$BED_OUTSIDE6 other gw.test # a comment" >>"$BED_DIR/hosts"
	bed_exec app ip route delete default
	world_gateway first "[$BED_OUTSIDE6]"
	own_named --gateway gw.test:8080
	bed_wait_line sidecar "preflight: the gateway \[$BED_OUTSIDE6\]:8080 can be reached"
	through first "[2001:db8::77]" 80
}

@test "n11: host.docker.internal comes from the hosts file, in both families, and is followed" {
	named_bed
	gateway
	echo "$BED_HOST6 host.docker.internal" >>"$BED_DIR/hosts"
	own_named --http-egress-port 8080
	bed_wait_line sidecar "preflight: the gateway \[$BED_HOST6\]:8080 can be reached"
	bed_kill gateway
	bed_spawn host second "$SIDESTEP" gateway --listen "$BED_HOST:8080" --server --log
	printf '%s\n' "127.0.0.1 localhost" "$BED_HOST host.docker.internal" >"$BED_DIR/hosts"
	connect 192.0.2.77 80 --send hello --half-close --read-all || true
	bed_wait_line sidecar "the gateway host.docker.internal is $BED_HOST:8080 now" 10
	through second 192.0.2.78 80
	bed_log sidecar | { ! grep "the sandbox refuses"; }
}

@test "n11: what is no name is refused with a hint, and the doctor looks names up" {
	local wrong
	for wrong in gw 172.30.0.1.5:8080 a..b:80 gw:99999 "gw x:80" :80; do
		run "$SIDESTEP" sidecar --gateway "$wrong"
		echo "$output"
		[ "$status" = 2 ]
		[[ $output == *"give IP:PORT, [IPv6]:PORT, NAME:PORT or unix:/PATH"* ]]
	done
	gateway
	run bed_exec app "$SIDESTEP" doctor --gateway localhost:9
	echo "$output"
	[ "$status" = 4 ]
	[[ $output == *"127.0.0.1:9 cannot be reached"* ]]
}

# row 14: records that hide the name

# browse NAME ADDRESS - opens TLS as Chromium does. If the HTTPS record offers Encrypted Client Hello, the
# ClientHello bears only a public name.
browse() {
	local name=$1 record
	record=$(answer "$1" HTTPS)
	[[ $record == "noerror https:"* ]]
	[[ ${record#*:}/ != *5/* ]] || name=public.example
	run bed_exec app python3 "$BED_REPO/tests/tls_hello.py" "$2" 443 "$name"
}

# hellos NAME - prints how many CONNECTs bore this name.
hellos() {
	grep -c "\"sni\":\"$1\"" "$BED_DIR/gateway.log" || true
}

names_are_shown() { # START
	resolver
	gateway --delay 0
	"$1" --sni-hint
	[ "$(answer ech.test HTTPS)" = "noerror https:1/4/6/65280" ]
	[ "$(answer ech.test HTTPS @2001:db8::1)" = "noerror https:1/4/6/65280" ]
	[ "$(answer ech.test A)" = "noerror 192.0.2.7" ]
	[ "$(answer ech.test HTTPS --tcp)" = "noerror https:1/4/6/65280" ]
	browse ech.test 192.0.2.7
	shown() { [ "$(hellos ech.test)" = 1 ]; }
	bed_until 5 shown
	[ "$(hellos public.example)" = 0 ]
}

@test "row 14: without hints the record stays, and a browser hides the name" {
	resolver
	gateway
	[ "$(answer ech.test HTTPS)" = "noerror https:1/4/5/6" ]
	sidecar
	[ "$(answer ech.test HTTPS)" = "noerror https:1/4/5/6" ]
}

@test "row 14: CONNECT bears the real name although the record has ech (own programs)" {
	names_are_shown sidecar
}

@test "row 14: CONNECT bears the real name although the record has ech (agent)" {
	names_are_shown agent_sidecar
}

@test "row 14: CONNECT bears the real name although the record has ech (nftables)" {
	names_are_shown nft_sidecar
}

# row 26: one policy for UDP and TCP

CONTROL=(--http-ingress-address 0.0.0.0:39001)

queries() {
	bed_log resolver | grep -c '^query ' || true
}

tcp_like_udp() { # START
	local way
	resolver
	gateway --delay 0
	"$1" "${CONTROL[@]}"
	[ "$(put '{"dns": {"allowHostnames": ["*.mine.test"]}}')" = 204 ]
	for way in "" --tcp; do
		# shellcheck disable=SC2086 # no word, or one
		[ "$(answer good.test A $way)" = "noerror 192.0.2.7" ]
		[ "$(answer nx.mine.test AAAA $way)" = "noerror fd00::1" ]
		[ "$(answer nx.other.test A $way)" = "nxdomain -" ]
		[ "$(answer op.test SOA --opcode 4 $way)" = "noerror -" ]
		[ "$(answer good.test A $way @2001:db8::1)" = "noerror 192.0.2.7" ]
	done
	[ "$(queries)" = 10 ]
	[ "$(arrived 1.1.1.1:53)" = 4 ]
	[ "$(put '{"internet": {"enabled": false}}')" = 204 ]
	for way in "" --tcp; do
		[ "$(answer good.test A $way)" = "nxdomain -" ]
		[ "$(answer a.mine.test A $way)" = "noerror 11.0.0.1" ]
		[ "$(answer good.test AAAA $way @2001:db8::1)" = "nxdomain -" ]
	done
	[ "$(queries)" = 10 ]
	[ "$(arrived 1.1.1.1:53)" = 4 ]
	[ "$(put '{"internet": {"enabled": true}}')" = 204 ]
	[ "$(answer good.test A --tcp)" = "noerror 192.0.2.7" ]
}

@test "row 26: DNS over TCP gets the answers of UDP (own programs)" {
	tcp_like_udp sidecar
}

@test "row 26: DNS over TCP gets the answers of UDP (agent)" {
	tcp_like_udp agent_sidecar
}

@test "row 26: DNS over TCP gets the answers of UDP (nftables)" {
	tcp_like_udp nft_sidecar
}

# row 19: the internet is off for every resolver that the namespace reaches

# asked NAME - prints how many queries the resolver of this name has got.
asked() {
	bed_log "$1" | grep -c '^query ' || true
}

off_everywhere() { # START
	local address way
	resolver
	bed_spawn neighbour beside "$PEER" dns-serve 53
	bed_wait_line beside ready
	bed_spawn host bridge "$PEER" dns-serve 53 --address "$BED_HOST"
	bed_wait_line bridge ready
	bed_spawn app own "$PEER" dns-serve 53 --address 127.0.0.1
	bed_wait_line own ready
	gateway --delay 0
	"$1" "${CONTROL[@]}"
	[ "$(put '{"dns": {"allowHostnames": ["*.mine.test"]}}')" = 204 ]
	for address in $BED_NEIGHBOUR $BED_NEIGHBOUR6 $BED_HOST 127.0.0.1; do
		[ "$(answer good.test A "@$address")" = "noerror 192.0.2.7" ]
		[ "$(answer good.test A --tcp "@$address")" = "noerror 192.0.2.7" ]
	done
	[ "$(put '{"internet": {"enabled": false}}')" = 204 ]
	for address in $BED_NEIGHBOUR $BED_NEIGHBOUR6 $BED_HOST 1.1.1.1; do
		for way in "" --tcp "--bind-device eth0" "--tcp --bind-device eth0"; do
			# shellcheck disable=SC2086 # no word, or some
			[ "$(answer good.test A $way "@$address")" = "nxdomain -" ]
			# shellcheck disable=SC2086 # no word, or some
			[ "$(answer a.mine.test A $way "@$address")" = "noerror 11.0.0.1" ]
		done
	done
	[ "$(answer good.test A @127.0.0.1)" = "noerror 192.0.2.7" ]
	# Without a socket's route it does not get out either. nftables tells the sender.
	run bed_exec app "$PEER" raw-send "$BED_NEIGHBOUR" 53 --mode udp --send "idQ1 a raw query"
	[ "$(asked resolver) $(asked beside) $(asked bridge)" = "0 4 2" ]
	# Neighbours are reached as before.
	bed_spawn neighbour server "$PEER" serve 8000
	bed_wait_line server ready
	connect "$BED_NEIGHBOUR" 8000 --send hello --half-close --read-all
	[ "$(arrived "$BED_NEIGHBOUR:8000")" = 0 ]
	[ "$(put '{"internet": {"enabled": true}}')" = 204 ]
	[ "$(answer good.test A "@$BED_NEIGHBOUR")" = "noerror 192.0.2.7" ]
	[ "$(answer good.test A --tcp "@$BED_NEIGHBOUR6")" = "noerror 192.0.2.7" ]
	[ "$(arrived "[$BED_NEIGHBOUR6]:53")" = 0 ]
}

@test "row 19: off, neighbours' and the bridge's resolvers get no query (own programs)" {
	off_everywhere sidecar
}

@test "row 19: off, neighbours' and the bridge's resolvers get no query (agent)" {
	off_everywhere agent_sidecar
}

@test "row 19: off, neighbours' and the bridge's resolvers get no query (nftables)" {
	off_everywhere nft_sidecar
}

@test "row 19: off, neighbours' and the bridge's resolvers get no query (nftables without tproxy)" {
	off_everywhere redirect_sidecar
}

# engine_bed - has a Docker engine in place of the bed. The machine has its resolver at a loopback address.
engine_bed() {
	bed_stop
	engine_start
	engine_exec sh -c 'echo nameserver 127.0.0.53 >/etc/resolv.conf'
	engine_image test "$SIDESTEP:/bin/sidestep" "$PEER:/bin/peer"
	bed_spawn engine gateway "$SIDESTEP" gateway --server --log --listen 0.0.0.0:8080
	bed_spawn engine loopback "$PEER" dns-serve 53 --address 127.0.0.53
	bed_wait_line loopback ready
	resolver
}

# engine_side NETWORK [DOCKER-ARGUMENT...] - starts a sidecar on this network, and beside it the container `db`.
# RIGHTS are its arguments of docker run, STEER is its datapath.
engine_side() {
	local network=$1
	shift
	dk run -d --name db --network "$network" test /bin/peer serve 5432 >/dev/null
	# shellcheck disable=SC2086 # no word, or two
	dk run -d --name side --network "$network" $RIGHTS "$@" test /bin/sidestep sidecar \
		--gateway "$(dk network inspect -f '{{(index .IPAM.Config 0).Gateway}}' "$network"):8080" \
		"${CONTROL[@]}" --datapath "${STEER:-auto}" >/dev/null
	engine_wait_line side "interception is live" 10
}

engine_end() {
	dk rm -f side db >/dev/null
}

# engine_put JSON - PUT /egress of the machine; prints the status.
engine_put() {
	engine_exec curl -sS --max-time 5 -o "$BED_DIR/put" -w '%{http_code}' -X PUT -d "$1" \
		"http://$(engine_address side "$NETWORK"):39001/egress"
	cat "$BED_DIR/put" >&2
}

# engine_answer NAME [ARGUMENT...] - like answer, for the sidecar's namespace on the engine.
engine_answer() {
	local line
	line=$(dk exec side /bin/peer dns "$1" A "${@:2}" --timeout 8) || true
	echo "dns $*: $line" >&2
	echo "$(bed_value rcode "$line") $(bed_value data "$line")"
}

# decoy silent|lying - an application without capabilities beside the sidecar has 64 UDP sockets of the engine's
# resolver's address. They answer any query with 11.0.0.1, or not.
decoy() {
	[ ! -e "$BED_DIR/proc/decoy.pid" ] || bed_kill decoy
	bed_spawn engine decoy nsenter --net="/proc/$(engine_pid side)/ns/net" -- \
		setpriv --bounding-set=-all --inh-caps=-all --no-new-privs python3 -c '
import select, socket, sys
held = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for i in range(64)]
for each in held:
    each.bind(("127.0.0.11", 0))
print("all sockets", flush=True)
while True:
    for each in select.select(held, [], [])[0]:
        query, sender = each.recvfrom(512)
        if sys.argv[1] == "lying":
            each.sendto(query[:2] + bytes.fromhex("8180000100010000 0000") + query[12:] +
                        bytes.fromhex("c00c00010001000000000004 0b000001"), sender)' "$1"
	bed_wait_line decoy "all sockets"
}

# The resolvers of the machine and of the world get no query, and names of containers are known.
engine_off() { # RESOLVER
	local before
	decoy silent
	[ "$(engine_answer good.test "@$1")" = "noerror 192.0.2.7" ]
	[ "$(engine_put '{"internet": {"enabled": false}, "dns": {"allowHostnames": ["*.mine.test"]}}')" = 204 ]
	before="$(asked loopback) $(asked resolver)"
	for way in "" --tcp; do
		# shellcheck disable=SC2086 # no word, or one
		[ "$(engine_answer good.test $way "@$1")" = "nxdomain -" ]
		# shellcheck disable=SC2086 # no word, or one
		[ "$(engine_answer a.mine.test $way "@$1")" = "noerror 11.0.0.1" ]
	done
	[ "$NETWORK" = bridge ] ||
		[ "$(engine_answer db "@$1")" = "noerror $(engine_address db "$NETWORK")" ]
	[ "$(asked loopback) $(asked resolver)" = "$before" ]
}

engine_layouts() {
	local neighbour
	engine_bed
	# The engine replaces the resolver at a loopback address on its default network.
	NETWORK=bridge
	engine_side bridge
	engine_off 8.8.8.8
	engine_end
	dk network create inside >/dev/null
	NETWORK=inside
	engine_side inside --dns 1.1.1.1
	engine_off 127.0.0.11
	engine_end
	# A resolver in a neighbour.
	dk run -d --name names --network inside test /bin/peer dns-serve 53 >/dev/null
	engine_wait_line names ready
	neighbour=$(engine_address names inside)
	engine_side inside --dns "$neighbour"
	engine_off 127.0.0.11
	[ "$(engine_answer good.test "@$neighbour")" = "nxdomain -" ]
	[ "$(dk logs names | grep -c '^query ')" = 1 ]
	engine_end
	# The engine asks the machine's resolver itself, where nothing of ours is. It stays as it was.
	engine_side inside
	decoy lying
	[ "$(engine_put '{"internet": {"enabled": false}}')" = 409 ]
	grep -q "127.0.0.11" "$BED_DIR/put"
	[ "$(engine_answer good.test @127.0.0.11)" = "noerror 192.0.2.7" ]
	[ "$(engine_answer good.test "@$neighbour")" = "noerror 192.0.2.7" ]
}

@test "row 19: off, in four layouts of an engine (own programs)" {
	RIGHTS=--privileged engine_layouts
}

@test "row 19: off, in four layouts of an engine (nftables)" {
	RIGHTS="--cap-add NET_ADMIN" engine_layouts
}

@test "row 19: off, in four layouts of an engine (nftables without tproxy)" {
	RIGHTS="--cap-add NET_ADMIN" STEER=nft-redirect engine_layouts
}
