#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# starts.sh NAME COUNT - starts that many sidecars one after the other, each as workerd does: created
# and started over Docker's API, then PUT /egress until it answers. Unlike workerd it asks from the
# world, an address outside the bridge, through the published port; and the application's outbound
# traffic runs from the first moment on. Hosts have src_valid_mark=1. A line for each start:
#
#   start=NAME-1 ready_ms=120 attempts=1 aborted= polls=100 outbound=63
#
# attempts: until the answer. Refused ones are repeated as by workerd (it does not listen yet); an
# attempt that ends in any other way is an abort, as is a poll after it that is not answered.
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

# create NAME - what workerd asks for (src_valid_mark: a namespace's is copied from the machine's,
# which the bed does not touch).
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

# ready URL - asks until it answers; sets attempts and aborted.
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

# polls URL - prints how many of the polls after readiness were answered.
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
