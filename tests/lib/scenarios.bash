# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154 # bats sets status and output
# Starts and observes a sidecar in a bed of namespaces (testbed.bash), whichever way it steers. The .bats file
# sets DATAPATH to bpf, nft or nft-redirect. Functions that begin with scenario_ are tests that the agent passes as well.

# shellcheck source=tests/lib/explained.bash
. "$BED_REPO/tests/lib/explained.bash"

SIDE_PIN() { echo "$BED_BPFFS/sidestep/app"; }

# gateway [ARGUMENT...] - starts the reference gateway on the bridge's address, with --server by default.
gateway() {
	[ $# -gt 0 ] || set -- --server
	bed_spawn host gateway "$SIDESTEP" gateway --listen "$BED_HOST:8080" --listen "[$BED_HOST6]:8080" --log "$@"
	bed_until 5 bed_listening host 8080 || { bed_log gateway && return 1; }
}

bed_listening() {
	bed_exec "$1" sh -c 'ss -Hltn "sport = :$0" | grep -q .' "$2"
}

# The rights of a sidecar that has CAP_NET_ADMIN and nothing else. It steers by nftables until the agent comes.
NET_ADMIN=(setpriv "--bounding-set=-all,+net_admin" --inh-caps=-all)

# weak_sidecar WHERE NAME [ARGUMENT...] - starts a sidecar with these rights in namespace WHERE.
weak_sidecar() {
	bed_spawn "$1" "$2" "${NET_ADMIN[@]}" "$SIDESTEP" sidecar "${@:3}"
}

# sidecar_spawn [ARGUMENT...] - starts it in the application's namespace with the rights that its datapath needs.
sidecar_spawn() {
	explained_anew
	if [[ $DATAPATH == nft* ]]; then
		weak_sidecar app sidecar --datapath "$DATAPATH" "$@"
	else
		bed_spawn app sidecar "$SIDESTEP" sidecar --pin "$(SIDE_PIN)" "$@"
	fi
}

# settled NAME - waits for the last thing that a sidecar does behind "live": its system calls are restricted, in
# all threads that go on.
settled() {
	bed_until 5 grep -q "^Seccomp:[[:space:]]*2$" "/proc/$(bed_pid "$1")/status"
}

# sidecar [ARGUMENT...] - the same; returns when interception is live, and the rest of the start has been done.
sidecar() {
	sidecar_spawn --gateway "$BED_HOST:8080" "$@"
	bed_wait_line sidecar "interception is live" 10
	settled sidecar
}

# own_sidecar, nft_sidecar, redirect_sidecar, agent_sidecar, bridge_sidecar [ARGUMENT...] - start a sidecar of that
# datapath, or bridge mode on the host. They return when interception is live and, with the agent, when it steers.
# ATTACH is the agent's --attach, and AGENT has its further arguments.
own_sidecar() {
	DATAPATH=bpf
	sidecar "$@"
}

nft_sidecar() {
	DATAPATH=nft
	sidecar "$@"
}

redirect_sidecar() {
	DATAPATH=nft-redirect
	sidecar "$@"
}

agent_sidecar() {
	bed_needs_linux 6.6 "TCX links"
	weak_sidecar app sidecar --gateway "$BED_HOST:8080" "$@"
	bed_wait_line sidecar "interception is live" 10
	bed_spawn host agent "$SIDESTEP" agent --pin "$(SIDE_PIN)" --pid "$(bed_pid sidecar)" --attach "${ATTACH:-auto}" \
		"${AGENT[@]}"
	bed_wait_line sidecar "the host's agent steers .* in place of the nftables table" 10
	explained_anew
}

bridge_sidecar() {
	bed_spawn host sidecar "$SIDESTEP" sidecar --bridge br0 --gateway "$BED_HOST:8080" --pin "$(SIDE_PIN)" "$@"
	bed_wait_line sidecar "interception is live" 10
}

# arrived DESTINATION - prints how many CONNECTs for it the gateway has logged.
arrived() {
	grep -c "\"destination\":\"$1\"" "$BED_DIR/gateway.log" || true
}

# counter NAME - prints a counter of enum sidestep_verdict, named in small letters, without the outer guard's.
counter() {
	echo "$(($(_counter "$1") - $(explained "$1")))"
}

_counter() {
	if [[ $DATAPATH == nft* ]]; then
		bed_exec app nft list ruleset | awk -v "name=${1^^}" '
			$1 == "counter" { inside = $2 == name }
			$1 == "packets" && inside { sum += $2 }
			END { print sum + 0 }'
	else
		"$SIDESTEP" status --json --pin "$(SIDE_PIN)" | tr '{,}' '\n' | awk -F': ' -v "name=\"$1\"" '
			$1 ~ /"mode"/ { outer = $2 ~ /outer/ }
			$1 ~ name && !outer { print $2 + 0 }'
	fi
}

# sniff_start - begins to count packets on the host's uplink to addresses of the internet. leaks ends that and
# prints their number.
sniff_start() {
	watch sniff 192.0.2.0/24 1.1.1.1/32 203.0.113.0/24 2001:db8::/32
}

leaks() {
	seen sniff
}

# A SYN from outside with the endpoints of a steered connection lets no packet of that connection out, not
# even its FIN. Gateway and sidecar run already.
# With redirected connections NAT has these endpoints, and gives the SYN another source port. So a closed port
# resets it, and that answer leaves.
scenario_same_endpoints() {
	local resets=0
	challenged() { # COUNT - the kernel has answered so many SYNs with a challenge ACK (RFC 5961 section 4)
		bed_exec app nstat -asz TcpExtTCPSYNChallenge | grep -qE "TCPSYNChallenge +$1 "
	}
	if [ "$DATAPATH" = nft-redirect ]; then
		resets=2
		challenged() {
			[ "$(counter reply)" = "$1" ]
		}
	fi
	steered() { # COUNT - connections that the proxy has
		[ "$(bed_exec app ss -Htn state established '( dport = :4002 )' | wc -l)" = "$1" ]
	}
	sniff_start
	for round in 1 2; do
		bed_spawn app holder "$PEER" stall 192.0.2.77 4001 --bytes 10 --source-port 4002
		bed_until 5 steered 1
		bed_exec outside "$PEER" raw-send "$BED_APP" 4002 --source 192.0.2.77 --source-port 4001 --mode syn
		bed_until 5 challenged "$round"
		bed_kill holder TERM
		bed_until 5 steered 0
	done
	[ "$(arrived 192.0.2.77:4001)" = 2 ]
	[ "$(leaks)" = "$resets" ]
}

# An accepted socket that is disconnected and connected to the outside is steered like any other.
# Gateway and sidecar run already.
scenario_turned_socket() {
	sniff_start
	bed_spawn app turn "$PEER" turn 7000 192.0.2.77 80
	bed_wait_line turn ready
	bed_exec outside "$PEER" connect "$BED_APP" 7000 --send hello --expect answer
	bed_wait_line turn "turned result=ok"
	[ "$(arrived 192.0.2.77:80)" = 1 ]
	[ "$(leaks)" = 0 ]
}

# Replies to sockets that are not bound to a device are routed over lo, because the kernel caches lo's route.
# The proxy's end of such a connection is bound to lo, and the own addresses have routes over lo. A network
# that is joined later gets them as well. Gateway and sidecar run already.
scenario_answers_by_lo() {
	bed_needs_linux 5.17 "ingress_ifindex in sk_lookup"
	answer_routes() {
		bed_exec app ip route show table local proto 93 | cut -d' ' -f1-4 | sort | xargs
	}
	proxy_end_is() { # PORT ADDRESS - the proxy's end of a connection to the port has this local address
		[ "$(bed_exec app ss -Htn state established "( sport = :$1 )" | awk '{ print $3 }')" = "$2:$1" ]
	}
	[ "$(answer_routes)" = "local $BED_APP dev lo" ]
	bed_spawn app plain "$PEER" stall 192.0.2.77 4001 --bytes 10
	bed_spawn app bound "$PEER" stall 192.0.2.77 4002 --bytes 10 --bind-device eth0
	bed_until 5 proxy_end_is 4001 192.0.2.77%lo
	bed_until 5 proxy_end_is 4002 192.0.2.77
	bed_join_second_network
	bed_wait_line sidecar "bypass: $BED_SUBNET2 interface"
	[ "$(answer_routes)" = "local $BED_APP dev lo local $BED_APP2 dev lo" ]
	connect 192.0.2.77 80 --source "$BED_APP2" --send hello --half-close --read-all
	[ "$(arrived 192.0.2.77:80)" = 1 ]
	# The kernel's own routes come first, so other traffic does not use ours.
	[[ $(bed_exec app ip route get fibmatch "$BED_APP") == "local $BED_APP dev eth0 "* ]]
	bed_leave_second_network
	bed_wait_line sidecar "bypass: $BED_SUBNET2 removed"
	[ "$(answer_routes)" = "local $BED_APP dev lo" ]
}

# After a clean stop nothing leaves of connections that were steered, although the application has bytes that
# nobody has acknowledged. The proxy relays two of them, and has not accepted the other two yet. All are reset
# while the steering is there. Gateway and sidecar run already, with --drain 0.
scenario_clean_stop() {
	unsent() { # COUNT - connections of the application with such bytes
		[ "$(bed_exec app ss -Htn state established dst 192.0.2.77 | awk '$2 > 0' | wc -l)" = "$1" ]
	}
	ended() {
		[ -z "$(bed_exec app ss -Htn dst 192.0.2.77)" ]
	}
	stall() {
		bed_spawn app "stall$1" "$PEER" stall 192.0.2.77 7000 --bytes 20000000
		bed_until 10 unsent "$1"
	}
	sniff_start
	stall 1
	stall 2
	bed_signal sidecar STOP
	stall 3
	stall 4
	bed_signal sidecar TERM
	bed_signal sidecar CONT
	bed_wait_exit sidecar
	bed_until 10 ended
	[ "$(leaks)" = 0 ]
}

# stray - the world sends a packet of a connection that the application does not know, such as one that an earlier
# container with its address had. Prints how many packets answer it.
stray() {
	watch stray 192.0.2.1/32 >&2
	bed_exec outside "$PEER" raw-send "$BED_APP" 4002 --source 192.0.2.1 --source-port 4001 --mode data >&2
	seen stray
}
