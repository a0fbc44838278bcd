#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The test beds work as the other tests assume. Sidestep does not run here.

bats_require_minimum_version 1.5.0

setup() {
	. "$BATS_TEST_DIRNAME/lib/testbed.bash"
}

teardown() {
	bed_stop
}

# reaches WHERE HOST PORT [ARGUMENT...] - an echo comes back.
reaches() {
	local where=$1
	shift
	bed_exec "$where" "$PEER" connect "$@" --send hello --expect hello --timeout 5
}

# serve WHERE NAME PORT [ARGUMENT...] - a server in a namespace, ready.
serve() {
	bed_spawn "$1" "$2" "$PEER" serve "$3" "${@:4}" && bed_wait_line "$2" ^ready
}

@test "the app reaches its neighbour, the host and the world, over IPv4 and IPv6" {
	bed_start
	for name in host neighbour world; do
		serve "$name" "$name" 80
	done
	for address in "$BED_NEIGHBOUR" "$BED_NEIGHBOUR6" "$BED_HOST" "$BED_HOST6" 1.1.1.1 8.8.8.8 \
		"$BED_WORLD" "$BED_WORLD6" 2001:db8:1::1; do
		reaches app "$address" 80
	done
	bed_kill world
	bed_log world | grep "accept peer=$BED_APP:.* local=1.1.1.1:80"
}

@test "a client outside the bridge reaches the app, and sees its own address there" {
	bed_start
	serve app app 80
	reaches outside "$BED_APP" 80
	reaches outside "$BED_APP6" 80
	reaches world "$BED_APP" 80 --source 203.0.113.1
	bed_log app | grep "accept peer=$BED_OUTSIDE:"
	bed_log app | grep "accept peer=203.0.113.1:"
}

@test "the app joins and leaves a second network" {
	bed_start
	for _ in 1 2; do
		bed_join_second_network
		serve neighbour2 second 80
		reaches app "$BED_NEIGHBOUR2" 80
		reaches app "$BED_NEIGHBOUR2_6" 80
		bed_log second | grep "accept peer=$BED_APP2:"
		bed_leave_second_network
		run ! bed_exec app "$PEER" connect "$BED_NEIGHBOUR2" 80 --timeout 1
		bed_kill second
	done
}

@test "the peer compares every byte in both directions and counts short connections at both ends" {
	bed_start
	serve world echo 80 --log "$BED_DIR/echo.connections"
	serve world sink 81 --mode sink
	serve world source 82 --mode source --bytes 100000
	bed_exec app "$PEER" transfer 1.1.1.1 80 --bytes 100000 --connections 100
	bed_exec app "$PEER" transfer 1.1.1.1 81 --bytes 100000 --connections 20 --direction up
	bed_exec app "$PEER" transfer 1.1.1.1 82 --bytes 100000 --connections 20 --direction down
	# The client reports a server that sends one byte less than it was asked for.
	run -1 bed_exec app "$PEER" transfer 1.1.1.1 82 --bytes 100001 --direction down
	[ "$(bed_value short "$output")" = 1 ]

	bed_spawn app flood "$PEER" flood 1.1.1.1 80 --until-file "$BED_DIR/stop"
	bed_until 5 grep -q flood "$BED_DIR/echo.connections"
	touch "$BED_DIR/stop"
	bed_wait_exit flood
	line=$(bed_wait_line flood attempts=)
	bed_kill echo
	[ "$(bed_value ok "$line")" = "$(grep -c "flood $(bed_value run "$line")" "$BED_DIR/echo.connections")" ]
}

@test "the sniffer sees packets of raw and AF_PACKET senders" {
	bed_start
	serve world http 80 --mode http
	bed_spawn world sniff "$PEER" sniff --device eth0 --count-dst 1.1.1.1/32 --until-file "$BED_DIR/stop"
	bed_wait_line sniff ^ready
	bed_exec app "$PEER" raw-send 1.1.1.1 80
	bed_exec app "$PEER" packet-send 1.1.1.1 80 --device eth0 --mode data
	bed_exec app "$PEER" packet-send 1.1.1.1 53 --device eth0 --mode udp
	# This packet follows the others on the same line, so they have passed when it is answered.
	bed_exec app "$PEER" connect 1.1.1.1 80 --send $'GET / HTTP/1.0\r\n\r\n' --expect "peer=$BED_APP"
	touch "$BED_DIR/stop"
	bed_wait_exit sniff
	line=$(bed_wait_line sniff ^result=)
	[ "$(bed_value to_syn "$line")" = 2 ]
	[ "$(bed_value to_udp "$line")" = 1 ]
	[ "$(bed_value drops "$line")" = 0 ]
}

@test "the world's resolver answers, and datagrams come back" {
	bed_start
	bed_spawn world dns "$PEER" dns-serve 53 --address 1.1.1.1
	bed_wait_line dns ^ready
	run -0 bed_exec app "$PEER" dns www.example A @1.1.1.1
	[ "$(bed_value data "$output")" = 192.0.2.7 ]
	[ "$(bed_value from "$output")" = 1.1.1.1:53 ]
	run -0 bed_exec app "$PEER" dns nx.example AAAA @1.1.1.1
	[ "$(bed_value rcode "$output")" = nxdomain ]
	bed_spawn world udp "$PEER" udp-serve 9999
	bed_wait_line udp ^ready
	bed_exec app "$PEER" udp "$BED_WORLD6" 9999 --send hello --expect hello
}

@test "one four-tuple is used again and again, whichever end closes first" {
	bed_start
	serve world patient 80
	serve world hasty 81 --close-first
	bed_exec app "$PEER" reconnect 1.1.1.1 81 --source-port 5001 --times 40 --close server
	bed_exec app "$PEER" reconnect 1.1.1.1 80 --source-port 5002 --times 40 --close reset
	# The client's own TIME_WAIT may be used again only when told so, and after a second.
	bed_exec app sysctl -qw net.ipv4.tcp_tw_reuse=1
	bed_exec app "$PEER" reconnect 1.1.1.1 80 --source-port 5003 --times 3
}

@test "a test does not wait for a line of a process that has ended" {
	bed_start
	bed_spawn app short sh -c 'echo one line; exit 3'
	run -3 bed_wait_exit short
	run -1 bed_wait_line short "another line" 5
	bed_spawn app long sleep 60
	run -124 bed_wait_exit long 1
	bed_kill long KILL
	run -137 bed_wait_exit long
}

@test "wrong usage of the peer fails the test that wanted a failure" {
	bed_start
	run -2 bed_exec app "$PEER" connect "$BED_WORLD" 80 --timeout never
	run -1 bed_stop
	echo "$output"
	[[ $output == *"wrong usage of the peer: bad value never"* && ! -e $BED_DIR ]]
}

@test "two beds follow each other and leave nothing" {
	for _ in 1 2; do
		bed_start
		dir=$BED_DIR id=$BED_ID
		serve world server 80
		bed_spawn app stall "$PEER" stall 1.1.1.1 80 --bytes 100
		bed_wait_line stall ^ready
		bed_stop
		[ ! -e "$dir" ]
		run ! grep -F "$id" /proc/self/mountinfo
		run ! pgrep -f "$dir"
		bed_stop
	done
}

@test "bed_stop removes the sockets of its namespaces, also of one that has no mount any more" {
	local sockets
	bed_start
	sockets=("$(bed_socket app events)" "$(bed_socket neighbour control)")
	mkdir -p /run/sidestep
	touch "${sockets[@]}"
	umount -l "$(bed_netns app)"
	bed_stop
	[ ! -e "${sockets[0]}" ]
	[ ! -e "${sockets[1]}" ]
}

@test "bed_stop kills what runs in the bed's control groups, and removes them" {
	bed_start
	group=/sys/fs/cgroup/cpu/$BED_ID
	[ -d /sys/fs/cgroup/cpu ] || group=/sys/fs/cgroup/$BED_ID
	mkdir -p "$group/inner"
	# The bed knows this process by its group alone.
	sleep infinity 3>&- &
	pid=$!
	echo $pid >"$group/inner/cgroup.procs"
	bed_stop
	[ ! -e "$group" ]
	[ -z "$(_bed_start_time "$pid")" ]
}

@test "a bed whose owner was killed is removed by the next" {
	# Where no other bed is, which would remove it as well.
	export TMPDIR=$BATS_TEST_TMPDIR
	bash -c '. "$1"; bed_start; bed_spawn app left sleep 600; echo "$BED_DIR" >"$2"; kill -KILL $$' \
		owner "$BATS_TEST_DIRNAME/lib/testbed.bash" "$BATS_TEST_TMPDIR/dir" || true
	dir=$(<"$BATS_TEST_TMPDIR/dir")
	[ -d "$dir" ]
	bed_start
	[ ! -e "$dir" ]
	run ! grep -F "$dir/" /proc/self/mountinfo
}

@test "engine: containers reach each other and the world, and published ports are reached from everywhere" {
	engine_start
	engine_image peer --change 'ENTRYPOINT ["/bin/peer"]' "$PEER"
	serve world world 80
	dk run -d --name plain peer serve 80
	dk run -d --name published -p 8080:80 peer serve 80
	engine_wait_line plain ^ready
	engine_wait_line published ^ready
	dk run --rm peer connect "$(engine_address plain)" 80 --send hello --expect hello
	dk run --rm peer connect "$(engine_address6 plain)" 80 --send hello --expect hello
	dk run --rm peer connect 1.1.1.1 80 --send hello --expect hello
	dk run --rm peer connect "$BED_WORLD6" 80 --send hello --expect hello
	bed_log world | grep "accept peer=$BED_UPLINK:.* local=1.1.1.1:80"

	# From the world (which keeps its address), from the machine, and from the bridge.
	[ "$(engine_port published 80/tcp)" = 8080 ]
	reaches world "$BED_UPLINK" 8080
	reaches world "$BED_UPLINK" 8080 --source 203.0.113.1
	reaches engine "$ENGINE_GATEWAY" 8080
	dk run --rm peer connect "$ENGINE_GATEWAY" 8080 --send hello --expect hello
	dk logs published | grep "accept peer=203.0.113.1:"

	# A second container shares the namespace of the first, as the sidecar and its application do.
	dk run --rm --network container:published peer connect 127.0.0.1 80 --send hello --expect hello
}

@test "engine: containers have the rights that their options give" {
	engine_start
	engine_image peer --change 'ENTRYPOINT ["/bin/peer"]' "$PEER"
	run -0 dk run --rm --cap-add NET_ADMIN peer probe
	[ "$(bed_value bpf_sk_lookup "$output")" = EPERM ]
	[ "$(bed_value transparent "$output")" = ok ]
	[ "$(bed_value tun "$output")" = ENOENT ]
	[ "$(bed_value sysctl_write "$output")" = EROFS ]
	# shellcheck disable=SC2046
	run -0 dk run --rm --cap-add NET_ADMIN $(engine_caps BPF) peer probe
	[ "$(bed_value bpf_sk_lookup "$output")" = ok ]
	[ "$(bed_value bpf_tc "$output")" = ok ]
	[ "$(bed_value bpffs_mount "$output")" = EPERM ]
	run -0 dk run --rm --privileged -v /sys/fs/bpf:/sys/fs/bpf peer probe
	[ "$(bed_value bpf_sk_lookup "$output")" = ok ]
	[ "$(bed_value bpffs_dir "$output")" = ok ]
	engine_bridge_nf 0
	[ "$(engine_exec cat /proc/sys/net/bridge/bridge-nf-call-iptables)" = 0 ]
}

@test "engine: an image of a dynamic binary runs, and a restart keeps it" {
	engine_start --bip 172.20.0.1/16
	engine_image busybox --change 'CMD ["/bin/sh"]' --change 'LABEL bed=yes' /bin/busybox:/bin/sh "$(command -v ip)"
	dk run --rm busybox /bin/ip -V
	[ "$(dk inspect -f '{{.Config.Labels.bed}}' busybox)" = yes ]
	dk run -d --name sleeper busybox sh -c 'sleep 600'
	[ "$(engine_address sleeper)" = 172.20.0.2 ]
	engine_restart --bip 172.21.0.1/16
	dk start sleeper
	[ "$(engine_address sleeper)" = 172.21.0.2 ]
}

@test "engine: bed_stop leaves nothing, also under way" {
	for _ in 1 2; do
		engine_start
		dir=$BED_DIR id=$BED_ID
		engine_image peer --change 'ENTRYPOINT ["/bin/peer"]' "$PEER"
		dk run -d --name server --restart always peer serve 80
		dk network create other
		bed_stop
		[ ! -e "$dir" ]
		run ! grep -F "$id" /proc/self/mountinfo
		run ! pgrep -f "$dir"
		[ -z "$(find /sys/fs/cgroup -name "*$id*")" ]
	done
}
