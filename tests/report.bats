#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# `sidestep report`: what the archive has, what it says that it lacks, and that planted secrets are not in it.

load lib/testbed.bash
load lib/scenarios.bash

DATAPATH=bpf

setup_file() {
	bed_start
}

teardown_file() {
	bed_stop
}

teardown() {
	local name
	for name in sidecar gateway events; do
		bed_kill "$name" >/dev/null 2>&1 || true
	done
}

# report [ARGUMENT...] - writes one about the application's namespace, and unpacks it to $BED_DIR/sidestep-report.
report() {
	rm -rf "$BED_DIR/sidestep-report"
	bed_exec app "$SIDESTEP" report --pin "$BED_BPFFS/sidestep/agent" --events "$BED_DIR" "$@" "$BED_DIR/report.tar" &&
		tar -C "$BED_DIR" -xf "$BED_DIR/report.tar"
}

# told EXPRESSION - prints the value of a Python expression over the report's documents: doctor, status, plan.
told() {
	python3 -c '
import json, pathlib, sys
folder = pathlib.Path(sys.argv[1])
doctor, status, plan = (json.loads((folder / f"{name}.json").read_text()) for name in ("doctor", "status", "plan"))
print(eval(sys.argv[2]))' "$BED_DIR/sidestep-report" "$1"
}

@test "a report has findings, status, network, maps and kernel; only its owner may read it, and it says what it lacks" {
	gateway
	sidecar --bypass 203.0.113.0/24
	# Somebody else may read the file that is there, and the application has a device with such a name.
	install -m 644 /dev/null "$BED_DIR/report.tar"
	bed_exec app ip link add $'br\xff' type bridge
	report --gateway "$BED_HOST:8080"
	bed_exec app ip link del $'br\xff'
	[ "$(stat -c %a "$BED_DIR/report.tar")" = 600 ]
	(cd "$BED_DIR/sidestep-report" && ls -R)
	[ "$(told 'doctor["schema"], doctor["status"]')" = "(1, 0)" ]
	told '[found["id"] for found in doctor["findings"]]' | grep "'instance-other'"
	[ "$(told 'status[0]["mode"], status[0]["running"]')" = "('sidecar', True)" ]
	told '" ".join(link["name"] for link in plan["network"]["links"])' | grep -F 'eth0 br\xff'
	cat "$BED_DIR/sidestep-report/maps/app/bypass4.txt"
	grep -q "^Linux " "$BED_DIR/sidestep-report/kernel.txt"
	grep -x "Left out: log.txt: no --log was given" "$BED_DIR/sidestep-report/README.txt"
	grep -x "Left out: events/: no instance answers in that folder" "$BED_DIR/sidestep-report/README.txt"
	# A sidecar's own socket of events.
	connect 192.0.2.77 443 --send hello --half-close --read-all
	report --events /run/sidestep
	grep '"dst":"192.0.2.77:443"' "$BED_DIR/sidestep-report/events/$(told 'status[0]["netns"]').jsonl"
}

# differences - prints what plan.json says of the kernel, in one line.
differences() {
	told 'plan["compared"], [(layer, kind, len(plan[layer][kind])) for layer in ("routes", "rules", "bypass")
		for kind in ("missing", "extra") if layer in plan and plan[layer][kind]]'
}

@test "the plan agrees with the kernel, and a rule and a route that somebody took away are named, and a rule too many" {
	gateway
	sidecar --bypass 203.0.113.0/24
	report
	[ "$(differences)" = "(True, [])" ]
	# While it is stopped it does not bring them back.
	bed_signal sidecar STOP
	bed_exec app ip rule del priority 103
	bed_exec app sh -c 'ip route show table 9301 | head -n 1 | cut -d" " -f1-2 | xargs ip route del table 9301'
	bed_exec app ip rule add priority 105 table main protocol 93
	report
	[ "$(differences)" = "(True, [('routes', 'missing', 1), ('rules', 'missing', 1), ('rules', 'extra', 1)])" ]
	bed_exec app ip rule del priority 105 protocol 93
	bed_signal sidecar CONT
	bed_kill sidecar
	report
	[ "$(differences)" = "(False, [])" ]
	# With nftables no maps tell of bypassed prefixes.
	# shellcheck disable=SC2034 # for scenarios.bash
	DATAPATH=nft
	sidecar
	report
	[ "$(differences)" = "(True, [])" ]
}

@test "planted secrets are not in a report: log, events" {
	local secret=planted7731
	printf '%s\n' "Authorization: Bearer ${secret}a" "cookie: ${secret}b" "GET http://u:${secret}c@host/p?q=${secret}d" \
		"GATEWAY_TOKEN=${secret}e" "-----BEGIN PRIVATE KEY-----" "${secret}f" "-----END PRIVATE KEY-----" \
		"a line that stays" >"$BED_DIR/planted.log"
	# A line of an application that writes more than there is time for, if a pattern is tried at each byte.
	head -c 600000 /dev/zero | tr '\0' a >>"$BED_DIR/planted.log"
	# As docs/EVENTS.md tells of the socket: one line of request, then events until the end.
	bed_spawn host events python3 -uc '
import json, socket, sys
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
print("ready")
while True:
    reader, _ = server.accept()
    request = json.loads(reader.makefile().readline())
    assert request["last"] > 0 and not request["follow"], request
    for name in ("known.test", sys.argv[2]):
        reader.sendall((json.dumps({"type": "connection", "name": name}) + "\n").encode())
    reader.sendall(b"{ half a line")
    reader.close()' "$BED_DIR/1234.events" "http://host/?${secret}g"
	bed_wait_line events ready
	report --log "$BED_DIR/planted.log"
	# The control: it is where it was planted.
	grep -q "$secret" "$BED_DIR/planted.log"
	! grep -r "$secret" "$BED_DIR/sidestep-report" "$BED_DIR/report.tar" || false
	grep -x "a line that stays" "$BED_DIR/sidestep-report/log.txt"
	[ "$(grep -c '\[removed\]' "$BED_DIR/sidestep-report/log.txt")" = 5 ]
	grep "known.test" "$BED_DIR/sidestep-report/events/1234.jsonl"
	[ "$(wc -l <"$BED_DIR/sidestep-report/events/1234.jsonl")" = 2 ]
	! grep "Left out: \(events\|log\)" "$BED_DIR/sidestep-report/README.txt" || false
}

@test "a report that cannot be written, and a wrong command line, have their exit statuses" {
	run "$SIDESTEP" report "$BED_DIR/none/report.tar"
	[ "$status" = 1 ]
	[[ $output == *"cannot write $BED_DIR/none/report.tar"* ]]
	run "$SIDESTEP" report --gateway nonsense "$BED_DIR/report.tar"
	[ "$status" = 2 ]
	ln -s "$BED_DIR/elsewhere" "$BED_DIR/link"
	run "$SIDESTEP" report "$BED_DIR/link"
	[ "$status" = 1 ]
	[ ! -e "$BED_DIR/elsewhere" ]
}
