#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The agent as a privileged container of our image, beside sidecars of the same image, on a real engine.

# shellcheck source=tests/lib/testbed.bash
. "$BATS_TEST_DIRNAME/lib/testbed.bash"
# shellcheck source=tests/lib/workerd.bash
. "$BATS_TEST_DIRNAME/lib/workerd.bash"

setup_file() {
	[ "$(id -u)" = 0 ] || skip "needs root (network namespaces)"
	export BATS_TEST_TIMEOUT=120
	engine_start
	workerd_sidecar_image
	bed_spawn engine gateway "$SIDESTEP" gateway --server --listen 0.0.0.0:8080
}

teardown_file() {
	bed_stop
}

teardown() {
	[ -n "${BED_DIR:-}" ] || return 0
	# shellcheck disable=SC2046 # a list of words
	dk rm -f $(dk ps -aq) >/dev/null || true
	engine_exec rm -rf /sys/fs/bpf/sidestep
}

# agent [ARGUMENT...] - starts the agent and returns when it watches.
agent() {
	dk run -d --name agent --privileged --pid=host --network=host -v /sys/fs/bpf:/sys/fs/bpf \
		-v "$ENGINE_SOCKET:/var/run/docker.sock" sidestep agent "$@" >/dev/null
	engine_wait_line agent "watching for sidecars"
}

# side NAME - starts a sidecar as workerd does.
side() {
	dk run -d --name "$1" --cap-add NET_ADMIN --add-host host.docker.internal:host-gateway sidestep \
		--http-egress-port 8080 --http-ingress-address 0.0.0.0:39001 >/dev/null
}

gone() {
	[ -z "$(dk ps -aq --filter "name=$1")" ]
}

@test "the agent in a container serves a sidecar with NET_ADMIN alone, before and after its restart" {
	agent
	side app-proxy
	engine_wait_line app-proxy "the host's agent steers with its BPF programs, in place of the nftables table"
	# The table is removed right after.
	no_rules() { [ -z "$(nsenter --net="/proc/$(engine_pid app-proxy)/ns/net" nft list ruleset)" ]; }
	bed_until 5 no_rules
	nsenter --net="/proc/$(engine_pid app-proxy)/ns/net" "$PEER" connect 192.0.2.77 80 --send hello --half-close --read-all
	dk rm -f agent >/dev/null
	engine_wait_line app-proxy "the host's agent is gone"
	nsenter --net="/proc/$(engine_pid app-proxy)/ns/net" "$PEER" connect 192.0.2.77 80 --send hello --half-close --read-all
	agent
	engine_wait_line app-proxy "in place of an earlier agent"
	nsenter --net="/proc/$(engine_pid app-proxy)/ns/net" "$PEER" connect 192.0.2.77 80 --send hello --half-close --read-all
	# Without --reap-after the agent removes no container.
	[ -n "$(dk ps -q --filter name=app-proxy)" ]
}

@test "with --reap-after the agent removes orphans and no other containers" {
	side orphan-proxy
	side used-proxy
	side keeper
	dk run -d --name used --network container:used-proxy --entrypoint /usr/bin/sidestep sidestep \
		gateway --server --listen 127.0.0.1:9 >/dev/null
	agent --reap-after 2
	bed_until 30 gone orphan-proxy
	for name in used-proxy keeper used agent; do
		[ -n "$(dk ps -q --filter "name=^$name\$")" ]
	done
}

@test "the label is not enough: a container without NET_ADMIN is no sidecar" {
	agent --log-level debug
	engine_image poser --change "LABEL dev.sidestep.role=sidecar" --change 'ENTRYPOINT ["/bin/peer"]' "$PEER"
	dk run -d --name poser poser imposter >/dev/null
	dk run -d --name poser-own --label dev.sidestep.role=sidecar poser imposter >/dev/null
	engine_wait_line agent "docker: poser is no sidecar: it was started without --cap-add NET_ADMIN"
	engine_wait_line agent "docker: poser-own is no sidecar"
	# Control: with the capability it is served.
	dk run -d --name capable --cap-add NET_ADMIN poser imposter >/dev/null
	engine_wait_line capable "asked described=ok"
	[ "$(dk logs poser)" = ready ]
	[ "$(dk logs poser-own)" = ready ]
}
