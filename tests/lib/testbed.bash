# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The test bed: networks of namespaces, and a Docker engine inside one of them.
#
# bats files and scripts source it and open a bed with one of these:
#   bed_start      a container network without Docker: host, app, neighbour and world
#   engine_start   a real Docker engine in a network of its own (engine.bash)
# bed_stop ends the bed and its engine. A script gets bed_stop as its EXIT trap. A bats file calls it from
# teardown or teardown_file. A process tree has one bed at a time, which $BED_DIR names. All its state is in
# files below, so bats' setup_file, tests and teardown_file share it.
#
# The bed sends no packet on the machine's own network, does not touch its devices, and leaves nothing behind.
# The next bed_start or engine_start removes beds whose owner was killed.
#
#   BED_DIR     the bed's folder: NAME.log of each spawned process, ns/ (namespaces), bpffs/
#   BED_ID      its name: sst-PID-XXXXXX
#   BED_BPFFS   a BPF file system of the bed's own, for pins
#   PEER        build/peer, the traffic generator

BED_REPO=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
: "${PEER:=$BED_REPO/build/peer}"
: "${SIDESTEP:=$BED_REPO/build/sidestep}"
export BED_REPO PEER SIDESTEP

# Addresses of the namespace bed.
export BED_HOST=172.30.0.1 BED_APP=172.30.0.2 BED_NEIGHBOUR=172.30.0.3 BED_SUBNET=172.30.0.0/24
export BED_HOST6=fd30::1 BED_APP6=fd30::2 BED_NEIGHBOUR6=fd30::3 BED_SUBNET6=fd30::/64
export BED_HOST2=172.31.0.1 BED_APP2=172.31.0.2 BED_NEIGHBOUR2=172.31.0.3 BED_SUBNET2=172.31.0.0/24
export BED_APP2_6=fd31::2 BED_NEIGHBOUR2_6=fd31::3 BED_SUBNET2_6=fd31::/64
# "The internet" of both beds, and the two ends of the line to it.
export BED_WORLD=192.0.2.1 BED_WORLD6=2001:db8::1
export BED_UPLINK=198.51.100.1 BED_OUTSIDE=198.51.100.2
export BED_UPLINK6=fd98::1 BED_OUTSIDE6=fd98::2

# shellcheck source=tests/lib/process.bash
. "$BED_REPO/tests/lib/process.bash"
# shellcheck source=tests/lib/engine.bash
. "$BED_REPO/tests/lib/engine.bash"
# shellcheck source=tests/lib/checks.bash
. "$BED_REPO/tests/lib/checks.bash"

bed_fail() {
	printf 'test bed: %s\n' "$*" >&2
	return 1
}

# bed_linux VERSION - succeeds when the kernel is not older.
bed_linux() {
	[ "$(printf '%s\n' "$1" "$(uname -r)" | sort -V | head -n 1)" = "$1" ]
}

# bed_needs_linux VERSION FEATURE - skips the test on a kernel that is older.
bed_needs_linux() {
	bed_linux "$1" || skip "Linux $1 is needed: $2"
}

# lacks EXPRESSION... - the kernel knows none of these expressions of nftables from here on. Their names are
# misspelled in a copy of sidestep. The kernel refuses them with the errno that it has for a missing module.
lacks() {
	local expression data=$BED_DIR/lacks.rodata copy=$BED_DIR/lacks
	objcopy --dump-section ".rodata=$data" "$SIDESTEP" "$copy" || return
	for expression; do
		LC_ALL=C sed -i "s/$expression\x00/${expression%?}Z\x00/g" "$data"
	done
	objcopy --update-section ".rodata=$data" "$copy" || return
	SIDESTEP=$copy
}

# Makes the folder of a new bed and exports BED_DIR, BED_ID and BED_BPFFS. Fails when a bed is open.
_bed_open() {
	[ "$(id -u)" = 0 ] || bed_fail "needs root (network namespaces)" || return
	[ -x "$PEER" ] || bed_fail "$PEER is missing; run: make build/peer" || return
	if [ -n "${BED_DIR:-}" ] && [ -d "$BED_DIR" ]; then
		bed_fail "a bed is open in $BED_DIR; bed_stop first" || return
	fi
	_bed_sweep
	BED_DIR=$(mktemp -d "${TMPDIR:-/tmp}/sst-$$-XXXXXX") || return
	BED_ID=${BED_DIR##*/}
	BED_BPFFS=$BED_DIR/bpffs
	export BED_DIR BED_ID BED_BPFFS
	mkdir "$BED_DIR/ns" "$BED_DIR/proc" "$BED_BPFFS" || return
	# Containers and users other than root pass through it to the folders that they are given.
	chmod 755 "$BED_DIR"
	printf '%s %s\n' "$$" "$(_bed_start_time $$)" >"$BED_DIR/owner"
	mount -t bpf bpf "$BED_BPFFS" || return
	if [ -z "${BATS_VERSION:-}" ] && [ -z "$(trap -p EXIT)" ]; then
		trap bed_stop EXIT
	fi
}

# Removes the beds whose owners ended without a bed_stop.
_bed_sweep() {
	local dir pid started
	for dir in "${TMPDIR:-/tmp}"/sst-*-??????; do
		[ -f "$dir/owner" ] || continue
		read -r pid started <"$dir/owner"
		[ "$(_bed_start_time "$pid")" = "$started" ] && continue
		BED_DIR=$dir BED_ID=${dir##*/} _bed_remove || true
	done
}

# _bed_namespace NAME - a new network namespace, kept by a mount in the bed's folder, lo up.
_bed_namespace() {
	touch "$BED_DIR/ns/$1" || return
	unshare --net="$BED_DIR/ns/$1" true || return
	# Before Linux 5.14 there is none.
	_bed_in "$1" "$PEER" cookie >>"$BED_DIR/cookies" || true
	# shellcheck disable=SC2016 # for the inner shell
	_bed_in "$1" sh -c '
		for name in all default; do
			echo 0 >/proc/sys/net/ipv6/conf/$name/accept_dad
			echo 0 >/proc/sys/net/ipv6/conf/$name/disable_ipv6
			echo 0 >/proc/sys/net/ipv6/conf/$name/accept_ra
		done
		ip link set lo up'
}

_bed_in() {
	local name=$1
	shift
	nsenter --net="$BED_DIR/ns/$name" -- "$@"
}

# _bed_ip NAME - runs the ip(8) commands of stdin there. It stops at the first error.
_bed_ip() {
	_bed_in "$1" ip -batch - || bed_fail "ip failed in namespace $1"
}

# _bed_world NAME - makes the line between NAME (host or engine) and the world, which has the internet's addresses.
_bed_world() {
	_bed_namespace world || return
	_bed_ip "$1" <<-COMMANDS || return
		link add uplink type veth peer name eth0 netns $BED_DIR/ns/world
		address add $BED_UPLINK/24 dev uplink
		address add $BED_UPLINK6/64 dev uplink nodad
		link set uplink up
	COMMANDS
	_bed_ip world <<-COMMANDS || return
		address add $BED_OUTSIDE/24 dev eth0
		address add $BED_OUTSIDE6/64 dev eth0 nodad
		address add 1.1.1.1/32 dev lo
		address add 8.8.8.8/32 dev lo
		address add 192.0.2.1/32 dev lo
		address add 203.0.113.1/32 dev lo
		address add 2001:db8::1/128 dev lo nodad
		address add 2001:db8:1::1/128 dev lo nodad
		link set eth0 up
		route add default via $BED_UPLINK
		route add default via $BED_UPLINK6
	COMMANDS
	_bed_ip "$1" <<-COMMANDS || return
		route add default via $BED_OUTSIDE
		route add default via $BED_OUTSIDE6
	COMMANDS
	_bed_in "$1" sh -c '
		echo 1 >/proc/sys/net/ipv4/ip_forward
		echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'
}

# _bed_bridge BRIDGE ADDRESS ADDRESS6 - makes a bridge in host as Docker does.
_bed_bridge() {
	_bed_ip host <<-COMMANDS
		link add $1 type bridge stp_state 0 forward_delay 0 mcast_snooping 0
		address add $2/24 dev $1
		address add $3/64 dev $1 nodad
		link set $1 up
	COMMANDS
}

# _bed_plug NAME DEVICE BRIDGE ADDRESS ADDRESS6 - gives the namespace a port on the bridge.
_bed_plug() {
	_bed_ip host <<-COMMANDS || return
		link add $1-$2 type veth peer name $2 netns $BED_DIR/ns/$1
		link set $1-$2 master $3 up
	COMMANDS
	_bed_ip "$1" <<-COMMANDS
		address add $4/24 dev $2
		address add $5/64 dev $2 nodad
		link set $2 up
	COMMANDS
}

_bed_default_route() {
	_bed_ip "$1" <<-COMMANDS
		route add default via $2
		route add default via $3
	COMMANDS
}

# bed_start - makes the bed of namespaces:
#   host       the Docker host: bridge br0 (172.30.0.1/24, fd30::1/64), routes to the world, no NAT
#   app        the application's container: eth0 172.30.0.2, fd30::2, default routes through host
#   neighbour  another container on the bridge: 172.30.0.3, fd30::3
#   world      (also named outside) the internet 1.1.1.1, 8.8.8.8, 192.0.2.1, 203.0.113.1,
#              2001:db8::1, 2001:db8:1::1, and a client outside the bridge: 198.51.100.2, fd98::2
# On failure it removes the bed and returns 1 with a message.
#
# This and the other big steps run inside an `if`. bats sets `set -e`, but a step that cleans up must go on when
# something is gone already.
bed_start() {
	if ! _bed_open; then
		return 1
	fi
	if ! _bed_build; then
		bed_stop
		return 1
	fi
}

_bed_build() {
	local name
	for name in host app neighbour; do
		_bed_namespace "$name" || return
	done
	_bed_world host &&
		_bed_bridge br0 $BED_HOST $BED_HOST6 &&
		_bed_plug app eth0 br0 $BED_APP $BED_APP6 &&
		_bed_plug neighbour eth0 br0 $BED_NEIGHBOUR $BED_NEIGHBOUR6 &&
		_bed_default_route app $BED_HOST $BED_HOST6 &&
		_bed_default_route neighbour $BED_HOST $BED_HOST6
}

# bed_join_second_network - the app joins a second network while it runs: eth1 172.31.0.2, fd31::2 on bridge br1
# (172.31.0.1/24). neighbour2 is 172.31.0.3, fd31::3 on that bridge. The default route stays.
bed_join_second_network() {
	[ ! -e "$BED_DIR/ns/neighbour2" ] || bed_fail "the second network is there already" || return
	_bed_namespace neighbour2 &&
		_bed_bridge br1 $BED_HOST2 fd31::1 &&
		_bed_plug neighbour2 eth0 br1 $BED_NEIGHBOUR2 $BED_NEIGHBOUR2_6 &&
		_bed_default_route neighbour2 $BED_HOST2 fd31::1 &&
		_bed_plug app eth1 br1 $BED_APP2 $BED_APP2_6
}

# bed_leave_second_network - undoes it and kills the processes in neighbour2.
bed_leave_second_network() {
	_bed_in app ip link delete eth1 || return
	_bed_in host ip link delete br1 || return
	_bed_unmake_namespace neighbour2
}

# bed_exec NAME COMMAND... - runs it in the foreground in namespace NAME: host, app, neighbour, neighbour2, world
# (or outside), or engine. In engine it also has that mount namespace, with its own /run and /sys/fs/bpf. The
# status is the command's.
bed_exec() {
	local name=${1/#outside/world}
	shift
	if [ "$name" = engine ]; then
		engine_exec "$@"
		return
	fi
	[ -e "${BED_DIR:-/nonexistent}/ns/$name" ] || bed_fail "no namespace '$name'" || return
	_bed_in "$name" "$@"
}

# bed_netns NAME - prints the path of the namespace, for nsenter --net= or a program's option.
bed_netns() {
	printf '%s/ns/%s\n' "$BED_DIR" "${1/#outside/world}"
}

# bed_programs COMMAND... - prints the BPF programs of the network namespace that COMMAND enters (such as
# bed_exec app). It prints the list of `bpftool net` sorted, as "KIND DEVICE PLACE PROGRAM", and adds sk_lookup,
# which bpftool lists only as a link.
bed_programs() {
	local tool inode program
	tool=$("$BED_REPO/tests/deps.sh" bpftool-tcx) || return
	inode=$("$@" stat -Lc %i /proc/self/ns/net) || return
	"$@" "$tool" net | awk '
		/^[a-z_]+:$/ { kind = $1; next }
		NF { sub(/\([0-9]+\)$/, "", $1); print kind, $1, $2, $3 }' | sort
	for program in $("$tool" link | awk -v "inode=$inode" '
		/^[0-9]+: netns/ { program = $4 }
		$1 == "netns_ino" && $2 == inode && /sk_lookup/ { print program }'); do
		printf 'netns: sk_lookup %s\n' "$("$tool" prog show id "$program" | sed -n '1s/.* name \([^ ]*\).*/\1/p')"
	done
}

# BED_PROGRAMS is that list where the agent's programs steer and eth0 is the only device.
export BED_PROGRAMS="tc: eth0 tcx/egress dev_egress
tc: eth0 tcx/ingress dev_ingress
tc: lo tcx/egress lo_egress
tc: lo tcx/ingress lo_ingress
netns: sk_lookup steer"

# bed_socket NAME KIND - prints the path of a socket of the sidecar in that namespace: control, events or capture.
# The sidecars of other beds have theirs in the same folder.
bed_socket() {
	local cookie
	cookie=$(bed_exec "$1" "$PEER" cookie) || bed_fail "no cookie of namespace $1" || return
	printf '/run/sidestep/%s.%s\n' "$cookie" "$2"
}

# _bed_sockets - prints the sockets of sidecars in the bed's namespaces, of those that are gone too. Sidecars that were
# killed leave them.
_bed_sockets() {
	local cookie
	for cookie in $(cat "$BED_DIR/cookies" 2>/dev/null); do
		find /run/sidestep -name "$cookie.*" 2>/dev/null
	done
}

# _bed_unmake_namespace NAME - kills the processes in it and removes it.
_bed_unmake_namespace() {
	local file=$BED_DIR/ns/$1 inode pids
	[ -e "$file" ] || return 0
	if mountpoint -q "$file"; then
		inode=$(stat -Lc %i "$file")
		# The caller should not be in a bed's namespace, but it must not be killed in any case.
		pids=$(find /proc/[0-9]*/ns/net -maxdepth 0 -lname "net:\\[$inode\\]" 2>/dev/null |
			cut -d/ -f3 | grep -vx "$$" || true)
		# shellcheck disable=SC2086 # a list of words
		[ -z "$pids" ] || kill -KILL $pids 2>/dev/null
		umount "$file" 2>/dev/null || umount -l "$file"
	fi
	rm -f "$file"
}

# bed_stop - ends the bed with its engine, processes, namespaces, mounts, pins and folder. It may be called twice
# or without a bed. Status 1 when something is left, which it lists on stderr, or when a check of the library has
# written to the bed's file `complaints`. The peer writes down there when it was used wrongly.
bed_stop() {
	local result=0
	[ -n "${BED_DIR:-}" ] || return 0
	if [ -d "$BED_DIR" ]; then
		if [ -s "$BED_DIR/complaints" ]; then
			cat "$BED_DIR/complaints" >&2
			result=1
		fi
		_bed_remove || true
		bed_leftovers || result=1
	fi
	unset BED_DIR BED_ID BED_BPFFS
	return "$result"
}

_bed_remove() {
	local path
	# The engine must not start a container again, so it is killed before its containers.
	_bed_kill_all
	bed_until 5 _bed_groups_gone
	for path in "$BED_DIR"/ns/*; do
		_bed_unmake_namespace "${path##*/}"
	done
	_bed_sockets | xargs -r rm -f
	rm -rf "/sys/fs/bpf/sidestep/$BED_ID"
	# An engine may have left overlays and other mounts. The deepest ones are unmounted first.
	while read -r path; do
		umount "$path" 2>/dev/null || umount -l "$path" 2>/dev/null
	done < <(_bed_mounts | sort -r)
	# With a mount still below it, rm might delete files that are not ours.
	[ -n "$(_bed_mounts)" ] || rm -rf "$BED_DIR"
}

_bed_mounts() {
	awk -v "dir=$BED_DIR/" 'index($5, dir) == 1 { print $5 }' /proc/self/mountinfo
}

# bed_leftovers - lists on stderr all mounts, processes, control groups, pins and folders with the bed's name.
# Status 0 when there is none.
bed_leftovers() {
	local found
	found=$(
		_bed_mounts | sed 's/^/mount /'
		_bed_processes | sed 's/^/process /'
		_bed_groups | sed 's/^/control group /'
		for path in "$BED_DIR" "/sys/fs/bpf/sidestep/$BED_ID"; do
			[ ! -e "$path" ] || printf 'folder %s\n' "$path"
		done
	)
	[ -z "$found" ] || bed_fail "left over: $found"
}
