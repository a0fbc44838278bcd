#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Secrets of applications and gateways reach no output of Sidestep's, except a capture. Each kind has a word of its
# own that begins with "planted".

load lib/testbed.bash
load lib/scenarios.bash
load lib/events.bash

setup() {
	export BATS_TEST_TIMEOUT=120
	bed_start
	mkdir -p "$BED_BPFFS/sidestep" "$BED_DIR/events" "$BED_DIR/out"
	LOG=$BED_DIR/events/log.json
	OUT=$BED_DIR/out
}

teardown() {
	bed_stop
}

# Those of a request, as they are on the wire. "user:planted-basic" in base64 is the last one.
REQUEST=(planted-cookie planted-bearer planted-proxy planted-header planted-body planted-path planted-query
	dXNlcjpwbGFudGVkLWJhc2lj)

# request NAME URL-SCHEME - the application sends them all to this name. It may fail.
request() {
	local curl=(bed_exec app curl -sS -m 30 --cacert "$BED_DIR/ca/ca.crt" --resolve "$1:80:192.0.2.7" --resolve "$1:443:192.0.2.7")
	"${curl[@]}" -H "Cookie: id=planted-cookie" -H "Authorization: Bearer planted-bearer" \
		-H "Proxy-Authorization: Basic planted-proxy" -H "X-Api-Key: planted-header" -d planted-body \
		"$2://$1/planted-path?token=planted-query" || true
	"${curl[@]}" "$2://user:planted-basic@$1/" || true
}

# answers - starts a gateway that has secrets of its own in its answers: 407 and nonsense by turns.
answers() {
	bed_spawn host gateway python3 -uc '
import socket, sys
server = socket.create_server((sys.argv[1], 8080))
print("ready")
answers = ["HTTP/1.1 407 planted-phrase\r\nProxy-Authenticate: Basic realm=planted-realm\r\n"
           "Set-Cookie: planted-set\r\nContent-Length: 14\r\n\r\nplanted-answer", "planted-garbage\r\n\r\n"]
while True:
    client = server.accept()[0]
    if client.recv(4096):
        client.sendall(answers[0].encode())
        answers.reverse()
    client.close()' "$BED_HOST"
	bed_wait_line gateway ready
}
ANSWER=(planted-phrase planted-realm planted-set planted-answer planted-garbage)

# collector - starts one for --otlp that keeps what it gets in otlp.log.
collector() {
	bed_spawn host otlp python3 -uc '
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        print(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.send_response(200)
        self.send_header("Content-Length", 0)
        self.end_headers()
    def log_message(self, *arguments):
        pass
server = http.server.HTTPServer((sys.argv[1], 4318), Handler)
print("ready")
server.serve_forever()' "$BED_HOST"
	bed_wait_line otlp ready
}

# asked - requests to the control API, with secrets in each part. Two are good ones.
asked() {
	local url=http://$BED_APP:39001
	bed_exec host curl -sS -m 30 -X PUT -H "Authorization: Bearer planted-control" -d '{"port": 8080}' "$url/egress?planted-control"
	bed_exec host curl -sS -m 30 -u user:planted-control "$url/ca?key=planted-control" >/dev/null
	bed_exec host curl -sS -m 30 -X PUT -d '{"planted-control": 1}' "$url/egress" >/dev/null
	bed_exec host curl -sS -m 30 -H "Cookie: planted-control" "$url/planted-control?planted-control" >/dev/null
	bed_exec app curl -sS -m 30 -H "Authorization: planted-control" "$url/egress?planted-control" >/dev/null
}

# nothing_planted FILE... - each has content, and none has a secret.
nothing_planted() {
	local file
	for file; do
		[ -s "$file" ] || fail "$file is empty"
	done
	! grep -aoE "planted-[a-z]*|dXNlcjpwbGFudGVkLWJhc2lj" "$@" || fail "these are secrets"
}

# has_all FILE WORD... - the control: the file has each of these secrets.
has_all() {
	local word
	for word in "${@:2}"; do
		grep -aqF -- "$word" "$1" || fail "$1 has no $word"
	done
}

# outputs - everything that the sidecar tells goes into $OUT.
outputs() {
	bed_exec app "$SIDESTEP" observe >"$OUT/observe.txt"
	bed_exec app "$SIDESTEP" observe --json >"$OUT/observe.json"
	bed_exec host curl -sS -m 30 "http://$BED_APP:9093/metrics" >"$OUT/metrics.txt"
	"$SIDESTEP" status --pin "$(SIDE_PIN)" >"$OUT/status.txt"
	"$SIDESTEP" status --pin "$(SIDE_PIN)" --json >"$OUT/status.json"
	bed_exec app "$SIDESTEP" bypass list >"$OUT/bypass.txt"
	bed_exec app "$SIDESTEP" explain 203.0.113.9:443 >"$OUT/explain.txt" || true
	bed_exec app "$SIDESTEP" report --pin "$BED_BPFFS/sidestep/agent" --events "$BED_DIR/sockets" --log "$BED_DIR/sidecar.log" "$OUT/report.tar"
	"$BED_REPO/tests/terminal.py" see ', 1 event socket,' key gg \
		run "nsenter --net=$(bed_netns app) curl -m 30 -H 'Host: top.example' -H 'Cookie: planted-top' 'http://192.0.2.7/?planted-top'" \
		see 'top\.example' save "$OUT/top.txt" key '\r' see 'do:  ' save "$OUT/connection.txt" key q end 0 -- \
		"$SIDESTEP" top --pin "$(SIDE_PIN)" --sockets "$BED_DIR/sockets"
	cp "$BED_DIR/sidecar.log" "$LOG" "$OUT/"
}

# refused NAME - the gateway answers a request for this name with its secrets. The next one gets nonsense.
refused() {
	bed_kill gateway
	answers
	# Control: the gateway's secrets are in its answer. Each answer takes a turn.
	for _ in 1 2; do
		bed_exec host python3 -c '
import socket, sys
client = socket.create_connection((sys.argv[1], 8080))
client.sendall(b"x")
sys.stdout.buffer.write(b"".join(iter(lambda: client.recv(4096), b"")))' "$BED_HOST"
	done >"$BED_DIR/answer"
	has_all "$BED_DIR/answer" "${ANSWER[@]}"
	request "$1" http
	bed_until 5 has 1 reason=gateway_refused "name=$1"
	bed_until 5 has 1 reason=gateway_not_http "name=$1"
}

@test "secrets stay out of logs, events, metrics, OTLP, status, top, explain and reports" {
	local name
	collector
	gateway
	own_sidecar --event-log "$LOG" --peek-timeout 10000 --log-level debug --log-format json --tls-intercept --ca-dir "$BED_DIR/ca" \
		--http-ingress-address 0.0.0.0:39001 --metrics-listen 0.0.0.0:9093 --metrics-hosts 10 \
		--otlp "http://$BED_HOST:4318" --otlp-interval 1
	mkdir "$BED_DIR/sockets"
	ln -s "$(bed_socket app events)" "$BED_DIR/sockets/"
	bed_spawn app capture "$SIDESTEP" capture -w "$BED_DIR/a.pcapng" --har "$BED_DIR/a.har"
	bed_wait_line sidecar "a capture runs"
	request a.example http
	request a.example https
	bed_signal capture INT
	bed_wait_exit capture
	# Control: the captures have what was planted, the packets that of HTTP and the archive that of TLS.
	has_all "$BED_DIR/a.pcapng" "${REQUEST[@]}"
	has_all "$BED_DIR/a.har" "${REQUEST[@]}" https://a.example
	asked
	refused b.example
	outputs
	bed_signal sidecar TERM
	bed_wait_exit sidecar
	cp "$BED_DIR/otlp.log" "$OUT/"
	for name in observe.txt observe.json metrics.txt log.json report.tar otlp.log; do
		has_all "$OUT/$name" a.example b.example
	done
	nothing_planted "$OUT"/*
	! grep "the sandbox refuses" "$OUT/sidecar.log" || false
}

@test "secrets stay out of a log of text" {
	gateway
	own_sidecar --event-log "$LOG" --peek-timeout 10000 --log-level debug --tls-intercept --ca-dir "$BED_DIR/ca" \
		--http-ingress-address 0.0.0.0:39001
	request a.example http
	request a.example https
	asked
	refused b.example
	cp "$BED_DIR/sidecar.log" "$OUT/"
	grep -q "CONNECT refused by the gateway" "$OUT/sidecar.log"
	nothing_planted "$OUT"/*
}

@test "secrets stay out of what the host's agent tells" {
	bed_needs_linux 6.6 "TCX links"
	gateway
	# shellcheck disable=SC2034 # for scenarios.bash
	AGENT=(--event-socket "$BED_DIR/agent.events" --metrics-listen "unix:$BED_DIR/agent.metrics" --log-level debug)
	agent_sidecar --sni-hint --peek-timeout 10000
	API_TOKEN=planted-header request a.example http
	come() { events follow "$BED_DIR/agent.events" '{}' >"$OUT/events.json" && grep -q '"name":"a.example"' "$OUT/events.json"; }
	bed_until 5 come
	# Control: the process's arguments have them, and the event has its program.
	grep -q '"exe":"/usr/bin/curl"' "$OUT/events.json"
	curl -sS -m 30 --unix-socket "$BED_DIR/agent.metrics" http://localhost/metrics >"$OUT/metrics.txt"
	bed_exec host "$SIDESTEP" observe --socket "$BED_DIR/agent.events" >"$OUT/observe.txt"
	cp "$BED_DIR/agent.log" "$BED_DIR/sidecar.log" "$OUT/"
	nothing_planted "$OUT"/*
}

@test "a password on the command line does not come back in a message" {
	local url
	for url in http://user:planted-url@192.0.2.1:8080 user:planted-url@192.0.2.1:8080; do
		run "$SIDESTEP" sidecar --gateway "$url"
		[ "$status" = 2 ]
		[[ $output == *"user:*@192.0.2.1:8080: give IP:PORT"* && $output != *planted* ]]
		run "$SIDESTEP" sidecar "$url"
		[ "$status" = 2 ]
		[[ $output == *"user:*@192.0.2.1:8080"* && $output != *planted* ]]
		run "$SIDESTEP" doctor --gateway "$url"
		[ "$status" = 2 ]
		[[ $output == *"give IP:PORT"* && $output != *planted* ]]
		run "$SIDESTEP" sidecar --gateway 192.0.2.1:8080 --otlp "$url"
		[ "$status" = 2 ]
		[[ $output == *"--otlp: give"* && $output != *planted* ]]
	done
}
