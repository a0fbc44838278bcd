#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Metrics over HTTP: who may read them, what they count, and whether Prometheus takes them.

load lib/testbed.bash
load lib/scenarios.bash

setup() {
	bed_start
	mkdir -p "$BED_BPFFS/sidestep"
	PATH=$("$BED_REPO/tests/deps.sh" prometheus 2>/dev/null):$PATH
}

teardown() {
	bed_stop
}

# scrape WHERE URL [ARGUMENT...] - puts the metrics into $output. Fails without them.
scrape() {
	run bed_exec "$1" curl -sS --fail-with-body --max-time 5 "${@:3}" "$2"
	[ "$status" -eq 0 ]
}

# metric SERIES - prints the value of a series in $output.
metric() {
	awk -v "series=$1" '$1 == series { print $2 }' <<<"$output"
}

# accepted - promtool takes $output, and docs/METRICS.md has each of its names.
accepted() {
	local name
	promtool check metrics <<<"$output" || return
	for name in $(sed -n 's/^# TYPE \([a-z_]*\) .*/\1/p' <<<"$output"); do
		grep -q "^| \`$name\`" "$BED_REPO/docs/METRICS.md" || fail "docs/METRICS.md lacks $name" || return
	done
}

# counts_traffic - the host's scrape has one connection through the gateway with its bytes.
counts_traffic() {
	scrape host "http://$BED_APP:9093/metrics"
	accepted
	is accepted "$(metric sidestep_connections_accepted_total)" 1
	is tunnelled "$(metric sidestep_connections_tunnelled_total)" 1
	[ "$(metric sidestep_sent_bytes_total)" -gt 0 ]
	[ "$(metric sidestep_received_bytes_total)" -gt 0 ]
	[ "$(metric 'sidestep_packets_total{verdict="steer_tcp"}')" -gt 0 ]
	[ "$(metric 'sidestep_packets_total{verdict="deny_udp"}')" -gt 0 ]
}

traffic() {
	bed_exec app curl -s --max-time 5 http://203.0.113.1/ >/dev/null
	bed_exec app "$PEER" udp 203.0.113.1 9999 --send x --timeout 1 || true
}

@test "the host reads the metrics, promtool takes them, and the application and neighbours are refused (bpf)" {
	gateway
	own_sidecar --metrics-listen 0.0.0.0:9093
	traffic
	counts_traffic
	is "build info" "$(metric 'sidestep_build_info{version="'"$(<"$BED_REPO/VERSION")"'",mode="sidecar",datapath="bpf"}')" 1
	[ "$(metric 'sidestep_map_entries{map="bypass4"}')" -gt 3 ]
	[ "$(metric 'sidestep_map_capacity{map="flows"}')" -gt 1000 ]
	scrape host "http://$BED_APP:9093/metrics" -H "Accept: application/openmetrics-text"
	[[ $output == *"# EOF" ]]
	for namespace in app neighbour; do
		run bed_exec "$namespace" curl -s --max-time 5 "http://$BED_APP:9093/metrics"
		like answer "$output" "only the host may ask"
	done
	# Nothing that comes over lo is heard, whatever its source.
	run bed_exec app curl -s --max-time 5 --interface lo "http://$BED_APP:9093/metrics"
	[[ $output != *sidestep_packets* ]]
	run grep "the sandbox refuses" "$BED_DIR/sidecar.log"
	[ "$status" -ne 0 ]
}

@test "nftables counts as well, and --metrics-allow lets a neighbour read" {
	gateway
	nft_sidecar --metrics-listen 0.0.0.0:9093 --metrics-allow "$BED_NEIGHBOUR/32"
	traffic
	counts_traffic
	is steered "$(metric 'sidestep_packets_total{verdict="steer_tcp"}')" "$(counter steer_tcp)"
	if bed_linux 6.16; then # the kernel counts a set's elements
		# It takes two halves for one. A prefix that ends with the address space has one half.
		listed=$(bed_exec app nft -j list set inet sidestep bypass4 |
			python3 -c 'import json, sys; print(len(json.load(sys.stdin)["nftables"][-1]["set"]["elem"]))')
		[ $((listed - $(metric 'sidestep_map_entries{map="bypass4"}'))) -le 1 ]
		[ "$(metric 'sidestep_map_capacity{map="inbound4"}')" -gt 1000 ]
	fi
	scrape neighbour "http://$BED_APP:9093/metrics"
	run bed_exec app curl -s --max-time 5 "http://$BED_APP:9093/metrics"
	like answer "$output" "only the host may ask"
	run grep "the sandbox refuses" "$BED_DIR/sidecar.log"
	[ "$status" -ne 0 ]
}

@test "bridge mode serves the host's loopback alone, and the socket's file goes with the sidecar" {
	gateway
	run bed_exec host "$SIDESTEP" sidecar --bridge br0 --gateway "$BED_HOST:8080" --metrics-listen 0.0.0.0:9093
	[ "$status" -eq 2 ]
	like answer "$output" "containers reach this address, too"
	bridge_sidecar --metrics-listen 127.0.0.1:9093
	scrape host http://127.0.0.1:9093/metrics
	accepted
	[[ $output == *'mode="bridge",datapath="bpf"'* ]]
	# A machine outside that reaches the host's 127.0.0.1 is not heard. Another server there hears it.
	bed_exec host sh -c 'echo 1 >/proc/sys/net/ipv4/conf/uplink/route_localnet'
	bed_spawn host control "$PEER" serve 9094 --address 127.0.0.1
	bed_exec world sh -c 'echo 1 >/proc/sys/net/ipv4/conf/eth0/route_localnet
		ip address del 127.0.0.1/8 dev lo; ip route add 127.0.0.1 via '"$BED_UPLINK"
	bed_until 5 bed_exec world "$PEER" connect 127.0.0.1 9094 --send x --timeout 2
	run bed_exec world curl -s --max-time 1 http://127.0.0.1:9093/metrics
	is status "$status" 28 # curl's time limit
	bed_signal sidecar TERM
	bed_wait_exit sidecar
	bridge_sidecar --metrics-listen "unix:$BED_DIR/metrics.sock"
	scrape host http://any/metrics --unix-socket "$BED_DIR/metrics.sock"
	is mode "$(stat -c %a "$BED_DIR/metrics.sock")" 600
	bed_signal sidecar TERM
	bed_wait_exit sidecar
	[ ! -e "$BED_DIR/metrics.sock" ]
}

# with_agent [AGENT ARGUMENT...] [-- SIDECAR ARGUMENT...] - a sidecar without rights that an agent serves.
with_agent() {
	local agent=()
	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		agent+=("$1")
		shift
	done
	bed_needs_linux 6.6 "TCX links"
	weak_sidecar app sidecar --gateway "$BED_HOST:8080" "${@:2}"
	bed_wait_line sidecar "interception is live" 10
	bed_spawn host agent "$SIDESTEP" agent --pin "$(SIDE_PIN)" --pid "$(bed_pid sidecar)" \
		--event-socket "$BED_DIR/agent.events" "${agent[@]}"
	bed_wait_line sidecar "the host's agent steers .* in place of the nftables table" 10
}

@test "the agent's metrics have the verdicts and the connections of each container" {
	gateway
	with_agent --metrics-listen 127.0.0.1:9093 -- --metrics-listen 0.0.0.0:9093
	traffic
	bed_until 5 agent_ended 1
	accepted
	is "first bytes" "$(metric sidestep_first_byte_seconds_count)" 1
	[ "$(metric sidestep_sent_bytes_total)" -gt 0 ]
	container="container=\"process-$(bed_pid sidecar)\",netns=\"[0-9]+\""
	like metrics "$output" "sidestep_container_connections_total\{$container,end=\"fin\"\} 1"
	like metrics "$output" "sidestep_container_received_bytes_total\{$container\} [1-9]"
	is lost "$(metric 'sidestep_events_lost_total{sink="before"}')" 0
	like metrics "$output" "sidestep_packets_total\{container=\"process-$(bed_pid sidecar)\",netns=\"[0-9]+\",verdict=\"steer_tcp\"\} [1-9]"
	is namespaces "$(metric 'sidestep_namespaces{guard="inside"}')" 1
	[ "$(metric 'sidestep_map_entries{map="bypass4"}')" -gt 3 ]
	# The sidecar has the connections, and no map.
	scrape host "http://$BED_APP:9093/metrics"
	accepted
	is tunnelled "$(metric sidestep_connections_tunnelled_total)" 1
	[[ $output == *'datapath="agent"'* && $output != *sidestep_packets_total* ]]
}

@test "events become outcomes, histograms, DNS answers and the busiest hosts, and no other name" {
	gateway
	bed_spawn world resolver "$PEER" dns-serve 53
	own_sidecar --metrics-listen 0.0.0.0:9093 --metrics-hosts 1 --made-up '*'
	traffic
	for _ in 1 2; do
		bed_exec app curl -s --max-time 5 -H "Host: busy.test" http://203.0.113.1/ >/dev/null
	done
	bed_exec app curl -s --max-time 5 -H "Host: rare.test" http://203.0.113.1/ >/dev/null
	bed_exec app "$PEER" dns nx.test A @1.1.1.1 >/dev/null
	# The first look decides who is shown.
	bed_until 5 outcomes 4
	bed_exec app curl -s --max-time 5 -H "Host: busy.test" http://203.0.113.1/ >/dev/null
	bed_until 5 outcomes 5
	accepted
	is "first bytes" "$(metric sidestep_first_byte_seconds_count)" 5
	is connects "$(metric 'sidestep_connect_seconds_bucket{le="+Inf"}')" 5
	is answers "$(metric 'sidestep_dns_answers_total{rcode="noerror",made_up="true"}')" 1
	is busy "$(metric 'sidestep_host_connections_total{host="busy.test"}')" 1
	is others "$(metric 'sidestep_host_connections_total{host="other"}')" 4
	is lost "$(metric 'sidestep_events_lost_total{sink="queue"}')" 0
	[[ $output != *rare.test* ]]
}

# outcomes N - so many connections have ended well.
outcomes() {
	scrape host "http://$BED_APP:9093/metrics" &&
		[ "$(metric 'sidestep_connections_total{end="fin",gateway_status="200",reason="relayed"}')" = "$1" ]
}

# agent_ended N - so many connections have ended well, says the agent.
agent_ended() {
	scrape host http://127.0.0.1:9093/metrics &&
		[ "$(metric 'sidestep_connections_total{end="fin",gateway_status="200",reason="relayed"}')" = "$1" ]
}

# prometheus_asks TARGET - a Prometheus in the namespace host that scrapes only this has a result for each query.
prometheus_asks() {
	promtool check rules "$BED_REPO/deploy/prometheus-alerts.yaml"
	cat >"$BED_DIR/prometheus.yml" <<-CONFIGURATION
		global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}
		rule_files: [$BED_REPO/deploy/prometheus-alerts.yaml]
		scrape_configs:
		  - job_name: sidestep
		    static_configs: [{targets: ["$1"]}]
	CONFIGURATION
	promtool check config "$BED_DIR/prometheus.yml"
	bed_spawn host prometheus prometheus --config.file="$BED_DIR/prometheus.yml" \
		--storage.tsdb.path="$BED_DIR/tsdb" --web.listen-address=127.0.0.1:9090
	bed_until 20 bed_exec host curl -sf http://127.0.0.1:9090/-/ready
	# They go on while Prometheus looks. The gateway refuses the second one's connections.
	bed_exec app "$PEER" dns nx.test A @1.1.1.1 >/dev/null
	bed_spawn app flood "$PEER" flood 203.0.113.1 80 --seconds 300 --pause-us 100000
	bed_spawn app refused "$PEER" flood 203.0.113.2 80 --seconds 300 --pause-us 100000
	run bed_exec host "$BED_REPO/tests/prometheus.py" http://127.0.0.1:9090 "$BED_REPO/deploy/grafana-dashboard.json"
	is status "$status" 0 || fail "$output"
	up() { bed_exec host curl -s 'http://127.0.0.1:9090/api/v1/query?query=up' | grep -F '"1"]'; }
	bed_until 5 up
}

# answering_gateway - it echoes, and refuses connections to 203.0.113.2.
answering_gateway() {
	bed_spawn host echo "$PEER" serve 9999 --address 127.0.0.1
	gateway --map-all 127.0.0.1:9999 --map 203.0.113.2:80=127.0.0.1:1
}

@test "a Prometheus scrapes a sidecar, the rules load, and each query of the dashboard has a result" {
	answering_gateway
	own_sidecar --metrics-listen 0.0.0.0:9093 --metrics-hosts 5 --made-up '*' \
		--docker-socket "$BED_DIR/no-engine.sock" --otlp "http://$BED_HOST:4318"
	prometheus_asks "$BED_APP:9093"
}

@test "a Prometheus that scrapes an agent alone has a result for each query, too" {
	answering_gateway
	with_agent --metrics-listen 127.0.0.1:9093 --metrics-hosts 5 -- --made-up '*'
	prometheus_asks 127.0.0.1:9093
}

@test "OTLP brings metrics and events to a collector, and the rest at the end" {
	gateway
	bed_spawn host collector "$BED_REPO/tests/collector.py" "$BED_HOST" 4318
	bed_wait_line collector listening 10
	own_sidecar --otlp "http://$BED_HOST:4318" --otlp-interval 1
	traffic
	bed_wait_line collector "event connection relayed " 10
	bed_wait_line collector "metric sidestep_packets verdict=steer_tcp [1-9]" 10
	bed_wait_line collector "metric sidestep_connections end=fin,gateway_status=200,reason=relayed 1" 10
	bed_exec app curl -s --max-time 5 -H "Host: last.test" http://203.0.113.1/ >/dev/null
	bed_signal sidecar TERM
	bed_wait_exit sidecar
	bed_wait_line collector "event connection relayed last.test" 5
	run grep wrong "$BED_DIR/collector.log"
	[ "$status" -ne 0 ]
	run grep -E "the sandbox refuses|otlp:" "$BED_DIR/sidecar.log"
	[ "$status" -ne 0 ]
}

# certify NAME SUBJECT_ALTERNATIVE_NAME - makes NAME.ca, and NAME.pem with a certificate of it and its key.
certify() {
	local key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
	(cd "$BED_DIR" &&
		openssl req -x509 "${key[@]}" -subj "/CN=CA $1" -days 2 -keyout "$1.cakey" -out "$1.ca" &&
		openssl req -new "${key[@]}" -subj /CN=collector -keyout "$1.key" -out "$1.csr" &&
		openssl x509 -req -in "$1.csr" -CA "$1.ca" -CAkey "$1.cakey" -CAcreateserial -days 2 \
			-extfile <(echo "subjectAltName=$2") -out "$1.crt" &&
		cat "$1.crt" "$1.key" >"$1.pem") 2>/dev/null
}

# named_sidecar [ARGUMENT...] - has an /etc/hosts of its own.
named_sidecar() {
	# shellcheck disable=SC2016 # for the inner shell
	bed_spawn app sidecar unshare --mount sh -c 'mount --bind "$0" /etc/hosts && exec "$@"' "$BED_DIR/hosts" \
		"$SIDESTEP" sidecar --pin "$(SIDE_PIN)" --gateway "$BED_HOST:8080" "$@"
	bed_wait_line sidecar "interception is live" 10
	settled sidecar
}

@test "OTLP over TLS finds the collector by its name, checks its certificate, and sends the operator's headers" {
	gateway
	certify good DNS:collector.test
	certify other DNS:other.test
	echo "$BED_HOST collector.test" >"$BED_DIR/hosts"
	# This certificate is for another name.
	bed_spawn host collector "$BED_REPO/tests/collector.py" "$BED_HOST" 4318 --tls "$BED_DIR/other.pem"
	bed_wait_line collector listening 10
	cat "$BED_DIR/good.ca" "$BED_DIR/other.ca" >"$BED_DIR/both.ca"
	OTEL_EXPORTER_OTLP_HEADERS="x-secret=planted%20one" named_sidecar --otlp-interval 1 \
		--otlp https://collector.test:4318 --otlp-ca "$BED_DIR/both.ca" --otlp-header "X-Tenant: a b"
	bed_wait_line sidecar "otlp: no answer of the collector collector.test:4318: hostname mismatch" 10
	bed_wait_line collector handshake 10
	traffic
	run bed_log collector
	[[ $output != *event* && $output != *planted* ]]
	bed_signal collector KILL
	bed_wait_exit collector 5 || true
	bed_spawn host honest "$BED_REPO/tests/collector.py" "$BED_HOST" 4318 --tls "$BED_DIR/good.pem"
	bed_wait_line honest "event connection relayed " 40
	bed_wait_line honest "header X-Tenant a b" 10
	bed_wait_line honest "header x-secret planted one" 10
	bed_wait_line sidecar "otlp: the collector collector.test:4318 answers again" 10
	# The application may write the hosts file, and cannot lead the proxy's own sockets elsewhere.
	bed_spawn neighbour forged "$BED_REPO/tests/collector.py" "$BED_NEIGHBOUR" 4318 --hang
	bed_wait_line forged listening 10
	echo "$BED_NEIGHBOUR collector.test" >"$BED_DIR/hosts"
	bed_signal honest KILL
	bed_wait_exit honest 5 || true
	bed_wait_line sidecar "otlp: no answer of the collector .*: its name has other addresses than at the start" 40
	is connections "$(bed_log forged)" listening
	run bed_log sidecar
	[[ $output != *"the sandbox refuses"* && $output != *planted* ]]
}

@test "OTLP: a collector that hangs stops nobody, and one that is busy gets each event in the end" {
	gateway
	bed_spawn host hanging "$BED_REPO/tests/collector.py" "$BED_HOST" 4318 --hang
	bed_wait_line hanging listening 10
	own_sidecar --metrics-listen 0.0.0.0:9093 --otlp "http://$BED_HOST:4318" --otlp-interval 1
	bed_wait_line hanging accepted 10
	traffic
	bed_until 5 outcomes 1
	bed_signal hanging KILL
	bed_wait_exit hanging 5 || true
	bed_spawn host busy "$BED_REPO/tests/collector.py" "$BED_HOST" 4318 --busy 2
	bed_wait_line busy "event connection relayed " 40
	run grep -c "^busy" "$BED_DIR/busy.log"
	is refusals "$output" 2
	bed_until 5 outcomes 1
	is lost "$(metric 'sidestep_events_lost_total{sink="otlp"}')" 0
	bed_signal sidecar TERM
	bed_wait_exit sidecar 10
	run grep wrong "$BED_DIR/busy.log"
	[ "$status" -ne 0 ]
}

@test "OTLP of the agent has the connections of its sidecars, over TLS by an address" {
	gateway
	certify good "IP:$BED_HOST"
	bed_spawn host collector "$BED_REPO/tests/collector.py" "$BED_HOST" 4318 --tls "$BED_DIR/good.pem"
	bed_wait_line collector listening 10
	with_agent --otlp "https://$BED_HOST:4318" --otlp-ca "$BED_DIR/good.ca" --otlp-interval 1
	traffic
	bed_wait_line collector "event connection relayed " 10
	bed_wait_line collector "metric sidestep_connections end=fin,gateway_status=200,reason=relayed 1" 10
	bed_wait_line collector "metric sidestep_container_connections container=process-$(bed_pid sidecar),.*end=fin 1" 10
	bed_signal agent TERM
	bed_wait_exit agent 10
	run grep wrong "$BED_DIR/collector.log"
	[ "$status" -ne 0 ]
}

# exporter - prints the number of the agent's process that serves metrics and sends them.
exporter() {
	pgrep -P "$(bed_pid agent)"
}

# another_exporter PID - there is one that is not PID, and it serves.
another_exporter() {
	[ "$(exporter)" != "$1" ] && scrape host http://127.0.0.1:9093/metrics
}

# internet_sockets PID - prints the inodes of the TCP and UDP sockets that the process has in the namespace host.
internet_sockets() {
	comm -12 <(find "/proc/$1/fd" -type l -printf '%l\n' | sed -n 's/^socket:\[\(.*\)\]$/\1/p' | sort) \
		<(bed_exec host ss -HtuanOe | sed -n 's/.* ino:\([0-9]*\) .*/\1/p' | sort)
}

@test "the agent has a process without rights serve metrics and talk to the collector, and replaces it" {
	fact() { awk -v "name=$2:" '$1 == name { print $2 }' "/proc/$1/status"; }
	gateway
	certify good DNS:localhost
	bed_spawn host collector "$BED_REPO/tests/collector.py" 127.0.0.1 4318 --tls "$BED_DIR/good.pem"
	bed_wait_line collector listening 10
	# The name is in the hosts file, which the process cannot open.
	with_agent --metrics-listen 127.0.0.1:9093 --otlp https://localhost:4318 --otlp-ca "$BED_DIR/good.ca" \
		--otlp-interval 1
	bed_wait_line collector "metric sidestep_build_info .*mode=agent" 10
	parent=$(bed_pid agent) exporter=$(exporter)
	# Control: the agent has all rights.
	[ "$((0x$(fact "$parent" CapEff)))" != 0 ]
	is user "$(fact "$exporter" Uid)" 65534
	for name in CapInh CapPrm CapEff CapBnd CapAmb; do
		[ "$((0x$(fact "$exporter" $name)))" = 0 ]
	done
	is "no_new_privs" "$(fact "$exporter" NoNewPrivs)" 1
	is seccomp "$(cat "/proc/$exporter/task"/*/status | awk '$1 == "Seccomp:" { print $2 }' | sort -u)" 2
	[ -z "$(find "/proc/$exporter/root/" -mindepth 1)" ]
	is files "$(find "/proc/$exporter/fd" -type l -printf '%l\n' |
		grep -vE '^(/dev/null|socket:.*|anon_inode:\[(eventpoll|eventfd|timerfd)\])$')" ""
	# It alone has the listener and all that comes from there.
	[ -n "$(internet_sockets "$exporter")" ]
	is "the agent's sockets" "$(internet_sockets "$parent")" ""
	bed_signal collector KILL
	bed_wait_exit collector 5 || true
	kill -KILL "$exporter"
	bed_wait_line agent "the exporter ended .signal 9. and is started again" 10
	traffic
	bed_until 20 another_exporter "$exporter"
	# The agent has counted meanwhile.
	bed_until 5 agent_ended 1
	bed_spawn host later "$BED_REPO/tests/collector.py" 127.0.0.1 4318 --tls "$BED_DIR/good.pem"
	bed_wait_line later "metric sidestep_connections end=fin,gateway_status=200,reason=relayed 1" 40
	bed_exec app curl -s --max-time 5 -H "Host: last.test" http://203.0.113.1/ >/dev/null
	bed_until 5 agent_ended 2
	exporter=$(exporter)
	bed_signal agent TERM
	bed_wait_exit agent 10
	bed_wait_line later "event connection relayed last.test" 5
	[ ! -e "/proc/$exporter" ]
	run grep -E "wrong" "$BED_DIR/collector.log" "$BED_DIR/later.log"
	[ "$status" -ne 0 ]
	run grep "the sandbox refuses" "$BED_DIR/agent.log"
	[ "$status" -ne 0 ]
}

@test "an exporter hears whom the agent allows, and one that is taken over gets no other file and is ended" {
	gateway
	with_agent --metrics-listen 0.0.0.0:9093 --metrics-allow "$BED_NEIGHBOUR/32"
	bed_until 5 scrape neighbour "http://$BED_HOST:9093/metrics"
	run bed_exec app curl -s --max-time 5 "http://$BED_HOST:9093/metrics"
	like answer "$output" "only the host may ask"
	bed_wait_line agent "metrics: request of $BED_APP:[0-9]+ refused .403." 5
	before=$(exporter)
	# This takes the place of code in the exporter. Descriptor 4 has its requests. The first is an honest one.
	run python3 -c "
import ctypes, os, socket, struct, sys
asks = socket.socket(fileno=ctypes.CDLL(None).syscall(438, os.pidfd_open(int(sys.argv[1])), 4, 0))
for kind in 1, 3:
    asks.send(struct.pack('IIQ', kind, 0, 0))
    print([len(files) for files in socket.recv_fds(asks, 16, 9)[1:2]], flush=True)" "$before"
	like answers "$output" "^\[1\]"
	[ "$(grep -c '^\[1\]$' <<<"$output")" = 1 ]
	bed_wait_line agent "the exporter asked for what it may not have: it is ended" 10
	bed_until 20 another_exporter "$before"
}
