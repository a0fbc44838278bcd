#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Shows Sidestep's main job on a real Docker engine in a network of its own (`sudo make demo`). Each row of the
# table is checked at the place where the connection arrived, in the log of the gateway or of the server. Exit
# status 0 when all rows are as expected.
set -u

# shellcheck source=tests/lib/testbed.bash
. "$(dirname -- "${BASH_SOURCE[0]}")/lib/testbed.bash"
cd "$BED_REPO" || exit 1

NEW_ADDRESS=192.0.2.77 NEW_ADDRESS6=2001:db8:dead::1 # nobody has them
NAMED=192.0.2.7					     # the answer of the resolver on 1.1.1.1
PIN=/sys/fs/bpf/sidestep/demo
MEGABYTES=10
rows=0 good=0

say() { printf '%s\n' "$*"; }

die() {
	printf 'demo: %s\n' "$*" >&2
	exit 1
}

# quietly SECONDS COMMAND... - waits until the command succeeds, and returns its status.
quietly() { bed_until "$@" 2>/dev/null; }

# row CASE VERDICT ARRIVED SEEN STATUS [DETAIL] - prints a line of the table. DETAIL explains a failure.
row() {
	local word=ok
	rows=$((rows + 1))
	if [ "$5" = 0 ]; then
		good=$((good + 1))
	else
		word=FAILED
	fi
	printf '%-40s  %-12s  %-30s  %-24s  %s\n' "$1" "$2" "$3" "$4" "$word"
	[ "$5" = 0 ] || printf '    %s\n' "${6:-no detail}"
}

heading() {
	printf '\n%-40s  %-12s  %-30s  %s\n' "who connected where" verdict "where it arrived" \
		"what getpeername said"
	printf '%.0s-' {1..120}
	printf '\n'
}

in_container() {
	local name=$1
	shift
	dk exec "$name" /bin/peer "$@" 2>&1
}

endpoint() {
	if [[ $1 == *:* ]]; then echo "[$1]:$2"; else echo "$1:$2"; fi
}

# gateway_has SOURCE [DESTINATION] - whether the gateway logged a CONNECT from this client.
gateway_has() {
	grep -F "\"source\":\"$1\"" "$BED_DIR/gateway.log" |
		grep -qF "\"destination\":\"${2:-}"
}

# server_has NAME PEER - whether the server (in a container, or a process of the bed) accepted this peer.
server_has() {
	if [ -f "$BED_DIR/$1.log" ]; then bed_log "$1"; else dk logs "$1"; fi 2>&1 |
		grep -qF "accept peer=$2 "
}

# connect_from CONTAINER HOST PORT - sends a line and expects it back; sets line, status, source and seen.
connect_from() {
	line=$(in_container "$1" connect "$2" "$3" --send "hello from $1" --expect "hello from $1" \
		--timeout 5)
	status=$?
	source=$(bed_value local "$line")
	source=${source:-none}
	seen=$(bed_value peer "$line")
	seen=${seen:-none}
}

# intercepted CASE CONTAINER HOST PORT [ADDRESS=HOST] - the gateway must get CONNECT ADDRESS:PORT for this very
# socket, and getpeername() must say ADDRESS:PORT.
intercepted() {
	local wanted arrived=nowhere
	wanted=$(endpoint "${5:-$3}" "$4")
	connect_from "$2" "$3" "$4"
	if quietly 2 gateway_has "$source" "$wanted\""; then
		arrived="the gateway, as CONNECT"
	else
		status=1
	fi
	[ "$seen" = "$wanted" ] || status=1
	row "$1" intercepted "$arrived" "$seen" "$status" "$line"
}

# passed CASE CONTAINER HOST PORT SERVER SOURCE-ADDRESS - the connection must arrive at the server with the
# client's own address, and not at the gateway.
passed() {
	local arrived=nowhere
	connect_from "$2" "$3" "$4"
	if quietly 2 server_has "$5" "$source"; then
		arrived="$5, from ${source%:*}"
		# The column is too narrow for an IPv6 address with its name and port.
		[[ $source != \[* ]] || arrived="$5, ${6//[][]/}"
	else
		status=1
	fi
	if gateway_has "$source" "$(endpoint "$3" "$4")\""; then
		arrived="the gateway" status=1
	fi
	[ "$seen" = "$(endpoint "$3" "$4")" ] && [ "${source%:*}" = "$6" ] || status=1
	row "$1" passed "$arrived" "$seen" "$status" "$line"
}

# from_outside CASE CLIENT-COMMAND... - a client transfers 10 MB each way with the app's server through the
# published port. The replies must not be taken for the app's own connections.
from_outside() {
	local name=$1 before line status arrived=nowhere peer=none
	shift
	before=$(dk logs app 2>&1 | grep -c "accept ")
	line=$("$@" --bytes $((MEGABYTES * 1048576)) --direction both --timeout 20 2>&1)
	status=$?
	peer=$(dk logs app 2>&1 | grep "accept " | tail -n +$((before + 1)) | head -n 1 | bed_value peer)
	if [ -n "$peer" ]; then
		arrived="the app's server"
	else
		status=1
	fi
	if gateway_replies; then
		arrived="replies: the gateway" status=1
	fi
	[ "$(bed_value received "$line")" = $((MEGABYTES * 1048576)) ] || status=1
	row "$name" "from outside" "$arrived" "${peer:-none}" "$status" "$line"
}

# Whether the gateway got anything from the app's server, which listens on 8080.
gateway_replies() {
	grep -qE '"source":"[^"]*:8080"' "$BED_DIR/gateway.log"
}

dns_row() {
	local line status arrived=nowhere seen queries
	queries=$(bed_log resolver | grep -c "name=shop.example. ")
	line=$(in_container app dns shop.example A @1.1.1.1 --timeout 5)
	status=$?
	seen=$(bed_value from "$line")
	[ "$seen" = 1.1.1.1:53 ] && [ "$(bed_value data "$line")" = "$NAMED" ] || status=1
	# The relay sends a query of its own, from another port than the app's.
	if quietly 2 resolver_has $((queries + 1)); then
		arrived="resolver 1.1.1.1, relayed"
	else
		status=1
	fi
	[ "$(steered_dns)" -gt "$dns_before" ] || status=1 line="steer_dns did not grow; $line"
	row "app -> 1.1.1.1 DNS query, UDP" intercepted "$arrived" "$seen" "$status" "$line"
}

resolver_has() {
	[ "$(bed_log resolver | grep -c "name=shop.example. ")" -ge "$1" ]
}

steered_dns() {
	local count
	count=$(engine_exec "$SIDESTEP" status --pin "$PIN" | bed_value steer_dns)
	echo "${count:-0}"
}

udp_row() {
	local line arrived=nowhere status=0
	line=$(in_container app udp 203.0.113.1 4433 --send secret --timeout 2) && status=1
	if bed_log datagrams | grep -q datagram; then
		arrived="the internet" status=1
	fi
	row "app -> 203.0.113.1:4433 UDP, not DNS" refused "$arrived" \
		"error: $(bed_value result "$line")" "$status" "$line"
}

# leak_row - the last row: no packet to or from the intercepted addresses may have been on the line to the
# internet. The sniffer counts 192.0.2.0/24, 203.0.113.0/24 and 2001:db8::/32.
leak_row() {
	local line status=0 count
	bed_kill sniffer
	line=$(bed_log sniffer | tail -n 1)
	count=$(grep -oE '(to|from)_[a-z]+=[0-9]+' <<<"$line" | awk -F= '{ n += $2 } END { print n + 0 }')
	[ "$count" = 0 ] && [ "$(bed_value result "$line")" = ok ] || status=1
	row "the line to the internet, all addresses" "nothing out" "$count packets" "-" "$status" "$line"
}

start_servers() {
	bed_spawn engine gateway "$SIDESTEP" gateway --server --log --listen 0.0.0.0:8080 &&
		bed_spawn engine host-server "$PEER" serve 9000 &&
		bed_spawn world resolver "$PEER" dns-serve 53 --address 1.1.1.1 &&
		bed_spawn world datagrams "$PEER" udp-serve 4433 &&
		bed_spawn world sniffer "$PEER" sniff --device eth0 --timeout 600 \
			--count-dst 192.0.2.0/24 --count-dst 2001:db8::/32 --count-dst 203.0.113.0/24 &&
		bed_wait_line host-server ready >/dev/null && bed_wait_line resolver ready >/dev/null &&
		bed_wait_line datagrams ready >/dev/null && bed_wait_line sniffer ready >/dev/null
}

start_containers() {
	engine_image demo "$SIDESTEP:/bin/sidestep" "$PEER:/bin/peer" &&
		dk run -d --name app --dns 1.1.1.1 -p 8081:8080 demo /bin/peer serve 8080 &&
		dk run -d --name neighbour demo /bin/peer serve 80 &&
		engine_wait_line app ready && engine_wait_line neighbour ready
}

start_sidecar() {
	dk run -d --name sidecar --network container:app --privileged -v /sys/fs/bpf:/sys/fs/bpf \
		demo /bin/sidestep sidecar --gateway "$ENGINE_GATEWAY:8080" --pin "$PIN" >/dev/null &&
		engine_wait_line sidecar "interception is live"
}

# second_network - connects the running app to another network.
second_network() {
	dk network create --subnet 172.29.0.0/24 second &&
		dk run -d --name neighbour2 --network second demo /bin/peer serve 80 &&
		engine_wait_line neighbour2 ready && dk network connect second app &&
		engine_wait_line sidecar "bypass: 172.29.0.0/24"
}

bridge_mode() {
	dk run -d --name plain demo /bin/peer serve 80 && engine_wait_line plain ready &&
		bed_spawn engine bridge "$SIDESTEP" sidecar --bridge docker0 \
			--gateway "$ENGINE_GATEWAY:8080" --pin /sys/fs/bpf/sidestep/bridge &&
		bed_wait_line bridge "interception is live"
}

show_maps() {
	local bpftool
	bpftool=$(tests/deps.sh bpftool) || return
	printf '\n# bpftool map dump pinned %s/bypass4\n' "$PIN"
	engine_exec "$bpftool" map dump pinned "$PIN/bypass4"
	printf '\n# sidestep status\n'
	engine_exec "$SIDESTEP" status
}

[ "$(id -u)" = 0 ] || die "needs root (network namespaces, BPF): sudo make demo"
[[ -x $SIDESTEP && -x $PEER ]] || die "not built: run make build/sidestep build/peer"

say "A Docker engine starts in a network namespace of its own; nothing on this machine is touched."
trap bed_stop EXIT
trap 'exit 130' INT TERM
engine_start --bip "$ENGINE_BIP" || die "no Docker engine"
start_servers >/dev/null || die "could not start the servers"
start_containers >/dev/null || die "could not start the containers"
start_sidecar >"$BED_DIR/sidecar.line" || die "the sidecar did not start"

app=$(engine_address app) app6=$(engine_address6 app)
neighbour=$(engine_address neighbour) neighbour6=$(engine_address6 neighbour)
dns_before=$(steered_dns)

say "  docker $(dk version --format '{{.Server.Version}}'), kernel $(uname -r), bridge docker0 172.17.0.0/16 and $ENGINE_SUBNET6"
say "  app        container $app, its server published as port 8081"
say "  neighbour  container $neighbour on the same bridge"
say "  sidecar    docker run --network container:app --privileged ... sidestep sidecar"
say "             $(sed 's/.*info: //' "$BED_DIR/sidecar.line")"
say "  gateway    sidestep gateway --server --log on the machine, which answers instead of the internet"
say ""
say "Connections to the outside must arrive at the gateway, while the app still sees the address that it asked"
say "for. Traffic on the bridge, and replies to clients from outside, must not be touched."

heading
intercepted "app -> $NEW_ADDRESS:80, nobody has it" app "$NEW_ADDRESS" 80
intercepted "app -> [$NEW_ADDRESS6]:443, IPv6" app "$NEW_ADDRESS6" 443
intercepted "app -> $NEW_ADDRESS:6379, any other port" app "$NEW_ADDRESS" 6379
intercepted "app -> shop.example:8443, by name" app shop.example 8443 "$NAMED"
dns_row
udp_row
passed "app -> neighbour, $neighbour:80" app "$neighbour" 80 neighbour "$app"
passed "app -> neighbour, the same over IPv6" app "$neighbour6" 80 neighbour "[$app6]"
passed "app -> the machine, $ENGINE_GATEWAY:9000" app "$ENGINE_GATEWAY" 9000 host-server "$app"
passed "neighbour -> app, $app:8080" neighbour "$app" 8080 app "$neighbour"
from_outside "neighbour -> $ENGINE_GATEWAY:8081, 2 x $MEGABYTES MB" \
	in_container neighbour transfer "$ENGINE_GATEWAY" 8081
from_outside "world -> $BED_UPLINK:8081, 2 x $MEGABYTES MB" \
	bed_exec world "$PEER" transfer "$BED_UPLINK" 8081

say ""
say "While it runs: docker network connect second app (172.29.0.0/24)"
heading
if second_network >/dev/null; then
	passed "app -> neighbour2, second network" app "$(engine_address neighbour2 second)" 80 \
		neighbour2 "$(engine_address app second)"
	intercepted "app -> $NEW_ADDRESS:80" app "$NEW_ADDRESS" 80
	intercepted "app -> [$NEW_ADDRESS6]:80" app "$NEW_ADDRESS6" 80
	passed "app -> neighbour, first network" app "$neighbour" 80 neighbour "$app"
else
	row "docker network connect second app" - - - 1 "$(dk logs --tail 1 sidecar 2>&1)"
fi

say ""
say "Bridge mode: sidestep sidecar --bridge docker0 on the machine, nothing in the container"
heading
if bridge_mode >/dev/null; then
	intercepted "container -> $NEW_ADDRESS:80" plain "$NEW_ADDRESS" 80
	intercepted "container -> [$NEW_ADDRESS6]:443" plain "$NEW_ADDRESS6" 443
	passed "container -> neighbour, same bridge" plain "$neighbour" 80 neighbour "$(engine_address plain)"
else
	row "sidestep sidecar --bridge docker0" - - - 1 "$(bed_log bridge | tail -n 1)"
fi

say ""
say "Did anything reach the internet that must not?"
heading
leak_row

say ""
say "The subnets that the BPF programs leave alone, and their counters:"
show_maps || die "could not read the maps"

say ""
bed_stop || die "something was left behind"
say "$good of $rows rows as expected, in $SECONDS s."
[ "$good" = "$rows" ]
