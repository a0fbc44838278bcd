#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Events through the real thing: one for each connection, valid by docs/event.schema.json, in the log, at the
# socket and in the journal.

load lib/testbed.bash
load lib/scenarios.bash
load lib/events.bash

# shellcheck disable=SC2034 # for scenarios.bash
DATAPATH=bpf

setup() {
	bed_start
	mkdir -p "$BED_BPFFS/sidestep" "$BED_DIR/events"
	LOG=$BED_DIR/events/log.json
}

teardown() {
	bed_stop
}

@test "a connection leaves one event with its name, bytes, times and end, in log and socket alike" {
	gateway
	sidecar --event-log "$LOG" --sni-hint
	[ "$(stat -c %a "$LOG" "$(bed_socket app events)" | tr '\n' ' ')" = "600 600 " ]
	# A reader that asks for it learns of the beginning as well.
	bed_spawn app reader python3 "$BED_REPO/tests/events.py" follow "$(bed_socket app events)" '{"last":0,"open":true,"follow":true}'
	told() {
		dial 192.0.2.76 9000 --send x --half-close --read-all
		grep -q '"type":"open"' "$BED_DIR/reader.log"
	}
	bed_until 5 told
	run dial 192.0.2.77 9000 --send-bytes 70000 --half-close --read-all
	[ "$(bed_value sent "$output")" = 70000 ]
	bed_exec app curl -sS -m 30 --resolve a.example:80:192.0.2.7 http://a.example/
	bed_exec app curl -sS -m 30 --resolve c.example:8000:192.0.2.9 http://c.example:8000/
	bed_until 5 has 1 dst=192.0.2.9:8000 name=c.example name_source=host
	bed_exec app openssl s_client -connect 192.0.2.8:443 -servername b.example </dev/null || true
	bed_until 5 has 1 dst=192.0.2.8:443 name=b.example name_source=sni intercepted=false
	bed_until 5 has 1 dst=192.0.2.77:9000 bytes_sent=70000 bytes_received=70000 name=null end=fin reason=relayed \
		"gateway=$BED_HOST:8080" gateway_status=200 verdict=steer_tcp message=null protocol=tcp \
		'rule={"entry": "TCP to the gateway", "origin": "option --gateway"}'
	bed_until 5 has 1 dst=192.0.2.7:80 name=a.example name_source=host end=fin
	count=$(events check "$LOG")
	bed_until 5 grep -q '"type":"connection".*"dst":"192.0.2.8:443"' "$BED_DIR/reader.log"
	[ "$(events select "$BED_DIR/reader.log" dst=192.0.2.8:443 | sed 's/.*"id": "\([^"]*\)".*/\1/' | uniq -c | awk '{ print $1 }')" = 2 ]
	events check "$BED_DIR/reader.log"
	[ "$(events follow "$(bed_socket app events)" '{}')" = "$(<"$LOG")" ]
	[ "$(events follow "$(bed_socket app events)" '{"last":1}')" = "$(tail -n 1 "$LOG")" ]
	[ "$(events follow "$(bed_socket app events)" '{"since_ms":600000}' | wc -l)" = "$count" ]
	# Anything but a request ends the connection.
	[ -z "$(events follow "$(bed_socket app events)" '[1]')" ]
	# Landlock and seccomp leave what all this needs.
	bed_kill sidecar
	[ ! -e "$(bed_socket app events)" ]
	run grep -E "sandbox|events are lost" "$BED_DIR/sidecar.log"
	[ -z "$output" ]
}

@test "each failure of the gateway is one event with cause and remedy, and each end has its name" {
	bed_spawn host gateway python3 "$BED_REPO/tests/events.py" gateway "$BED_HOST" 8080
	bed_wait_line gateway ready
	sidecar --event-log "$LOG" --answer-timeout 2000 --drain 0
	fails 1 gateway_hung_up refused "is that an HTTP proxy" gateway_status=null
	fails 3 gateway_refused refused "it asks for credentials" gateway_status=407
	run dial 192.0.2.77 2 --send x --read-all
	bed_until 5 has 1 dst=192.0.2.77:2 end=reset_by_gateway reason=gateway_reset gateway_status=200
	bed_exec app python3 "$BED_REPO/tests/events.py" reset 192.0.2.77 4
	bed_until 5 has 1 dst=192.0.2.77:4 end=reset_by_application reason=application_reset
	bed_kill gateway
	fails 5 gateway_unreachable refused "is the gateway listening there" gateway_status=null
	gateway --garbage
	fails 6 gateway_not_http refused "is that an HTTP proxy?" gateway_status=null
	bed_kill gateway
	gateway --server --delay 60000
	fails 8 gateway_answer_timeout timeout "is it overloaded" gateway_status=null
	bed_kill gateway
	# The log has one message of a kind in a second, and the timeout took two.
	gateway --status 403
	fails 7 gateway_refused refused "status 403" gateway_status=403
	bed_kill gateway
	gateway
	bed_spawn app client "$PEER" connect 192.0.2.77 9 --read-all
	bed_until 5 eval '[ "$(arrived 192.0.2.77:9)" = 1 ]'
	bed_kill sidecar
	has 1 dst=192.0.2.77:9 end=proxy_gone reason=proxy_stopped
	[ "$(events check "$LOG")" = 9 ]
}

@test "intercepted TLS has name and protocol, and a client without the CA has cause and remedy" {
	gateway
	sidecar --event-log "$LOG" --tls-intercept --ca-dir "$BED_DIR/ca"
	bed_exec app curl -sS -m 30 --cacert "$BED_DIR/ca/ca.crt" --resolve a.example:443:192.0.2.7 https://a.example/
	run bed_exec app curl -sS -m 30 --resolve b.example:443:192.0.2.8 https://b.example/
	[ "$status" = 60 ]
	bed_until 5 has 1 dst=192.0.2.8:443 name=b.example intercepted=true reason=tls_ca_distrusted end=refused gateway_status=200
	bed_until 5 has 1 dst=192.0.2.7:443 name=a.example name_source=sni alpn=http/1.1 intercepted=true reason=relayed message=null
	events select "$LOG" name=b.example | grep -q "install its certificate"
	[ "$(events check "$LOG")" = 2 ]
}

# proxy_netns COMMAND... - runs it in the namespace that bridge mode has for its proxy.
proxy_netns() {
	local pid file
	pid=$(bed_pid sidecar)
	for file in /proc/"$pid"/fd/*; do
		[[ $(readlink "$file") != net:* || $file -ef /proc/$pid/ns/net ]] || { nsenter --net="$file" -- "$@" && return; }
	done
	fail "the sidecar has no namespace of its own"
}

@test "an nftables table, the agent and bridge mode leave the same events" {
	gateway
	for way in nft redirect agent bridge; do
		"${way}_sidecar" --event-log "$LOG.$way"
		if [ "$way" = bridge ]; then
			# The kernel says nothing by itself on the proxy's line, where it would be denied.
			run proxy_netns ip -o -6 address show dev eth0
			[ "$status:$output" = 0: ]
		fi
		dial 192.0.2.77 9000 --send x --half-close --read-all
		bed_kill sidecar
		[ "$(events select "$LOG.$way" dst=192.0.2.77:9000 end=fin bytes_sent=1 bytes_received=1 "gateway=$BED_HOST:8080" | wc -l)" = 1 ]
		[ "$(events check "$LOG.$way")" = 1 ] || { cat "$LOG.$way" && return 1; }
		[ "$way" != agent ] || bed_kill agent
	done
}

@test "the limit of connections, and more failures than the log tells, leave an event each" {
	gateway
	sidecar --event-log "$LOG" --max-connections 1
	bed_spawn app client "$PEER" connect 192.0.2.77 9 --read-all
	bed_until 5 eval '[ "$(arrived 192.0.2.77:9)" = 1 ]'
	for _ in 1 2 3 4 5; do
		run dial 192.0.2.77 10
	done
	bed_until 5 has 5 dst=192.0.2.77:10 end=limit reason=connection_limit
	[ "$(grep -c "the limit of 1 connections is reached" "$BED_DIR/sidecar.log")" -lt 5 ]
	[ "$(events check "$LOG")" = 5 ]
}

@test "a DNS answer that is made up or refused leaves an event, one of the resolver does not" {
	gateway
	bed_spawn outside dns "$PEER" dns-serve 53 --address 192.0.2.1
	bed_until 5 bed_exec outside sh -c 'ss -Hlun "sport = :53" | grep -q .'
	sidecar --event-log "$LOG" --made-up "*.made.test" --http-ingress-address "$BED_APP:39001"
	bed_exec app "$PEER" dns real.test A @192.0.2.1
	run bed_exec app "$PEER" dns x.made.test A @8.8.8.8
	bed_until 10 has 1 type=dns name=x.made.test reason=dns_made_up verdict=steer_dns protocol=udp dst=8.8.8.8:53 \
		'rule={"entry": "names that are allowed", "origin": "option --made-up"}'
	run bed_exec app "$PEER" dns other.test AAAA @8.8.8.8
	bed_until 10 has 1 type=dns name=other.test reason=dns_resolver_failed rule=null
	[ "$(events check "$LOG")" = 2 ]
	bed_exec app "$SIDESTEP" observe --to x.made.test | grep -qE "\(x.made.test\).*  A 11.0.0.1  dns_made_up$"
	bed_exec app "$SIDESTEP" observe --to other.test | grep -qE "\(other.test\).*  AAAA SERVFAIL  dns_resolver_failed$"
	bed_exec host curl -fsS -X PUT -d '{"port": 8999, "internet": {"enabled": false}, "dns": {"allowHostnames": ["a.put"]}}' \
		"http://$BED_APP:39001/egress"
	run bed_exec app "$PEER" dns a.put A @8.8.8.8
	bed_until 10 has 1 name=a.put reason=dns_made_up 'rule={"entry": "names that are allowed", "origin": "PUT /egress"}'
	run bed_exec app "$PEER" dns b.put A @8.8.8.8
	bed_until 10 has 1 name=b.put reason=dns_name_denied 'rule={"entry": "internet off", "origin": "PUT /egress"}'
	run dial 192.0.2.77 9000
	bed_until 10 has 1 dst=192.0.2.77:9000 reason=gateway_unreachable \
		'rule={"entry": "TCP to the gateway", "origin": "PUT /egress"}'
	grep -q '"query":{"name":"x.made.test","type":"A","rcode":"NOERROR","answers":\["11.0.0.1"\]}' "$LOG"
	grep -q '"query":{"name":"other.test","type":"AAAA","rcode":"SERVFAIL","answers":\[\]}' "$LOG"
}

@test "readers that stall or are killed cost nothing but their own events" {
	gateway
	# The smallest memory holds some 1000 events.
	sidecar --event-log "$LOG" --event-memory 256
	for name in stalled killed; do
		bed_spawn app "$name" python3 "$BED_REPO/tests/events.py" stall "$(bed_socket app events)" '{"follow":true}'
		bed_wait_line "$name" stalled
	done
	bed_spawn app quick python3 "$BED_REPO/tests/events.py" follow "$(bed_socket app events)" '{"follow":true}'
	# The quick one gets each part, of which the memory holds several, before the next part begins. So it loses none,
	# however slow the machine is.
	quick_has() { [ "$(wc -l <"$BED_DIR/quick.log")" = "$1" ]; }
	for ((count = 200; count <= 4000; count += 200)); do
		bed_exec app "$PEER" flood 192.0.2.77 9000 --count 200 --attempt-ms 30000
		bed_until 5 quick_has $count
	done
	bed_kill killed KILL
	count=4000
	[ "$(arrived 192.0.2.77:9000)" = "$count" ]
	bed_until 5 has "$count"
	[ "$(events check "$LOG")" = "$count" ]
	has 0 type=lost
	# The bytes are those that both ends have counted.
	sum=$(events sum "$LOG" bytes_sent)
	[ "$sum" -gt 0 ]
	[ "$(events sum "$LOG" bytes_received)" = "$sum" ]
	# The stalled one gets what its socket had, then a record of its loss, then the latest.
	bed_signal stalled USR1
	last=$(tail -n 1 "$LOG")
	bed_until 5 grep -qxF -- "$last" "$BED_DIR/stalled.log"
	sed -i 1d "$BED_DIR/stalled.log"
	events check "$BED_DIR/stalled.log"
	lost=$(events sum "$BED_DIR/stalled.log" lost)
	[ "$lost" -gt 0 ]
	[ "$((lost + $(wc -l <"$BED_DIR/stalled.log") - $(grep -c '"type":"lost"' "$BED_DIR/stalled.log")))" = "$count" ]
}

@test "the log is rotated inside the sandbox, and opened anew where somebody has moved it" {
	gateway
	truncate -s 64M "$LOG"
	echo oldest >"$LOG.3"
	echo older >"$LOG.2"
	sidecar --event-log "$LOG"
	dial 192.0.2.77 9000 --send x --half-close --read-all
	bed_until 5 has 1
	[ "$(stat -c %s "$LOG.1")" = $((64 * 1024 * 1024)) ]
	[ "$(<"$LOG.3")" = older ]
	[ ! -e "$LOG.4" ]
	mv "$LOG" "$LOG.moved"
	again() {
		dial 192.0.2.77 9000 --send x --half-close --read-all
		[ -s "$LOG" ]
	}
	bed_until 10 again
	run grep -E "sandbox|events are lost" "$BED_DIR/sidecar.log"
	[ -z "$output" ]
}

@test "events go to standard output and to journald, and the journal's fields select them" {
	gateway
	sidecar --event-log -
	dial 192.0.2.77 9000 --send x --half-close --read-all
	bed_wait_line sidecar '^\{"schema":1,"type":"connection",.*"dst":"192.0.2.77:9000".*\}$'
	bed_kill sidecar
	# shellcheck disable=SC2016 # for the inner shell
	bed_spawn app sidecar unshare --mount sh -c '
		mount -t tmpfs run /run && mkdir -p /run/systemd/journal && exec python3 "$0" journald &
		echo $! >"$1" && shift
		until [ -S /run/systemd/journal/socket ]; do sleep 0.02; done
		exec "$@"' "$BED_REPO/tests/events.py" "$BED_DIR/journald.pid" "$SIDESTEP" sidecar --gateway "$BED_HOST:8080" --event-log journal
	bed_wait_line sidecar "interception is live" 10
	dial 192.0.2.77 9000 --send x --half-close --read-all
	bed_wait_line sidecar 'PRIORITY=6\|SIDESTEP_TYPE=connection\|SIDESTEP_REASON=relayed\|SIDESTEP_END=fin\|MESSAGE=\{'
	# A journald that stalls makes a record of what it did not get, and nobody waits for it.
	count=1
	more() {
		dial 192.0.2.77 9000 --send x --half-close --read-all
		count=$((count + 1))
	}
	too_many() { more && grep -q "events are lost, because the event log of journald cannot be written" "$BED_DIR/sidecar.log"; }
	told_of_them() { more && grep -q "SIDESTEP_TYPE=lost" "$BED_DIR/sidecar.log"; }
	complete() {
		[ "$(awk -F'"lost":' '/SIDESTEP_TYPE=lost/ { sum += $2 } /SIDESTEP_TYPE=connection/ { sum++ } END { print sum }' \
			"$BED_DIR/sidecar.log")" = "$count" ]
	}
	kill -STOP "$(<"$BED_DIR/journald.pid")"
	bed_until 20 too_many
	kill -CONT "$(<"$BED_DIR/journald.pid")"
	bed_until 20 told_of_them
	bed_until 5 complete
}

# A denial has the time of its first packet, and comes when a second is over. So times are in no order.
@test "sidestep observe -f shows each event once, and says when there are too many readers" {
	gateway
	sidecar --event-log "$LOG"
	bed_exec app "$PEER" udp 192.0.2.77 443 --send x --timeout 1 || true
	dial 192.0.2.77 9000 --send x --half-close --read-all
	bed_until 5 has 1 type=denied
	bed_until 5 has 1 type=connection
	bed_spawn app follower "$SIDESTEP" observe -f --json
	both() { [ "$(wc -l <"$BED_DIR/follower.log")" -ge 2 ]; }
	bed_until 5 both
	dial 192.0.2.77 9001 --send x --half-close --read-all
	bed_wait_line follower "192.0.2.77:9001"
	[ "$(wc -l <"$BED_DIR/follower.log")" = 3 ]
	bed_spawn app readers python3 -c '
import socket, sys, time
readers = []
for i in range(31):
    readers.append(socket.socket(socket.AF_UNIX))
    readers[i].connect(sys.argv[1])
    readers[i].sendall(b"{\"follow\": true}\n")
    readers[i].recv(1)
print("ready", flush=True)
time.sleep(600)' "$(bed_socket app events)"
	bed_wait_line readers ready
	run bed_exec app "$SIDESTEP" observe
	[ "$status" = 1 ]
	[[ $output == *"has too many readers"* ]]
}

@test "sidestep observe shows, selects and follows events, and a message with others left out names it" {
	gateway --status 403
	sidecar --sni-hint --log-format json
	observe() {
		bed_exec app "$SIDESTEP" observe "$@"
	}
	bed_spawn app follower "$SIDESTEP" observe -f --reason gateway_refused
	run dial 192.0.2.77 9000
	bed_wait_line follower "refused +$BED_APP:[0-9]+ -> 192.0.2.77:9000( peer\[[0-9]+\])?  0 B out, 0 B in, [0-9]+ ms  gateway_refused"
	bed_wait_line follower "^ +CONNECT refused by the gateway .*: status 403; the gateway's own log tells why"
	bed_wait_line follower "^ +do:  look into the gateway's log"
	bed_kill gateway
	gateway
	bed_exec app curl -sS -m 30 --resolve a.example:80:192.0.2.7 http://a.example/
	# shellcheck disable=SC2016 # for eval
	bed_until 5 eval '[ "$(observe --json | wc -l)" = 2 ]'
	[ "$(observe --json --to "*.EXAMPLE" | grep -cE '"type":"connection",.*"name":"a.example"')" = 1 ]
	[ "$(observe --json --to 192.0.2.77/32 --since 5m | wc -l)" = 1 ]
	[ "$(observe --json --port 80 --verdict steer_tcp | wc -l)" = 1 ]
	[ "$(observe --json --last 1)" = "$(observe --json | tail -n 1)" ]
	[ "$(observe --last 1 --port 9000 | wc -l)" = 3 ]
	[ "$(observe --table)" = "$(observe)" ]
	[ -z "$(observe --last 0)" ]
	# Colours are for terminals.
	bed_exec app script -qc "'$SIDESTEP' observe --port 9000" /dev/null </dev/null | grep -q $'^\033\\[31m'
	[[ $(observe) != *$'\033'* ]]
	[ -z "$(observe --process nobody)$(observe --container nobody)$(observe --port 9)" ]
	run grep -c a.example "$BED_DIR/follower.log"
	[ "$output" = 0 ]
	# The log is JSON throughout. Its limit of one message a second leads to the events.
	bed_kill gateway
	limited() {
		dial 192.0.2.77 9000
		grep -q 'since the last message); sidestep observe shows each"}$' "$BED_DIR/sidecar.log"
	}
	bed_until 5 limited
	bed_kill sidecar
	[ "$(python3 -c 'import json, sys
for line in sys.stdin: print(*json.loads(line))' <"$BED_DIR/sidecar.log" | sort -u)" = "time level message" ]
	bed_wait_exit follower || [ "$?" = 1 ]
	# The machine may have an agent, whose socket observe would take.
	run bed_exec app unshare --mount sh -c 'mount -t tmpfs none /run && exec "$@"' - "$SIDESTEP" observe
	[ "$status" = 1 ]
	[[ $output == *"no sidecar gives events at"* ]]
	# Values that select nothing are refused.
	for slip in "--since tomorrow" "--since 0s" "--verdict deny" "--reason gateway_refusd" "--to 192.0.2.0/33" "--port 0" \
		"--json --table"; do
		# shellcheck disable=SC2086 # two words
		run observe $slip
		[ "$status" = 2 ] || fail "$slip: $output"
		[[ $output == *"${slip%% *}"* ]]
	done
	# Text has times in a file, and none in a pipe.
	sidecar
	grep -qE "^20[0-9-]{8}T[0-9:.]{15}Z sidestep: info: interception is live" "$BED_DIR/sidecar.log"
	bed_kill sidecar
	# shellcheck disable=SC2016 # for the inner shell
	bed_spawn app sidecar sh -c '"$0" sidecar --gateway "$1:8080" 2>&1 | cat' "$SIDESTEP" "$BED_HOST"
	bed_wait_line sidecar "^sidestep: info: interception is live" 10
}
