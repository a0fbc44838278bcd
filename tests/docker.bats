#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Sidestep on a real Docker engine (tests/lib/engine.bash). Connections are counted at both ends, and a sniffer
# watches the line to the internet. All tests share the engine. Each has its own gateway, server in the world
# and sniffer, and removes its containers and networks.

# shellcheck source=tests/lib/testbed.bash
. "$BATS_TEST_DIRNAME/lib/testbed.bash"

NOWHERE=192.0.2.77 NOWHERE6=2001:db8:dead::1 # addresses that nobody has
ANSWERS=192.0.2.1 ANSWERS6=2001:db8::1	     # the world answers, so a leak would work
SECOND=172.29.0.0/24
SECOND6=fd29::/64

setup_file() {
	[ "$(id -u)" = 0 ] || skip "needs root (network namespaces)"
	export BATS_TEST_TIMEOUT=300
	engine_start --bip "$ENGINE_BIP"
	mkdir -m 777 "$BED_DIR/shared"
	engine_image test "$SIDESTEP:/bin/sidestep" "$PEER:/bin/peer" "$(command -v setpriv):/bin/setpriv"
}

teardown_file() {
	bed_stop
}

setup() {
	rm -f "$BED_DIR"/shared/* "$BED_DIR/bridge.log" "$BED_DIR/supervised.log"
	bed_spawn engine gateway "$SIDESTEP" gateway --server --log --listen 0.0.0.0:8080
	bed_spawn engine machine "$PEER" serve 9000
	bed_spawn world world-server "$PEER" serve 7000
	bed_spawn world sniffer "$PEER" sniff --device eth0 --timeout 600 \
		--count-dst 192.0.2.0/24 --count-dst 203.0.113.0/24 --count-dst 2001:db8::/32
	bed_wait_line machine ready
	bed_wait_line world-server ready
	bed_wait_line sniffer ready
	bed_until 5 listens
}

teardown() {
	local name containers
	[ -n "${BED_DIR:-}" ] || return 0
	if [ -z "${BATS_TEST_COMPLETED:-}" ]; then
		show_state
	fi
	touch "$BED_DIR/shared/stop"
	containers=$(dk ps -aq)
	# shellcheck disable=SC2086 # a list of words
	[ -z "$containers" ] || dk rm -f $containers >/dev/null
	dk network prune -f >/dev/null
	for name in "$BED_DIR"/proc/*.pid; do
		name=${name##*/} name=${name%.pid}
		[ "$name" = dockerd ] || bed_kill "$name" || bed_kill "$name" KILL
	done
	engine_exec rm -rf /sys/fs/bpf/sidestep
	# The next test finds the engine as the first one did.
	[ "$ENGINE_GATEWAY" = "${ENGINE_BIP%/*}" ] || engine_restart --bip "$ENGINE_BIP"
}

# show_state - prints logs, which bats shows with a failed test.
show_state() {
	local name
	for name in $(dk ps -a --format '{{.Names}}' --filter name=sidecar); do
		echo "--- log of $name"
		dk logs --tail 15 "$name" 2>&1
	done
	[ ! -f "$BED_DIR/bridge.log" ] || { echo "--- bridge" && tail -n 15 "$BED_DIR/bridge.log"; }
	echo "--- gateway" && tail -n 5 "$BED_DIR/gateway.log"
	engine_exec "$SIDESTEP" status 2>&1 | grep -E "^/|counters"
}

listens() {
	engine_exec ss -Hltn | grep -q ":8080 "
}

value() {
	local word
	word=$(bed_value "$1" "$2")
	[ -n "$word" ] || fail "no $1= in: $2" || return
	printf '%s\n' "$word"
}

peer() {
	local name=$1
	shift
	dk exec "$name" /bin/peer "$@" 2>&1
}

# container NAME [DOCKER-ARGUMENT...] - starts one with an echo server on port 8080. The bed's folder is /shared.
container() {
	local name=$1
	shift
	dk run -d --name "$name" -v "$BED_DIR/shared:/shared" "$@" test /bin/peer serve 8080 >/dev/null
	engine_wait_line "$name" ready >/dev/null
}

# sidecar NAME [DOCKER-ARGUMENT...] -- [SIDESTEP-ARGUMENT...] - starts one for the app and returns when it is live.
sidecar() {
	sidecar_start "$@"
	engine_wait_line "$1" "interception is live" 10
}

sidecar_start() {
	local name=$1 arguments=()
	shift
	while [ "${1:---}" != -- ]; do
		arguments+=("$1")
		shift
	done
	shift
	dk run -d --name "$name" --network container:app "${arguments[@]}" test \
		/bin/sidestep sidecar --gateway "$ENGINE_GATEWAY:8080" "$@" >/dev/null
}

bridge_mode() {
	bed_spawn engine bridge "$SIDESTEP" sidecar --bridge docker0 --pin /sys/fs/bpf/sidestep/bridge \
		--gateway "$BED_UPLINK:8080" "$@"
	bed_wait_line bridge "interception is live" 10
}

# peer_spawn NAME CONTAINER ARGUMENT... - runs the peer in the background in the container. NAME has its log.
peer_spawn() {
	local name=$1 container=$2
	shift 2
	bed_spawn engine "$name" env DOCKER_HOST="unix://$ENGINE_SOCKET" \
		DOCKER_CONFIG="$BED_DIR/engine/config" PATH="$ENGINE_PATH:$PATH" \
		docker exec "$container" /bin/peer "$@"
}

# flood NAME CONTAINER HOST PORT - opens numbered connections until flood_end, some 300 a second.
flood() {
	peer_spawn "$1" "$2" flood "$3" "$4" --until-file /shared/stop --pause-us 3000 --attempt-ms 1000 --timeout 90 \
		--log "/shared/$1.failures"
	bed_wait_line "$1" ready >/dev/null
}

# flood_end NAME... - ends all floods. The last line of each log has the counts.
flood_end() {
	local name
	touch "$BED_DIR/shared/stop"
	for name; do
		# The counts are judged, not the status, which says whether an attempt failed.
		bed_wait_exit "$name" || is "end of $name" $? -ne 124
		echo "$name: $(bed_log "$name" | tail -n 1)"
	done
	rm -f "$BED_DIR/shared/stop"
}

# flood_count NAME attempts|ok|failed
flood_count() {
	value "$2" "$(bed_log "$1" | tail -n 1)"
}

flood_clean() {
	local name
	for name; do
		is "attempts of $name" "$(flood_count "$name" attempts)" -gt 50
		is "failures of $name: $(bed_log "$name" | tail -n 1)" "$(flood_count "$name" failed)" -eq 0
	done
}

# gateway_count [DESTINATION] - counts CONNECTs in the gateway's log, all or those to this IP:PORT.
gateway_count() {
	grep -cF "\"destination\":\"${1:-}${1:+\"}" "$BED_DIR/gateway.log" || true
}

gateway_has() {
	grep -F "\"source\":\"$1\"" "$BED_DIR/gateway.log" | grep -qF "\"destination\":\"$2\""
}

# server_log NAME - prints the log of a spawned process or a container.
server_log() {
	if [ -f "$BED_DIR/$1.log" ]; then bed_log "$1"; else dk logs "$1" 2>&1; fi
}

# accepted SERVER [PEER-ADDRESS] - prints how many connections it accepted.
accepted() {
	server_log "$1" | grep -cF "accept peer=${2:-}" || true
}

# intercepted CONTAINER HOST PORT - a connection arrives at the gateway with the destination that was asked for.
intercepted() {
	local line wanted=$2:$3
	[[ $2 != *:* ]] || wanted="[$2]:$3"
	line=$(peer "$1" connect "$2" "$3" --send ping --expect ping --timeout 5) || fail "$1 to $2: $line"
	is "getpeername of $1" "$(value peer "$line")" = "$wanted"
	bed_until 2 gateway_has "$(value local "$line")" "$wanted"
}

# passed CONTAINER HOST PORT SERVER ADDRESS - a connection arrives at the server from the client's own address.
passed() {
	local line source wanted=$2:$3
	[[ $2 != *:* ]] || wanted="[$2]:$3"
	line=$(peer "$1" connect "$2" "$3" --send ping --expect ping --timeout 5) || fail "$1 to $2: $line"
	source=$(value local "$line")
	is "source of $1" "${source%:*}" = "$5"
	bed_until 2 accepted_from "$4" "$source"
	# A flood uses ports again, so the source alone does not identify the connection.
	if gateway_has "$source" "$wanted"; then
		fail "$1 to $2 arrived at the gateway"
	fi
}

accepted_from() {
	server_log "$1" | grep -qF "accept peer=$2 "
}

# transfer CLIENT-COMMAND... - sends 10 MB each way over 4 connections and compares every byte.
transfer() {
	local line
	line=$("$@" --connections 4 --bytes 2621440 --direction both --timeout 20 2>&1) ||
		fail "$*: $line"
	is "received by $*" "$(value received "$line")" -eq 10485760
}

# no_leak - no packet for the internet's addresses passed the line, and no connection arrived behind it.
no_leak() {
	local line
	bed_kill sniffer
	line=$(bed_log sniffer | tail -n 1)
	is "packets lost by the sniffer" "$(value drops "$line")" -eq 0
	is "packets on the line to the world: $line" \
		"$(grep -oE '(to|from)_[a-z]+=[0-9]+' <<<"$line" | awk -F= '{ n += $2 } END { print n }')" -eq 0
	is "connections that the world's server accepted" "$(accepted world-server)" -eq 0
}

# no_bridge_at_gateway - neither replies of the app's server nor connections to a bridge came to the gateway.
no_bridge_at_gateway() {
	if grep -E '"destination":"(172\.|\[fd)|"source":"[^"]*:8080"' "$BED_DIR/gateway.log"; then
		fail "the gateway got bridge traffic"
	fi
}

capabilities() {
	awk '/^CapEff/ { print $2 }' "/proc/$1/status"
}

@test "sidecar: intercepts v4 and v6, steps aside for the bridge and for a published port" {
	container app -p 8081:8080
	container neighbour
	sidecar sidecar --privileged --
	intercepted app $NOWHERE 80
	intercepted app $NOWHERE 6379
	intercepted app $NOWHERE6 443
	intercepted app $ANSWERS 7000
	passed app "$(engine_address neighbour)" 8080 neighbour "$(engine_address app)"
	passed app "$(engine_address6 neighbour)" 8080 neighbour "[$(engine_address6 app)]"
	passed app "$ENGINE_GATEWAY" 9000 machine "$(engine_address app)"
	passed neighbour "$(engine_address app)" 8080 app "$(engine_address neighbour)"

	flood out app $NOWHERE 80
	flood out6 app $NOWHERE6 80
	transfer peer neighbour transfer "$ENGINE_GATEWAY" 8081
	transfer bed_exec world "$PEER" transfer "$BED_UPLINK" 8081
	transfer peer neighbour transfer "$(engine_address app)" 8080
	is "connections from the world" "$(accepted app "$BED_OUTSIDE:")" -eq 4
	flood_end out out6
	flood_clean out out6
	is "at the gateway" "$(gateway_count $NOWHERE:80)" -eq $(($(flood_count out ok) + 1))
	is "at the gateway" "$(gateway_count "[$NOWHERE6]:80")" -eq "$(flood_count out6 ok)"
	no_bridge_at_gateway
	no_leak
}

@test "sidecar: docker run gives few capabilities, and it keeps NET_ADMIN alone" {
	local rights=(--cap-drop ALL --cap-add NET_ADMIN) pid
	container app
	if dk run --rm --cap-add BPF test /bin/peer probe >/dev/null 2>&1; then
		rights+=(--cap-add BPF)
	else
		# Debian's Docker 20.10 does not know CAP_BPF. Before Linux 5.8 this capability included it.
		rights+=(--cap-add SYS_ADMIN)
	fi
	is "/proc/sys" "$(value sysctl_write "$(dk run --rm "${rights[@]}" test /bin/peer probe)")" = EROFS
	sidecar sidecar "${rights[@]}" --
	pid=$(engine_pid sidecar)
	is "capabilities left" "$(capabilities "$pid")" = 0000000000001000
	grep -q "^NoNewPrivs:.*1" "/proc/$pid/status"
	intercepted app $NOWHERE 80
	intercepted app $NOWHERE6 443
	passed app "$ENGINE_GATEWAY" 9000 machine "$(engine_address app)"
	no_leak
}

# sidestep_pid CONTAINER - prints the number of the sidestep process in this container's namespaces.
sidestep_pid() {
	local pid wanted
	wanted=$(readlink "/proc/$(engine_pid "$1")/ns/pid")
	for pid in $(pgrep -x sidestep); do
		[ "$(readlink "/proc/$pid/ns/pid")" != "$wanted" ] || printf '%s\n' "$pid"
	done
}

@test "sidecar: CAP_NET_ADMIN and CAP_BPF suffice, with /proc/sys read-only" {
	local pid
	container app
	dk run -d --name holder --network container:app --cap-drop ALL test /bin/peer serve 8099
	engine_wait_line holder ready
	pid=$(engine_pid holder)
	# setpriv limits the capabilities, because not every engine has --cap-add BPF.
	bed_spawn engine exact nsenter --target "$pid" --net --mount --pid --uts --ipc -- \
		/bin/setpriv --bounding-set=-all,+net_admin,+bpf --inh-caps=-all \
		/bin/sidestep sidecar --gateway "$ENGINE_GATEWAY:8080"
	bed_wait_line exact "interception is live" 10
	pid=$(sidestep_pid holder)
	is "bounding set" "$(awk '/^CapBnd/ { print $2 }' "/proc/$pid/status")" = 0000008000001000
	[[ $(capabilities "$pid") =~ ^000000[08]000001000$ ]] ||
		fail "capabilities left: $(capabilities "$pid")"
	nsenter --target "$pid" --mount -- /bin/peer probe | grep sysctl_write=EROFS
	intercepted app $NOWHERE 80
	intercepted app $NOWHERE6 443
	passed app "$ENGINE_GATEWAY" 9000 machine "$(engine_address app)"
	no_leak
}

second_reached() {
	[ "$(accepted neighbour2 172.29.0.100:)" -ge "$1" ]
}

# join_and_leave - connects the app to the second network and disconnects it under traffic.
join_and_leave() {
	local ip before
	before=$(accepted neighbour2)
	dk network connect --ip 172.29.0.100 second app
	ip=$(engine_address neighbour2 second)
	passed app "$ip" 8080 neighbour2 172.29.0.100
	intercepted app $NOWHERE 81
	# An attempt of the flood that began too early gives up after a second.
	bed_until 5 second_reached $((before + 20))
	dk network disconnect second app
	intercepted app $NOWHERE 81
}

@test "sidecar: docker network connect and disconnect lose no connection under traffic" {
	local round
	container app
	container neighbour
	dk network create --subnet $SECOND --ipv6 --subnet $SECOND6 second
	container neighbour2 --network second
	sidecar sidecar --privileged -v "$ENGINE_SOCKET:/run/engine.sock" -- --docker-socket /run/engine.sock
	engine_wait_line sidecar "bypass: $SECOND docker network second"
	run engine_exec "$SIDESTEP" bypass --docker-socket "$ENGINE_SOCKET" --container app list
	echo "$output"
	[[ $output == *"$SECOND "*"docker network second"* ]]
	run engine_exec "$SIDESTEP" explain --docker-socket "$ENGINE_SOCKET" --container app $NOWHERE:80
	echo "$output"
	[[ $output == *"intercepted (steer_tcp)" ]]
	[ "$(dk exec sidecar /bin/sidestep explain $NOWHERE:80 | tail -n 1)" = "intercepted (steer_tcp)" ]
	flood bridge-flood app "$(engine_address neighbour)" 8080
	flood out app $NOWHERE 80
	flood out6 app $NOWHERE6 80
	# These fail while the app is not on that network, but they must never arrive at the gateway.
	flood second-flood app "$(engine_address neighbour2 second)" 8080
	for round in 1 2 3; do
		echo "round $round"
		join_and_leave
	done
	flood_end bridge-flood out out6 second-flood
	flood_clean bridge-flood out out6
	is "at the neighbour" "$(accepted neighbour)" -eq "$(flood_count bridge-flood ok)"
	is "to the second network" "$(flood_count second-flood ok)" -gt 0
	is "at neighbour2" "$(accepted neighbour2 172.29.0.100:)" -ge $(($(flood_count second-flood ok) + 3))
	is "at the gateway" "$(gateway_count $NOWHERE:80)" -ge "$(flood_count out ok)"
	is "at the gateway" "$(gateway_count "[$NOWHERE6]:80")" -ge "$(flood_count out6 ok)"
	is "at the gateway in all" "$(gateway_count)" -eq \
		$(($(gateway_count $NOWHERE:80) + $(gateway_count "[$NOWHERE6]:80") + 6))
	no_bridge_at_gateway
	no_leak
}

bridge_mode_works() {
	container plain -p 8081:8080
	container neighbour
	bridge_mode
	intercepted plain $NOWHERE 80
	intercepted plain $NOWHERE6 443
	intercepted plain $ANSWERS 7000
	passed plain "$(engine_address neighbour)" 8080 neighbour "$(engine_address plain)"
	passed plain "$(engine_address6 neighbour)" 8080 neighbour "[$(engine_address6 plain)]"
	passed plain "$ENGINE_GATEWAY" 9000 machine "$(engine_address plain)"
	flood out plain $NOWHERE 80
	flood out6 plain $NOWHERE6 80
	flood bridge-flood plain "$(engine_address neighbour)" 8080
	transfer bed_exec world "$PEER" transfer "$BED_UPLINK" 8081
	transfer peer neighbour transfer "$ENGINE_GATEWAY" 8081
	is "connections from the world" "$(accepted plain "$BED_OUTSIDE:")" -eq 4
	flood_end out out6 bridge-flood
	flood_clean out out6 bridge-flood
	is "at the gateway" "$(gateway_count $NOWHERE:80)" -eq $(($(flood_count out ok) + 1))
	is "at the gateway" "$(gateway_count "[$NOWHERE6]:80")" -eq "$(flood_count out6 ok)"
	is "at the neighbour" "$(accepted neighbour "$(engine_address plain):")" -eq \
		$(($(flood_count bridge-flood ok) + 1))
	no_bridge_at_gateway
	no_leak
}

@test "bridge mode: it works with bridge-nf-call-iptables 1" {
	engine_exec test -e /proc/sys/net/bridge/bridge-nf-call-iptables || skip "no br_netfilter"
	engine_bridge_nf 1
	bridge_mode_works
}

@test "bridge mode: it works with bridge-nf-call-iptables 0" {
	engine_exec test -e /proc/sys/net/bridge/bridge-nf-call-iptables || skip "no br_netfilter"
	engine_bridge_nf 0
	bridge_mode_works
	engine_bridge_nf 1
}

@test "a second instance in the same place ends with status 3 and says why" {
	container app
	sidecar sidecar --privileged --
	sidecar_start sidecar-second --privileged --
	is "status" "$(timeout 10 env DOCKER_HOST="unix://$ENGINE_SOCKET" "PATH=$ENGINE_PATH:$PATH" \
		docker wait sidecar-second)" -eq 3
	dk logs sidecar-second 2>&1 | grep "another sidestep is running in this network namespace"
	intercepted app $NOWHERE 80

	bridge_mode
	bed_spawn engine bridge-second "$SIDESTEP" sidecar --bridge docker0 --gateway "$BED_UPLINK:8080"
	local status=0
	bed_wait_exit bridge-second || status=$?
	is "status in bridge mode" $status -eq 3
	bed_log bridge-second | grep "another sidestep is running"
	intercepted app $NOWHERE 80
	no_leak
}

# fails_at_once HOST - the app's connection fails within half a second.
fails_at_once() {
	at_once 500000 "refused|unreachable|reset|E[A-Z]+" peer app connect "$1" 7000 --send ping --expect ping --timeout 3
}

@test "after SIGKILL of the sidecar the app fails closed at once, the machine is unchanged, and a new one takes over" {
	local before after
	container app
	container neighbour
	sidecar sidecar --privileged --
	before=$(engine_state)
	intercepted app $ANSWERS 7000
	flood out app $ANSWERS 7000
	flood out6 app $ANSWERS6 7000
	flood bridge-flood app "$(engine_address neighbour)" 8080
	bed_until 5 gateway_passed 100
	dk kill --signal KILL sidecar
	fails_at_once $ANSWERS
	fails_at_once $ANSWERS6
	passed app "$(engine_address neighbour)" 8080 neighbour "$(engine_address app)"
	passed app "$ENGINE_GATEWAY" 9000 machine "$(engine_address app)"
	after=$(engine_state)
	diff <(echo "$before") <(echo "$after")
	sidecar sidecar-new --privileged --
	intercepted app $ANSWERS 7000
	intercepted app $ANSWERS6 7000
	flood_end out out6 bridge-flood
	flood_clean bridge-flood
	is "attempts slower than 0.5 s, v4" "$(slow_failures out)" -eq 0
	is "attempts slower than 0.5 s, v6" "$(slow_failures out6)" -eq 0
	is "at the gateway" "$(gateway_count $ANSWERS:7000)" -ge "$(flood_count out ok)"
	is "at the gateway" "$(gateway_count "[$ANSWERS6]:7000")" -ge "$(flood_count out6 ok)"
	no_bridge_at_gateway
	no_leak
	diff <(echo "$before") <(engine_state)
}

gateway_passed() {
	[ "$(gateway_count)" -gt "$1" ]
}

accepted_more() {
	[ "$(accepted "$1")" -gt "$2" ]
}

slow_failures() {
	sed -nE 's/.*took_us=([0-9]+).*/\1/p' "$BED_DIR/shared/$1.failures" |
		awk '$1 > 500000 { n++ } END { print n + 0 }'
}

bridge_link_gone() {
	! engine_exec ip link show sidestep0 >/dev/null 2>&1
}

went_live() {
	[ "$(grep -c "interception is live" "$BED_DIR/supervised.log")" -ge "$1" ]
}

@test "bridge mode: SIGKILL leaves the machine unchanged, and a new instance takes over at once" {
	local before round
	container plain
	container neighbour
	before=$(engine_state)
	# A supervisor starts the next instance as soon as it has reaped the last one, six in all.
	# shellcheck disable=SC2016 # for the inner shell
	bed_spawn engine supervised sh -c 'trap "kill \$!; exit" TERM; for i in 1 2 3 4 5 6; do "$@" & wait $!; done' \
		supervisor "$SIDESTEP" sidecar --bridge docker0 --gateway "$BED_UPLINK:8080"
	for round in 1 2 3 4 5 6; do
		bed_until 5 went_live $round
		intercepted plain $NOWHERE 80
		intercepted plain $NOWHERE6 80
		[ $round = 6 ] || pkill -KILL -x -P "$(bed_pid supervised)" sidestep
	done
	passed plain "$(engine_address neighbour)" 8080 neighbour "$(engine_address plain)"
	if grep "error:" "$BED_DIR/supervised.log"; then
		fail "an instance did not start"
	fi
	bed_kill supervised
	bed_until 5 bridge_link_gone
	diff <(echo "$before") <(engine_state)
	no_leak
}

bypass_has() {
	engine_exec "$SIDESTEP" status --pin /sys/fs/bpf/sidestep/bridge | grep -q "^ *$1 "
}

bypass_lacks() {
	! bypass_has "$1"
}

# counted_on_bridge - floods from a new plain container arrive at the right end, and none is lost.
counted_on_bridge() {
	container plain
	container neighbour
	: >"$BED_DIR/gateway.log"
	flood out plain $NOWHERE 80
	flood out6 plain $NOWHERE6 80
	flood bridge-flood plain "$(engine_address neighbour)" 8080
	flood bridge-flood6 plain "$(engine_address6 neighbour)" 8080
	bed_until 10 gateway_passed 300
	# Wait for both, so that the flood that began last has sent some.
	bed_until 10 accepted_more neighbour 300
	passed plain "$ENGINE_GATEWAY" 9000 machine "$(engine_address plain)"
	flood_end out out6 bridge-flood bridge-flood6
	flood_clean out out6 bridge-flood bridge-flood6
	is "at the gateway" "$(gateway_count $NOWHERE:80)" -eq "$(flood_count out ok)"
	is "at the gateway" "$(gateway_count "[$NOWHERE6]:80")" -eq "$(flood_count out6 ok)"
	is "at the neighbour" "$(accepted neighbour)" -eq \
		$(($(flood_count bridge-flood ok) + $(flood_count bridge-flood6 ok)))
	dk rm -f plain neighbour
}

@test "bridge mode: the engine restarts with another --bip" {
	bridge_mode --docker-socket "$ENGINE_SOCKET"
	bed_until 5 bypass_has 172.17.0.0/16
	counted_on_bridge
	engine_restart --bip 172.20.0.1/16
	bed_until 10 bypass_has 172.20.0.0/16
	bed_until 10 bypass_lacks 172.17.0.0/16
	counted_on_bridge
	bypass_has 172.20.0.0/16
	bypass_lacks 172.17.0.0/16
	no_bridge_at_gateway
	no_leak
}

# Row n5 of the field reports.
@test "bridge mode says how many networks it steers, from the first one that is missing to its end" {
	dk network create --driver macvlan -o parent=uplink vlan >/dev/null
	bridge_mode --docker-socket "$ENGINE_SOCKET" --bridge later --bridge vlan --metrics-listen 127.0.0.1:9093
	bed_wait_line bridge "1 of 3 bridges \(--bridge\) exist; .* macvlan"
	dk network create later >/dev/null
	bed_wait_line bridge "2 of 3 bridges \(--bridge\) exist"
	dk network rm vlan >/dev/null
	dk network create vlan >/dev/null
	bed_wait_line bridge "3 of 3 bridges \(--bridge\) are steered"
	dk run -d --name plain --network later test /bin/peer serve 8080 >/dev/null
	dk exec plain /bin/peer connect $NOWHERE 80 --send hello --half-close --read-all
	gateway_passed 0
	# The time from the engine's event to the change is in the metrics.
	run bed_exec engine curl -s http://127.0.0.1:9093/metrics
	like lag "$output" 'sidestep_sync_lag_seconds_bucket\{le="5.0"\} [1-9]'
	dk rm -f plain >/dev/null
	: >"$BED_DIR/bridge.log"
	dk network rm later >/dev/null
	bed_wait_line bridge "2 of 3 bridges \(--bridge\) exist"
}

@test "bridge mode refuses networks whose driver has no bridge, if they are all that is asked for" {
	dk network create --driver macvlan -o parent=uplink vlan >/dev/null
	run bed_exec engine timeout 20 "$SIDESTEP" sidecar --bridge vlan --bridge host --gateway "$BED_UPLINK:8080" \
		--docker-socket "$ENGINE_SOCKET"
	echo "$output"
	[ "$status" = 2 ]
	[[ $output == *"error: --bridge vlan: that network's driver is macvlan, which has no bridge"* ]]
	[[ $output == *"error: --bridge host: that network's driver is host, which has no bridge"* ]]
}

@test "bridge mode finds the bridge of a network by its subnet where it has not Docker's name" {
	dk network create --subnet 172.29.0.0/24 odd >/dev/null
	name="br-$(dk network inspect -f '{{printf "%.12s" .Id}}' odd)"
	# Podman names its bridges so.
	engine_exec ip link set "$name" down
	engine_exec ip link set "$name" name podman7 up
	bridge_mode --docker-socket "$ENGINE_SOCKET" --bridge odd
	bed_wait_line bridge "2 of 2 bridges \(--bridge\) are steered"
}

# gateway_container [DOCKER-ARGUMENT...] - the container `gw` on the network `second` has a gateway.
gateway_container() {
	dk run -d --name gw --network second "$@" test /bin/sidestep gateway --server --log --listen 0.0.0.0:8080 >/dev/null
}

@test "doctor names a container whose network has gone with another one, and the remedy mends it" {
	left() { # CONTAINER
		run engine_exec "$SIDESTEP" doctor --container "$1"
		echo "$output"
	}
	restart() { # CONTAINER - an engine waits 10 s for one that does not end by itself
		dk restart --time 0 "$1" >/dev/null
	}
	container app
	dk run -d --name joined --network container:app test /bin/peer serve 8081 >/dev/null
	left joined
	[ "$status" = 0 ]
	[[ $output != *container-apart* ]]
	restart app
	left app
	[ "$status" = 0 ]
	left joined
	[ "$status" = 1 ]
	[[ $output == *"joined was started in the network namespace of container "*", which has another one now [container-apart]"* ]]
	[[ $output == *"[way-out-none]"*"do:  docker restart joined"* ]]
	restart joined
	left joined
	[ "$status" = 0 ]
	dk kill app >/dev/null
	left joined
	[[ $output == *"which does not run [container-apart]"*"do:  docker start $(dk inspect -f '{{.Id}}' app | head -c 12) && docker restart joined"* ]]
}

@test "sidecar: the gateway's name is a container's, which is made anew with another address" {
	dk network create --subnet "$SECOND" second >/dev/null
	gateway_container --ip "${SECOND%.*}.10"
	# shellcheck disable=SC2046 # words
	dk run -d --name sidecar --network second $(engine_caps BPF PERFMON) --cap-add NET_ADMIN test \
		/bin/sidestep sidecar --gateway gw:8080 >/dev/null
	engine_wait_line sidecar "gateway ${SECOND%.*}.10:8080 can be reached" 10
	dk rm -f gw >/dev/null
	gateway_container --ip "${SECOND%.*}.20"
	dk exec sidecar /bin/peer connect $NOWHERE 80 --send hello --half-close --read-all || true
	engine_wait_line sidecar "the gateway gw is ${SECOND%.*}.20:8080 now" 15
	dk exec sidecar /bin/peer connect $NOWHERE 80 --send hello --half-close --read-all
	dk logs gw 2>&1 | grep "\"destination\":\"$NOWHERE:80\""
}
