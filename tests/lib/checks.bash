# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What tests of all kinds check with: comparisons that say what differs, and counts of packets. Part of testbed.bash.

fail() {
	printf '%s\n' "$*" >&2
	return 1
}

# is TEXT ACTUAL [RELATION==] WANTED - a comparison of test(1) that prints both values when it fails.
is() {
	[ $# = 4 ] || set -- "$1" "$2" = "$3"
	test "$2" "$3" "$4" || fail "$1: is '$2', wanted $3 '$4'"
}

# like TEXT ACTUAL PATTERN - the same for an extended regular expression.
like() {
	[[ $2 =~ $3 ]] || fail "$1: is '$2', wanted like '$3'"
}

# at_once MICROSECONDS RESULTS COMMAND... - each of ten tries ends with one of these results of the peer (A|B), and one
# of them within the time. A wait that should not be delays all tries, and a busy machine delays some.
at_once() {
	local line us
	for _ in {1..10}; do
		line=$("${@:3}") || true
		echo "${*:4}: $line"
		[[ $(bed_value result "$line") =~ ^($2)$ ]] || return
		us=$(bed_value total_us "$line" || bed_value us "$line") || return
		[ "$us" -ge "$1" ] || return 0
	done
	return 1
}

# watch_at WHERE DEVICE NAME CIDR... - begins to count the packets to these addresses that pass the device.
watch_at() {
	local where=$1 device=$2 name=$3 cidr
	local -a options=()
	shift 3
	for cidr in "$@"; do
		options+=(--count-dst "$cidr")
	done
	rm -f "$BED_DIR/$name-end"
	bed_spawn "$where" "$name" "$PEER" sniff --device "$device" --timeout 600 "${options[@]}" \
		--until-file "$BED_DIR/$name-end" || return
	bed_wait_line "$name" ready
}

# watch NAME CIDR... - the same on the host's line to the world.
watch() {
	watch_at host uplink "$@"
}

# seen NAME - ends the watch and prints how many packets it counted. Status 1, and no number, when the sniffer
# failed or lost packets.
seen() {
	touch "$BED_DIR/$1-end"
	bed_log "$1" >&2
	bed_wait_exit "$1" || return
	bed_wait_line "$1" "result=ok" >/dev/null || return
	bed_log "$1" | grep -oE 'to_(tcp|udp|icmp|fragment|other)=[0-9]+' |
		awk -F= '{ sum += $2 } END { print sum + 0 }'
}

# resolver [ARGUMENT...] - starts a resolver in the world that logs its queries.
resolver() {
	bed_spawn world resolver "$PEER" dns-serve 53 "$@"
	bed_wait_line resolver ready
}
