#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Sidestep on a real Podman (podman.bash), with the project's own image.

# shellcheck source=tests/lib/testbed.bash
. "$BATS_TEST_DIRNAME/../lib/testbed.bash"
# shellcheck source=tests/podman/podman.bash
. "$BATS_TEST_DIRNAME/podman.bash"

NOWHERE=192.0.2.77 NOWHERE6=2001:db8:dead::1 # addresses that nobody has
ANSWERS=192.0.2.1			     # the world answers, so a leak would work
INNER=10.89.7.0/24
# Podman's seccomp profile lets bpf(2) pass with CAP_SYS_ADMIN only, and not with CAP_BPF as Docker's.
RIGHTS=(--cap-add "NET_ADMIN,BPF,PERFMON" --security-opt seccomp=unconfined)

setup_file() {
	[ "$(id -u)" = 0 ] || skip "needs root (network namespaces)"
	export BATS_TEST_TIMEOUT=100
	podman_start
	dk load -qi "$BED_REPO/build/image/sidestep.tar"
	engine_image test "$PEER:/bin/peer"
	dk network create --subnet "$INNER" --ipv6 inner
}

teardown_file() {
	bed_stop
}

setup() {
	bed_spawn engine gateway "$SIDESTEP" gateway --server --log --listen 0.0.0.0:8080
	bed_spawn world server "$PEER" serve 7000
	bed_wait_line server ready
	# shellcheck disable=SC2317 # bed_until calls it
	listens() { engine_exec ss -Hltn | grep -q ":8080 "; }
	bed_until 5 listens
}

teardown() {
	[ -n "${BED_DIR:-}" ] || return 0
	[ -n "${BATS_TEST_COMPLETED:-}" ] || dk logs sidecar
	# Podman does not remove a container before those that use its network.
	! dk container exists sidecar || dk rm -f -t 0 sidecar
	dk rm -fa -t 0
	for name in gateway server sniff bridge; do
		bed_kill "$name"
	done
}

# container NAME [ARGUMENT...] - starts one with an echo server on port 8080.
container() {
	local name=$1
	shift
	dk run -d --name "$name" "$@" test /bin/peer serve 8080 --mode echo
	engine_wait_line "$name" ready
}

# sidecar [PODMAN-ARGUMENT...] -- [ARGUMENT...] - starts the image in the app's network and waits until it is live.
sidecar() {
	local arguments=()
	while [ "$1" != -- ]; do
		arguments+=("$1")
		shift
	done
	shift
	dk run -d --name sidecar --network container:app "${arguments[@]}" sidestep \
		sidecar --gateway "$BED_UPLINK:8080" "$@"
	engine_wait_line sidecar "interception is live" 10
}

# passes HOST PORT - the app reaches the echo server there.
passes() {
	dk exec app /bin/peer connect "$1" "$2" --send hello --expect hello
}

# steered - the app's connections arrive at the gateway, and nothing leaves.
steered() {
	local address
	watch_at engine uplink sniff 192.0.2.0/24 2001:db8::/32
	for address in $NOWHERE $NOWHERE6 $ANSWERS; do
		dk exec app /bin/peer connect "$address" 7000 --send hello --half-close --read-all
		grep -qF "$address" "$BED_DIR/gateway.log"
	done
	is packets "$(seen sniff)" 0
}

stops() {
	dk stop -t 10 sidecar
	is status "$(dk inspect -f '{{.State.ExitCode}}' sidecar)" 0
}

# app_network - prints the rules, routes and packet filters of the app's namespace.
app_network() {
	nsenter --net="/proc/$(engine_pid app)/ns/net" -- sh -c '
		ip rule; ip -6 rule; ip route show table all; ip -6 route show table all; nft list ruleset' |
		sed -E 's/ expires [0-9]+sec//'
}

@test "a sidecar of the image steers a container's connections, bypasses its bridge, and ends without a trace" {
	container app --network inner
	container neighbour --network inner
	passes $ANSWERS 7000
	before=$(app_network)
	sidecar "${RIGHTS[@]}" --
	[[ $(dk logs sidecar 2>&1) != *"no rights for BPF programs"* ]]
	passes "$(engine_address neighbour inner)" 8080
	steered
	stops
	is network "$(app_network)" "$before"
	passes $ANSWERS 7000
}

@test "with NET_ADMIN alone nftables steers" {
	container app --network inner
	before=$(app_network)
	sidecar --cap-add NET_ADMIN --
	steered
	stops
	is network "$(app_network)" "$before"
}

@test "the API names Podman's networks, and one that the container joins is bypassed" {
	container app
	container neighbour --network inner
	sidecar "${RIGHTS[@]}" -v "$PODMAN_SOCKET:/run/engine.sock" -- --docker-socket /run/engine.sock
	engine_wait_line sidecar "bypass: $INNER docker network inner"
	dk network connect inner app
	passes "$(engine_address neighbour inner)" 8080
	steered
	stops
}

@test "bridge mode finds the bridge of a network that Podman names" {
	container app --network inner
	container neighbour --network inner
	bed_spawn engine bridge "$SIDESTEP" sidecar --bridge inner --pin /sys/fs/bpf/sidestep/bridge \
		--docker-socket "$PODMAN_SOCKET" --gateway "$BED_UPLINK:8080"
	bed_wait_line bridge "interception is live" 10
	passes "$(engine_address neighbour inner)" 8080
	steered
	bed_kill bridge
	bed_wait_exit bridge
}
