# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034 # DATAPATH is for scenarios.bash
# What the files field*.bats share: the bed of each test, the query of the application, servers, and conntrack's loss.

setup() {
	DATAPATH=bpf
	bed_start
	mkdir -p "$BED_BPFFS/sidestep"
}

teardown() {
	bed_stop
}

# answer NAME TYPE [ARGUMENT...] - prints rcode and records of the answer to the application's query.
answer() {
	local name=$1 type=$2 line
	shift 2
	[[ "$*" == *@* ]] || set -- "$@" @1.1.1.1
	line=$(bed_exec app "$PEER" dns "$name" "$type" "$@" --timeout 8) || true
	echo "dns $name $type: $line" >&2
	echo "$(bed_value rcode "$line") $(bed_value data "$line")"
}

udp_server() {
	bed_spawn world server "$PEER" udp-serve 7000
	bed_wait_line server ready
}

# serve_sizes - servers in the application's namespace: connections at 7000, datagrams at 7001.
serve_sizes() {
	bed_spawn app server "$PEER" serve 7000 --mode echo
	bed_wait_line server ready
	bed_spawn app datagrams "$PEER" udp-serve 7001
	bed_wait_line datagrams ready
}

# forget - conntrack forgets all connections of the application's namespace (`conntrack -F`).
forget() {
	bed_exec app python3 -c '
import socket, struct
netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) # NETLINK_NETFILTER
# IPCTNL_MSG_CT_DELETE of all families, with an acknowledgement.
netlink.send(struct.pack("=IHHIIBBH", 20, 1 << 8 | 2, 5, 1, 0, 0, 0, 0))
error = struct.unpack_from("=i", netlink.recv(4096), 16)[0]
assert error == 0, error'
}
