#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# sidestep capture: packets with the secrets of their TLS, and HTTP archives. All tests share one sidecar.

bats_require_minimum_version 1.5.0

load lib/testbed.bash
load lib/scenarios.bash

setup_file() {
	[ "$(id -u)" = 0 ] || skip "needs root (network namespaces)"
	export BATS_TEST_TIMEOUT=200
	bed_start
	export CA=$BED_DIR/ca/ca.crt
	gateway
	bed_spawn app sidecar "$SIDESTEP" sidecar --gateway "$BED_HOST:8080" --tls-intercept --ca-dir "$BED_DIR/ca"
	bed_wait_line sidecar "interception is live" 10
}

teardown_file() {
	bed_stop
}

# capture_from WHERE NAME COMMAND... - starts one in this namespace, and returns when the sidecar serves it.
capture_from() {
	local before
	before=$(runs)
	bed_spawn "$@"
	one_more() { [ "$(runs)" -gt "$before" ]; }
	bed_until 5 one_more
}

# capture NAME ARGUMENT... - the same in the sidecar's namespace.
capture() {
	capture_from app "$1" "$SIDESTEP" capture "${@:2}"
}

runs() {
	grep -c "a capture runs" "$BED_DIR/sidecar.log" || true
}

# finish NAME - ends a capture as Ctrl-C does. Its files are complete then.
finish() {
	bed_signal "$1" INT
	bed_wait_exit "$1"
}

fetch() { # URL [CURL-ARGUMENT...]
	bed_exec app curl -sS -m 10 --cacert "$CA" --resolve "a.example:443:192.0.2.7" --resolve "b.example:443:192.0.2.8" "$@"
}

@test "tshark shows requests of intercepted TLS 1.2 and 1.3 from the file alone" {
	# Somebody else may read the file that is there.
	install -m 644 /dev/null "$BED_DIR/a.pcapng"
	capture packets -w "$BED_DIR/a.pcapng"
	for version in 1.2 1.3; do
		fetch "https://a.example/path-$version?q=1" --tlsv$version --tls-max $version -H "X-Secret: $version"
	done
	finish packets
	[ "$(stat -c %a "$BED_DIR/a.pcapng")" = 600 ]
	tshark -r "$BED_DIR/a.pcapng" -Y http -T fields -e http.request.uri -e http.response.code >"$BED_DIR/http"
	cat "$BED_DIR/http"
	grep -q "^/path-1.2?q=1" "$BED_DIR/http"
	grep -q "^/path-1.3?q=1" "$BED_DIR/http"
	[ "$(grep -c 200 "$BED_DIR/http")" = 2 ]
	# lo shows each packet twice, and the file has it once.
	[ "$(tshark -r "$BED_DIR/a.pcapng" -Y 'tcp.flags.syn == 1' | wc -l)" = 4 ]
}

@test "the file is readable while the capture runs, by a pipe" {
	capture_from app piped bash -c '
		"$0" capture --seconds 30 -w - | tshark -l -r - -Y http.request -T fields -e http.request.uri' "$SIDESTEP"
	fetch https://a.example/piped
	bed_wait_line piped "^/piped" 20
	bed_kill piped
}

@test "--name picks connections, from their first packet on" {
	capture named --name '*.B.example' --name 'b.*' -w "$BED_DIR/b.pcapng" --har "$BED_DIR/b.har"
	fetch https://a.example/not
	fetch https://b.example/this
	finish named
	tshark -r "$BED_DIR/b.pcapng"
	[ "$(tshark -r "$BED_DIR/b.pcapng" -Y tcp -T fields -e ip.addr | tr ',' '\n' | grep -c 192.0.2.7)" = 0 ]
	[ "$(tshark -r "$BED_DIR/b.pcapng" -Y 'tcp.flags.syn == 1' | wc -l)" = 2 ]
	[ "$(tshark -r "$BED_DIR/b.pcapng" -Y http.request -T fields -e http.request.uri)" = /this ]
	[ "$(python3 -c 'import json, sys; print(*[e["request"]["url"] for e in json.load(open(sys.argv[1]))["log"]["entries"]])' \
		"$BED_DIR/b.har")" = https://b.example/this ]
}

# archive - checks a HAR by its standard's rules, and prints an entry a line.
archive() {
	python3 "$BED_REPO/tests/har.py" "$1"
}

@test "an HTTP archive has requests, answers and bodies, and is valid" {
	printf '\377\376binary' >"$BED_DIR/binary"
	capture archive --har "$BED_DIR/a.har"
	fetch 'https://a.example/one?q=a%20b&empty' -H "Cookie: session=1"
	fetch https://a.example/two --data 'text=1' https://a.example/three
	fetch https://a.example/four --data-binary "@$BED_DIR/binary"
	fetch -I https://a.example/five
	# A field that is no UTF-8.
	fetch https://a.example/six --data x -H $'Content-Type: text/caf\xe9'
	finish archive
	[ "$(stat -c %a "$BED_DIR/a.har")" = 600 ]
	archive "$BED_DIR/a.har" >"$BED_DIR/entries"
	cat "$BED_DIR/entries"
	grep -qxF 'GET https://a.example/one?q=a%20b&empty [q=a b] [empty=] 200 text' "$BED_DIR/entries"
	grep -qxF 'POST https://a.example/two body text=1 200 text' "$BED_DIR/entries"
	grep -qxF 'POST https://a.example/three body text=1 200 text' "$BED_DIR/entries"
	grep -qxF 'POST https://a.example/four body base64 200 text' "$BED_DIR/entries"
	grep -qxF 'HEAD https://a.example/five 200 empty' "$BED_DIR/entries"
	grep -qxF 'POST https://a.example/six body x 200 text' "$BED_DIR/entries"
}

@test "without interception the command refuses, with the reason and the remedy" {
	run -1 bed_exec neighbour "$SIDESTEP" capture -w "$BED_DIR/none.pcapng"
	[[ $output == *"no sidecar here terminates TLS"*"--tls-intercept"* ]]
	[ ! -e "$BED_DIR/none.pcapng" ]
	# A sidecar that runs, and was not asked to intercept.
	bed_spawn neighbour plain "$SIDESTEP" sidecar --gateway "$BED_HOST:8080"
	bed_wait_line plain "interception is live" 10
	run -1 bed_exec neighbour "$SIDESTEP" capture --har "$BED_DIR/none.har"
	[[ $output == *"no sidecar here terminates TLS"*"--tls-intercept"* ]]
	[ ! -e "$BED_DIR/none.har" ]
	bed_kill plain
	! grep "capture" "$BED_DIR/plain.log" || false
	run -2 bed_exec app "$SIDESTEP" capture
	[[ $output == *"nothing to write"* ]]
	run -2 bed_exec app "$SIDESTEP" capture -w - --har -
	[[ $output == *"name one file"* ]]
	run -1 bed_exec app "$SIDESTEP" capture -w /dev/full
	[[ $output == *"cannot write /dev/full: No space left on device"* ]]
}

@test "only root in the sidecar's mount namespace gets secrets" {
	run -1 bed_exec app setpriv --reuid nobody --clear-groups "$SIDESTEP" capture --har /dev/null
	[[ $output == *"run this command as root"* ]]
	run -1 bed_exec app unshare --mount sh -c 'mount -t tmpfs none /run && exec "$@"' sh "$SIDESTEP" capture --har /dev/null
	[[ $output == *"no sidecar here terminates TLS"* ]]
}

@test "a reader that stops reading costs nothing but its own messages" {
	capture stalled --har "$BED_DIR/stalled.har"
	bed_signal stalled STOP
	head -c 20000000 /dev/zero >"$BED_DIR/zeros"
	fetch -T "$BED_DIR/zeros" https://a.example/upload
	bed_signal stalled CONT
	finish stalled
	grep -q "packets or messages were lost" "$BED_DIR/stalled.log"
	# A reader that is killed is gone, and the sidecar goes on.
	capture killed --har "$BED_DIR/killed.har"
	bed_kill killed
	fetch https://a.example/after
	# Four at a time; the fifth one is told.
	ended() { [ "$(grep -c "a capture has ended" "$BED_DIR/sidecar.log")" = "$(runs)" ]; }
	bed_until 5 ended
	for name in one two three four; do
		capture "$name" --har "$BED_DIR/$name.har"
	done
	run -1 bed_exec app "$SIDESTEP" capture --har "$BED_DIR/five.har"
	echo "$output"
	[[ $output == *"serves 4 captures already"* ]]
	for name in one two three four; do
		finish "$name"
	done
	[ "$(grep -c "a capture has ended" "$BED_DIR/sidecar.log")" -ge 5 ]
}

@test "bridge mode: the bridge has the packets, which open the TLS of its containers, and the log tells of it" {
	bed_spawn host bridge "$SIDESTEP" sidecar --bridge br0 --gateway "$BED_HOST:8080" --tls-intercept --ca-dir "$BED_DIR/ca3"
	bed_wait_line bridge "interception is live" 10
	bed_spawn host on_bridge "$SIDESTEP" capture --device br0 -w "$BED_DIR/bridge.pcapng" --har "$BED_DIR/bridge.har"
	bed_wait_line bridge "info: a capture runs: its reader gets the TLS secrets and the plaintext"
	bed_exec neighbour curl -sS -m 30 --cacert "$BED_DIR/ca3/ca.crt" --resolve d.example:443:192.0.2.10 https://d.example/bridged
	finish on_bridge
	bed_wait_line bridge "info: a capture has ended"
	bed_kill bridge
	tshark -r "$BED_DIR/bridge.pcapng" -Y http.request -T fields -e ip.src -e ip.dst -e http.request.uri >"$BED_DIR/http"
	cat "$BED_DIR/http"
	[ "$(<"$BED_DIR/http")" = "$BED_NEIGHBOUR	192.0.2.10	/bridged" ]
	[ "$(tshark -r "$BED_DIR/bridge.pcapng" -Y 'ip.dst == 192.0.2.10 && tcp.flags.syn == 1' | wc -l)" = 1 ]
	archive "$BED_DIR/bridge.har" | grep "^GET https://d.example/bridged 200"
	# A device that is not there.
	run -1 bed_exec app "$SIDESTEP" capture --device nobody -w "$BED_DIR/nobody.pcapng"
	[[ $output == *"device nobody"* ]]
}

@test "the host finds a sidecar by its process, and by its agent" {
	capture_from host by_pid "$SIDESTEP" capture --pid "$(bed_pid sidecar)" --har "$BED_DIR/pid.har"
	fetch https://a.example/pid
	finish by_pid
	archive "$BED_DIR/pid.har" | grep "^GET https://a.example/pid "

	bed_spawn neighbour weak "${NET_ADMIN[@]}" "$SIDESTEP" sidecar --gateway "$BED_HOST:8080" --tls-intercept \
		--ca-dir "$BED_DIR/ca2"
	bed_wait_line weak "interception is live" 10
	bed_spawn host agent "$SIDESTEP" agent --pin "$BED_BPFFS/agent" --pid "$(bed_pid weak)"
	bed_wait_line weak "the host's agent steers" 10
	bed_spawn host by_name "$SIDESTEP" capture --container "process-$(bed_pid weak)" --pin "$BED_BPFFS/agent" \
		--har "$BED_DIR/name.har"
	bed_wait_line weak "a capture runs"
	bed_exec neighbour curl -sS -m 10 --cacert "$BED_DIR/ca2/ca.crt" --resolve c.example:443:192.0.2.9 https://c.example/name
	finish by_name
	archive "$BED_DIR/name.har" | grep "^GET https://c.example/name "
	run -1 bed_exec host "$SIDESTEP" capture --container nobody --pin "$BED_BPFFS/agent" --har /dev/null
	[[ $output == *"no agent on this host serves a sidecar named nobody"* ]]
}
