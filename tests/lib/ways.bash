# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Ways out that an application with rights in its network namespace can make. A bats file loads it behind
# scenarios.bash.

# hands COMMAND... - runs it in the application's namespace as root with the capabilities $CAPS, in the form of
# setpriv; by default it has all.
hands() {
	bed_exec app setpriv --bounding-set="${CAPS:-+all}" --inh-caps=-all "$@"
}

# attempt PEER-ARGUMENT... - runs the peer like that, whether it succeeds (0) or not (1). Another status tells that
# it has not tried.
attempt() {
	hands "$PEER" "$@" >/dev/null 2>&1 || [ $? = 1 ]
}

# administers - the application has CAP_NET_ADMIN.
administers() {
	[[ ${CAPS:-+all} =~ \+(all|net_admin) ]]
}

# set_up COMMAND... - the application changes its network. With CAP_NET_ADMIN this succeeds, or the way fails.
set_up() {
	local messages
	messages=$(hands "$@" 2>&1) || ! administers || fail "set-up: $* <<< $messages"
}

# Each way_ function makes one way out and tries it. It fails when it could not try, although the application has
# the right. STEERED waits until the sidecar has seen the change.

# host_mac - prints the MAC address of the application's next hop.
host_mac() {
	bed_exec host ip -o link show br0 | grep -oP 'link/ether \K\S+'
}

# The world is on the link, because the application gives itself an address.
way_address() { # [STEERED]
	local mac
	mac=$(host_mac) || return
	set_up ip -batch - <<-COMMANDS || return
		address add 192.0.2.7/24 dev eth0
		address add 2001:db8::7/64 dev eth0 nodad
		neigh replace $BED_WORLD lladdr $mac dev eth0 nud permanent
		neigh replace $BED_WORLD6 lladdr $mac dev eth0 nud permanent
	COMMANDS
	if [ -n "${1:-}" ] && administers; then
		bed_wait_line sidecar "bypass: 192.0.2.0/24 interface" 5 || return
	fi
	attempt connect "$BED_WORLD" 80 --source "$BED_APP" --timeout 0.3 &&
		attempt connect "$BED_WORLD6" 80 --source "$BED_APP6" --timeout 0.3 &&
		attempt udp "$BED_WORLD" 9 --send secret --timeout 0.3
}

# The application removes all of Sidestep's that it sees.
way_remove() {
	# shellcheck disable=SC2016 # for the inner shell
	set_up sh -c '
		status=0
		nft flush ruleset || status=1
		for family in -4 -6; do
			ip $family rule flush || status=1
			ip $family rule add pref 10 lookup main || status=1
		done
		for device in lo eth0; do
			! tc qdisc show dev $device | grep -q clsact || tc qdisc delete dev $device clsact || status=1
		done
		exit $status' || return
	attempt connect "$BED_WORLD" 80 --timeout 0.3 &&
		attempt connect "$BED_WORLD6" 80 --timeout 0.3 &&
		attempt udp "$BED_WORLD" 9 --send secret --timeout 0.3
}

# A device of the application's own brings a datagram "from outside", which it answers by eth0.
way_device() { # [STEERED]
	local mac
	set_up ip -batch - <<-COMMANDS || return
		link add fake0 type veth peer name fake1
		link set fake0 up
		link set fake1 up
	COMMANDS
	administers || return 0
	mac=$(bed_exec app ip -o link show fake0 | grep -oP 'link/ether \K\S+') || return
	set_up ip neigh replace 10.99.0.1 lladdr "$mac" dev fake1 nud permanent || return
	# shellcheck disable=SC2016 # for the inner shell
	set_up sh -ec 'for file in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 >$file; done' || return
	device_guarded() {
		bed_programs bed_exec app | grep -q 'fake0 .*dev_ingress' ||
			bed_exec app nft list table netdev sidestep 2>/dev/null | grep -q fake0
	}
	[ -z "${1:-}" ] || bed_until 5 device_guarded || return
	attempt packet-send "$BED_APP" 7777 --device fake1 --mode udp --source "$BED_WORLD" --source-port 9 \
		--gateway 10.99.0.1 --send opening &&
		attempt udp "$BED_WORLD" 9 --source-port 7777 --send secret --timeout 0.3
}

# The application rewrites the destination of the proxy's own packets, which it tells from its own by the user.
way_rewrite() {
	set_up nft -f - <<-RULES || return
		table inet rewrite {
			chain output {
				type route hook output priority -300
				meta skuid 0 meta nfproto ipv4 udp dport 53 ip daddr set $BED_WORLD udp dport set 7777
			}
		}
	RULES
	# The other user cannot execute the peer in a home that is closed to him.
	install -m 755 "$PEER" "$BED_DIR/peer" || return
	bed_exec app setpriv --reuid 1000 --clear-groups "$BED_DIR/peer" dns secret.example A @1.1.1.1 --timeout 0.3 \
		>/dev/null || [ $? = 1 ]
}

# Packet sockets send frames: as they are, past the queueing discipline (and so past TC), with a lying protocol, and
# with a VLAN tag. The other sockets are rings, raw ones and AF_XDP.
way_frames() {
	local family options
	for family in "$BED_WORLD" "$BED_WORLD6"; do
		while read -r options; do
			# shellcheck disable=SC2086 # words
			attempt raw "$family" 9 --device eth0 --send secret $options || return
		done <<-KINDS
			--mode udp
			--mode syn
			--mode udp --qdisc-bypass
			--mode syn --qdisc-bypass
			--mode udp --protocol 2054
			--mode udp --protocol 2054 --qdisc-bypass
			--mode udp --vlan 7
			--mode udp --vlan 7 --qdisc-bypass
			--mode udp --socket ring
			--mode udp --socket datagram
			--mode udp --socket xdp
			--mode echo --socket inet
		KINDS
	done
}

# The ways that take no right.
way_plain() {
	local world
	for world in "$BED_WORLD" "$BED_WORLD6"; do
		attempt connect "$world" 80 --timeout 0.3 &&
			attempt connect "$world" 80 --bind-device eth0 --timeout 0.3 &&
			attempt connect "$world" 80 --mark 1 --timeout 0.3 &&
			attempt udp "$world" 9 --send secret --timeout 0.3 &&
			attempt udp "$world" 9 --send secret --bind-device eth0 --timeout 0.3 &&
			attempt raw "$world" 9 --mode echo --socket ping --device eth0 || return
	done
}

world_hears() { # WAY [STEERED]
	watch attack "$BED_WORLD" "$BED_WORLD6" || return
	"$@" || return
	seen attack
}
