#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# starts.sh NAME COUNT - starts COUNT sidecars one after the other as workerd does: it creates and starts each
# over Docker's API and repeats PUT /egress until that is answered. Unlike workerd it asks from the world, an
# address outside the bridge, through the published port. The application's outbound traffic runs from the
# start on. Hosts have src_valid_mark=1. It prints a line for each start:
#
#   start=NAME-1 ready_ms=120 attempts=1 aborted= polls=100 outbound=63
#
# attempts counts the attempts until the answer. A refused one is repeated as by workerd, because the sidecar
# does not listen yet. Any other end of an attempt is an abort. So is a later poll without an answer.
set -u

# shellcheck source=tests/lib/testbed.bash
. "$(dirname -- "${BASH_SOURCE[0]}")/../lib/testbed.bash"

ATTEMPTS=100 PAUSE=0.02 # 2 s in all, as workerd's 10 attempts 200 ms apart, but closer
POLLS=100
REFUSED=7 # exit status of curl

api() {
	local method=$1 path=$2
	shift 2
	curl -sS --fail-with-body --max-time 30 --unix-socket "$ENGINE_SOCKET" -X "$method" "$@" "http://docker$path"
}

from_world() {
	nsenter --net="$BED_DIR/ns/world" -- curl -sS --max-time 2 "$@"
}

# create NAME - creates the container as workerd does, with src_valid_mark. (A namespace copies that from the
# machine's own, which the bed does not touch.)
create() {
	api POST "/containers/create?name=$1" -o /dev/null -H 'Content-Type: application/json' -d '{
		"Image": "sidestep",
		"Cmd": ["--http-egress-port", "8080", "--http-ingress-address", "0.0.0.0:39001",
			"--docker-gateway-cidr", "172.17.0.0/16", "--dns-enabled", "--tls-intercept"],
		"ExposedPorts": {"39001/tcp": {}},
		"HostConfig": {
			"PublishAllPorts": true, "NetworkMode": "bridge", "Dns": ["1.1.1.1", "8.8.8.8"],
			"ExtraHosts": ["host.docker.internal:host-gateway"], "CapAdd": ["NET_ADMIN"],
			"Sysctls": {"net.ipv4.conf.all.src_valid_mark": "1",
				"net.ipv4.conf.default.src_valid_mark": "1"}
		}
	}'
}

# ready URL - repeats the request until it is answered; sets attempts and aborted.
ready() {
	local status
	attempts=0 aborted=
	while [ $((attempts += 1)) -le $ATTEMPTS ]; do
		status=0
		from_world -f -o /dev/null -X PUT -d '{"port": 8080}' "$1/egress" 2>/dev/null || status=$?
		[ $status != 0 ] || return 0
		[ $status = $REFUSED ] || aborted+=${aborted:+,}curl-$status
		sleep $PAUSE
	done
	aborted+=${aborted:+,}never-ready
	return 1
}

# polls URL - polls POLLS times and prints how many were answered.
polls() {
	local urls=()
	for ((i = 0; i < POLLS; i++)); do
		urls+=(-o /dev/null "$1/ca")
	done
	from_world -w '%{http_code}\n' "${urls[@]}" 2>/dev/null | grep -c 200
}

one_start() {
	local name=$1 began state pid port url took good=0 attempts aborted
	create "$name" || return
	began=${EPOCHREALTIME/[.,]/}
	api POST "/containers/$name/start" || return
	state=$(api GET "/containers/$name/json") || return
	pid=$(grep -oE '"Pid":[0-9]+' <<<"$state" | head -n 1 | cut -d: -f2)
	port=$(grep -oE '"HostPort":"[0-9]+"' <<<"$state" | head -n 1 | grep -oE '[0-9]+')
	url=http://$BED_UPLINK:$port
	nsenter --net="/proc/$pid/ns/net" -- "$PEER" flood 192.0.2.77 80 --until-file "$BED_DIR/$name.stop" \
		--pause-us 3000 --attempt-ms 100 --timeout 60 >"$BED_DIR/$name.flood" &
	ready "$url" && took=$(((${EPOCHREALTIME/[.,]/} - began) / 1000)) && good=$(polls "$url")
	[ "$good" = $POLLS ] || aborted+=${aborted:+,}$good-polls-of-$POLLS
	nsenter --net="/proc/$pid/ns/net" -- "$PEER" connect 192.0.2.77 80 --send ping --expect ping --timeout 5 \
		>"$BED_DIR/$name.connect" || aborted+=${aborted:+,}outbound-$(bed_value result <"$BED_DIR/$name.connect")
	touch "$BED_DIR/$name.stop"
	wait $!
	printf 'start=%s ready_ms=%s attempts=%s aborted=%s polls=%s outbound=%s\n' "$name" "${took:-never}" \
		"$attempts" "$aborted" "$good" "$(tail -n 1 "$BED_DIR/$name.flood" | bed_value ok)"
	[ -z "$aborted" ] || api GET "/containers/$name/logs?stderr=1&tail=20"
	rm -f "$BED_DIR/$name.stop" "$BED_DIR/$name.flood" "$BED_DIR/$name.connect"
	api DELETE "/containers/$name?force=true"
}

for ((number = 1; number <= $2; number++)); do
	one_start "$1-$number" || exit
done
