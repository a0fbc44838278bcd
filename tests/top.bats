#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# `sidestep top` on a pseudo terminal.

load lib/testbed.bash
load lib/scenarios.bash

setup() {
	bed_start
	mkdir -p "$BED_BPFFS/sidestep"
}

teardown() {
	bed_stop
}

# top STEP... - runs it on a terminal with the bed's maps (tests/terminal.py).
top() {
	run "$BED_REPO/tests/terminal.py" "$@" -- "$SIDESTEP" top --pin "$(SIDE_PIN)" --sockets "$BED_DIR" --interval 200
	[ "$status" -eq 0 ] || fail "$output"
}

# The path of the sidecar's event socket is in the folder that `top` looks at.
follow_sidecar() {
	local netns
	netns=$("$SIDESTEP" status --json --pin "$(SIDE_PIN)" | sed -n 's/.*"netns": \([0-9]*\).*/\1/p')
	ln -s "/run/sidestep/$netns.events" "$BED_DIR/"
}

@test "the maps alone show an open connection, and the rate of its verdict" {
	gateway
	own_sidecar
	bed_spawn app hold "$PEER" connect 203.0.113.7 7777 --wait-first-byte --timeout 60
	top see '^- +1 ' \
		key g key g see 'by destination' see '^203\.0\.113\.7:7777 +1 +0 ' \
		key '\r' see 'to 203\.0\.113\.7:7777: verdict steer_tcp' \
		key '\x7f' see '^Name ' key n see '^NAME ' \
		key V see '^- +steer_tcp +[1-9]' \
		key q end 0
}

@test "events show a refused connection by its name, and a key shows the reason" {
	gateway --status 403
	own_sidecar
	follow_sidecar
	top see ', 1 event socket,' key gg see 'by destination' \
		run "nsenter --net=$(bed_netns app) curl -s -m 5 -H 'Host: refused.test' http://203.0.113.1/" \
		see '^refused\.test:80 +0 +1 .* 1 ' \
		key '\r' see 'refused +gateway_refused' \
		see 'verdict steer_tcp, reason gateway_refused, gateway status 403' see 'CONNECT refused by the gateway' see "^do:  look into the gateway's log" \
		key q end 0
}

@test "a terminal of 80 columns shows the sorted column, and the reason of an IPv6 connection with its remedy" {
	gateway --status 403
	own_sidecar
	follow_sidecar
	SIZE=80x24 top see ', 1 event socket,' \
		run "nsenter --net=$(bed_netns app) curl -s -m 5 'http://[2001:db8::1234:5678:9abc:def0]/'" \
		run "nsenter --net=$(bed_netns app) $PEER udp 192.0.2.77 443 --send x --timeout 1" \
		see '^Name +Open +Closed +Conn/s +Failed +Sent +Received +Bytes/s$' \
		key d see '^Name +Open +Closed +Conn/s +Failed +Sent +Received +Denied$' see ' 1$' \
		key gg see 'by destination' key c see 'Bytes/s\n\[2001:db8::1234' key '\r' see '^refused +gateway_refused +\[2001' \
		see 'gateway_refused, gateway|gateway_refused,$' see 'gateway status 403' \
		see '^do:  look into the gateway' see 'without credentials$' \
		key '\x7f' key V see 'steer_tcp' key q end 0
	SIZE=80x6 top see ', 1 event socket,' key V see 'steer_tcp|bridge|link' key jjjjjjjjjj see 'refused' key q end 0
}

@test "without a terminal, or with an unknown one, the error names observe" {
	run "$SIDESTEP" top </dev/null
	is status "$status" 1
	like error "$output" "sidestep observe"
	TERM=nonsense run "$BED_REPO/tests/terminal.py" end 1 -- env TERM=nonsense "$SIDESTEP" top
	is status "$status" 0
	like error "$output" "sidestep observe"
}
