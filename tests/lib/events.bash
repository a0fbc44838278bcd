# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154 # bats sets status and output
# What tests look for in a sidecar's events. $LOG is its --event-log.

events() {
	python3 "$BED_REPO/tests/events.py" "$@"
}

# dial ADDRESS PORT [ARGUMENT...] - opens a connection of the application's, which may fail.
dial() {
	bed_exec app "$PEER" connect "$@"
}

# has COUNT [KEY=VALUE...] - the log has so many events with these fields.
has() {
	[ "$(events select "$LOG" "${@:2}" | wc -l)" = "$1" ]
}

# one_event REASON KEY=VALUE... - the first of these fields selects one event. It has this reason, the other fields and a
# cause, and observe shows the remedy behind it.
one_event() {
	bed_until 5 events told "$LOG" "$@"
	bed_exec app "$SIDESTEP" observe --reason "$1" | tail -n 1 | grep "^ *do:  [a-z]"
}

# fails PORT REASON END PART [KEY=VALUE...] - the connection to that port fails. It leaves one event with reason, end
# and cause, and the log has the same message.
fails() {
	local message
	run dial 192.0.2.77 "$1" --half-close --read-all --timeout 30
	[ "$status" -ne 0 ]
	one_event "$2" "dst=192.0.2.77:$1" "end=$3" "${@:5}"
	message=$(events select "$LOG" "dst=192.0.2.77:$1" | python3 -c 'import json; print(json.loads(input())["message"])')
	[[ $message == *"$4"* ]]
	grep -qF -- "$message" "$BED_DIR/sidecar.log"
}
